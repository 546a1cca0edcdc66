"""Twins of the core-banking drill that must not pass: the same steps with one thing missing.

Not collected by name; tests/e2e runs them with `--twin`, in the lab only.
"""

from __future__ import annotations

from checks.conditions import served_from
from checks.guards import before_failover
from drill.drill import Drill
from drill.target import Target
from faults.ecs_scale import ScaleEcsService
from faults.events_rule import SetRuleState
from faults.events_targets import RemoveTargets
from scenarios.core_banking import take_over


def test_rule_left_disabled(drill: Drill, target: Target) -> None:
    """Nobody armed the automatic failover: the users stay without service, and the drill must say so."""
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    take_over(drill, target)


def test_rule_without_targets(drill: Drill, target: Target) -> None:
    """The automatic failover is armed, and its rule has lost its target: the alarms ring, the rule matches, and
    nobody is called. So it is the rule's target that moves the system. Refused on a target that does not name the
    rule as `*_targets` too: the dead-man has no right to put them back."""
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    with (
        drill.applied(SetRuleState(target.resource("auto_failover_rule"), "ENABLED")),
        drill.applied(RemoveTargets(target.resource("failover_targets"))),
    ):
        take_over(drill, target)


def test_fault_that_nobody_feels(drill: Drill, target: Target) -> None:
    """A service that no deposit needs is taken away: in force, yet nothing was broken."""
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    drill.start_load()
    drill.steady(for_s=target.timings.baseline_s)
    with (
        drill.window("failover", survivor=target.regions.standby),
        drill.applied(ScaleEcsService(target.resource("count"), desired=0)),
    ):
        drill.until(served_from(target, target.regions.primary), timeout_s=target.timings.window_s)


def test_no_load(drill: Drill, target: Target) -> None:
    """The whole failover, but nobody was using the system: nothing can be said about its users."""
    standby, timings = target.regions.standby, target.timings
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    with drill.applied(SetRuleState(target.resource("auto_failover_rule"), "ENABLED")):
        drill.load = ()
        drill.start_witnesses()
        drill.steady(for_s=timings.baseline_s)
        with (
            drill.window("failover", survivor=standby),
            drill.applied(ScaleEcsService(target.resource("transaction"), desired=0)),
        ):
            drill.until(served_from(target, standby), timeout_s=timings.window_s)
            drill.settle(standby)


def test_broken_and_lost(drill: Drill, target: Target) -> None:
    """Both faults of the drill and nothing else, for tests of what becomes of them when the drill is gone."""
    with (
        drill.applied(SetRuleState(target.resource("auto_failover_rule"), "ENABLED")),
        drill.window("failover", survivor=target.regions.standby),
        drill.applied(ScaleEcsService(target.resource("transaction"), desired=0)),
    ):
        drill.until(served_from(target, target.regions.standby), timeout_s=target.timings.window_s)
