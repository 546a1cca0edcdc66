"""core-banking and an outage that it is to survive where it is: tasks end, and ECS starts others.

The canaries look once a minute and the alarms ask for two bad minutes, so that a restart moves nobody to Osaka: an
automation that did would turn each crash into a failover.
"""

from __future__ import annotations

import pytest

from checks.conditions import served_from
from checks.guards import before_failover
from drill.drill import Drill
from drill.target import Resource, Target
from faults.ecs_tasks import StopTasks
from faults.events_rule import SetRuleState

pytestmark = pytest.mark.system("core-banking")

STOPPED_S = 180.0
"""A task leaves the load balancer for 10 s, gets 30 s to end, and ECS says so some time later."""
ALARMS_S = 240.0
"""An alarm that rings for the restart has rung within this: two canary runs, a period, its evaluation."""


def stop_tasks(drill: Drill, target: Target, service: Resource) -> None:
    """All tasks of a service end at once under load; clients are served from the primary Region again."""
    primary, timings = target.regions.primary, target.timings
    drill.start_load()
    drill.steady(for_s=timings.baseline_s)
    with drill.window("outage", survivor=primary):
        drill.perform(StopTasks(service, STOPPED_S, effect="errors"))
        # What was served before the tasks were gone is no recovery.
        stopped_s = drill.clock.monotonic_s()
        drill.until(served_from(target, primary, from_s=stopped_s), timeout_s=timings.window_s)
        drill.settle(primary)


@pytest.mark.failover(windows=("outage",))
def test_tasks_stopped(drill: Drill, target: Target) -> None:
    """All tasks of Tokyo's Transaction service are stopped at once while the automation is armed. ECS starts others:
    Tokyo serves again within the RTO, no acknowledged transfer is lost, and nobody is moved to Osaka for it."""
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    with drill.applied(SetRuleState(target.resource("auto_failover_rule"), "ENABLED")):
        stop_tasks(drill, target, target.resource("transaction"))
        drill.stay(target.regions.primary, after_s=0.0, for_s=ALARMS_S)
