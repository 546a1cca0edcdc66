"""The quick witness against real sockets: its schedule, its stamps, its two kinds of client, its own blindness."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import dns.message
import dns.rrset
import pytest

from checks.dns_flights import MALFORMED, DnsAim, DnsServer, question, read_reply
from checks.flights import Aim, Loop
from checks.http_flights import HttpAim
from checks.pulse import http_request
from drill.child import Child
from drill.clock import SystemClock
from drill.observations import OUTCOMES, Observation, Outcome, read_logs
from drill.probes import DNS, NEW, PINNED, PULSE
from tests.checks.worlds import eventually, two_regions, witness
from tests.loadgen.loopback import Zone, answer, dns_server, http_server

HERE, THERE = "127.0.0.1", "127.0.0.2"
EVERY_S = 0.02


class Sink:
    """Keeps the looks of a loop that runs in this process."""

    def __init__(self) -> None:
        self.looks: list[Observation] = []

    def put(
        self, sent_s: float, done_s: float, probe: str, vantage: str, outcome: int, value: str, detail: str
    ) -> None:
        """See checks.flights.Sink."""
        self.looks.append(Observation(sent_s, done_s, probe, vantage, OUTCOMES[outcome], value, detail))

    def flush(self) -> None:
        """See checks.flights.Sink."""

    def of(self, vantage: str) -> list[Observation]:
        """One vantage's looks."""
        return [o for o in list(self.looks) if o.vantage == vantage]


@contextmanager
def looking(*aims: Aim) -> Iterator[Sink]:
    """A loop over these aims for the block."""
    sink, stop = Sink(), threading.Event()
    loop = Loop(SystemClock(), sink)
    thread = threading.Thread(target=loop.run, args=(aims, stop))
    thread.start()
    try:
        yield sink
    finally:
        stop.set()
        thread.join(5)
        assert not thread.is_alive()


def aim(port: int, vantage: str = NEW, host: Callable[[], str] = lambda: HERE, deadline_s: float = 0.5) -> HttpAim:
    """Looks each 20 ms."""
    kept = vantage == PINNED
    request = http_request("/", HERE, {}, kept)
    return HttpAim(
        "pulse", vantage, EVERY_S, EVERY_S, deadline_s, lambda: (host(), ""), port, request, frozenset({200}), kept
    )


def ok(request: Any, body: bytes) -> None:
    """A healthy server."""
    answer(request, 200, {})


def test_a_server_that_hangs_delays_no_look() -> None:
    """Every look is sent at its slot while all of them hang, and each fails at its own deadline."""
    with http_server(lambda request, body: time.sleep(5)) as port, looking(aim(port, deadline_s=0.3)) as sink:
        eventually(lambda: len(sink.looks) >= 30)
    failed = [o for o in sink.looks if o.outcome is Outcome.FAIL]
    assert {o.detail for o in failed} == {"timeout"}
    assert all(o.done_s - o.sent_s >= 0.3 for o in failed)
    gaps = sorted(b.sent_s - a.sent_s for a, b in pairwise(failed))
    assert gaps[len(gaps) // 2] == pytest.approx(EVERY_S, rel=0.3)


@pytest.mark.parametrize(
    ("reply", "detail"),
    [
        (b"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n", "status 503"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "reset"),
        (b"nonsense", "reset"),
        (b"", "reset"),
    ],
)
def test_the_ways_to_fail_are_kept_apart(reply: bytes, detail: str) -> None:
    """A status that is not good, a reply that ends early, no HTTP at all, and a connection that just ends."""
    with socket.create_server((HERE, 0)) as server:
        server.settimeout(5)

        def serve() -> None:
            for _ in range(3):
                connection, _ = server.accept()
                connection.recv(4096)
                connection.sendall(reply)
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        with looking(aim(server.getsockname()[1])) as sink:
            eventually(lambda: len(sink.looks) >= 3)
        thread.join(5)
    assert {(o.outcome, o.detail) for o in sink.looks[:2]} == {(Outcome.FAIL, detail)}
    with looking(aim(1)) as sink:
        eventually(lambda: sink.looks)
    assert sink.looks[0].detail == "refused"


def test_new_clients_move_with_the_name_and_pinned_ones_when_their_connection_breaks() -> None:
    """The two numbers differ as the two kinds of client do; where a look landed is the address connected to."""
    now = [HERE]
    with http_server(ok, HERE) as port, http_server(ok, THERE, port):
        with looking(aim(port, NEW, lambda: now[0]), aim(port, PINNED, lambda: now[0])) as sink:
            eventually(lambda: len(sink.of(NEW)) > 5 and len(sink.of(PINNED)) > 5)
            now[0] = THERE
            eventually(lambda: {o.value for o in sink.of(NEW)[-3:]} == {THERE})
            assert {o.value for o in sink.of(PINNED)} == {HERE}
        with looking(aim(port, PINNED, lambda: now[0])) as sink:
            eventually(lambda: len(sink.of(PINNED)) > 5)
            assert {o.value for o in sink.of(PINNED)} == {THERE}
    assert all(o.outcome is Outcome.OK for o in sink.looks if "end" not in o.detail)


def test_a_pinned_client_whose_server_goes_resolves_again() -> None:
    """The request that finds the connection gone has failed; the next is served where the name points."""
    now, answered = [HERE], [0]

    def goes(request: Any, body: bytes) -> None:
        answered[0] += 1
        if answered[0] <= 5:
            ok(request, body)
        else:
            now[0], request.close_connection = THERE, True

    with (
        http_server(goes, HERE) as port,
        http_server(ok, THERE, port),
        looking(aim(port, PINNED, lambda: now[0])) as sink,
    ):
        eventually(lambda: len([o for o in sink.looks if o.value == THERE]) > 3)
    seen = [(o.value, o.outcome, o.detail) for o in sink.looks]
    assert seen[:5] == [(HERE, Outcome.OK, "")] * 5
    assert (HERE, Outcome.FAIL, "reset") in seen[5:7]
    assert seen[7] == (THERE, Outcome.OK, "")


def planned(port: int, hz: float = 100.0) -> dict[str, Any]:
    """One aim of the witness process."""
    return {
        "kind": "http",
        "vantage": "v",
        "host": HERE,
        "port": port,
        "interval_s": 1 / hz,
        "deadline_s": 0.25,
    }


def test_a_witness_that_was_stopped_is_blind_and_says_so(tmp_path: Path) -> None:
    """SIGSTOP of the witness: one UNKNOWN look over the missed slots, and not one failure."""
    with http_server(ok) as port:
        config = {"folder": str(tmp_path), "worker": "w", "aims": [planned(port)]}
        child = Child("w", "checks.pulse", config, tmp_path)
        path = tmp_path / "obs-w.bin"
        try:
            eventually(lambda: path.exists() and len(read_logs([path])) > 20)
            os.kill(child.pid, signal.SIGSTOP)
            stopped_s = time.monotonic()
            time.sleep(0.6)
            resumed_s = time.monotonic()
            os.kill(child.pid, signal.SIGCONT)
            eventually(lambda: [o for o in read_logs([path]) if o.sent_s > resumed_s + 0.1])
        finally:
            child.stop()
        looks = read_logs([path])
    blind = [o for o in looks if o.detail == "missed its schedule" and o.done_s >= resumed_s]
    assert blind and blind[0].outcome is Outcome.UNKNOWN
    assert blind[0].sent_s < stopped_s + 0.05 and blind[0].done_s >= resumed_s
    assert not [o for o in looks if o.outcome is Outcome.FAIL]


def test_it_is_quick_while_a_window_is_open_and_gentle_otherwise(tmp_path: Path) -> None:
    """The drill's own marks set the pace, and the target the most there may be."""
    with two_regions() as world:
        probing = world.target.probing.model_copy(update={"gentle_hz": 4.0, "quick_hz": 50.0, "names_hz": 50.0})
        target = world.target.model_copy(update={"probing": probing})
        events, path = tmp_path / "events.jsonl", tmp_path / "obs-pulse.bin"

        def pulses() -> list[Observation]:
            return [o for o in read_logs([path]) if o.probe == PULSE]

        with witness("checks.pulse", "pulse", target, tmp_path):
            eventually(lambda: path.exists() and len(pulses()) >= 4)
            begun_s = time.monotonic()
            events.write_text(json.dumps({"name": "window.begin", "at_s": 1.0}) + "\n")
            eventually(lambda: len([o for o in pulses() if o.sent_s > begun_s]) >= 60)
            with events.open("a") as file:
                file.write(json.dumps({"name": "window.end", "at_s": 2.0}) + "\n")
            ended_s = time.monotonic() + 0.2
            eventually(lambda: len([o for o in pulses() if o.sent_s > ended_s]) >= 4)
        looks, names = pulses(), [o for o in read_logs([path]) if o.probe == DNS]
    assert all(o.outcome is Outcome.OK for o in looks if "end" not in o.detail), {o.detail for o in looks}
    assert {o.vantage for o in looks} == {NEW, PINNED}
    assert {o.value for o in looks if o.value} == {world.tokyo.host}
    new = [o.sent_s for o in looks if o.vantage == NEW]
    gentle = [b - a for a, b in pairwise(new) if b < begun_s or a > ended_s]
    quick = sorted(b - a for a, b in pairwise(new) if begun_s + 0.3 < a and b < ended_s - 0.2)
    assert min(gentle) > 0.15
    assert quick[len(quick) // 2] == pytest.approx(0.02, rel=0.5)
    assert min(quick) > 0.005
    one = [o.sent_s for o in names if o.vantage == "authoritative" and o.outcome is Outcome.OK]
    quick = sorted(b - a for a, b in pairwise(one) if begun_s + 0.3 < a and b < ended_s - 0.2)
    assert {o.vantage for o in names} == {"authoritative", "resolver:ap-northeast-1", "resolver:ap-northeast-3"}
    assert min(b - a for a, b in pairwise(one) if b < begun_s or a > ended_s) > 0.05
    assert quick[len(quick) // 2] == pytest.approx(0.02, rel=0.5)


# -- names


def test_many_names_are_asked_over_one_socket() -> None:
    """Each name gets its own answer, and one that is not there is a failure of that name only."""
    names = {f"n{n}.example.com": [f"127.1.0.{n}"] for n in range(1, 40)}
    with dns_server(Zone(dict(names))) as server:
        host, _, port = server.rpartition(":")
        shared = DnsServer(host, int(port))
        aims = [DnsAim("dns", name, 0.2, 0.2, 1.0, shared, name) for name in (*names, "none.example.com")]
        with looking(*aims) as sink:
            eventually(lambda: len({o.vantage for o in sink.looks}) == 40)
    for name, addresses in names.items():
        assert {(o.value, o.outcome) for o in sink.of(name)[:1]} == {(addresses[0], Outcome.OK)}
    assert sink.of("none.example.com")[0].outcome is Outcome.FAIL
    assert sink.of("none.example.com")[0].detail.endswith("rcode=NXDOMAIN")
    assert sink.of("n1.example.com")[0].detail == "ttl=60 rcode=NOERROR"


@pytest.mark.parametrize(
    ("zone", "outcome"),
    [
        (Zone({"a.example.com": []}), Outcome.FAIL),
        (Zone(rcode="SERVFAIL"), Outcome.UNKNOWN),
        (Zone(rcode="DROP"), Outcome.FAIL),
        (Zone({"a.example.com": [HERE]}, truncate=True), Outcome.UNKNOWN),
        (Zone({"a.example.com": [THERE]}), Outcome.FAIL),
        (Zone({"a.example.com": [HERE]}), Outcome.OK),
    ],
    ids=["no record", "server fails", "silence", "cut off", "elsewhere", "right"],
)
def test_what_an_answer_means(zone: Zone, outcome: Outcome) -> None:
    """No address and a wrong address are failures; what says nothing about the name is UNKNOWN."""
    with dns_server(zone) as server:
        host, _, port = server.rpartition(":")
        one = DnsAim("dns", "v", 0.05, 0.05, 0.2, DnsServer(host, int(port)), "a.example.com", good=(HERE,))
        with looking(one) as sink:
            eventually(lambda: [o for o in sink.looks if "end" not in o.detail])
    assert sink.looks[0].outcome is outcome, sink.looks[0]


def _reply(query: bytes, name: str, address: str) -> bytes:
    """An answer with the id of that query, to a question of that name."""
    message = dns.message.make_response(dns.message.from_wire(query[:2] + question(name, True)[2:]))
    message.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", "A", address))
    return message.to_wire()


def test_an_answer_is_told_by_id_and_question() -> None:
    """One with the right id to another question is passed over, one in other letters counts, a second does not."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((HERE, 0))
        server.settimeout(5)
        one = DnsAim("dns", "v", 0.05, 0.05, 0.2, DnsServer(HERE, server.getsockname()[1]), "a.example.com")
        with looking(one) as sink:
            for _ in range(5):
                query, peer = server.recvfrom(512)
                for name, address in (
                    ("b.example.com", "127.0.0.9"),
                    ("A.eXample.com", HERE),
                    ("a.example.com", THERE),
                ):
                    server.sendto(_reply(query, name, address), peer)
            eventually(lambda: len(sink.looks) >= 5)
            server.sendto(_reply(query, "a.example.com", THERE), peer)
            eventually(lambda: [o for o in sink.looks if o.detail == "timeout"])
    assert {(o.value, o.outcome) for o in sink.looks[:5]} == {(HERE, Outcome.OK)}
    assert {o.value for o in sink.looks[5:]} == {""}


def test_answers_are_read_as_dnspython_writes_them() -> None:
    """Compression, chains of aliases and the least TTL; a cut answer raises nothing but what is expected."""
    query = dns.message.from_wire(b"\x00\x07" + question("www.example.com", True)[2:])
    reply = dns.message.make_response(query)
    reply.answer.append(dns.rrset.from_text("www.example.com.", 300, "IN", "CNAME", "a.example.com."))
    reply.answer.append(dns.rrset.from_text("a.example.com.", 20, "IN", "A", THERE, HERE))
    wire = reply.to_wire()
    read = read_reply(wire)
    assert (read.rcode, read.addresses, read.ttl_s, read.truncated) == ("NOERROR", (HERE, THERE), 20, False)
    for end in range(len(wire)):
        with contextlib.suppress(*MALFORMED):
            assert read_reply(wire[:end]) != read
