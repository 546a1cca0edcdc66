"""private-link-replication: an event of a failover's start turns the load balancer by which a replica follows.

A marker row that is committed at the cluster's endpoint must reach the replica; the channel's own status proves
nothing, so nobody asks for it.
"""

from __future__ import annotations

import pytest

from checks.conditions import served_from
from checks.guards import before_failover
from drill.drill import Drill
from drill.target import Target
from faults.rds_instance import FailOverCluster

pytestmark = pytest.mark.system("private-link-replication")

FAILOVER_S = 180.0
"""A failover of an Aurora cluster, 20 to 40 s where it was observed, is over within this."""


@pytest.mark.headline
@pytest.mark.failover(windows=("failover", "failback"))
def test_writer_failover_and_return(drill: Drill, target: Target) -> None:
    """The cluster fails over to its reader and back; both times the replica follows within the RTO, and every
    acknowledged row is there."""
    region, timings = target.regions.primary, target.timings
    drill.look_all(before_failover(drill.aws, target, drill.clock))

    drill.start_load()
    drill.steady(for_s=timings.baseline_s)
    for window in ("failover", "failback"):
        with drill.window(window, survivor=region):
            drill.perform(FailOverCluster(target.resource("source_db_cluster"), timeout_s=FAILOVER_S))
            drill.until(served_from(target, region), timeout_s=timings.window_s)
            drill.settle(region)
