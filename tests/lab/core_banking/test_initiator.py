"""The armed automation and the way home, on the room's own rule, alarms, functions and state machines.

"Rule still enabled during failback -> canaries fail during switchover -> initiator sees RUNNING and quits, or fails
over again just after": which of the two depends only on whether the alarm rings before or after the failback's end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from lab.aws.cloudwatch import MINUTE_S, AlarmEngine
from lab.aws.events import Events
from lab.aws.functions import Functions
from lab.aws.server import AwsServer
from lab.aws.states import StateMachines
from lab.aws.synthetics import NAMESPACE
from lab.clock import LabClock
from lab.core_banking import automation, infra, names
from lab.core_banking.names import OREGON, OSAKA, SERVING
from lab.stack_parts import Routing
from lab.truth import Truth
from tests.checks.worlds import eventually

WATCHED = (OSAKA, OREGON)


@pytest.fixture
def clock() -> LabClock:
    """Real time: the failback's first wait of 10 s is long beside everything that a test does."""
    return LabClock.starting_now(1.0)


@dataclass
class Room:
    """The automation with its rule armed and both alarms OK; arns: of the machines, by kind."""

    server: AwsServer
    clock: LabClock
    alarms: AlarmEngine
    arns: Mapping[str, str]

    @property
    def states(self) -> Any:
        """Step Functions in Osaka."""
        return self.server.client("stepfunctions", OSAKA)

    def executions(self, kind: str) -> list[dict[str, Any]]:
        """Those of a machine, newest first."""
        return list(self.states.list_executions(stateMachineArn=self.arns[kind])["executions"])

    def begun_failback(self) -> str:
        """The ARN of a failback that the operators have just started."""
        return str(self.states.start_execution(stateMachineArn=self.arns["Failback"])["executionArn"])

    def ring(self) -> None:
        """Two failed canary runs in a row, in both Regions, and the alarms' next evaluation."""
        end_s = self.clock.now_s() // MINUTE_S * MINUTE_S
        for region in WATCHED:
            named = [{"Name": "CanaryName", "Value": names.canary_name(region)}]
            data = [
                {"MetricName": "SuccessPercent", "Dimensions": named, "Timestamp": end_s - before_s, "Value": 0.0}
                for before_s in (90.0, 30.0)
            ]
            self.server.client("cloudwatch", region).put_metric_data(Namespace=NAMESPACE, MetricData=data)
        self.alarms.evaluate_all(end_s)

    def initiator_said(self) -> str:
        """How the one run of the initiator ended: its error, or its status; "" while there is no end."""
        found = self.executions("FailoverInitiator")
        assert len(found) <= 1
        if not found or found[0]["status"] == "RUNNING":
            return ""
        shown = self.states.describe_execution(executionArn=found[0]["executionArn"])
        return str(shown.get("error", shown["status"]))


@pytest.fixture
def room(server: AwsServer, clock: LabClock, truth: Truth) -> Iterator[Room]:
    """The room's automation, its Regions' tables of stop flags, nothing else of the system."""
    functions, alarms = Functions(server, clock), AlarmEngine(server, clock, truth)
    engines = [functions, StateMachines(server, clock, truth), Events(server, clock, truth), alarms]
    for engine in engines:
        engine.start()  # type: ignore[attr-defined]
    client = server.client
    infra.stop_flags(client)
    route = Routing("arn:cluster", dict.fromkeys(SERVING, "arn:control"), (("us-east-1", server.url),) * 5)
    arns = automation.deploy(client, functions.register, route)
    infra.alarms(client)
    for region in WATCHED:
        client("cloudwatch", region).set_alarm_state(
            AlarmName=names.alarm_name(region), StateValue="OK", StateReason="served"
        )
    (rule,) = client("events", OSAKA).list_rules()["Rules"]
    client("events", OSAKA).enable_rule(Name=rule["Name"])
    yield Room(server, clock, alarms, arns)
    for engine in engines:
        engine.stop()  # type: ignore[attr-defined]


def test_an_alarm_while_the_failback_runs_finds_it_running_and_nothing_is_moved(room: Room) -> None:
    """The initiator fails with the published error, and no failover begins."""
    failback = room.begun_failback()
    room.ring()
    assert eventually(room.initiator_said) == "ConcurrentExecutionDetected"
    assert room.states.describe_execution(executionArn=failback)["status"] == "RUNNING"
    assert room.executions("Failover") == []


def test_an_alarm_just_after_the_failback_turns_the_system_round(room: Room) -> None:
    """The alarm tells of the failback's own outage; nobody asks whether the system has come home since."""
    room.states.stop_execution(executionArn=room.begun_failback())
    room.ring()
    assert eventually(room.initiator_said) == "SUCCEEDED"
    assert len(room.executions("Failover")) == 1
