"""Twins of core-banking's weak points: the same steps with one thing missing, which must end the other way.

Not collected by name; tests/e2e runs them with `--twin`, in the lab only.
"""

from __future__ import annotations

from checks.conditions import Shows, served_from
from checks.guards import alarms_armed, clusters_connected
from checks.quiet import promise_quiet
from drill.drill import Drill
from drill.read_only import OnlyReads
from drill.target import Target
from faults.alarm_actions import SetAlarmActions
from faults.alarm_periods import DelayAlarm
from faults.ecs_scale import ScaleEcsService
from faults.events_rule import SetRuleState
from faults.network_acl import DenyNetworkAcl
from faults.start_machine import StartStateMachine
from faults.stop_machine import StopStateMachine
from scenarios.core_banking import MACHINE_S, STEP_S, go_home, home_afterwards, look_first, take_over
from scenarios.test_core_banking_weak_points import FLAP_S, OPENING_S, RINGS_S

SOON_PERIODS = 3
"""One more than published: the second witness comes a minute late, which the initiator's 110 s cover."""


def test_nothing_to_abort(drill: Drill, target: Target) -> None:
    """Nobody started the machine, so it is nowhere half way: what would be measured is another story."""
    standby, timings = target.regions.standby, target.timings
    look_first(drill, target)
    drill.start_load()
    drill.steady(for_s=timings.baseline_s)
    with (
        drill.window("failover", survivor=standby),
        drill.applied(ScaleEcsService(target.resource("transaction"), desired=0)),
    ):
        drill.once(Shows("aws.global.status", "available", otherwise=True), timeout_s=60.0)
        drill.perform(StopStateMachine(target.resource("failover_machine"), timeout_s=STEP_S))


def test_machine_left_alone(drill: Drill, target: Target) -> None:
    """The half-way scenario without the abort: the machine ends, clients are served, and the verdict is PASS. So the
    scenario's FAIL comes from the abort and from nothing else."""
    standby, timings = target.regions.standby, target.timings
    look_first(drill, target)
    with home_afterwards(drill, target):
        drill.start_load()
        drill.steady(for_s=timings.baseline_s)
        with (
            drill.window("failover", survivor=standby),
            drill.applied(ScaleEcsService(target.resource("transaction"), desired=0)),
        ):
            drill.perform(StartStateMachine(target.resource("failover_machine"), timeout_s=MACHINE_S))
            drill.until(served_from(target, standby), timeout_s=timings.window_s)
            drill.settle(standby)


def test_second_outage_by_hand(drill: Drill, target: Target) -> None:
    """The second outage is answered by people with the failback machine instead of by the armed automation: Tokyo
    serves, and the verdict is PASS. So the scenario's FAIL comes from the automation's one direction."""
    primary = target.regions.primary
    look_first(drill, target)
    with drill.applied(SetRuleState(target.resource("auto_failover_rule"), "ENABLED")):
        take_over(drill, target)
        drill.look("alarms armed", OnlyReads(lambda: alarms_armed(drill.aws, target, drill.clock)))
    drill.look("connected", OnlyReads(lambda: clusters_connected(drill.aws, target, drill.clock, STEP_S)))
    with (
        drill.window("failback", survivor=primary),
        drill.applied(ScaleEcsService(target.resource("standby_transaction"), desired=0)),
    ):
        drill.perform(StartStateMachine(target.resource("failback_machine"), timeout_s=MACHINE_S))
        drill.until(served_from(target, primary), timeout_s=target.timings.window_s)
        drill.settle(primary)


def test_second_witness_soon(drill: Drill, target: Target) -> None:
    """Oregon's alarm comes late, but within the initiator's 110 s: the machine runs, and the verdict is PASS."""
    look_first(drill, target)
    with (
        drill.applied(SetRuleState(target.resource("auto_failover_rule"), "ENABLED")),
        drill.applied(DelayAlarm(target.resource("observer_alarm"), periods=SOON_PERIODS)),
    ):
        take_over(drill, target)
    go_home(drill, target)


def test_witness_with_its_actions_off(drill: Drill, target: Target) -> None:
    """The actions of the alarm that calls the initiator are off, and it rings all the same: EventBridge is told of
    each change of state, the machine runs, PASS. So it is a late witness that stops it, and not a silenced one.
    Refused where the alarm has no action, as published: `--lab-set=alarm.actions=on`."""
    look_first(drill, target)
    with (
        drill.applied(SetRuleState(target.resource("auto_failover_rule"), "ENABLED")),
        drill.applied(SetAlarmActions(target.resource("standby_alarm"))),
    ):
        take_over(drill, target)
    go_home(drill, target)


def test_rule_disarmed_before_failback(drill: Drill, target: Target) -> None:
    """The failback at the same moment with the rule put back first, as the document tells: the alarm rings, Tokyo
    goes on serving, and the verdict is PASS. So it is the armed rule that turns the system round."""
    look_first(drill, target)
    with drill.applied(SetRuleState(target.resource("auto_failover_rule"), "ENABLED")):
        take_over(drill, target)
        drill.look("alarms armed", OnlyReads(lambda: alarms_armed(drill.aws, target, drill.clock)))
    go_home(drill, target, at_the_worst_moment=True)
    drill.once(Shows("aws.alarm.standby", "ALARM"), timeout_s=RINGS_S)
    drill.stay(target.regions.primary, after_s=OPENING_S, for_s=FLAP_S)


def test_network_lost_and_nobody_armed(drill: Drill, target: Target) -> None:
    """Tokyo's network is lost and the rule is left disabled: clients hang to the end, FAIL. So the scenario passes
    because the system was moved, and not because clients get through a black hole."""
    standby, timings = target.regions.standby, target.timings
    look_first(drill, target)
    drill.start_load()
    drill.steady(for_s=timings.baseline_s)
    with (
        drill.window("failover", survivor=standby),
        drill.applied(DenyNetworkAcl(target.resource("primary_network_acl"))),
    ):
        drill.until(served_from(target, standby), timeout_s=timings.window_s)


def test_stop_flag_readable(drill: Drill, target: Target) -> None:
    """The operators move the system while the stop flag can be read: Tokyo refuses everybody, PASS. So it is the
    unread flag that lets Tokyo go on."""
    primary, standby, timings = target.regions.primary, target.regions.standby, target.timings
    look_first(drill, target)
    with home_afterwards(drill, target):
        drill.start_load()
        drill.steady(for_s=timings.baseline_s)
        with drill.window("failover", survivor=standby):
            promise_quiet(drill, "failover", primary)
            drill.perform(StartStateMachine(target.resource("failover_machine"), timeout_s=MACHINE_S))
            drill.until(served_from(target, standby), timeout_s=timings.window_s)
            drill.settle(standby)
