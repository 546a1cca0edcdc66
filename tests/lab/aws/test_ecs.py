"""ECS over the wire: counts follow what really runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from lab.aws.ecs import EcsAgent, TaskError
from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.truth import Truth

TOKYO, OSAKA = "ap-northeast-1", "ap-northeast-3"


class Processes:
    """Tasks that are entries in a set; `may_start` and `may_stop` hold them up when cleared."""

    def __init__(self) -> None:
        self.up: set[tuple[str, str, str]] = set()
        self.may_start = threading.Event()
        self.may_stop = threading.Event()
        self.may_start.set()
        self.may_stop.set()
        self.failures = 0

    def start(self, region: str, service: str, task_id: str) -> None:
        assert self.may_start.wait(10)
        if self.failures:
            self.failures -= 1
            raise TaskError("no such image")
        self.up.add((region, service, task_id))

    def stop(self, region: str, service: str, task_id: str) -> None:
        assert self.may_stop.wait(10)
        self.up.discard((region, service, task_id))

    def running(self, region: str, service: str) -> list[str]:
        return [task for r, s, task in self.up if (r, s) == (region, service)]


@dataclass(frozen=True)
class Room:
    """A cluster in Tokyo with the service `transaction`, desired count 1."""

    agent: EcsAgent
    processes: Processes
    ecs: Any

    def service(self) -> dict[str, Any]:
        """DescribeServices."""
        found: dict[str, Any] = self.ecs.describe_services(cluster="main", services=["transaction"])
        service: dict[str, Any] = found["services"][0]
        return service

    def counts(self) -> tuple[int, int, int]:
        """desired, running, pending."""
        shown = self.service()
        return shown["desiredCount"], shown["runningCount"], shown["pendingCount"]

    def scale(self, desired: int) -> None:
        """UpdateService."""
        self.ecs.update_service(cluster="main", service="transaction", desiredCount=desired)


def make(client: Any, name: str, desired: int = 1) -> None:
    """A service without a network, as the lab makes them."""
    client.create_service(
        cluster="main", serviceName=name, taskDefinition="app", desiredCount=desired, launchType="FARGATE"
    )


@pytest.fixture
def room(server: AwsServer, clock: LabClock, truth: Truth) -> Iterator[Room]:
    """With the agent running and the one task up."""
    processes = Processes()
    agent = EcsAgent(server, processes, clock, truth)
    ecs = server.client("ecs", TOKYO)
    ecs.create_cluster(clusterName="main")
    ecs.register_task_definition(family="app", containerDefinitions=[{"name": "app", "image": "app", "memory": 64}])
    make(ecs, "transaction")
    agent.start()
    room = Room(agent, processes, ecs)
    assert within(5, lambda: room.counts() == (1, 1, 0))
    yield room
    processes.may_start.set()
    processes.may_stop.set()
    agent.stop()


def within(wall_s: float, check: Callable[[], bool]) -> bool:
    """Whether `check` comes true before `wall_s` wall seconds are over."""
    end_s = time.monotonic() + wall_s
    while time.monotonic() < end_s and not check():
        time.sleep(0.02)
    return check()


def test_scale_to_zero_and_back(room: Room) -> None:
    """Desired 0 ends the process, 1 starts another one, and the counts follow."""
    room.scale(0)
    assert within(5, lambda: not room.processes.up and room.counts() == (0, 0, 0))
    room.scale(1)
    assert within(5, lambda: len(room.processes.up) == 1 and room.counts() == (1, 1, 0))


def test_a_task_bears_its_services_tags_where_they_are_propagated(room: Room) -> None:
    """As of when it was started; another service's task bears none."""
    tags = [{"key": "drill", "value": "allowed"}]
    of = {"cluster": "main", "taskDefinition": "app", "desiredCount": 1, "launchType": "FARGATE", "tags": tags}
    room.ecs.create_service(**of, serviceName="tagged", propagateTags="SERVICE")
    room.ecs.create_service(**of, serviceName="bare")

    def borne(name: str) -> Any:
        tasks = room.ecs.list_tasks(cluster="main", serviceName=name)["taskArns"]
        return room.ecs.list_tags_for_resource(resourceArn=tasks[0])["tags"] if tasks else None

    assert within(5, lambda: bool(borne("tagged") == tags))
    assert within(5, lambda: bool(borne("bare") == []))


def test_events_tell_what_was_started_and_stopped(room: Room) -> None:
    """DescribeServices has, newest first, a line for the stop and one for the steady state after it."""
    (task,) = room.processes.up
    room.scale(0)
    assert within(5, lambda: room.counts() == (0, 0, 0))
    said = [event["message"] for event in room.service()["events"]]
    assert said[0] == "(service transaction) has reached a steady state."
    assert said[1] == f"(service transaction) has stopped 1 running tasks: (task {task[2]})."


def test_update_returns_before_the_tasks_move(room: Room) -> None:
    """UpdateService answers at once with the counts that still hold."""
    room.processes.may_start.clear()
    reply = room.ecs.update_service(cluster="main", service="transaction", desiredCount=3)
    assert (reply["service"]["desiredCount"], reply["service"]["runningCount"]) == (3, 1)
    assert within(5, lambda: room.counts() == (3, 1, 2))
    assert room.service()["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    room.processes.may_start.set()
    assert within(5, lambda: room.counts() == (3, 3, 0))


def test_stable_waiter(room: Room) -> None:
    """boto3's services_stable waiter ends when the tasks run."""
    room.scale(2)
    waiter = room.ecs.get_waiter("services_stable")
    waiter.wait(cluster="main", services=["transaction"], WaiterConfig={"Delay": 1, "MaxAttempts": 5})
    assert room.service()["deployments"][0]["rolloutState"] == "COMPLETED"
    assert "steady state" in room.service()["events"][0]["message"]


def test_draining_task_does_not_count(room: Room) -> None:
    """A task that drains is DEACTIVATING, no longer running, until its process is gone."""
    arn = room.ecs.list_tasks(cluster="main", serviceName="transaction")["taskArns"][0]
    room.processes.may_stop.clear()
    room.scale(0)
    assert within(5, lambda: room.counts() == (0, 0, 0))
    task = room.ecs.describe_tasks(cluster="main", tasks=[arn])["tasks"][0]
    assert (task["lastStatus"], task["desiredStatus"]) == ("DEACTIVATING", "STOPPED")
    assert room.processes.up
    room.processes.may_stop.set()

    def states() -> list[str]:
        described = room.ecs.describe_tasks(cluster="main", tasks=[arn])["tasks"]
        return [task["lastStatus"] for task in described]

    assert within(5, lambda: states() == ["STOPPED"])
    assert room.ecs.list_tasks(cluster="main")["taskArns"] == []
    assert room.ecs.list_tasks(cluster="main", desiredStatus="STOPPED")["taskArns"] == [arn]


def test_dead_task_is_replaced(room: Room) -> None:
    """A task whose process dies shows as stopped and another takes its place."""
    first = room.ecs.list_tasks(cluster="main")["taskArns"]
    room.processes.up.clear()
    assert within(5, lambda: len(room.processes.up) == 1 and room.counts() == (1, 1, 0))
    assert room.ecs.list_tasks(cluster="main")["taskArns"] != first
    dead = room.ecs.describe_tasks(cluster="main", tasks=first)["tasks"][0]
    assert dead["stoppedReason"] == "Essential container in task exited"


def test_stop_task_is_replaced(room: Room) -> None:
    """StopTask ends the task and the service starts another one."""
    first = room.ecs.list_tasks(cluster="main")["taskArns"][0]
    room.ecs.stop_task(cluster="main", task=first, reason="drill")
    assert within(
        5, lambda: room.counts() == (1, 1, 0) and room.ecs.list_tasks(cluster="main")["taskArns"] != [first]
    )


def test_failed_start_is_tried_again(room: Room) -> None:
    """A task that cannot start stops with its reason and is tried again."""
    room.processes.failures = 1
    room.scale(2)
    assert within(5, lambda: room.counts() == (2, 2, 0))
    stopped = room.ecs.list_tasks(cluster="main", desiredStatus="STOPPED")["taskArns"]
    reasons = [t["stoppedReason"] for t in room.ecs.describe_tasks(cluster="main", tasks=stopped)["tasks"]]
    assert reasons == ["CannotStartContainerError: no such image"]


def test_regions_are_apart(room: Room, server: AwsServer) -> None:
    """A service of the same name in another Region keeps its tasks."""
    other = server.client("ecs", OSAKA)
    other.create_cluster(clusterName="main")
    other.register_task_definition(family="app", containerDefinitions=[{"name": "app", "image": "app", "memory": 64}])
    make(other, "transaction")
    assert within(5, lambda: len(room.processes.up) == 2)
    room.scale(0)
    assert within(5, lambda: [region for region, _, _ in room.processes.up] == [OSAKA])


def test_deleted_service_ends_its_tasks(room: Room) -> None:
    """A forced DeleteService stops what ran."""
    room.ecs.delete_service(cluster="main", service="transaction", force=True)
    assert within(5, lambda: not room.processes.up)


def test_listings_page(room: Room) -> None:
    """ListServices and ListClusters page by maxResults, and ListServices shows ten without it."""
    for n in range(11):
        make(room.ecs, f"other{n}", desired=0)
    assert len(room.ecs.list_services(cluster="main")["serviceArns"]) == 10
    pages = room.ecs.get_paginator("list_services").paginate(cluster="main", PaginationConfig={"PageSize": 5})
    sizes = [len(page["serviceArns"]) for page in pages]
    assert sizes == [5, 5, 2]
    room.ecs.create_cluster(clusterName="second")
    assert "nextToken" in room.ecs.list_clusters(maxResults=1)
