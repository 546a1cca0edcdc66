"""core-banking with a global table that does not replicate: the failover moves everything but the transfers.

The failover machine moves traffic, opens Osaka and switches Aurora over; whether the table of transfers has arrived
there it never looks. AWS FIS pauses the replication. FAIL says that the weak point is there.
"""

from __future__ import annotations

import pytest

from drill.drill import Drill
from drill.target import Target
from faults.events_rule import SetRuleState
from scenarios.core_banking import home_afterwards, look_first, take_over
from scenarios.pausing import replication_paused

pytestmark = pytest.mark.system("core-banking")


@pytest.mark.needs("pause_experiment", "without FIS a global table's replication cannot be paused")
@pytest.mark.failover(windows=("failover",))
def test_transfers_left_behind(drill: Drill, target: Target) -> None:
    """The table of transfers stops to replicate, then Tokyo loses its Transaction service: Osaka serves within the
    RTO, and does not know the transfers that Tokyo acknowledged last. The promise is that none is lost."""
    look_first(drill, target)

    with (
        home_afterwards(drill, target),
        replication_paused(drill, target, "global_table"),
        drill.applied(SetRuleState(target.resource("auto_failover_rule"), "ENABLED")),
    ):
        take_over(drill, target)
