"""What one look at a DNS server is worth, against real servers."""

from __future__ import annotations

import threading
import time

import pytest

from checks import dns_watch
from checks.dns_watch import Vantage, look, vantages
from drill.clock import SystemClock
from drill.timeline import Observation, Outcome
from tests.checks.worlds import CLOCK, published_target, two_regions
from tests.loadgen.loopback import Zone, dns_server

NAME = "api.example.com"


def test_an_answer_with_addresses_is_ok_and_sorted() -> None:
    """Both addresses are seen, in an order that does not depend on the server's rotation."""
    with dns_server(Zone({NAME: ["127.100.9.84", "127.100.5.165"]}, ttl=17)) as server:
        seen = look(Vantage("authoritative", server), NAME, CLOCK)
    assert (seen.outcome, seen.value) == (Outcome.OK, "127.100.5.165,127.100.9.84")
    assert seen.detail == "ttl=17 rcode=NOERROR"
    assert seen.sent_s < seen.done_s


@pytest.mark.parametrize(
    ("zone", "outcome", "rcode"),
    [
        (Zone({}), Outcome.FAIL, "NXDOMAIN"),
        (Zone({NAME: []}), Outcome.FAIL, "NODATA"),
        (Zone({NAME: ["127.0.0.9"]}, rcode="SERVFAIL"), Outcome.UNKNOWN, "SERVFAIL"),
        (Zone({NAME: ["127.0.0.9"]}, rcode="DROP"), Outcome.UNKNOWN, "TIMEOUT"),
    ],
)
def test_no_address_fails_and_no_answer_is_unknown(zone: Zone, outcome: Outcome, rcode: str) -> None:
    """An answer that there is none is bad for clients; a server that does not answer tells nothing."""
    with dns_server(zone) as server:
        seen = look(Vantage("authoritative", server), NAME, CLOCK)
    assert (seen.outcome, seen.value) == (outcome, "")
    assert seen.detail.endswith(f"rcode={rcode}")


def test_a_switch_is_seen_at_every_vantage_between_two_looks() -> None:
    """The planted switch lies between the last look at the old answer and the first look at the new one."""
    seen: list[Observation] = []
    stop = threading.Event()
    with two_regions() as world:
        threads = dns_watch.start(world.target, SystemClock(10.0), stop, seen.append)
        time.sleep(0.5)
        switching_s = time.monotonic()
        world.zone.addresses[NAME] = [world.osaka.host]
        switched_s = time.monotonic()
        time.sleep(0.5)
        stop.set()
        for thread in threads:
            thread.join(2)
    for vantage in ("authoritative", "resolver:ap-northeast-1", "resolver:ap-northeast-3"):
        looks = sorted((o for o in seen if o.vantage == vantage), key=lambda o: o.sent_s)
        old = [o for o in looks if o.value == world.tokyo.host]
        new = [o for o in looks if o.value == world.osaka.host]
        assert old[-1].sent_s <= switched_s
        assert new[0].done_s >= switching_s
        assert new[0].done_s - old[-1].sent_s < 1.0
        assert len(looks) in range(4, 13)


def test_one_dead_server_delays_no_other() -> None:
    """A server that never answers costs its own looks only."""
    seen: list[Observation] = []
    stop = threading.Event()
    with two_regions() as world, dns_server(Zone(rcode="DROP")) as dead:
        connection = world.target.connection.model_copy(update={"authoritative": (dead,)})
        target = world.target.model_copy(update={"connection": connection})
        threads = dns_watch.start(target, SystemClock(10.0), stop, seen.append)
        time.sleep(1.1)
        stop.set()
        for thread in threads:
            thread.join(2)
    assert {o.outcome for o in seen if o.vantage == "authoritative"} == {Outcome.UNKNOWN}
    assert len([o for o in seen if o.vantage == "resolver:ap-northeast-1"]) >= 9


def test_a_target_without_resolvers_is_seen_through_the_machines_own() -> None:
    """On AWS the resolver is the machine's; it is a vantage like any other."""
    target = published_target()
    assert vantages(target) == (Vantage("resolver:system", None),)
    seen = look(Vantage("resolver:system", None), "localhost", CLOCK)
    assert (seen.vantage, seen.outcome) == ("resolver:system", Outcome.OK)
