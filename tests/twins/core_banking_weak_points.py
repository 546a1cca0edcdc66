"""Twins of core-banking's weak points that must not pass: the same steps with one thing missing.

Not collected by name; tests/e2e runs them with `--twin`, in the lab only.
"""

from __future__ import annotations

from checks.conditions import Shows, served_from
from drill.drill import Drill
from drill.target import Target
from faults.ecs_scale import ScaleEcsService
from faults.start_machine import StartStateMachine
from faults.stop_machine import StopStateMachine
from scenarios.test_core_banking_weak_points import MACHINE_S, STEP_S, home_afterwards, look_first


def test_nothing_to_abort(drill: Drill, target: Target) -> None:
    """Nobody started the machine, so it is nowhere half way: what would be measured is another story."""
    standby, timings = target.regions.standby, target.timings
    look_first(drill, target)
    drill.start_load()
    drill.steady(for_s=timings.baseline_s)
    with (
        drill.window("failover", survivor=standby),
        drill.applied(ScaleEcsService(target.resource("transaction"), desired=0)),
    ):
        drill.once(Shows("aws.global.status", "available", otherwise=True), timeout_s=60.0)
        drill.perform(StopStateMachine(target.resource("failover_machine"), timeout_s=STEP_S))


def test_machine_left_alone(drill: Drill, target: Target) -> None:
    """The half-way scenario without the abort: the machine ends, clients are served, and the verdict is PASS. So the
    scenario's FAIL comes from the abort and from nothing else."""
    standby, timings = target.regions.standby, target.timings
    look_first(drill, target)
    with home_afterwards(drill, target):
        drill.start_load()
        drill.steady(for_s=timings.baseline_s)
        with (
            drill.window("failover", survivor=standby),
            drill.applied(ScaleEcsService(target.resource("transaction"), desired=0)),
        ):
            drill.perform(StartStateMachine(target.resource("failover_machine"), timeout_s=MACHINE_S))
            drill.until(served_from(target, standby), timeout_s=timings.window_s)
            drill.settle(standby)
