"""Twins of the remittance drills that must not pass: the same steps with one thing missing, or one too many.

Not collected by name; tests/e2e runs them with `--twin`, in the lab only.
"""

from __future__ import annotations

from checks.conditions import served_from
from checks.guards import before_failover
from drill.change import Fault
from drill.drill import Drill
from drill.target import Target
from faults.api_throttle import ThrottleStage
from faults.lambda_concurrency import LimitFunction
from scenarios.test_remittance import declare_rotation, rotate, whole


def wait_for_nobody(drill: Drill, target: Target, fault: Fault) -> None:
    """us-east-1 is lost by that fault, and nothing at all is done about it."""
    standby, timings = target.regions.standby, target.timings
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    drill.start_load()
    drill.steady(for_s=timings.baseline_s)
    with drill.window("failover", survivor=standby), drill.applied(fault):
        drill.until(served_from(target, standby), timeout_s=timings.window_s)
        drill.settle(standby)


def test_nobody_decides(drill: Drill, target: Target) -> None:
    """Nobody runs the runbook: nothing in this system moves by itself, and the drill must say so."""
    wait_for_nobody(drill, target, LimitFunction(target.resource("create_function")))


def test_throttled_and_left_alone(drill: Drill, target: Target) -> None:
    """us-east-1's API refuses every request, and nobody runs the runbook: users wait to the end."""
    wait_for_nobody(drill, target, ThrottleStage(target.resource("api_stage")))


def test_fault_that_nobody_feels(drill: Drill, target: Target) -> None:
    """The button for the runbook is taken away, which no remittance needs: in force, yet nothing was broken."""
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    drill.start_load()
    drill.steady(for_s=target.timings.baseline_s)
    with (
        drill.window("failover", survivor=target.regions.standby),
        drill.applied(LimitFunction(target.resource("runbook_function"))),
    ):
        drill.until(served_from(target, target.regions.primary), timeout_s=target.timings.window_s)


def test_runbook_run_twice(drill: Drill, target: Target) -> None:
    """Two people run the runbook, one after the other: two whole rotations, and everything is where it was."""
    standby, timings = target.regions.standby, target.timings
    declare_rotation(drill)
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    drill.start_load()
    drill.steady(for_s=timings.baseline_s)
    with (
        drill.window("failover", survivor=standby),
        drill.applied(LimitFunction(target.resource("create_function"))),
    ):
        rotate(drill, target)
        drill.look("clusters connected", whole(drill, target))
        rotate(drill, target, turn=2)
        drill.until(served_from(target, standby), timeout_s=timings.window_s)
        drill.settle(standby)
