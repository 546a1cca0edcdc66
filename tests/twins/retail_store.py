"""Twins of the retail-store drills that must not pass: the same steps with one thing missing.

Not collected by name; tests/e2e runs them with `--twin`, in the lab only.
"""

from __future__ import annotations

from checks.conditions import Shows, served_from
from checks.guards import before_failover
from drill.drill import Drill
from drill.target import Target
from faults.ecs_scale import ScaleEcsService
from scenarios.test_retail_store import MOVE_S, SERVICES, evacuate, go_home, whole


def test_nobody_decides(drill: Drill, target: Target) -> None:
    """Nobody runs the runbooks: nothing in this system moves by itself, and the drill must say so."""
    standby, timings = target.regions.standby, target.timings
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    drill.start_load()
    drill.steady(for_s=timings.baseline_s)
    with (
        drill.window("failover", survivor=standby),
        drill.applied(ScaleEcsService(target.resource("orders"), desired=0)),
    ):
        drill.until(served_from(target, standby), timeout_s=timings.window_s)
        drill.settle(standby)


def test_fault_that_nobody_feels(drill: Drill, target: Target) -> None:
    """The assets are taken away, which no order needs: in force, yet nothing was broken."""
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    drill.start_load()
    drill.steady(for_s=target.timings.baseline_s)
    with (
        drill.window("failover", survivor=target.regions.standby),
        drill.applied(ScaleEcsService(target.resource("assets"), desired=0)),
    ):
        drill.until(served_from(target, target.regions.primary), timeout_s=target.timings.window_s)


def test_region_loss_with_everything_replicated(drill: Drill, target: Target) -> None:
    """The Region loss with replication as it is every day: no cart is lost. So what the scenario names as lost comes
    from the pause."""
    standby, timings = target.regions.standby, target.timings
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    drill.start_load()
    drill.steady(for_s=timings.baseline_s)
    first, *others = (target.resource(service) for service in SERVICES)
    with (
        drill.window("failover", survivor=standby),
        drill.applied(ScaleEcsService(first, desired=0, others=tuple(others))),
    ):
        drill.decide(after_s=timings.decision_s)
        evacuate(drill, target)
        for database in ("orders", "catalog"):
            drill.once(Shows(f"aws.writer.{database}", standby), timeout_s=MOVE_S)
        moved_s = drill.clock.monotonic_s()
        drill.until(served_from(target, standby, from_s=moved_s), timeout_s=timings.window_s)
        drill.settle(standby)
    drill.look("clusters connected", whole(drill, target))
    go_home(drill, target)
