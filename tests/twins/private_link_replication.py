"""Twins of the private-link-replication drills that must not pass: the same steps with one thing missing.

Not collected by name; tests/e2e runs them with `--twin`, in the lab only.
"""

from __future__ import annotations

import psycopg

from checks.conditions import served_from
from checks.guards import before_failover
from drill.drill import Drill
from drill.resolver import CachingClient
from drill.target import Target
from faults.rds_instance import FailOverCluster
from faults.sns_filter import LoseMessages
from faults.sns_publish import PublishRdsEvent


def test_nothing_fails_over(drill: Drill, target: Target) -> None:
    """Only an event that changes nothing is published: nobody was without service, so nothing is proven."""
    region, timings = target.regions.standby, target.timings
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    drill.start_load()
    drill.steady(for_s=timings.baseline_s)
    with drill.window("failover", survivor=region):
        text = f"Completed failover to DB instance: {target.value('writer_instance')}"
        topic, source = target.resource("events_topic"), target.resource("source_db_cluster").name
        drill.perform(PublishRdsEvent(topic, source, "RDS-EVENT-0071", text, 1, "errors"))
        drill.until(served_from(target, region), timeout_s=timings.window_s)
        drill.settle(region)


def test_no_load(drill: Drill, target: Target) -> None:
    """The whole failover, but nobody was using the system: nothing can be said about its users."""
    region, timings = target.regions.standby, target.timings
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    drill.load = ()
    drill.start_witnesses()
    drill.steady(for_s=timings.baseline_s)
    with drill.window("failover", survivor=region):
        drill.perform(FailOverCluster(target.resource("source_db_cluster"), timeout_s=180.0))
        drill.until(served_from(target, region), timeout_s=timings.window_s)
        drill.settle(region)


def test_automation_disarmed(drill: Drill, target: Target) -> None:
    """The headline with the function's messages taken away: the balancer keeps pointing at the old writer."""
    region, timings = target.regions.standby, target.timings
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    drill.start_load()
    drill.steady(for_s=timings.baseline_s)
    with (
        drill.applied(LoseMessages(target.resource("events_subscription"))),
        drill.window("failover", survivor=region),
    ):
        drill.perform(FailOverCluster(target.resource("source_db_cluster"), timeout_s=180.0))
        drill.until(served_from(target, region), timeout_s=timings.window_s)
        drill.settle(region)


HELD: list[psycopg.Connection[tuple[object, ...]]] = []
"""Sessions that nobody ends before this process ends."""


def test_table_is_locked(drill: Drill, target: Target) -> None:
    """The failover, and when all is read back somebody holds the table: it can be read, and nothing deleted."""
    region, timings = target.regions.standby, target.timings
    drill.look_all(before_failover(drill.aws, target, drill.clock))
    drill.start_load()
    drill.steady(for_s=timings.baseline_s)
    with drill.window("failover", survivor=region):
        drill.perform(FailOverCluster(target.resource("source_db_cluster"), timeout_s=180.0))
        drill.until(served_from(target, region), timeout_s=timings.window_s)
        drill.settle(region)
    drill.look("the table is locked", lambda: _lock(drill, target))  # what is not a look is done in a rehearsal too


def _lock(drill: Drill, target: Target) -> str:
    (address,) = CachingClient.for_target(target, drill.clock).addresses(target.dns.name)
    port = target.connection.http_port
    session = psycopg.connect(host=address, port=port, dbname="postgres", user=target.writes.user)
    session.execute(f"LOCK TABLE {target.writes.kinds['marker'].path} IN EXCLUSIVE MODE".encode())
    HELD.append(session)
    return address
