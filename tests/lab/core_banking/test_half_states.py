"""What is left when the failover machine is aborted on its way, by the room's own machine.

Nothing in it compensates: what its steps have done stays done, and what comes next is nobody's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from lab.aws.arc import Arc
from lab.aws.events import Events
from lab.aws.functions import Functions
from lab.aws.rds import RdsGlobal
from lab.aws.server import AwsServer
from lab.aws.states import StateMachines
from lab.clock import LabClock
from lab.core_banking import automation, infra, names
from lab.core_banking.names import OSAKA, SERVING, TOKYO
from lab.truth import Truth
from tests.checks.worlds import eventually

OPEN, STOPPED = "false", "true"
ON_THE_WAY = {
    "WaitForParameterPropagation": ((STOPPED, STOPPED), ("On", "Off"), TOKYO),
    "Wait Polling": ((STOPPED, STOPPED), ("Off", "On"), TOKYO),
}
"""Step at which it is aborted -> stop flags, routing controls (of Tokyo, Osaka), writer, as the machine left them."""
SPEED = {"WaitForParameterPropagation": 2.0, "Wait Polling": 20.0}
"""So that each lasts for 5 s of ours: longer than a stall of this machine."""


@pytest.fixture
def clock(step: str) -> LabClock:
    """As fast as the step can be caught."""
    return LabClock.starting_now(SPEED[step])


@dataclass
class Room:
    """The failover machine and all that it touches; Aurora is its control plane alone."""

    server: AwsServer
    arc: Arc
    controls: dict[str, str]
    machine: str

    @property
    def states(self) -> Any:
        """Step Functions in Osaka."""
        return self.server.client("stepfunctions", OSAKA)

    def entered(self, execution: str) -> list[str]:
        """The states that it has entered so far."""
        events = self.states.get_execution_history(executionArn=execution, maxResults=1000)["events"]
        return [e["stateEnteredEventDetails"]["name"] for e in events if "stateEnteredEventDetails" in e]

    def left(self) -> tuple[tuple[str, ...], tuple[str, ...], str]:
        """Stop flags, routing controls, and the writer's Region."""
        key = {"PK": {"S": "stopFlag"}}
        items = [
            self.server.client("dynamodb", r).get_item(TableName=names.param_table(r), Key=key)["Item"]
            for r in SERVING
        ]
        shown = self.server.client("rds", OSAKA).describe_global_clusters()["GlobalClusters"][0]
        (writer,) = [m["DBClusterArn"].split(":")[3] for m in shown["GlobalClusterMembers"] if m["IsWriter"]]
        controls = tuple(self.arc.control(self.controls[region]).state for region in SERVING)
        return tuple(item["value"]["S"] for item in items), controls, writer


@pytest.fixture
def room(server: AwsServer, clock: LabClock, truth: Truth) -> Iterator[Room]:
    """Tokyo serves, by its flag, its control and its writer."""
    arc, functions = Arc(server, truth), Functions(server, clock)
    databases = RdsGlobal(server, clock, truth, switchover_s=100.0)
    engines = [functions, StateMachines(server, clock, truth), Events(server, clock, truth)]
    for engine in engines:
        engine.start()  # type: ignore[attr-defined]
    client = server.client
    infra.stop_flags(client)
    infra.database(client)
    route = infra.routing(client)
    arc.update([(route.controls[TOKYO], "On")])
    machines = automation.deploy(client, functions.register, route)
    yield Room(server, arc, dict(route.controls), machines["Failover"])
    for engine in engines:
        engine.stop()  # type: ignore[attr-defined]
    databases.stop()


@pytest.mark.parametrize("step", ON_THE_WAY)
def test_what_an_aborted_machine_has_done_stays_done(room: Room, step: str) -> None:
    """Tokyo is told to stop first, and Osaka to open last: aborted anywhere between, both are stopped and nobody
    serves, wherever traffic and data are. Aurora ends by itself what was begun, and opens nothing."""
    assert room.left() == ((OPEN, STOPPED), ("On", "Off"), TOKYO)
    execution = room.states.start_execution(stateMachineArn=room.machine)["executionArn"]
    eventually(lambda: step in room.entered(execution))
    room.states.stop_execution(executionArn=execution)
    assert room.left() == ON_THE_WAY[step]
    if step == "Wait Polling":
        eventually(lambda: room.left()[2] == OSAKA)
        assert room.left()[:2] == ON_THE_WAY[step][:2]
