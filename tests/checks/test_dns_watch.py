"""What one look at a DNS server is worth, against real servers."""

from __future__ import annotations

import threading
import time

import pytest

from checks import dns_watch
from checks.dns_watch import Vantage, look, vantages
from checks.pulse import target_aims
from drill.clock import SystemClock
from drill.target import Target
from drill.timeline import Observation, Outcome
from tests.checks.test_flights import looking
from tests.checks.worlds import CLOCK, eventually, published_target, two_regions
from tests.loadgen.loopback import Zone, dns_server

NAME = "api.example.com"
SERVERS = ("authoritative", "resolver:ap-northeast-1", "resolver:ap-northeast-3")


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


def hurried(target: Target, hz: float) -> Target:
    """The target, whose servers may be asked that often."""
    return target.model_copy(update={"probing": target.probing.model_copy(update={"names_hz": hz})})


def test_a_switch_is_seen_at_every_vantage_between_two_looks() -> None:
    """The planted switch lies between the last look at the old answer and the first look at the new one."""
    with two_regions() as world, looking(*dns_watch.aims(world.target, 10.0)) as sink:
        time.sleep(0.5)
        switching_s = time.monotonic()
        world.zone.addresses[NAME] = [world.osaka.host]
        switched_s = time.monotonic()
        time.sleep(0.5)
    for vantage in SERVERS:
        looks = sorted(sink.of(vantage), key=lambda o: o.sent_s)
        old = [o for o in looks if o.value == world.tokyo.host]
        new = [o for o in looks if o.value == world.osaka.host]
        assert old[-1].sent_s <= switched_s
        assert new[0].done_s >= switching_s
        assert new[0].done_s - old[-1].sent_s < 1.0
        assert len([o for o in looks if o.outcome is not Outcome.UNKNOWN]) in range(4, 13)
        assert {o.probe for o in looks} == {"dns"}


def test_one_dead_server_delays_no_other_and_its_silence_is_unknown() -> None:
    """A server that never answers costs its own looks only, and says nothing about the name."""
    with two_regions() as world, dns_server(Zone(rcode="DROP")) as dead:
        connection = world.target.connection.model_copy(update={"authoritative": (dead,)})
        target = world.target.model_copy(update={"connection": connection})
        with looking(*dns_watch.aims(target, 10.0)) as sink:
            eventually(lambda: [o for o in sink.of("authoritative") if o.detail == "timeout"])
    assert {o.outcome for o in sink.of("authoritative")} == {Outcome.UNKNOWN}
    assert len([o for o in sink.of("resolver:ap-northeast-1") if o.outcome is Outcome.OK]) >= 6


@pytest.mark.parametrize(
    ("speed", "names_hz", "paces"),
    [(1.0, 10.0, (1.0, 0.1)), (10.0, 10.0, (0.1, 0.1)), (10.0, 50.0, (0.1, 0.02)), (10.0, 0.5, (2.0, 2.0))],
)
def test_a_server_is_never_asked_more_often_than_its_target_allows(
    speed: float, names_hz: float, paces: tuple[float, float]
) -> None:
    """Once a target second, then as quickly as is allowed; a slower limit holds for both."""
    assert dns_watch.intervals_wall_s(hurried(published_target(), names_hz), speed) == pytest.approx(paces)


def test_a_target_of_another_protocol_has_its_names_asked_and_no_quick_path() -> None:
    """What speaks SQL has DNS servers too; there is no HTTP to look at."""
    with two_regions() as world:
        writes = world.target.writes.model_copy(update={"protocol": "sql"})
        target = world.target.model_copy(update={"writes": writes})
        found = target_aims(target, "r1", SystemClock(10.0), threading.Event())
    assert {(aim.probe, aim.vantage) for aim in found} == {("dns", vantage) for vantage in SERVERS}


def test_a_target_without_resolvers_is_seen_through_the_machines_own() -> None:
    """On AWS the resolver is the machine's; it is a vantage like any other."""
    target = published_target()
    assert vantages(target) == (Vantage("resolver:system", None),)
    seen = look(Vantage("resolver:system", None), "localhost", CLOCK)
    assert (seen.vantage, seen.outcome) == ("resolver:system", Outcome.OK)
    assert dns_watch.aims(target, 10.0) == []


def test_the_machines_own_resolver_is_asked_quickly_while_a_window_is_open() -> None:
    """It has no address of its own, so a thread of the prober asks it, at the same paces."""
    published = hurried(published_target(), 20.0)
    target = published.model_copy(update={"dns": published.dns.model_copy(update={"name": "localhost"})})
    seen, stop, hurry = list[Observation](), threading.Event(), [False]
    threads = dns_watch.start(target, SystemClock(1.0), stop, seen.append, lambda: hurry[0])
    eventually(lambda: seen)
    hurry[0] = True
    eventually(lambda: len(seen) >= 6)
    stop.set()
    for thread in threads:
        thread.join(2)
    assert {(o.vantage, o.outcome) for o in seen} == {("resolver:system", Outcome.OK)}
    assert seen[5].sent_s - seen[0].sent_s < 4.0
