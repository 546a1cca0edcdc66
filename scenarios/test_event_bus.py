"""event-bus: EventBridge global endpoint, Tokyo to Osaka, and back by itself.

Follows AWS's own prescription: the template's latency alarm (5 x 60 s above 30 s, missing data breaching), the
health check on it, replication both ways. Published: recovery time and point 360 s, at most 420 s. The standby must
be allowed the PutEvents that the target declares (per_s), or it refuses what it is to take over: its quota is read
before anything is touched.
"""

from __future__ import annotations

import contextlib

import pytest

from checks.conditions import served_from
from checks.guards import before_failover
from checks.idle import MetricSilent
from checks.periods import seconds_until_phase
from drill.drill import Drill
from drill.read_only import OnlyReads
from drill.target import Target
from faults.archive_audit import AuditArchive
from faults.bus_impaired import ImpairBus
from faults.endpoint_replication import SetReplication
from faults.events_rule import SetRuleState
from faults.health_check_inverted import InvertHealthCheck
from faults.start_replay import ReplayArchive

pytestmark = pytest.mark.system("event-bus")

STEADY_UNTIL_S = 75.0
"""Into the alarm's periods, so 15 s into one of 60 s, the baseline ends: arming and making sure that nobody else has
just changed it take some 15 s more."""

IDLE_S = 1200.0
"""A bus without a producer is idle, for CloudWatch and for longer than the alarm evaluates, within this."""
OPENING_S, FIRST_MINUTE_S = 20.0, 60.0
"""Until load and witnesses are at work; and how long they then look. The endpoint does not return sooner than the
minute of the first event is over and its datum has gone through health check and DNS."""


def move(drill: Drill, target: Target) -> None:
    """The endpoint's primary counts as unhealthy, and clients move to the standby."""
    standby = target.regions.standby
    with (
        drill.window("failover", survivor=standby),
        drill.applied(InvertHealthCheck(target.resource("latency_health_check"))),
    ):
        drill.until(served_from(target, standby), timeout_s=target.timings.window_s)
        drill.settle(standby)


@pytest.mark.headline
@pytest.mark.needs("impairment_parameter", "AWS has no call that impairs EventBridge, only the lab has a switch")
@pytest.mark.failover
def test_impaired_bus(drill: Drill, target: Target) -> None:
    """Tokyo's bus acknowledges events and falls behind; the alarm trips by its own rules, Osaka takes the next events
    within the published 420 s, and what was stuck in Tokyo arrives late, not never.

    It begins in the middle of an alarm's period: begun elsewhere, the figure is up to half a period more or less.
    """
    standby, timings = target.regions.standby, target.timings
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    drill.start_load()
    begin_s = STEADY_UNTIL_S - timings.baseline_s
    phase = OnlyReads(lambda: seconds_until_phase(drill.aws, target, "latency_alarm", begin_s))
    wait_s = drill.look("alarm's period", phase) or 0.0
    drill.steady(for_s=timings.baseline_s + wait_s)
    with drill.window("failover", survivor=standby):
        with drill.applied(ImpairBus(target.resource("impairment_parameter"))):
            drill.until(served_from(target, standby), timeout_s=timings.window_s)
            drill.look_back(standby)
        drill.settle(standby)


@pytest.mark.failover
def test_health_check_inverted(drill: Drill, target: Target) -> None:
    """The endpoint's primary counts as unhealthy although it is well: clients move in seconds and nothing is lost.

    It skips the alarm, so it says nothing of how long detection takes.
    """
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    drill.start_load()
    drill.steady(for_s=target.timings.baseline_s)
    move(drill, target)


@pytest.mark.failover
def test_replication_switched_off(drill: Drill, target: Target) -> None:
    """Somebody has switched replication off, which nothing tells: the move is as quick as ever, and Osaka has nothing
    of what Tokyo took. No event is lost where both Regions get each; here all of Tokyo's are."""
    standby, timings = target.regions.standby, target.timings
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    with drill.applied(SetReplication(target.resource("global_endpoint"), "DISABLED")):
        drill.start_load()
        drill.steady(for_s=timings.baseline_s)
        with (
            drill.window("failover", survivor=standby),
            drill.applied(InvertHealthCheck(target.resource("latency_health_check"))),
        ):
            drill.until(served_from(target, standby), timeout_s=timings.window_s)
            archive, audit = target.resource("standby_archive"), target.resource("standby_audit_rule")
            drill.perform(AuditArchive(archive, audit, timeout_s=timings.window_s))
            drill.settle(standby)


@pytest.mark.failover
def test_standby_that_only_archives(drill: Drill, target: Target) -> None:
    """Osaka takes and archives events that nobody there handles (Active/Archive): after the move people must switch
    its consumers on and replay the archive; then everything that was acknowledged is handled, late."""
    standby, timings = target.regions.standby, target.timings
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    with contextlib.ExitStack() as archives_only:
        for key in ("standby_own_rule", "standby_copy_rule"):
            archives_only.enter_context(drill.applied(SetRuleState(target.resource(key), "DISABLED")))
        drill.start_load()
        drill.steady(for_s=timings.baseline_s)
        with (
            drill.window("failover", survivor=standby),
            drill.applied(InvertHealthCheck(target.resource("latency_health_check"), effect="errors")),
        ):
            drill.decide(after_s=timings.decision_s)
            archives_only.close()
            archive, audit = target.resource("standby_archive"), target.resource("standby_audit_rule")
            drill.perform(ReplayArchive(archive, timeout_s=timings.window_s))
            drill.until(served_from(target, standby), timeout_s=timings.window_s)
            # What is missing in the end may be archived still; nobody handles what goes to this rule.
            drill.perform(AuditArchive(archive, audit, timeout_s=timings.window_s))
            drill.settle(standby)


@pytest.mark.needs("heartbeat_rule", "without a heartbeat of its own the bus is idle whenever its producers are")
@pytest.mark.failover
def test_idle_bus(drill: Drill, target: Target) -> None:
    """The heartbeat stops and nobody sends anything, with nothing wrong anywhere: the first clients that come back
    are served from Tokyo. As published (missing data is breaching) they are not: the endpoint has moved by itself.

    Then, with clients at work, the endpoint must still move when its primary counts as unhealthy: an alarm that never
    trips would be no mend.
    """
    primary, timings = target.regions.primary, target.timings
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    with drill.applied(SetRuleState(target.resource("heartbeat_rule"), "DISABLED")):
        drill.once(MetricSilent(drill.aws, target, "latency_alarm", drill.clock), timeout_s=IDLE_S)
        drill.start_load()
        drill.stay(primary, after_s=OPENING_S, for_s=FIRST_MINUTE_S)
    drill.once(served_from(target, primary), timeout_s=timings.window_s)
    drill.steady(for_s=timings.baseline_s)
    move(drill, target)
