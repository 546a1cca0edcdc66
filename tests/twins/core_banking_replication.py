"""Twins of core-banking's transfers that were left behind: the same steps with one thing missing.

Not collected by name; tests/e2e runs them with `--twin`, in the lab only.
"""

from __future__ import annotations

from checks.conditions import served_from
from drill.drill import Drill
from drill.target import Target
from faults.ecs_scale import ScaleEcsService
from faults.events_rule import SetRuleState
from scenarios.pausing import replication_paused
from scenarios.test_core_banking_weak_points import home_afterwards, look_first


def test_replication_resumed(drill: Drill, target: Target) -> None:
    """The experiment is stopped before the first transfer: nothing is left behind, and the drill passes. So the
    scenario's FAIL comes from the pause and from nothing else."""
    standby, timings = target.regions.standby, target.timings
    look_first(drill, target)
    with replication_paused(drill, target, "global_table"):
        pass
    with (
        home_afterwards(drill, target),
        drill.applied(SetRuleState(target.resource("auto_failover_rule"), "ENABLED")),
    ):
        drill.start_load()
        drill.steady(for_s=timings.baseline_s)
        with (
            drill.window("failover", survivor=standby),
            drill.applied(ScaleEcsService(target.resource("transaction"), desired=0)),
        ):
            drill.until(served_from(target, standby), timeout_s=timings.window_s)
            drill.settle(standby)
