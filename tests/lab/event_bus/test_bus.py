"""The whole event bus, once: events by the endpoint, an impaired Region, the way over, the way back, a replay.

One lab serves the file, and its tests go on where the one before ended: opening it is what costs.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import boto3
import dns.resolver
import pytest
from botocore.config import Config

from lab.event_bus import names
from lab.event_bus.names import OSAKA, PLACES, TOKYO
from lab.launch import Lab, LabInfo, launch

SPEED = 40.0
"""Ten minutes of the system's own are a quarter of one."""
MARGIN_S = 30.0
"""Lab seconds that this machine may be late: less than a period, so that another period is told."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """One lab, with two evaluation periods in place of five."""
    with launch("event-bus", SPEED, settings=["alarm.evaluation_periods=2"]) as running:
        yield running


def aws(info: LabInfo, service: str, region: str = TOKYO, url: str | None = None) -> Any:
    """A boto3 client as any producer's or operator's."""
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=url or info.aws_endpoint,
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )


def put(info: LabInfo, reference: str) -> str:
    """One order by the endpoint; the event's id."""
    entry = {
        "Source": names.SOURCE,
        "DetailType": "Order Placed",
        "Detail": json.dumps({"reference": reference, "quantity": 1}),
        "EventBusName": names.BUS,
    }
    url = f"http://{serving(info)}:{info.http_port}"
    said = aws(info, "events", url=url).put_events(EndpointId=names.ENDPOINT_ID, Entries=[entry])
    assert said["FailedEntryCount"] == 0
    return str(said["Entries"][0]["EventId"])


def serving(info: LabInfo) -> str:
    """The address of the endpoint, by the authoritative server."""
    resolver = dns.resolver.Resolver(configure=False)
    host, resolver.port = info.dns_authoritative
    resolver.nameservers = [host]
    name = f"{names.ENDPOINT_ID}.endpoint.events.amazonaws.com"
    return str(resolver.resolve(name, "A", lifetime=5)[0])


def told(info: LabInfo, region: str, reference: str) -> dict[str, Any]:
    """What the Region's consumers say of an order; {} for nothing."""
    status, body = asked(info, region, f"/events/{reference}")
    return body if status == 200 else {}


def written_down(info: LabInfo, region: str, reference: str) -> int:
    """The status with which the Region says whether a replay for that has shown the order."""
    return asked(info, region, f"/archive/{quote(reference)}")[0]


def asked(info: LabInfo, region: str, path: str) -> tuple[int, dict[str, Any]]:
    """GET at the Region's consumers: status and body."""
    connection = http.client.HTTPConnection(PLACES[region].consumers[0], info.http_port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, dict(json.loads(response.read()))
    finally:
        connection.close()


def until(condition: Callable[[], bool], timeout_s: float = 30.0) -> bool:
    """Poll every 20 ms; what the condition says at the end."""
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def switch(info: LabInfo, pause_s: int) -> None:
    """Impair Tokyo's buses, or make them well."""
    aws(info, "ssm").put_parameter(Name=names.IMPAIRMENT, Value=str(pause_s), Overwrite=True)


def test_an_order_is_handled_where_it_was_taken_and_copied_to_the_other_region(lab: Lab) -> None:
    """Rules by `region`; one event in each Region, none doubled by replication both ways."""
    put(lab.info, "first")
    assert until(lambda: bool(told(lab.info, TOKYO, "first")) and bool(told(lab.info, OSAKA, "first")))
    here, there = (told(lab.info, region, "first") for region in (TOKYO, OSAKA))
    assert (here["status"], there["status"]) == ("HANDLED", "COPIED")
    assert {here["region"], there["region"]} == {TOKYO}
    assert (here["copies"], there["copies"]) == (1, 1)


def test_an_impaired_bus_trips_the_alarm_and_moves_by_its_own_rules(lab: Lab) -> None:
    """Acknowledged and stuck; after the rest of the minute, two periods, and the wait for data and status it moves.

    Nothing in the lab says 120 + 55: the alarm's periods and the health check's two delays do.
    """
    clock = lab.info.clock
    assert until(lambda: state(lab.info) == "OK")
    earliest_s = clock.now_s()
    switch(lab.info, 48)
    latest_s = clock.now_s()  # a minute may have ended in between
    for number in range(5):  # three deliveries each, of which the bus makes five until it moves
        put(lab.info, f"before-{number}")
    put(lab.info, "stuck")
    assert serving(lab.info) == PLACES[TOKYO].ingress
    assert until(lambda: serving(lab.info) == PLACES[OSAKA].ingress, 60.0)
    moved_s = clock.now_s()
    first_s, last_s = (began_s + 60 - began_s % 60 + 2 * 60 + 50 + 5 for began_s in (earliest_s, latest_s))
    assert first_s - 1 <= moved_s <= last_s + MARGIN_S
    assert told(lab.info, OSAKA, "stuck") == {}
    put(lab.info, "after")
    assert until(lambda: told(lab.info, OSAKA, "after").get("status") == "HANDLED")


def test_what_was_stuck_arrives_late_and_the_endpoint_returns_by_itself(lab: Lab) -> None:
    """The Region catches up; events that come over from Osaka show Route 53 that Tokyo is well."""
    switch(lab.info, 0)
    assert until(lambda: told(lab.info, OSAKA, "stuck").get("status") == "COPIED")
    assert told(lab.info, TOKYO, "stuck")["status"] == "HANDLED"
    assert until(lambda: told(lab.info, TOKYO, "after").get("status") == "COPIED")
    assert until(lambda: serving(lab.info) == PLACES[TOKYO].ingress, 60.0)


def test_what_an_archive_holds_is_written_down_and_handled_by_nobody(lab: Lab) -> None:
    """A replay to the audit rule: the consumers' side knows that it is archived, and nothing is handled again."""
    events, began = aws(lab.info, "events", OSAKA), lab.info.clock.now()
    assert written_down(lab.info, OSAKA, "after") == 404
    handled = told(lab.info, OSAKA, "after")
    rule = events.describe_rule(Name=names.AUDIT_RULE, EventBusName=names.BUS)["Arn"]
    events.start_replay(
        ReplayName=f"{names.AUDIT_REPLAYS}1",
        EventSourceArn=events.describe_archive(ArchiveName=names.ARCHIVE)["ArchiveArn"],
        EventStartTime=began - timedelta(hours=1),
        EventEndTime=began,
        Destination={"Arn": names.bus_arn(OSAKA), "FilterArns": [rule]},
    )
    assert until(lambda: written_down(lab.info, OSAKA, "after") == 200)
    assert written_down(lab.info, OSAKA, "never sent") == 404
    assert told(lab.info, OSAKA, "after") == handled


def test_a_bus_that_nobody_uses_counts_as_unwell(lab: Lab) -> None:
    """Inverted, the check moves everybody to Osaka at once. Without replication Tokyo's bus is idle then, which is
    unwell, and unwell inverted is well: they come back. Replication is what keeps the data flowing."""
    route53, events = aws(lab.info, "route53"), aws(lab.info, "events")
    (check,) = route53.list_health_checks()["HealthChecks"]
    events.update_endpoint(Name=names.ENDPOINT, ReplicationConfig={"State": "DISABLED"})
    route53.update_health_check(HealthCheckId=check["Id"], Inverted=True)
    assert until(lambda: serving(lab.info) == PLACES[OSAKA].ingress)
    assert until(lambda: serving(lab.info) == PLACES[TOKYO].ingress, 60.0)
    put(lab.info, "alone")
    assert until(lambda: told(lab.info, TOKYO, "alone").get("status") == "HANDLED")
    assert told(lab.info, OSAKA, "alone") == {}


def state(info: LabInfo) -> str:
    """The alarm's."""
    return str(aws(info, "cloudwatch").describe_alarms(AlarmNames=[names.ALARM])["MetricAlarms"][0]["StateValue"])


def test_a_setting_that_does_not_exist_is_refused_by_name() -> None:
    """The message names what there is."""
    with pytest.raises(Exception, match=r"not a setting of event-bus; the settings are: .*heartbeat_s=10"):
        launch("event-bus", SPEED, settings=["heartbeat=1"])
