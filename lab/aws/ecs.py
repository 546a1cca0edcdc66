"""ECS services that live: desired count starts and stops real tasks, and the API shows what runs.

moto stores clusters, services and task definitions; an `EcsAgent` brings the tasks of every service to its
desired count through a `TaskRunner`, and answers ListTasks and DescribeTasks itself. Task states by the ECS
developer guide ("Task lifecycle"): a task counts as running only while its last status is RUNNING, so a
draining one (DEACTIVATING) no longer does. Not played: rolling deployments (a new task definition takes
effect for tasks started after it).
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from moto.core.responses import ActionResult
from moto.ecs.models import Service, ecs_backends
from moto.ecs.responses import EC2ContainerServiceResponse

from lab.aws.protocol import Tapped, page
from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.truth import Truth

POLL_S = 5.0
"""Lab seconds after which a task that died is noticed and replaced at the latest."""
POLL_FLOOR_WALL_S = 0.1
START_S = 60.0
"""Lab seconds that a task's start may take: it is real work here, and about a minute on Fargate."""
STOP_WALL_S = 5.0
MAX_EVENTS = 100
"""Service events that DescribeServices returns (ECS API reference)."""
MAX_STOPPED = 200
"""Stopped tasks that stay describable (AWS: those of the last hour)."""
DEFAULT_LIST_SERVICES = 10
"""Results of ListServices without maxResults (ECS API reference)."""
PENDING, RUNNING, DEACTIVATING, STOPPED = "PENDING", "RUNNING", "DEACTIVATING", "STOPPED"


class TaskError(Exception):
    """A task could not be started or stopped; the sentence says why."""


class TaskRunner(Protocol):
    """Runs tasks as real processes. `start` and `stop` block and are called from worker threads."""

    def start(self, region: str, service: str, task_id: str) -> None:
        """The task's process is up when this returns; TaskError when it is not."""
        ...

    def stop(self, region: str, service: str, task_id: str) -> None:
        """Deregister, drain, end the process; TaskError when it could not be done."""
        ...

    def running(self, region: str, service: str) -> list[str]:
        """Ids of the tasks whose process is up."""
        ...


@dataclass(frozen=True)
class EcsTask:
    """One task as the API knows it; times are aware UTC lab time."""

    task_id: str
    region: str
    cluster: str
    service: str
    definition: str
    state: str
    created: datetime
    started: datetime | None = None
    stopped: datetime | None = None
    reason: str = ""
    tags: Sequence[Mapping[str, str]] = ()

    @property
    def alive(self) -> bool:
        """Whether it counts towards the desired count: starting or running."""
        return self.state in {PENDING, RUNNING}


class EcsAgent:
    """Serves ECS for `server`; `start` begins to bring services to their desired counts."""

    def __init__(self, server: AwsServer, runner: TaskRunner, clock: LabClock, truth: Truth) -> None:
        self._server = server
        self._runner = runner
        self._clock = clock
        self._truth = truth
        self._lock = threading.RLock()
        self._tasks: dict[str, EcsTask] = {}
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ecs-agent", daemon=True)
        self._workers: set[threading.Thread] = set()
        server.serve_class("ecs", type("Ecs", (_Ecs,), {"agent": self}))
        server.tap("ecs", {"CreateService", "UpdateService", "DeleteService", "StopTask"}, self._tapped)

    def start(self) -> None:
        """Begin to reconcile."""
        self._thread.start()

    def stop(self) -> None:
        """End the agent's threads; the tasks that run are left to their runner."""
        self._stopping.set()
        self._wake.set()
        for thread in (self._thread, *self._workers):
            if thread.is_alive():
                thread.join(STOP_WALL_S)

    def tasks(self, region: str, service: str = "") -> list[EcsTask]:
        """The tasks of a Region (of one service), oldest first, the stopped ones too."""
        with self._lock:
            return [t for t in self._tasks.values() if t.region == region and service in {"", t.service}]

    def find(self, region: str, id_or_arn: str) -> EcsTask | None:
        """The task of that id or ARN in the Region, or None."""
        task = self._tasks.get(id_or_arn.rpartition("/")[2])
        return task if task and task.region == region else None

    def end_task(self, task: EcsTask, reason: str) -> EcsTask:
        """StopTask: stop this one; its service starts another in its place."""
        with self._lock:
            if not self._tasks[task.task_id].alive:  # it ended, or another caller ends it already
                return self._tasks[task.task_id]
            stopping = self._change(task.task_id, state=DEACTIVATING, reason=reason)
        self._work(self._stop_one, stopping)
        if (service := self._service_of(task)) is not None:
            if service.load_balancers:
                self._say(service, "has begun draining connections on 1 tasks.")
            self._say(service, f"has stopped 1 running tasks: (task {task.task_id}).")
        return stopping

    def refresh(self, service: Service) -> None:
        """Write the counts that really hold into moto's service, its deployment and its cluster."""
        mine = self.tasks(service.region_name, service.name)
        service.running_count = sum(t.state == RUNNING for t in mine)
        service.pending_count = sum(t.state == PENDING for t in mine)
        steady = service.running_count == service.desired_count and not service.pending_count
        for deployment in service.deployments[:1]:
            state = "COMPLETED" if steady else "IN_PROGRESS"
            if deployment["rolloutState"] != state:
                deployment["updatedAt"] = self._clock.now().replace(tzinfo=None)
            deployment["desiredCount"] = service.desired_count
            deployment["runningCount"] = service.running_count
            deployment["pendingCount"] = service.pending_count
            deployment["rolloutState"] = state
            verb = "completed" if steady else "in progress"
            deployment["rolloutStateReason"] = f"ECS deployment {deployment['id']} {verb}."

    def refresh_clusters(self, region: str) -> None:
        """Write the number of running and pending tasks into moto's clusters of the Region."""
        alive = [task for task in self.tasks(region) if task.alive]
        for cluster in ecs_backends[self._server.account][region].clusters.values():
            mine = [task.state for task in alive if task.cluster == cluster.name]
            cluster.running_tasks_count = mine.count(RUNNING)
            cluster.pending_tasks_count = mine.count(PENDING)

    def arn(self, task: EcsTask) -> str:
        """The ARN of a task."""
        return f"arn:aws:ecs:{task.region}:{self._server.account}:task/{task.cluster}/{task.task_id}"

    def _tapped(self, call: Tapped) -> None:
        if "desiredCount" in call.params:
            self._truth.record(
                "ecs.desired",
                region=call.region,
                service=str(call.params.get("service") or call.params.get("serviceName")),
                desired=call.params["desiredCount"],
            )
        self._wake.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            for service in self._services():
                self._reconcile(service)
            self._stop_orphans()
            self._wake.wait(max(POLL_FLOOR_WALL_S, self._clock.wall_s(POLL_S)))

    def _services(self) -> Iterator[Service]:
        for backend in list(ecs_backends[self._server.account].values()):
            yield from list(backend.services.values())

    def _reconcile(self, service: Service) -> None:
        self._bury(service)
        wanted = int(service.desired_count) if service.status == "ACTIVE" else 0
        alive = [task for task in self.tasks(service.region_name, service.name) if task.alive]
        for _ in range(wanted - len(alive)):
            self._launch(service)
        for task in alive[wanted:]:
            self.end_task(task, "Scaling activity initiated by deployment")
        self._note_steady(service)

    def _bury(self, service: Service) -> None:
        """Mark as stopped the running tasks whose process is gone."""
        # The tasks first: one that comes up between the two looks must not be taken for dead.
        running = [t for t in self.tasks(service.region_name, service.name) if t.state == RUNNING]
        up = set(self._runner.running(service.region_name, service.name))
        for task in running:
            if task.task_id not in up:
                self._truth.record("ecs.task_died", region=task.region, service=task.service, task=task.task_id)
                self._finish(task, "Essential container in task exited")

    def _launch(self, service: Service) -> None:
        task = EcsTask(
            task_id=uuid.uuid4().hex,
            region=service.region_name,
            cluster=service.cluster_name,
            service=service.name,
            definition=service.task_definition or "",
            state=PENDING,
            created=self._clock.now(),
            tags=tuple(service.tags or ()) if service.propagate_tags == "SERVICE" else (),
        )
        with self._lock:
            self._tasks[task.task_id] = task
        self._say(service, f"has started 1 tasks: (task {task.task_id}).")
        self._work(self._start_one, task)

    def _start_one(self, task: EcsTask) -> None:
        began_s = self._clock.now_s()
        try:
            self._runner.start(task.region, task.service, task.task_id)
        except (TaskError, OSError) as error:
            self._truth.record("ecs.start_failed", region=task.region, service=task.service, why=str(error))
            self._finish(task, f"CannotStartContainerError: {error}")
            return
        self._truth.took("task start", START_S, self._clock.now_s() - began_s)
        self._truth.record("ecs.task_started", region=task.region, service=task.service, task=task.task_id)
        with self._lock:
            # A task that was told to stop while it was starting stays DEACTIVATING.
            if self._tasks[task.task_id].state == PENDING:
                self._change(task.task_id, state=RUNNING, started=self._clock.now())
        self._wake.set()

    def _stop_one(self, task: EcsTask) -> None:
        try:
            self._runner.stop(task.region, task.service, task.task_id)
        except (TaskError, OSError) as error:
            self._truth.record("ecs.stop_failed", region=task.region, service=task.service, why=str(error))
            return
        self._truth.record("ecs.task_stopped", region=task.region, service=task.service, task=task.task_id)
        self._finish(task, task.reason)
        self._wake.set()

    def _finish(self, task: EcsTask, reason: str) -> None:
        with self._lock:
            self._change(task.task_id, state=STOPPED, stopped=self._clock.now(), reason=reason)
            stopped = [t.task_id for t in self._tasks.values() if t.state == STOPPED]
            for old in stopped[:-MAX_STOPPED]:
                del self._tasks[old]

    def _change(self, task_id: str, **changes: Any) -> EcsTask:
        self._tasks[task_id] = replace(self._tasks[task_id], **changes)
        return self._tasks[task_id]

    def _service_of(self, task: EcsTask) -> Service | None:
        mine = (s for s in self._services() if (s.region_name, s.name) == (task.region, task.service))
        return next(mine, None)

    def _stop_orphans(self) -> None:
        known = {(service.region_name, service.name) for service in self._services()}
        for task in list(self._tasks.values()):
            if task.alive and (task.region, task.service) not in known:
                self.end_task(task, "Service deleted")

    def _work(self, fn: Callable[[EcsTask], None], task: EcsTask) -> None:
        worker = threading.Thread(target=fn, args=(task,), name=f"ecs-{task.task_id[:8]}", daemon=True)
        with self._lock:
            self._workers = {known for known in self._workers if known.is_alive()}
            worker.start()
            self._workers.add(worker)

    def _note_steady(self, service: Service) -> None:
        before = [deployment["rolloutState"] for deployment in service.deployments[:1]]
        self.refresh(service)
        after = [deployment["rolloutState"] for deployment in service.deployments[:1]]
        if after != before and after == ["COMPLETED"]:
            self._say(service, "has reached a steady state.")

    def _say(self, service: Service, what: str) -> None:
        event = {
            "id": str(uuid.uuid4()),
            "createdAt": self._clock.now().replace(tzinfo=None),
            "message": f"(service {service.name}) {what}",
        }
        service.events[:] = [event, *service.events[: MAX_EVENTS - 1]]


class _Ecs(EC2ContainerServiceResponse):
    """moto's ECS with live counts, tasks and paging; `agent` is set by EcsAgent on a subclass of its own."""

    agent: EcsAgent

    def update_service(self) -> ActionResult:
        reply = super().update_service()
        self.agent.refresh(reply.result["service"])  # type: ignore[index]
        return reply

    def describe_services(self) -> ActionResult:
        reply = super().describe_services()
        for service in reply.result["services"]:  # type: ignore[index]
            self.agent.refresh(service)
        return reply

    def describe_clusters(self) -> ActionResult:
        self.agent.refresh_clusters(self.region)
        return super().describe_clusters()

    def list_services(self) -> ActionResult:
        return self._paged(super().list_services(), "serviceArns", DEFAULT_LIST_SERVICES)

    def list_clusters(self) -> ActionResult:
        return self._paged(super().list_clusters(), "clusterArns", 100)

    def list_tasks(self) -> ActionResult:
        wanted = self._get_param("desiredStatus", RUNNING)
        service = self._get_param("serviceName", "").rpartition("/")[2]
        cluster = self.ecs_backend._get_cluster(self._get_param("cluster", "default"))
        found = [
            self.agent.arn(task)
            for task in self.agent.tasks(self.region, service)
            if task.cluster == cluster.name and (RUNNING if task.alive else STOPPED) == wanted
        ]
        return self._paged(ActionResult({"taskArns": found}), "taskArns", 100)

    def describe_tasks(self) -> ActionResult:
        cluster = self.ecs_backend._get_cluster(self._get_param("cluster", "default"))
        found, failures = [], []
        for wanted in self._get_param("tasks", []):
            if (task := self.agent.find(self.region, wanted)) is None:
                failures.append({"arn": wanted, "reason": "MISSING"})
            else:
                found.append(self._shown(task, cluster.arn))
        return ActionResult({"tasks": found, "failures": failures})

    def stop_task(self) -> ActionResult:
        task = self.agent.find(self.region, self._get_param("task"))
        if task is None or not task.alive:
            return super().stop_task()
        cluster = self.ecs_backend._get_cluster(self._get_param("cluster", "default"))
        ended = self.agent.end_task(task, self._get_param("reason", "Task stopped by user"))
        return ActionResult({"task": self._shown(ended, cluster.arn)})

    def list_tags_for_resource(self) -> ActionResult:
        task = self.agent.find(self.region, self._get_param("resourceArn"))
        return super().list_tags_for_resource() if task is None else ActionResult({"tags": list(task.tags)})

    def _paged(self, reply: ActionResult, key: str, default: int) -> ActionResult:
        items = reply.result[key]  # type: ignore[index]
        limit = int(self._get_param("maxResults", default))
        shown, token = page(items, limit, self._get_param("nextToken"))
        return ActionResult({key: shown, "nextToken": token} if token else {key: shown})

    def _shown(self, task: EcsTask, cluster_arn: str) -> dict[str, Any]:
        times = {"createdAt": task.created, "startedAt": task.started, "stoppedAt": task.stopped}
        return {
            "taskArn": self.agent.arn(task),
            "clusterArn": cluster_arn,
            "taskDefinitionArn": task.definition,
            "group": f"service:{task.service}",
            "launchType": "FARGATE",
            "lastStatus": task.state,
            "desiredStatus": RUNNING if task.alive else STOPPED,
            "stoppedReason": task.reason or None,
            "healthStatus": "UNKNOWN",
            **{name: time for name, time in times.items() if time},
        }
