"""Twins of core-banking's restart: the same steps with one thing otherwise, which must not pass.

Not collected by name; tests/e2e runs them with `--twin`, in the lab only.
"""

from __future__ import annotations

import pytest

from checks.conditions import served_from
from checks.guards import before_failover
from drill.drill import Drill
from drill.target import Target
from faults.ecs_scale import ScaleEcsService
from scenarios.test_core_banking_restart import stop_tasks

pytestmark = pytest.mark.windows("outage")


def test_tasks_that_nobody_needs_stopped(drill: Drill, target: Target) -> None:
    """Tasks that no deposit needs are stopped: ECS starts others just the same, and nothing was broken."""
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    stop_tasks(drill, target, target.resource("count"))


def test_tasks_not_replaced(drill: Drill, target: Target) -> None:
    """The service is to have no task, so that ECS starts no others, and nobody is armed to move the system: Tokyo
    never serves again. So it is ECS that the scenario passes by."""
    primary, timings = target.regions.primary, target.timings
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    drill.start_load()
    drill.steady(for_s=timings.baseline_s)
    with (
        drill.window("outage", survivor=primary),
        drill.applied(ScaleEcsService(target.resource("transaction"), desired=0)),
    ):
        drill.until(served_from(target, primary), timeout_s=timings.window_s)
        drill.settle(primary)
