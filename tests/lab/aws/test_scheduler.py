"""EventBridge Scheduler in the lab: never before its time, in its own Region, as often as the retry policy says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.aws.functions import Functions
from lab.aws.scheduler import Scheduler, at
from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.truth import Truth

REGION, OTHER = "ap-northeast-3", "ap-northeast-1"
ROLE = "arn:aws:iam::111111111111:role/schedules"
TRUST = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}}]}
LIMIT_S = 15.0


@pytest.fixture
def scheduler(server: AwsServer, clock: LabClock, truth: Truth) -> Iterator[Scheduler]:
    """The engine, on; a role that it may assume, and a disabled rule of the same name in two Regions."""
    server.client("iam", REGION).create_role(RoleName="schedules", AssumeRolePolicyDocument=json.dumps(TRUST))
    for region in (REGION, OTHER):
        server.client("events", region).put_rule(Name="r", EventPattern='{"source":["x"]}', State="ENABLED")
    engine = Scheduler(server, clock, truth)
    engine.start()
    yield engine
    engine.stop()


def create(server: AwsServer, due_lab_s: float, arn: str, params: dict[str, Any], **more: Any) -> None:
    """A one-time schedule in REGION."""
    target = {"Arn": arn, "RoleArn": ROLE, "Input": json.dumps(params), **more}
    server.client("scheduler", REGION).create_schedule(
        Name="s",
        ScheduleExpression=at(due_lab_s),
        FlexibleTimeWindow={"Mode": "OFF"},
        ActionAfterCompletion="DELETE",
        Target=target,
    )


DISABLE = "arn:aws:scheduler:::aws-sdk:eventbridge:disableRule"


def state(server: AwsServer, region: str = REGION) -> str:
    """The rule's state."""
    return str(server.client("events", region).describe_rule(Name="r")["State"])


def names(server: AwsServer) -> list[str]:
    """The schedules of REGION."""
    return [s["Name"] for s in server.client("scheduler", REGION).list_schedules()["Schedules"]]


def wait(true: Callable[[], object]) -> None:
    """Until it is true, bounded."""
    deadline = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_fires_at_its_time_and_not_before(server: AwsServer, scheduler: Scheduler, clock: LabClock) -> None:
    """In the Region of the schedule only; and it is gone after."""
    due = clock.now_s() + 100
    create(server, due, DISABLE, {"Name": "r"})
    while state(server) == "ENABLED":
        assert clock.now_s() < due + 100 * LIMIT_S
    assert clock.now_s() >= int(due)
    assert state(server, OTHER) == "ENABLED"
    wait(lambda: names(server) == [])


def test_a_schedule_that_is_moved_on_waits_for_its_new_time(
    server: AwsServer, scheduler: Scheduler, clock: LabClock
) -> None:
    """UpdateSchedule puts it off; DeleteSchedule takes it away."""
    create(server, clock.now_s() + 60, DISABLE, {"Name": "r"})
    client, later = server.client("scheduler", REGION), clock.now_s() + 100_000
    client.update_schedule(
        Name="s",
        ScheduleExpression=at(later),
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": DISABLE, "RoleArn": ROLE, "Input": json.dumps({"Name": "r"})},
    )
    time.sleep(clock.wall_s(120))
    assert (state(server), names(server)) == ("ENABLED", ["s"])
    client.delete_schedule(Name="s")
    assert names(server) == []


def test_a_lambda_target_is_invoked(server: AwsServer, scheduler: Scheduler, clock: LabClock, truth: Truth) -> None:
    """Asynchronously, with the schedule's input as event."""
    functions, seen = Functions(server, clock), list[Any]()
    functions.start()
    arn = functions.register(REGION, "f", lambda event, _context: seen.append(event))
    create(server, clock.now_s() + 1, arn, {"key": "k"})
    wait(lambda: seen)
    functions.stop()
    assert seen == [{"key": "k"}]


def test_a_call_that_fails_is_made_again(
    server: AwsServer, scheduler: Scheduler, clock: LabClock, truth: Truth
) -> None:
    """Until it succeeds, within the retry policy."""
    server.unavailable(REGION, "events")
    create(server, clock.now_s() + 1, DISABLE, {"Name": "r"})
    time.sleep(clock.wall_s(60))
    assert names(server) == ["s"]
    server.available(REGION, "events")
    wait(lambda: state(server) == "DISABLED")


def test_no_more_often_than_its_retry_policy_says(server: AwsServer, scheduler: Scheduler, clock: LabClock) -> None:
    """MaximumRetryAttempts 0: one attempt, and the schedule is done."""
    policy = {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}
    create(server, clock.now_s() + 1, DISABLE, {"Name": "nobody"}, RetryPolicy=policy)
    wait(lambda: names(server) == [])
    assert state(server) == "ENABLED"


def test_a_schedule_that_is_not_played_is_refused(server: AwsServer, scheduler: Scheduler) -> None:
    """rate(...) and cron(...) would never fire here, so nobody may rely on them."""
    with pytest.raises(ClientError, match=r"this lab plays at"):
        server.client("scheduler", REGION).create_schedule(
            Name="s",
            ScheduleExpression="rate(5 minutes)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": DISABLE, "RoleArn": ROLE},
        )


def test_an_unknown_group_is_refused(server: AwsServer, scheduler: Scheduler, clock: LabClock) -> None:
    """As in AWS, and not by a 500."""
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        server.client("scheduler", REGION).create_schedule(
            Name="s",
            GroupName="nobody",
            ScheduleExpression=at(clock.now_s()),
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": DISABLE, "RoleArn": ROLE},
        )
