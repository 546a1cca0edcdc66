"""What the drills of core-banking's weak points have in common: how they begin, take over, and go home."""

from __future__ import annotations

from contextlib import AbstractContextManager

from checks.conditions import served_from
from checks.guards import before_failover, clusters_connected
from checks.worst_moment import worst_moment
from drill.drill import Drill
from drill.end_state import EndState
from drill.read_only import OnlyReads
from drill.target import Target
from faults.ecs_scale import ScaleEcsService
from faults.start_machine import StartStateMachine
from scenarios.afterwards import afterwards

MACHINE_S = 900.0
"""The failover or failback machine is over within this: the switchover takes minutes."""
STEP_S = 300.0
"""What the system does next by itself, or after one call, shows within this."""


def look_first(drill: Drill, target: Target) -> None:
    """The guards of every drill, and what a return by the state machine leaves changed."""
    drill.declare_end_state(
        EndState("control_primary", "GetRoutingControlState/RoutingControlState", "On"),
        EndState("control_standby", "GetRoutingControlState/RoutingControlState", "Off"),
    )
    drill.look_all(before_failover(drill.aws, target, drill.clock))


def take_over(drill: Drill, target: Target) -> None:
    """Tokyo loses its Transaction service, and Osaka serves: what comes before most of the weak points."""
    standby, timings = target.regions.standby, target.timings
    drill.start_load()
    drill.steady(for_s=timings.baseline_s)
    with (
        drill.window("failover", survivor=standby),
        drill.applied(ScaleEcsService(target.resource("transaction"), desired=0)),
    ):
        drill.until(served_from(target, standby), timeout_s=timings.window_s)
        drill.settle(standby)


def go_home(drill: Drill, target: Target, time: int = 1, at_the_worst_moment: bool = False) -> None:
    """Once the database is whole the operators start the failback machine; not measured."""
    drill.look("clusters connected", OnlyReads(lambda: clusters_connected(drill.aws, target, drill.clock, STEP_S)))
    if at_the_worst_moment and (moment := drill.look("worst moment", lambda: worst_moment(drill.aws, target))):
        drill.elapse(moment.wait_s)
    drill.perform(StartStateMachine(target.resource("failback_machine"), timeout_s=MACHINE_S, time=time))


def home_afterwards(drill: Drill, target: Target) -> AbstractContextManager[None]:
    """See scenarios.afterwards."""
    return afterwards(lambda: go_home(drill, target))
