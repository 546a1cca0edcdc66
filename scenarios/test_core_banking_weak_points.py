"""core-banking's own weak points: what its automation does when things do not go as its documents tell.

Each scenario states the promise that the system makes to its clients (RTO, RPO, a return that lasts) in a situation
that the published design does not master. FAIL says that the weak point is there and the clients pay for it; what the
system's own machines said of it is named beneath the table. PASS says that it has been mended.
"""

from __future__ import annotations

import pytest

from checks.conditions import Shows, served_from, shown
from checks.guards import alarms_armed
from checks.quiet import promise_quiet
from drill.drill import Drill
from drill.read_only import OnlyReads
from drill.target import Target
from faults.alarm_periods import DelayAlarm
from faults.ecs_scale import ScaleEcsService
from faults.events_rule import SetRuleState
from faults.network_acl import DenyNetworkAcl
from faults.start_machine import StartStateMachine
from faults.stop_machine import StopStateMachine
from faults.table_policy import DenyTable
from scenarios.core_banking import MACHINE_S, STEP_S, go_home, home_afterwards, look_first, take_over

pytestmark = pytest.mark.system("core-banking")

OPENING_S = 60.0
"""A Region opens within this after its machine has ended: the cached stop flag (10 s), the worker's sleep (10 s)."""
LATE_PERIODS = 6
"""Of a minute each; the alarm is published with 2. Canaries and alarms of two Regions differ by up to 60 s of phase
each: 4 more periods are 120 s to 360 s later, and the initiator waits 110 s."""
RINGS_S = 120.0
"""The alarm for a return's own outage is there within this of its end: the rest of a minute, its evaluation."""
FLAP_S = 480.0
"""An automation that turns the system round does so within this: two failing canary runs, an alarm period and its
evaluation (240 s at most), 110 s for the second alarm, the machine's own 15 s, and what the clock is read by."""


@pytest.mark.failover(windows=("failover", "failback"))
def test_second_alarm_after_failover(drill: Drill, target: Target) -> None:
    """Tokyo fails and Osaka takes over; then Osaka loses its Transaction service while Tokyo is well again. The armed
    automation has one direction only: it asks Aurora to promote the writer that it has, and fails."""
    primary, timings = target.regions.primary, target.timings
    look_first(drill, target)

    with (
        home_afterwards(drill, target),
        drill.applied(SetRuleState(target.resource("auto_failover_rule"), "ENABLED")),
    ):
        take_over(drill, target)

        # The rule fires on OK -> ALARM only: before the alarms are OK again there is no second one.
        drill.look("alarms armed", OnlyReads(lambda: alarms_armed(drill.aws, target, drill.clock)))
        with (
            drill.window("failback", survivor=primary),
            drill.applied(ScaleEcsService(target.resource("standby_transaction"), desired=0)),
        ):
            drill.until(served_from(target, primary), timeout_s=timings.window_s)
            drill.settle(primary)


@pytest.mark.failover(windows=("failover",))
def test_machine_aborted_half_way(drill: Drill, target: Target) -> None:
    """Tokyo loses its Transaction service, the operators start the failover machine, and it is aborted while Aurora
    switches over: traffic and data are in Osaka, both stop flags are set, and nothing finishes what was begun."""
    standby, timings = target.regions.standby, target.timings
    look_first(drill, target)

    with home_afterwards(drill, target):
        drill.start_load()
        drill.steady(for_s=timings.baseline_s)
        with (
            drill.window("failover", survivor=standby),
            drill.applied(ScaleEcsService(target.resource("transaction"), desired=0)),
        ):
            machine = target.resource("failover_machine")
            drill.perform(StartStateMachine(machine, timeout_s=STEP_S, status="RUNNING"))
            drill.once(Shows("aws.global.status", "available", otherwise=True), timeout_s=STEP_S)
            drill.perform(StopStateMachine(machine, timeout_s=STEP_S))
            drill.until(served_from(target, standby), timeout_s=timings.window_s)
            drill.settle(standby)


@pytest.mark.failover(windows=("failover",))
def test_second_witness_late(drill: Drill, target: Target) -> None:
    """Tokyo loses its Transaction service, and Oregon's alarm comes minutes after Osaka's. The initiator asks
    for 110 s whether both ring, gives up, and is not called again: the alarm that called it stays in ALARM."""
    look_first(drill, target)

    with (
        drill.applied(SetRuleState(target.resource("auto_failover_rule"), "ENABLED")),
        drill.applied(DelayAlarm(target.resource("observer_alarm"), periods=LATE_PERIODS)),
    ):
        take_over(drill, target)
    go_home(drill, target)


@pytest.mark.failover(windows=("failover",))
def test_rule_enabled_during_failback(drill: Drill, target: Target) -> None:
    """After a failover nobody disarms the rule, and the operators start the failback. It closes the service for as
    long as Aurora takes, and the canaries fail. An alarm that rings meanwhile is refused, since the failback runs;
    one that rings just after turns the system round again. So the failback is begun when it must ring after."""
    primary, standby = target.regions.primary, target.regions.standby
    look_first(drill, target)

    with drill.applied(SetRuleState(target.resource("auto_failover_rule"), "ENABLED")):
        take_over(drill, target)

        drill.look("alarms armed", OnlyReads(lambda: alarms_armed(drill.aws, target, drill.clock)))
        go_home(drill, target, at_the_worst_moment=True)
        drill.once(Shows("aws.alarm.standby", "ALARM"), timeout_s=RINGS_S)  # else there is nothing to be seen running
        drill.stay(primary, after_s=OPENING_S, for_s=FLAP_S)

    # Not before the automation is through: a failback under way would be its own race.
    for machine in ("initiator", "failover"):
        drill.once(Shows(f"aws.execution.{machine}", "RUNNING", otherwise=True), timeout_s=MACHINE_S)
    if drill.look("writer", lambda: shown(drill.timeline, "aws.writer")) == standby:
        go_home(drill, target, time=2)


@pytest.mark.needs("primary_network_acl", "a network ACL of all the primary Region's subnets and of no others")
@pytest.mark.failover(windows=("failover",))
def test_network_of_the_region_lost(drill: Drill, target: Target) -> None:
    """All of Tokyo's subnets become a black hole: clients hang, nobody is refused. Tokyo's API and what AWS itself
    carries between Regions lie in no subnet, so the automation can do all its steps and keeps the promises."""
    standby, timings = target.regions.standby, target.timings
    look_first(drill, target)

    with drill.applied(SetRuleState(target.resource("auto_failover_rule"), "ENABLED")):
        drill.start_load()
        drill.steady(for_s=timings.baseline_s)
        with (
            drill.window("failover", survivor=standby),
            drill.applied(DenyNetworkAcl(target.resource("primary_network_acl"))),
        ):
            drill.until(served_from(target, standby), timeout_s=timings.window_s)
            drill.settle(standby)
    go_home(drill, target)


@pytest.mark.needs("primary_network_acl", "a network ACL of all the primary Region's subnets and of no others")
@pytest.mark.needs("stop_table", "the table of the primary Region's stop flag")
@pytest.mark.failover(windows=("failover",))
def test_whole_region_unreachable(drill: Drill, target: Target) -> None:
    """The same, and Tokyo's DynamoDB takes no stop flag, as when the Region's API is gone with its network. Before
    all else the failover machine tells the lost Region to stop; it fails there, and nothing starts it again."""
    standby, timings = target.regions.standby, target.timings
    look_first(drill, target)

    with (
        drill.applied(SetRuleState(target.resource("auto_failover_rule"), "ENABLED")),
        drill.applied(DenyTable(target.resource("stop_table"), ("PutItem",))),
    ):
        drill.start_load()
        drill.steady(for_s=timings.baseline_s)
        with (
            drill.window("failover", survivor=standby),
            drill.applied(DenyNetworkAcl(target.resource("primary_network_acl"))),
        ):
            drill.until(served_from(target, standby), timeout_s=timings.window_s)
            drill.settle(standby)
    go_home(drill, target)


@pytest.mark.needs("stop_table", "the table of the primary Region's stop flag")
@pytest.mark.failover(windows=("failover",))
def test_quiesce_without_margin(drill: Drill, target: Target) -> None:
    """Tokyo's services cannot read their stop flag, and the operators start the failover machine, which waits 10 s
    for a cache of 10 s and asks nobody. The worker takes an unread flag for "stop", the API for "go on": while
    Aurora moves and Osaka opens, Tokyo goes on to acknowledge what reaches it."""
    primary, standby, timings = target.regions.primary, target.regions.standby, target.timings
    look_first(drill, target)

    with home_afterwards(drill, target):
        drill.start_load()
        drill.steady(for_s=timings.baseline_s)
        with (
            drill.window("failover", survivor=standby),
            drill.applied(DenyTable(target.resource("stop_table"), ("GetItem",), effect="errors")),
        ):
            promise_quiet(drill, "failover", primary)
            drill.perform(StartStateMachine(target.resource("failover_machine"), timeout_s=MACHINE_S))
            drill.until(served_from(target, standby), timeout_s=timings.window_s)
            drill.settle(standby)
