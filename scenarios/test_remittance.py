"""remittance: one writer, moved by people with one runbook, and back with the same one.

The public system decides nothing by itself. How long people take is an input of the drill
(`--set timings.decision_s=300`), and the report gives the recovery from the onset and from the decision.
"""

from __future__ import annotations

import pytest

from checks.conditions import Served, served_from
from checks.guards import before_failover, clusters_connected
from checks.residue import ABSENT
from drill.change import Fault
from drill.drill import Drill
from drill.end_state import EndState
from drill.read_only import OnlyReads
from drill.target import Target
from faults.api_throttle import ThrottleStage
from faults.arc_controls import SetRoutingControls
from faults.lambda_concurrency import LimitFunction
from faults.secret_policy import DenySecret
from faults.ssm_run import RunDocument
from scenarios.afterwards import afterwards

pytestmark = pytest.mark.system("remittance")

RUNBOOK_S = 900.0
"""Five scripts, of which one waits for the switchover for at most 600 s."""
MOVE_S = 600.0


def declare_rotation(drill: Drill) -> None:
    """The runbook writes the secret anew each time; after two runs all else is where it was."""
    for state in ("AWSCURRENT", "AWSPREVIOUS", [], ABSENT):
        drill.declare_end_state(EndState("database_secret", "DescribeSecret/VersionIdsToStages/*", state))


def rotate(drill: Drill, target: Target, turn: int = 1) -> None:
    """The runbook, there and back the same: it turns each control to its opposite and moves the writer."""
    drill.perform(RunDocument(target.resource("failover_document"), timeout_s=RUNBOOK_S, turn=turn))


def whole(drill: Drill, target: Target) -> OnlyReads:
    """A look that waits until the old writer is a reader again: before, Aurora refuses every further move."""
    return OnlyReads(lambda: clusters_connected(drill.aws, target, drill.clock, MOVE_S))


def leave(drill: Drill, target: Target, fault: Fault) -> None:
    """us-east-1 is lost under load by that fault; the operators run the runbook once they have decided."""
    standby, timings = target.regions.standby, target.timings
    drill.start_load()
    drill.steady(for_s=timings.baseline_s)
    with drill.window("failover", survivor=standby), drill.applied(fault):
        drill.decide(after_s=timings.decision_s)
        rotate(drill, target)
        drill.until(served_again(drill, target, standby), timeout_s=timings.window_s)
        drill.settle(standby)


def served_again(drill: Drill, target: Target, region: str) -> Served:
    """Served from `region` since now, when the runbook is over. A Region to which the name has moved already serves
    through the old writer, until the runbook moves that too: an outage of its own, and before it no recovery."""
    return served_from(target, region, from_s=drill.clock.monotonic_s())


def rotate_home(drill: Drill, target: Target) -> None:
    """The runbook once more, not measured: it turns back what it has turned, wherever that has led."""
    drill.look("clusters connected", whole(drill, target))
    rotate(drill, target, turn=2)


@pytest.mark.headline
@pytest.mark.failover(windows=("failover", "failback"))
def test_rotation_and_return(drill: Drill, target: Target) -> None:
    """us-east-1 cannot create remittances any more; the operators run the runbook, us-west-2 serves within the RTO
    and nothing that was accepted is lost; the same runbook takes it back."""
    primary = target.regions.primary
    declare_rotation(drill)
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    leave(drill, target, LimitFunction(target.resource("create_function"), concurrency=0))

    drill.look("clusters connected", whole(drill, target))
    with drill.window("failback", survivor=primary):
        rotate(drill, target, turn=2)
        drill.until(served_again(drill, target, primary), timeout_s=target.timings.window_s)
        drill.settle(primary)


@pytest.mark.failover
def test_secrets_and_sign_on_of_the_primary_gone(drill: Drill, target: Target) -> None:
    """us-east-1's secrets cannot be read: us-west-2 reads them there too and serves nobody, and the runbook stops at
    its first step. That is this system's weak point, and FAILs until it has changed. AWS has no call that takes a
    user pool away, so the authorizers that ask it are stopped in both Regions: that part is the drill's own doing."""
    standby, timings = target.regions.standby, target.timings
    drill.look_all(before_failover(drill.aws, target, drill.clock))

    drill.start_load()
    drill.steady(for_s=timings.baseline_s)
    with (
        drill.window("failover", survivor=standby),
        drill.applied(DenySecret(target.resource("cluster_secret"), effect="none")),
        drill.applied(LimitFunction(target.resource("authorizer_function"), effect="none")),
        drill.applied(LimitFunction(target.resource("standby_authorizer_function"), effect="none")),
        drill.applied(DenySecret(target.resource("database_secret"))),
    ):
        drill.decide(after_s=timings.decision_s)
        rotate(drill, target)
        drill.until(served_from(target, standby), timeout_s=timings.window_s)
        drill.settle(standby)


@pytest.mark.needs("control_primary", "the routing control of the primary Region")
@pytest.mark.failover
def test_control_turned_by_hand(drill: Drill, target: Target) -> None:
    """Somebody has turned us-east-1's routing control Off. Now both are, and Route 53 goes on answering us-east-1:
    nobody feels it. The same loss, the same runbook: it takes "both Off" for "us-west-2 is active", turns both On,
    moves the writer there and looks for it in us-east-1, where it fails before it writes the secret; the name goes on
    leading to us-east-1. Run once more it takes all of that back, and fails at the same step."""
    declare_rotation(drill)
    drill.look_all(before_failover(drill.aws, target, drill.clock))

    with (
        # The runbook turns it, as it turns every control that it finds: nothing here holds it Off.
        drill.applied(SetRoutingControls(target.resource("control_primary"), "Off", effect="none"), held=False),
        afterwards(lambda: rotate_home(drill, target)),
    ):
        leave(drill, target, LimitFunction(target.resource("create_function")))


@pytest.mark.needs("api_stage", "the stage of the primary Region's API, with settings for all its methods")
@pytest.mark.failover
def test_requests_throttled(drill: Drill, target: Target) -> None:
    """us-east-1's API takes no request any more: 429, as when somebody else uses up the account's limit there. The
    operators run the runbook, which asks no API; us-west-2 serves within the RTO and nothing accepted is lost."""
    declare_rotation(drill)
    drill.look_all(before_failover(drill.aws, target, drill.clock))

    with afterwards(lambda: rotate_home(drill, target)):
        leave(drill, target, ThrottleStage(target.resource("api_stage")))
