"""EventBridge global endpoints: unchanged boto3 in, both buses out, nothing round and round."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from lab.aws.arc import Arc
from lab.aws.elb import Balancers
from lab.aws.event_metrics import EventMetrics
from lab.aws.events import Events
from lab.aws.global_endpoints import SUFFIX, TTL_S, GlobalEndpoints
from lab.aws.route53 import Route53
from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.truth import Truth

TOKYO, OSAKA = "ap-northeast-1", "ap-northeast-3"
ENTRY = {"Source": "shop", "DetailType": "Order", "EventBusName": "orders"}
INGRESS = {TOKYO: "127.120.5.20", OSAKA: "127.121.5.20"}
TWO_NAMES = [{"EventBusArn": f"arn:aws:events:{r}:111111111111:event-bus/{r}"} for r in (TOKYO, OSAKA)]
ROLE = "arn:aws:iam::111111111111:role/replication"


@dataclass
class World:
    """Two buses with a queue behind each, a health check and an endpoint."""

    server: AwsServer
    route53: Route53
    events: Events
    check: str
    port: int

    def client(self, service: str, region: str = TOKYO) -> Any:
        return self.server.client(service, region)

    @property
    def endpoint(self) -> dict[str, Any]:
        return dict(self.client("events").describe_endpoint(Name="orders"))

    def put(self, *numbers: int, by: Any = None) -> dict[str, Any]:
        """Orders by the endpoint; by: a client (default: of the API's own address)."""
        entries = [{**ENTRY, "Detail": json.dumps({"n": n})} for n in numbers]
        return dict((by or self.client("events")).put_events(EndpointId=self.endpoint["EndpointId"], Entries=entries))

    def queue(self, region: str) -> list[dict[str, Any]]:
        """What has arrived since the last look."""
        sqs = self.client("sqs", region)
        url = sqs.get_queue_url(QueueName="orders")["QueueUrl"]
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        for message in found:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in found]

    def addresses(self) -> tuple[str, ...]:
        name = self.endpoint["EndpointUrl"].removeprefix("https://") + "."
        found = self.route53.answer(name, "A", "127.0.0.1")
        assert found.rrsets[0].ttl_s == TTL_S
        return found.rrsets[0].values


@pytest.fixture
def world(server: AwsServer, clock: LabClock, truth: Truth) -> Iterator[World]:
    route53 = Route53(server, Arc(server, truth), Balancers(server), clock, truth)
    GlobalEndpoints(server, route53, clock, truth, INGRESS, {OSAKA: 3})
    _, port = server.listen_in(TOKYO, INGRESS[TOKYO], 0)
    events = Events(server, clock, truth)
    events.start()
    config = {"Type": "HTTP", "FullyQualifiedDomainName": "x.example", "Port": 80}
    check = server.client("route53", TOKYO).create_health_check(CallerReference="1", HealthCheckConfig=config)
    made = World(server, route53, events, check["HealthCheck"]["Id"], port)
    buses = [_bus(made, region) for region in (TOKYO, OSAKA)]
    made.client("events").create_endpoint(**definition(made.check, buses))
    yield made
    events.stop()


def _bus(made: World, region: str) -> str:
    arn = made.client("events", region).create_event_bus(Name="orders")["EventBusArn"]
    url = made.client("sqs", region).create_queue(QueueName="orders")["QueueUrl"]
    queue = f"arn:aws:sqs:{region}:{made.server.account}:orders"
    assert url
    made.client("events", region).put_rule(Name="all", EventBusName="orders", EventPattern='{"source":["shop"]}')
    made.client("events", region).put_targets(Rule="all", EventBusName="orders", Targets=[{"Id": "1", "Arn": queue}])
    return str(arn)


def definition(check: str, buses: list[str], **more: Any) -> dict[str, Any]:
    """CreateEndpoint's parameters."""
    failover = {
        "Primary": {"HealthCheck": f"arn:aws:route53:::healthcheck/{check}"},
        "Secondary": {"Route": OSAKA},
    }
    found = {
        "Name": "orders",
        "RoutingConfig": {"FailoverConfig": failover},
        "EventBuses": [{"EventBusArn": arn} for arn in buses],
        "RoleArn": ROLE,
    }
    return found | more


def eventually(read: Callable[[], list[Any]], count: int = 1) -> list[Any]:
    """What arrives, at least `count` of them within 10 s, and what else comes in the next moment."""
    found: list[Any] = []
    deadline = time.monotonic() + 10
    while len(found) < count and time.monotonic() < deadline:
        found += read()
        time.sleep(0.02)
    return found


def test_an_event_reaches_both_buses_once(world: World) -> None:
    """Replicated with another id and the same `region` and `resources`; it does not come back."""
    assert world.put(1)["FailedEntryCount"] == 0
    (here,), (there,) = (eventually(lambda r=region: world.queue(r)) for region in (TOKYO, OSAKA))  # type: ignore[misc]
    assert here["detail"] == there["detail"] == {"n": 1}
    assert (here["region"], there["region"]) == (TOKYO, TOKYO)
    assert here["resources"] == there["resources"] == [world.endpoint["Arn"]]
    assert here["id"] != there["id"]
    time.sleep(0.2)
    assert world.queue(TOKYO) == world.queue(OSAKA) == []


def test_the_health_check_moves_the_name_and_the_events(world: World) -> None:
    """Unhealthy: DNS gives Osaka's address, and what goes by the endpoint is Osaka's; healthy: back again."""
    assert world.addresses() == (INGRESS[TOKYO],)
    world.route53.observe(world.check, False)
    assert world.addresses() == (INGRESS[OSAKA],)
    world.put(2)
    (taken,) = eventually(lambda: world.queue(TOKYO))
    assert taken["region"] == OSAKA
    world.route53.observe(world.check, True)
    assert world.addresses() == (INGRESS[TOKYO],)


def test_unchanged_boto3_needs_nothing_but_the_address(world: World) -> None:
    """EndpointId makes boto3 sign for all Regions (SigV4A); the address that it went to says whose event it is."""
    producer = boto3.client(
        "events",
        region_name=OSAKA,
        endpoint_url=f"http://{world.endpoint['EndpointId']}.endpoint.events.amazonaws.com:{world.port}",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(proxies={}),
    )
    sent: list[str] = []
    world.route53.observe(world.check, False)  # whoever holds an old address is served there all the same

    def to_tokyo(request: Any, **_: Any) -> None:
        sent.append(str(request.headers))
        request.url = f"http://{INGRESS[TOKYO]}:{world.port}/"
        request.headers["Host"] = request.headers.get("Host") or f"{world.endpoint['EndpointId']}{SUFFIX.rstrip('.')}"

    producer.meta.events.register("before-send", to_tokyo)
    assert world.put(3, by=producer)["FailedEntryCount"] == 0
    producer.close()
    assert "AWS4-ECDSA-P256-SHA256" in sent[0]
    assert eventually(lambda: world.queue(OSAKA))[0]["region"] == TOKYO


def test_without_replication_each_region_keeps_what_it_took(world: World) -> None:
    """UpdateEndpoint takes the managed rules away, and puts them back."""
    events = world.client("events")
    rules = lambda: {r["Name"] for r in events.list_rules(EventBusName="orders")["Rules"]}  # noqa: E731
    assert len(rules()) == 2
    events.update_endpoint(Name="orders", ReplicationConfig={"State": "DISABLED"})
    assert rules() == {"all"}
    world.put(4)
    assert len(eventually(lambda: world.queue(TOKYO))) == 1
    assert world.queue(OSAKA) == []
    events.update_endpoint(Name="orders", ReplicationConfig={"State": "ENABLED"})
    world.put(5)
    assert [e["detail"] for e in eventually(lambda: world.queue(OSAKA))] == [{"n": 5}]


def test_replication_that_fails_is_tried_again(world: World) -> None:
    """While Osaka takes nothing the copy waits, and arrives when it does."""
    world.server.unavailable(OSAKA, "events")
    world.put(6)
    assert len(eventually(lambda: world.queue(TOKYO))) == 1
    assert eventually(lambda: [world.events.failures[0]] if world.events.failures else [])
    assert world.queue(OSAKA) == []
    world.server.available(OSAKA, "events")
    assert [e["detail"] for e in eventually(lambda: world.queue(OSAKA))] == [{"n": 6}]


def test_an_impaired_region_takes_events_and_delivers_them_late_in_order(world: World, clock: LabClock) -> None:
    """One delivery each `pause_s`; what waits comes when it is well again; the other Region is not held up."""
    world.events.impair(TOKYO, 10_000.0)
    assert world.put(7, 8)["FailedEntryCount"] == 0
    osaka = {**ENTRY, "Detail": json.dumps({"n": 9})}
    world.client("events", OSAKA).put_events(Entries=[osaka])
    assert [e["detail"] for e in eventually(lambda: world.queue(OSAKA))] == [{"n": 9}]
    assert world.queue(TOKYO) == []
    world.events.impair(TOKYO, 0.0)
    assert sorted(e["detail"]["n"] for e in eventually(lambda: world.queue(TOKYO), 2)) == [7, 8]


def test_the_latency_metric_says_how_long_deliveries_waited(world: World, clock: LabClock, truth: Truth) -> None:
    """Per Region and minute, at the level of the service; a minute without a delivery has no data."""
    metrics = EventMetrics(world.server, world.events, clock, truth)
    world.put(10)
    assert eventually(lambda: world.queue(OSAKA))
    metrics.publish(clock.now_s() + 120)
    query = {"Namespace": "AWS/Events", "MetricName": "IngestionToInvocationStartLatency", "Statistics": ["Average"]}
    for region in (TOKYO, OSAKA):
        low, high = clock.now_s() - 600, clock.now_s() + 600
        found = world.client("cloudwatch", region).get_metric_statistics(
            **query, Period=60, StartTime=datetime.fromtimestamp(low, UTC), EndTime=datetime.fromtimestamp(high, UTC)
        )["Datapoints"]
        assert 1 <= len(found) <= 2
        assert all(point["Average"] >= 500 for point in found)


def test_the_standby_refuses_beyond_its_quota(world: World) -> None:
    """Its PutEvents quota is a precondition of a failover: what it does not take is refused, not lost."""
    world.route53.observe(world.check, False)
    with pytest.raises(ClientError, match="ThrottlingException"):
        world.put(1, 2, 3, 4)
    assert world.put(1)["FailedEntryCount"] == 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Name": "orders"}, "ResourceAlreadyExistsException"),
        ({"Name": "x", "RoleArn": ""}, "ValidationException"),
        ({"Name": "x", "EventBuses": TWO_NAMES}, "ValidationException"),
    ],
)  # fmt: skip
def test_an_endpoint_that_cannot_be_is_refused(world: World, change: dict[str, Any], code: str) -> None:
    """The same name twice, replication without a role, buses of two names."""
    buses = [f"arn:aws:events:{region}:{world.server.account}:event-bus/orders" for region in (TOKYO, OSAKA)]
    wanted = {k: v for k, v in definition(world.check, buses, **change).items() if v}
    with pytest.raises(ClientError, match=code):
        world.client("events").create_endpoint(**wanted)


def test_unknown_endpoints_and_foreign_buses_are_refused(world: World) -> None:
    """PutEvents by an endpoint goes to its own bus only."""
    events = world.client("events")
    entry = {**ENTRY, "Detail": "{}"}
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        events.put_events(EndpointId="nobody.veo", Entries=[entry])
    with pytest.raises(ClientError, match="ValidationException"):
        events.put_events(EndpointId=world.endpoint["EndpointId"], Entries=[{**entry, "EventBusName": "default"}])


def test_a_replay_is_of_the_time_that_was_asked_for(world: World, clock: LabClock) -> None:
    """An archive keeps every event; a replay hands on those of its time, marked, and the archive keeps none twice."""
    events = world.client("events")
    bus = f"arn:aws:events:{TOKYO}:{world.server.account}:event-bus/orders"
    archive = events.create_archive(ArchiveName="kept", EventSourceArn=bus)["ArchiveArn"]
    world.put(1)
    assert len(eventually(lambda: world.queue(TOKYO))) == 1
    clock.sleep(5)
    middle = clock.now()
    clock.sleep(5)
    world.put(2)
    assert len(eventually(lambda: world.queue(TOKYO))) == 1
    kept = lambda: events.describe_archive(ArchiveName="kept")["EventCount"]  # noqa: E731
    assert eventually(lambda: [1] if kept() == 2 else [])
    again = replay(world, archive, "again", (middle, clock.now() + timedelta(minutes=1)), {"Arn": bus})
    assert [(e["detail"], e["replay-name"]) for e in again] == [({"n": 2}, "again")]
    assert kept() == 2


def replay(
    world: World, archive: str, name: str, span: tuple[datetime, datetime], destination: dict[str, Any]
) -> list[dict[str, Any]]:
    """What Tokyo's queue gets of it at first."""
    world.client("events").start_replay(
        ReplayName=name,
        EventSourceArn=archive,
        EventStartTime=span[0],
        EventEndTime=span[1],
        Destination=destination,
    )
    return list(eventually(lambda: world.queue(TOKYO)))


def test_a_replay_for_some_rules_goes_to_no_others(world: World, clock: LabClock) -> None:
    """FilterArns: a rule that is not named gets nothing, though it matches; the archive is seen all the same."""
    events, began = world.client("events"), clock.now()
    bus = f"arn:aws:events:{TOKYO}:{world.server.account}:event-bus/orders"
    archive = events.create_archive(ArchiveName="kept", EventSourceArn=bus)["ArchiveArn"]
    world.put(1)
    assert len(eventually(lambda: world.queue(TOKYO))) == 1
    assert eventually(lambda: [1] if events.describe_archive(ArchiveName="kept")["EventCount"] else [])
    pattern = '{"replay-name":[{"prefix":"audit-"}]}'
    audit = events.put_rule(Name="audit", EventBusName="orders", EventPattern=pattern)["RuleArn"]
    queue = f"arn:aws:sqs:{TOKYO}:{world.server.account}:orders"
    events.put_targets(
        Rule="audit", EventBusName="orders", Targets=[{"Id": "1", "Arn": queue, "Input": '{"audited": true}'}]
    )
    span = began - timedelta(minutes=1), clock.now() + timedelta(minutes=1)
    assert replay(world, archive, "audit-1", span, {"Arn": bus, "FilterArns": [audit]}) == [{"audited": True}]
    clock.sleep(5)
    assert world.queue(TOKYO) == []
