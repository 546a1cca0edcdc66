"""core-banking: canary -> alarm -> EventBridge rule -> Step Functions failover, Tokyo to Osaka and back.

Follows the public system's own documents: the rule ships disabled and is armed for the drill, ten Locust users,
desired count 0, the count back to 1, the rule disarmed, FailbackStateMachine started by hand.
"""

from __future__ import annotations

import pytest

from checks.conditions import served_from
from checks.guards import before_failover
from drill.drill import Drill
from drill.end_state import EndState
from drill.target import Target
from faults.ecs_scale import ScaleEcsService
from faults.events_rule import SetRuleState
from faults.start_machine import StartStateMachine

pytestmark = pytest.mark.system("core-banking")


@pytest.mark.headline
@pytest.mark.failover(windows=("failover", "failback"))
def test_service_loss_and_return(drill: Drill, target: Target) -> None:
    """Tokyo loses its Transaction service; Osaka serves within the RTO and no acknowledged transfer is lost;
    failback by the state machine holds the same promises."""
    primary, standby, timings = target.regions.primary, target.regions.standby, target.timings
    drill.declare_end_state(
        # A fresh deployment has both controls Off, and a return through the state machine leaves Tokyo's On.
        EndState("control_primary", "GetRoutingControlState/RoutingControlState", "On"),
        EndState("control_standby", "GetRoutingControlState/RoutingControlState", "Off"),
    )
    drill.look_all(before_failover(drill.aws, target, drill.clock))

    with drill.applied(SetRuleState(target.resource("auto_failover_rule"), "ENABLED")):
        drill.start_load()
        drill.steady(for_s=timings.baseline_s)
        with (
            drill.window("failover", survivor=standby),
            drill.applied(ScaleEcsService(target.resource("transaction"), desired=0)),
        ):
            drill.until(served_from(target, standby), timeout_s=timings.window_s)
            drill.settle(standby)

    with drill.window("failback", survivor=primary):
        drill.perform(StartStateMachine(target.resource("failback_machine"), timeout_s=timings.window_s))
        drill.until(served_from(target, primary), timeout_s=timings.window_s)
        drill.settle(primary)
