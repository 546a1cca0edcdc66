"""private-link-replication: an event of a failover's start turns the load balancer by which a replica follows.

A marker row that is committed at the cluster's endpoint must reach the replica, and what is registered with the
load balancer must be the writer that the cluster really has; a channel's own status proves nothing, so nobody asks
for it. RDS events are best effort: they come late, twice, in another order, or not at all.

What the public function makes of that is known (it was executed), and several of these drills FAIL for the system as
it is published: the report names the state that it is stuck in, and what would have prevented it. Such a drill takes
the system home all the same, by the events that it understands. Only a target group that the function has emptied
stays empty: the writer has to be registered by hand.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import pytest

from checks.conditions import served_from
from checks.guards import before_failover
from drill.drill import Drill
from drill.target import Target
from faults.elbv2_deregister import DeregisterTarget
from faults.elbv2_target import RegisterTarget
from faults.lambda_variable import ChangeVariable
from faults.rds_instance import FailOverCluster
from faults.sns_filter import LoseMessages
from faults.sns_publish import PublishRdsEvent
from scenarios.afterwards import afterwards

pytestmark = pytest.mark.system("private-link-replication")

FAILOVER_S = 180.0
"""A failover of an Aurora cluster, 20 to 40 s where it was observed, is over within this."""
LATE_S = 282.6
"""How late a real notification of RDS came (Event Time 14:04:18, SNS Timestamp 14:09:00)."""
STARTED, FAILED, CANCELLED = "RDS-EVENT-0073", "RDS-EVENT-0069", "RDS-EVENT-0070"
START_TEXT, AGAIN_TEXT = "Started cross AZ failover to DB instance: ", "Promoting previous primary again: "
FAILED_TEXT = "Cluster failover failed, check the health of your cluster instances and try again."
FOLLOWS_S = 300.0
"""Once the balancer points at the writer, markers reach the replica within this: both sides have to connect anew."""
LAST = 9
"""The number of the message with which a drill goes home; no drill publishes more."""
ADDRESSES = "IP_DICT"
"""The function's variable with the address of each instance, made at deployment."""


def begin(drill: Drill, target: Target) -> None:
    """The system is well, and in use."""
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    drill.start_load()
    drill.steady(for_s=target.timings.baseline_s)


def fail_over(target: Target) -> FailOverCluster:
    """The cluster fails over to its reader."""
    return FailOverCluster(target.resource("source_db_cluster"), timeout_s=FAILOVER_S)


def recover(drill: Drill, target: Target) -> None:
    """Markers reach the replica again, and all that were acknowledged are there."""
    drill.until(served_from(target, target.regions.standby), timeout_s=target.timings.window_s)
    drill.settle(target.regions.standby)


def go_home(drill: Drill, target: Target) -> None:
    """The old writer writes again, and its own event turns the balancer back to it."""
    drill.perform(fail_over(target))


def turn_and_go_home(drill: Drill, target: Target) -> None:
    """The same where the replica may be stuck: only once it follows the writer can the old one take over again."""
    drill.perform(event(target, LAST, START_TEXT + target.value("reader_instance")))
    turned_s = drill.clock.monotonic_s()
    drill.once(served_from(target, target.regions.standby, from_s=turned_s), timeout_s=FOLLOWS_S)
    go_home(drill, target)


def home_afterwards(drill: Drill, target: Target) -> AbstractContextManager[None]:
    """See scenarios.afterwards."""
    return afterwards(lambda: turn_and_go_home(drill, target))


def turned_afterwards(drill: Drill, target: Target) -> AbstractContextManager[None]:
    """The writer is where it was; an event that names it turns the balancer back to it."""
    return afterwards(lambda: drill.perform(event(target, LAST, START_TEXT + target.value("writer_instance"))))


def event(target: Target, number: int, text: str, event_id: str = STARTED, **more: str) -> PublishRdsEvent:
    """A crafted event of the cluster."""
    topic, source = target.resource("events_topic"), target.resource("source_db_cluster").name
    return PublishRdsEvent(topic, source, event_id, text, number, **more)  # type: ignore[arg-type]


@pytest.mark.headline
@pytest.mark.failover(windows=("failover", "failback"))
def test_writer_failover_and_return(drill: Drill, target: Target) -> None:
    """The cluster fails over to its reader and back; both times the replica follows within the RTO, and every
    acknowledged row is there."""
    begin(drill, target)
    for window in ("failover", "failback"):
        with drill.window(window, survivor=target.regions.standby):
            drill.perform(fail_over(target))
            recover(drill, target)


@pytest.mark.failover
def test_events_arrive_twice(drill: Drill, target: Target) -> None:
    """SNS delivers at least once: the start event comes three times, and the second and third change nothing."""
    begin(drill, target)
    with drill.window("failover", survivor=target.regions.standby):
        drill.perform(fail_over(target))
        for number in (1, 2):
            drill.perform(event(target, number, START_TEXT + target.value("reader_instance")))
        recover(drill, target)
    go_home(drill, target)


@pytest.mark.failover
def test_event_has_the_other_link(drill: Drill, target: Target) -> None:
    """An event's id is a link, of two hosts over the years; the filter asks for its end, so that both are taken."""
    begin(drill, target)
    with (
        drill.applied(LoseMessages(target.resource("events_subscription"))),
        drill.window("failover", survivor=target.regions.standby),
    ):
        drill.perform(fail_over(target))
        text = "Started same AZ failover to DB instance: " + target.value("reader_instance")
        drill.perform(event(target, 1, text, "RDS-EVENT-0072", page="docs.aws.amazon.com"))
        recover(drill, target)
    go_home(drill, target)


@pytest.mark.failover
def test_event_is_missing(drill: Drill, target: Target) -> None:
    """RDS events are best effort: the start event of a failover never arrives; nothing else turns the balancer."""
    begin(drill, target)
    with (
        home_afterwards(drill, target),
        drill.applied(LoseMessages(target.resource("events_subscription"))),
        drill.window("failover", survivor=target.regions.standby),
    ):
        drill.perform(fail_over(target))
        recover(drill, target)


@pytest.mark.failover
def test_event_is_late(drill: Drill, target: Target) -> None:
    """The start event arrives as late as a real one did, nearly five minutes after the failover."""
    begin(drill, target)
    with (
        home_afterwards(drill, target),
        drill.applied(LoseMessages(target.resource("events_subscription"))),
        drill.window("failover", survivor=target.regions.standby),
    ):
        drill.perform(fail_over(target))
        drill.elapse(LATE_S)
        drill.perform(event(target, 1, START_TEXT + target.value("reader_instance")))
        recover(drill, target)


@pytest.mark.failover(windows=("failover", "failback"))
def test_events_arrive_in_another_order(drill: Drill, target: Target) -> None:
    """The cluster fails over and back; the first failover's start event is delivered again after the second's, and
    turns the balancer to the instance that is a reader by now."""
    begin(drill, target)
    with turned_afterwards(drill, target):
        for window in ("failover", "failback"):
            with drill.window(window, survivor=target.regions.standby):
                drill.perform(fail_over(target))
                if window == "failback":
                    drill.perform(event(target, 1, START_TEXT + target.value("reader_instance")))
                recover(drill, target)


@pytest.mark.failover
def test_failover_is_cancelled(drill: Drill, target: Target) -> None:
    """A failover starts, fails and is given up: the old writer stays, which the filter does not let the function
    know."""
    begin(drill, target)
    with turned_afterwards(drill, target), drill.window("failover", survivor=target.regions.standby):
        reader, writer = target.value("reader_instance"), target.value("writer_instance")
        topic, source = target.resource("events_topic"), target.resource("source_db_cluster").name
        drill.perform(PublishRdsEvent(topic, source, STARTED, START_TEXT + reader, 1, "errors"))
        drill.perform(event(target, 2, FAILED_TEXT, FAILED))
        drill.perform(event(target, 3, AGAIN_TEXT + writer, CANCELLED))
        recover(drill, target)


@pytest.mark.failover
def test_event_ends_with_a_full_stop(drill: Drill, target: Target) -> None:
    """The start event's text ends with a full stop, as the documentation has it: the function knows no such
    instance."""
    begin(drill, target)
    with (
        home_afterwards(drill, target),
        drill.applied(LoseMessages(target.resource("events_subscription"))),
        drill.window("failover", survivor=target.regions.standby),
    ):
        drill.perform(fail_over(target))
        drill.perform(event(target, 1, f"{START_TEXT}{target.value('reader_instance')}."))
        recover(drill, target)


@pytest.mark.failover
def test_registration_fails_after_the_deregistration(drill: Drill, target: Target) -> None:
    """The new target is refused when the old one is gone already: the group is empty, and stays so, since the
    function does nothing for an empty group."""
    begin(drill, target)
    addresses = {target.value("reader_instance"): target.value("foreign_address")}
    with (
        drill.applied(ChangeVariable(target.resource("switch_function"), ADDRESSES, addresses)),
        drill.window("failover", survivor=target.regions.standby),
    ):
        drill.perform(fail_over(target))
        recover(drill, target)
    go_home(drill, target)


@pytest.mark.failover
def test_instance_was_replaced(drill: Drill, target: Target) -> None:
    """The reader's address in the function's map is that of the instance which it replaced: the balancer is turned
    to where nobody is."""
    begin(drill, target)
    addresses = {target.value("reader_instance"): target.value("unused_address")}
    with (
        home_afterwards(drill, target),
        drill.applied(ChangeVariable(target.resource("switch_function"), ADDRESSES, addresses)),
        drill.window("failover", survivor=target.regions.standby),
    ):
        drill.perform(fail_over(target))
        recover(drill, target)


@pytest.mark.failover
def test_two_targets_are_registered(drill: Drill, target: Target) -> None:
    """The reader is registered besides the writer: the function finds the first target to be the new one already and
    leaves the old writer registered, to which half of all connections go."""
    begin(drill, target)
    with (
        home_afterwards(drill, target),
        drill.applied(RegisterTarget(target.resource("source_target_group"), target.value("reader_address"))),
        drill.window("failover", survivor=target.regions.standby),
    ):
        drill.perform(fail_over(target))
        recover(drill, target)


@pytest.mark.failover
def test_target_is_taken_out(drill: Drill, target: Target) -> None:
    """Somebody has taken the writer out of the group when the cluster fails over: the function starts from what is
    registered, finds nothing, and registers nothing."""
    begin(drill, target)
    with (
        home_afterwards(drill, target),
        drill.window("failover", survivor=target.regions.standby),
        drill.applied(DeregisterTarget(target.resource("source_target_group"))),
    ):
        drill.perform(fail_over(target))
        recover(drill, target)
