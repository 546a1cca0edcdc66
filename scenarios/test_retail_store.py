"""retail-store: two active Regions behind latency records; people move it, with SSM runbooks.

The public system has no alarm: people look at canaries and decide. How long that takes is an input of the drill
(`--set timings.decision_s=300`), and the report gives the recovery from the onset and from the decision.
"""

from __future__ import annotations

import pytest

from checks.conditions import Shows, served_from
from checks.guards import before_failover, clusters_connected
from drill.drill import Drill
from drill.read_only import OnlyReads
from drill.target import Target
from faults.ecs_scale import ScaleEcsService
from faults.health_check_disabled import DisableHealthCheck
from faults.rds_global import MoveGlobalCluster
from faults.ssm_run import RunDocument
from scenarios.afterwards import afterwards
from scenarios.pausing import replication_paused

pytestmark = pytest.mark.system("retail-store")

SERVICES = ("ui", "checkout", "carts", "catalog", "orders", "assets")
RUNBOOK_S = 120.0
"""A runbook of two steps that waits for nothing is over within this."""
MOVE_S = 600.0
"""A switchover of a global cluster, "minutes" in AWS's words, is over within this."""


def evacuate(drill: Drill, target: Target) -> None:
    """What the operators do once they have decided: fail each database over; either runbook disables the Region."""
    drill.perform(RunDocument(target.resource("failover_document"), timeout_s=RUNBOOK_S))
    drill.perform(RunDocument(target.resource("failover_catalog_document"), timeout_s=RUNBOOK_S))


def whole(drill: Drill, target: Target) -> OnlyReads:
    """A look that waits until the old writers are readers again: before, Aurora refuses every further move."""
    return OnlyReads(lambda: clusters_connected(drill.aws, target, drill.clock, MOVE_S))


def go_home(drill: Drill, target: Target) -> None:
    """The way back. The published one is the lossy failover again; a switchover loses nothing, and is what AWS
    recommends once both Regions are well. Data first: us-west-2 forwards its writes, us-east-1 would not."""
    for key in ("catalog_global_cluster", "orders_global_cluster"):
        drill.perform(MoveGlobalCluster(target.resource(key), target.regions.primary, timeout_s=MOVE_S))
    drill.perform(RunDocument(target.resource("failback_document"), timeout_s=RUNBOOK_S))


def go_home_once_whole(drill: Drill, target: Target) -> None:
    """The way back, not measured."""
    drill.look("clusters connected", whole(drill, target))
    go_home(drill, target)


def lose_the_orders(drill: Drill, target: Target) -> None:
    """us-east-1 loses its orders service under load, and the operators evacuate it once they have decided."""
    standby, timings = target.regions.standby, target.timings
    drill.start_load()
    drill.steady(for_s=timings.baseline_s)
    with (
        drill.window("failover", survivor=standby),
        drill.applied(ScaleEcsService(target.resource("orders"), desired=0)),
    ):
        drill.decide(after_s=timings.decision_s)
        evacuate(drill, target)
        drill.until(served_from(target, standby), timeout_s=timings.window_s)
        drill.settle(standby)


@pytest.mark.headline
@pytest.mark.failover(windows=("failover", "failback"))
def test_evacuation_and_return(drill: Drill, target: Target) -> None:
    """us-east-1 loses its orders service; the operators evacuate it through the runbooks, within the RTO from the
    first failure and within the RPO; the return by a switchover loses nothing."""
    primary = target.regions.primary
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    lose_the_orders(drill, target)

    drill.look("clusters connected", whole(drill, target))
    with drill.window("failback", survivor=primary):
        go_home(drill, target)
        drill.until(served_from(target, primary), timeout_s=target.timings.window_s)
        drill.settle(primary)


@pytest.mark.failover
def test_lossy_failover(drill: Drill, target: Target) -> None:
    """The runbooks fail over lossily, whether or not the old writer lives: what had not been replicated when
    us-east-1's orders service was lost is gone, within the RPO and named order by order."""
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    lose_the_orders(drill, target)
    go_home_once_whole(drill, target)


@pytest.mark.needs("primary_health_check", "the health check on the primary Region's routing control")
@pytest.mark.failover
def test_health_check_left_disabled(drill: Drill, target: Target) -> None:
    """Somebody has disabled us-east-1's health check and forgotten it, which nothing tells. The same loss, the same
    runbooks: each step succeeds, the routing control is Off, the databases move. But a disabled check counts as
    healthy: the names go on leading to us-east-1, which now has no writer either."""
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    with (
        afterwards(lambda: go_home_once_whole(drill, target)),
        drill.applied(DisableHealthCheck(target.resource("primary_health_check"))),
    ):
        lose_the_orders(drill, target)


@pytest.mark.needs("pause_experiment", "without FIS a Region cannot be lost with carts that it has not replicated")
@pytest.mark.failover
def test_region_loss(drill: Drill, target: Target) -> None:
    """us-east-1 loses all six services at once, with carts that it had not replicated: Route 53 moves by itself, the
    operators follow with the lossy failover. Each cart and order that us-west-2 never got is named. Orders that it
    had forwarded to the old writer meanwhile are acknowledged after the onset: no objective covers their loss."""
    standby, timings = target.regions.standby, target.timings
    drill.look_all(before_failover(drill.aws, target, drill.clock))

    with replication_paused(drill, target, "carts_table"):
        drill.start_load()
        drill.steady(for_s=timings.baseline_s)
        first, *others = (target.resource(service) for service in SERVICES)
        with (
            drill.window("failover", survivor=standby),
            drill.applied(ScaleEcsService(first, desired=0, others=tuple(others))),
        ):
            drill.decide(after_s=timings.decision_s)
            evacuate(drill, target)
            # us-west-2 served at once, through the old writer: the operators' failover is an outage of its own.
            for database in ("orders", "catalog"):
                drill.once(Shows(f"aws.writer.{database}", standby), timeout_s=MOVE_S)
            moved_s = drill.clock.monotonic_s()
            drill.until(served_from(target, standby, from_s=moved_s), timeout_s=timings.window_s)
            drill.settle(standby)
    go_home_once_whole(drill, target)
