"""Twins of the event-bus drills that must not pass: the same steps with one thing missing.

Not collected by name; tests/e2e runs them with `--twin`, in the lab only.
"""

from __future__ import annotations

import contextlib

from checks.conditions import served_from
from checks.guards import before_failover
from checks.idle import MetricSilent
from drill.drill import Drill
from drill.target import Target
from faults.archive_audit import AuditArchive
from faults.bus_impaired import ImpairBus
from faults.events_rule import SetRuleState
from faults.health_check_inverted import InvertHealthCheck


def _audit(drill: Drill, target: Target) -> None:
    """Have written down what the standby's archive holds."""
    archive, rule = target.resource("standby_archive"), target.resource("standby_audit_rule")
    drill.perform(AuditArchive(archive, rule, timeout_s=target.timings.window_s))


def test_fault_that_nobody_feels(drill: Drill, target: Target) -> None:
    """The standby's buses fall behind: in force, yet nobody's event goes there."""
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    drill.start_load()
    drill.steady(for_s=target.timings.baseline_s)
    with (
        drill.window("failover", survivor=target.regions.standby),
        drill.applied(ImpairBus(target.resource("standby_impairment_parameter"))),
    ):
        drill.until(served_from(target, target.regions.standby), timeout_s=target.timings.window_s)


def test_primary_that_never_catches_up(drill: Drill, target: Target) -> None:
    """Tokyo stays impaired until all is counted: what it has acknowledged since the onset is nowhere to be seen."""
    standby, timings = target.regions.standby, target.timings
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    drill.start_load()
    drill.steady(for_s=timings.baseline_s)
    with (
        drill.window("failover", survivor=standby),
        drill.applied(ImpairBus(target.resource("impairment_parameter"))),
    ):
        drill.until(served_from(target, standby), timeout_s=timings.window_s)
        drill.settle(standby)


def test_nobody_replays(drill: Drill, target: Target) -> None:
    """Osaka only archives; its consumers are switched on, and what they were not there for stays in the archive.

    Tokyo is impaired, so that its own consumers do not handle the copies either.
    """
    standby, timings = target.regions.standby, target.timings
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    with contextlib.ExitStack() as archives_only:
        for key in ("standby_own_rule", "standby_copy_rule"):
            archives_only.enter_context(drill.applied(SetRuleState(target.resource(key), "DISABLED")))
        drill.start_load()
        drill.steady(for_s=timings.baseline_s)
        with (
            drill.window("failover", survivor=standby),
            drill.applied(ImpairBus(target.resource("impairment_parameter"))),
            drill.applied(InvertHealthCheck(target.resource("latency_health_check"), effect="errors")),
        ):
            drill.decide(after_s=timings.decision_s)
            archives_only.close()
            drill.until(served_from(target, standby), timeout_s=timings.window_s)
            _audit(drill, target)
            drill.settle(standby)


def test_idle_bus(drill: Drill, target: Target) -> None:
    """For ten minutes nobody sends anything: missing data is breaching, the endpoint fails over with nothing wrong,
    and a drill that begins then finds its clients in Osaka and proves nothing."""
    standby, timings = target.regions.standby, target.timings
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    drill.decide(after_s=600.0)
    drill.start_load()
    drill.steady(for_s=timings.baseline_s)
    with (
        drill.window("failover", survivor=standby),
        drill.applied(InvertHealthCheck(target.resource("latency_health_check"))),
    ):
        drill.until(served_from(target, standby), timeout_s=timings.window_s)
        drill.settle(standby)


def test_bus_that_is_not_idle(drill: Drill, target: Target) -> None:
    """The scenario of the idle bus while its heartbeat goes on: it is not in the situation that it is about."""
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    drill.once(MetricSilent(drill.aws, target, "latency_alarm", drill.clock), timeout_s=target.timings.window_s)
    drill.start_load()
    drill.stay(target.regions.primary, after_s=20.0, for_s=60.0)
