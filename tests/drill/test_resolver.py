"""The resolver against real DNS servers on loopback."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from drill.clock import FakeClock, SystemClock
from drill.resolver import CachingClient, query, query_system
from drill.target import Target, load_target
from tests.loadgen.loopback import Zone, dns_server

NAME = "api.example.com"
TOKYO, OSAKA = "127.100.5.165", "127.101.7.20"
CORE_BANKING = Path(__file__).parents[2] / "targets" / "core-banking.toml"


@pytest.fixture
def target() -> Target:
    """A real target file."""
    return load_target(CORE_BANKING)


def test_a_query_reports_addresses_ttl_and_stamps() -> None:
    """An answer carries its addresses, the TTL from the wire and the instants around the query."""
    with dns_server(Zone({NAME: [OSAKA, TOKYO]}, ttl=60)) as server:
        before = time.monotonic()
        found = query(server, NAME, 1.0)
    assert (set(found.addresses), found.ttl_s, found.rcode, found.server) == ({TOKYO, OSAKA}, 60, "NOERROR", server)
    assert found.value == f"{TOKYO},{OSAKA}"
    assert before <= found.asked_s <= found.answered_s <= time.monotonic()


@pytest.mark.parametrize(
    ("zone", "rcode"),
    [
        (Zone({}), "NXDOMAIN"),
        (Zone({NAME: []}), "NODATA"),
        (Zone(rcode="SERVFAIL"), "SERVFAIL"),
        (Zone(rcode="REFUSED"), "REFUSED"),
        (Zone(rcode="DROP"), "TIMEOUT"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_ways_of_having_no_address_are_kept_apart(zone: Zone, rcode: str) -> None:
    """No name, no record, a failing, a refusing and a silent server are five different answers."""
    with dns_server(zone) as server:
        found = query(server, NAME, 0.2)
    assert (found.rcode, found.addresses) == (rcode, ())


def test_a_truncated_answer_is_asked_again_over_tcp() -> None:
    """A truncated UDP answer is not mistaken for an empty one."""
    zone = Zone({NAME: [TOKYO]}, truncate=True)
    with dns_server(zone) as server:
        found = query(server, NAME, 1.0)
    assert (found.addresses, zone.queries) == ((TOKYO,), {"udp": 1, "tcp": 1})


def test_the_deadline_holds_for_udp_and_tcp_together() -> None:
    """A server that is slow on both transports does not get the timeout twice."""
    with dns_server(Zone({NAME: [TOKYO]}, truncate=True, delay_s=1.5)) as server:
        found = query(server, NAME, 2.0)
    assert found.rcode == "TIMEOUT"
    assert found.answered_s - found.asked_s < 2.9


def test_an_alias_chain_lasts_as_long_as_its_shortest_link() -> None:
    """The TTL of a CNAME (5 s here) bounds the TTL of the address behind it."""
    with dns_server(Zone({"lb.example.com": [TOKYO]}, ttl=60, alias={NAME: "lb.example.com"})) as server:
        found = query(server, NAME, 1.0)
    assert (found.addresses, found.ttl_s) == ((TOKYO,), 5)


@pytest.mark.parametrize("server", ["127.0.0.1", "127.0.0.1:dns", ""])
def test_a_malformed_server_is_named(server: str) -> None:
    """A server without a port is a mistake of the caller, not an outage."""
    with pytest.raises(ValueError, match="host:port"):
        query(server, NAME, 0.1)


@pytest.mark.parametrize(("speed", "wall_s"), [(1.0, 60.0), (10.0, 6.0)])
def test_the_ttl_is_honoured_in_target_seconds(speed: float, wall_s: float) -> None:
    """A TTL of 60 s lasts 60 target seconds, which are 6 wall seconds at speed 10, and not longer."""
    zone, clock = Zone({NAME: [TOKYO]}), FakeClock(speed)
    with dns_server(zone) as server:
        client = CachingClient([server], clock)
        client.addresses(NAME)
        zone.addresses[NAME] = [OSAKA]
        clock.now_s += wall_s - 0.01
        assert client.resolve(NAME).cached
        assert client.addresses(NAME) == (TOKYO,)
        clock.now_s += 0.02
        assert client.addresses(NAME) == (OSAKA,)
    assert zone.queries["udp"] == 2


@pytest.mark.parametrize("zone", [Zone({}, minimum=600), Zone(rcode="SERVFAIL")], ids=["NXDOMAIN", "SERVFAIL"])
def test_a_missing_name_is_soon_asked_for_again(zone: Zone) -> None:
    """A negative answer is kept for a target second at most, whatever the zone's SOA says."""
    clock = FakeClock(10.0)
    with dns_server(zone) as server:
        client = CachingClient([server], clock)
        assert client.addresses(NAME) == client.addresses(NAME) == ()
        assert zone.queries["udp"] == 1
        zone.rcode, zone.addresses[NAME] = "", [TOKYO]
        clock.now_s += 0.11
        assert client.addresses(NAME) == (TOKYO,)


def test_many_threads_on_an_expired_name_cost_one_query() -> None:
    """Concurrent look-ups of one client share one query."""
    zone = Zone({NAME: [TOKYO]}, delay_s=0.1)
    with dns_server(zone) as server, ThreadPoolExecutor(8) as pool:
        client = CachingClient([server])
        found = list(pool.map(lambda _: client.addresses(NAME), range(8)))
    assert (found, zone.queries["udp"]) == ([(TOKYO,)] * 8, 1)


def test_waiting_for_another_threads_query_is_bounded() -> None:
    """A look-up behind a query that hangs gives up at its own deadline."""
    with dns_server(Zone(rcode="DROP")) as server:
        client = CachingClient([server])
        first = threading.Thread(target=client.resolve, args=(NAME, 3.0))
        first.start()
        time.sleep(0.1)
        found = client.resolve(NAME, 0.2)
        first.join()
    assert found.rcode == "TIMEOUT"
    assert found.answered_s - found.asked_s < 2.5


def test_the_next_server_is_asked_when_the_first_is_silent() -> None:
    """A client with two resolvers survives the loss of one, within one budget."""
    with dns_server(Zone(rcode="DROP")) as silent, dns_server(Zone({NAME: [OSAKA]})) as good:
        found = CachingClient([silent, good]).resolve(NAME, 0.6)
    assert (found.addresses, found.server) == ((OSAKA,), good)


def test_looking_does_not_keep_the_clients_cache_warm() -> None:
    """`would_answer` sees the change of DNS, and the client's own next look-up still asks for itself."""
    zone, clock = Zone({NAME: [TOKYO]}, ttl=10), FakeClock()
    with dns_server(zone) as server:
        client = CachingClient([server], clock)
        assert client.addresses(NAME) == (TOKYO,)
        zone.addresses[NAME] = [OSAKA]
        assert client.would_answer(NAME) == (TOKYO,)
        clock.now_s += 11
        assert client.would_answer(NAME) == client.would_answer(NAME) == (OSAKA,)
        zone.addresses[NAME] = [TOKYO]
        assert client.addresses(NAME) == (TOKYO,)
    assert zone.queries["udp"] == 3


def test_the_cache_is_bounded() -> None:
    """A client that meets ever new names forgets the oldest."""
    zone = Zone({f"n{i}.example.com": [TOKYO] for i in range(300)})
    with dns_server(zone) as server:
        client = CachingClient([server], FakeClock())
        for name in zone.addresses:
            client.addresses(name)
        assert client.resolve("n299.example.com").cached
        assert not client.resolve("n0.example.com").cached


def test_a_literal_address_is_its_own_answer() -> None:
    """No server is asked for an address."""
    assert CachingClient(["127.0.0.1:1"]).addresses(TOKYO) == (TOKYO,)


def test_without_servers_the_machine_resolves() -> None:
    """The system resolver is used, uncached, and does not raise for an impossible name."""
    client = CachingClient([])
    assert client.addresses("localhost") == ("127.0.0.1",)
    assert not client.resolve("localhost").cached
    assert query_system("a" * 300, 1.0).addresses == ()


def test_a_slow_system_resolver_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """getaddrinfo knows no timeout; ours holds all the same."""
    release = threading.Event()
    slow: Callable[..., object] = lambda *_: release.wait(5) and []  # noqa: E731
    monkeypatch.setattr("socket.getaddrinfo", slow)
    found = query_system(NAME, 0.1)
    release.set()
    assert found.rcode == "TIMEOUT"


def test_a_targets_client_asks_the_primarys_resolver_first(target: Target) -> None:
    """Without a Region the order is primary, then the rest; with one it is only that Region's."""
    connection = target.connection.model_copy(
        update={"resolvers": {"ap-northeast-3": "127.0.0.1:3", "ap-northeast-1": "127.0.0.1:1"}}
    )
    known = target.model_copy(update={"connection": connection})
    clock = SystemClock()
    assert CachingClient.for_target(known, clock).servers == ("127.0.0.1:1", "127.0.0.1:3")
    assert CachingClient.for_target(known, clock, "ap-northeast-3").servers == ("127.0.0.1:3",)
    assert CachingClient.for_target(target, clock).servers == ()
