"""The way in to an event bus: boto3's own PutEvents, sent once, and what became of it told as of any write."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from drill.clock import SystemClock
from drill.doors import open_door
from drill.event_door import EventDoor
from drill.ledger import LedgerWriter, read_ledger
from drill.target import Connection, Target, load_target
from drill.writing import WriteClient
from lab.aws.arc import Arc
from lab.aws.elb import Balancers
from lab.aws.events import Events
from lab.aws.global_endpoints import GlobalEndpoints
from lab.aws.route53 import Route53
from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.dns import Authoritative
from lab.event_bus import infra, names
from lab.event_bus.names import OSAKA, PLACES, SERVING, TOKYO
from lab.ports import free_port_on
from lab.truth import Truth

TARGET = Path(__file__).parents[2] / "targets" / "event-bus.toml"


@dataclass
class World:
    """The two Regions' PutEvents and DNS; no consumers."""

    server: AwsServer
    route53: Route53
    check: str
    target: Target

    def writer(self, ledger: LedgerWriter) -> WriteClient:
        """A client with connections of its own."""
        clock = SystemClock()
        return WriteClient(self.target.writes, open_door(self.target, clock, 2.0), ledger, clock=clock)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    clock = LabClock.starting_now(100.0)
    truth = Truth(tmp_path_factory.mktemp("lab"), clock)
    port = free_port_on([place.ingress for place in PLACES.values()])
    server = AwsServer("127.0.0.1", 0, clock, names.ACCOUNT)
    server.start()
    route53 = Route53(server, Arc(server, truth), Balancers(server), clock, truth)
    ingress = {region: place.ingress for region, place in PLACES.items()}
    GlobalEndpoints(server, route53, clock, truth, ingress, {OSAKA: 1}, lambda name: names.ENDPOINT_ID)
    for region, address in ingress.items():
        server.listen_in(region, address, port)
    dns, events = Authoritative("127.0.0.1", 0, route53.answer), Events(server, clock, truth)
    dns.start()
    events.start()
    try:
        for region in SERVING:
            server.client("events", region).create_event_bus(Name=names.BUS)
        check = infra.health_check(server.client, 60, 5, "breaching")
        infra.endpoint(server.client, check, "ENABLED")
        resolver = f"127.0.0.1:{dns.port}"
        resolvers = dict.fromkeys(SERVING, resolver)
        connection = Connection(aws_endpoint=server.url, resolvers=resolvers, http_port=port)
        target = load_target(TARGET).model_copy(update={"connection": connection})
        yield World(server, route53, check, target)
    finally:
        events.stop()
        dns.stop()
        server.stop()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[LedgerWriter]:
    """A ledger on disk."""
    made = LedgerWriter(tmp_path / "ledger-p.bin")
    yield made
    made.close()


def test_an_accepted_event_is_acknowledged_by_its_business_id(
    world: World, ledger: LedgerWriter, tmp_path: Path
) -> None:
    """FailedEntryCount 0: the client's own key is the id, the Region's address is the peer, the ledger has both."""
    done = world.writer(ledger).submit("order", "drill-r1-u1")
    assert (done.result, done.id) == ("acked", f"drill-r1-u1-{done.n}")
    assert done.reply.peer == PLACES[TOKYO].ingress
    assert json.loads(done.reply.body)["EventId"]
    (kept,) = read_ledger(tmp_path.glob("ledger-*.bin"))
    assert (kept.result, kept.id, kept.peer) == ("acked", done.id, PLACES[TOKYO].ingress)


def test_it_goes_where_the_endpoint_leads(world: World, ledger: LedgerWriter) -> None:
    """A client that resolves anew is in Osaka once the health check says so; beyond Osaka's quota it is refused."""
    world.route53.observe(world.check, False)
    try:
        results = [world.writer(ledger).submit("order", "drill-r1-u2") for _ in range(30)]
    finally:
        world.route53.observe(world.check, True)
    assert {done.reply.peer for done in results} == {PLACES[OSAKA].ingress}
    assert {done.result for done in results} == {"acked", "refused"}
    assert {done.reply.status for done in results if done.result == "refused"} == {400}


def test_an_entry_that_is_not_taken_is_refused(world: World, ledger: LedgerWriter) -> None:
    """A 200 that says FailedEntryCount 1 is no acknowledgement."""
    events = world.target.writes.events
    assert events is not None
    writes = world.target.writes.model_copy(update={"events": events.model_copy(update={"source": ""})})
    mute = replace(world, target=world.target.model_copy(update={"writes": writes}))
    assert mute.writer(ledger).submit("order", "drill-r1-u3").result == "refused"


def test_an_endpoint_that_nobody_knows_refuses(world: World, ledger: LedgerWriter) -> None:
    """An error of AWS's is the answer that it is, and is not sent twice."""
    seen: list[Any] = []
    world.server.tap("events", ["PutEvents"], seen.append)
    other = world.target.endpoint.replace(names.ENDPOINT_ID, "nobody.veo")
    lost = replace(world, target=world.target.model_copy(update={"endpoint": other}))
    done = lost.writer(ledger).submit("order", "drill-r1-u4")
    assert (done.result, done.reply.error) == ("refused", "dns")  # there is no such name, so nothing was sent
    assert seen == []


def test_what_hangs_is_indeterminate(world: World, ledger: LedgerWriter) -> None:
    """No answer within the deadline: the event may have been taken."""
    from lab.aws.misbehave import parse

    world.server.misbehave(parse("hang events"))
    try:
        done = world.writer(ledger).submit("order", "drill-r1-u5")
    finally:
        world.server.behave()
    assert (done.result, done.reply.error) == ("indeterminate", "timeout")


def test_a_read_goes_to_the_region_where_the_endpoint_leads(world: World) -> None:
    """And a read-back to the Region that it names, whatever the endpoint says."""
    door = open_door(world.target, SystemClock(), 2.0)
    back = open_door(world.target, SystemClock(), 2.0, OSAKA)
    assert isinstance(door, EventDoor)
    assert isinstance(back, EventDoor)
    assert (door._leads_to(), back.region) == (TOKYO, OSAKA)
    world.route53.observe(world.check, False)
    try:
        assert open_door(world.target, SystemClock(), 2.0)._leads_to() == OSAKA  # type: ignore[attr-defined]
    finally:
        world.route53.observe(world.check, True)
