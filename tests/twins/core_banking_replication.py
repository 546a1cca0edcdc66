"""Twins of core-banking's transfers that were left behind: the same steps with one thing missing.

Not collected by name; tests/e2e runs them with `--twin`, in the lab only.
"""

from __future__ import annotations

from drill.drill import Drill
from drill.target import Target
from faults.events_rule import SetRuleState
from scenarios.core_banking import home_afterwards, look_first, take_over
from scenarios.pausing import replication_paused


def test_replication_resumed(drill: Drill, target: Target) -> None:
    """The experiment is stopped before the first transfer: nothing is left behind, and the drill passes. So the
    scenario's FAIL comes from the pause and from nothing else."""
    look_first(drill, target)
    with replication_paused(drill, target, "global_table"):
        pass
    with (
        home_afterwards(drill, target),
        drill.applied(SetRuleState(target.resource("auto_failover_rule"), "ENABLED")),
    ):
        take_over(drill, target)
