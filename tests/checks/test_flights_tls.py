"""The quick witness over TLS, against a real server: a certificate that is wrong is an outage, with its reason."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise

import pytest
import trustme

from checks.http_flights import HttpAim
from checks.pulse import http_request
from drill.observations import Observation, Outcome
from drill.probes import NEW, PINNED
from tests.checks.test_flights import HERE, Sink, looking
from tests.checks.worlds import eventually

NAME = "api.example.com"
OURS, STRANGERS = trustme.CA(), trustme.CA()
PAST = datetime(2001, 1, 1, tzinfo=UTC)
REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Serve = Callable[[socket.socket], None]


def speaks_tls(certificate: trustme.LeafCert) -> Serve:
    """Answer every request of a connection, under that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)

    def serve(plain: socket.socket) -> None:
        with context.wrap_socket(plain, server_side=True) as connection:
            while connection.recv(4096):
                connection.sendall(REPLY)

    return serve


def speaks_plainly(connection: socket.socket) -> None:
    """HTTP where TLS is expected."""
    connection.recv(4096)
    connection.sendall(REPLY)


def hangs_up(connection: socket.socket) -> None:
    """The connection ends in the middle of the handshake."""
    connection.recv(16)


def says_nothing(connection: socket.socket) -> None:
    """Accepts, and never shakes hands; until the client has had enough."""
    while connection.recv(4096):
        pass


def accept(server: socket.socket, serve: Serve, accepted: list[int]) -> None:
    """Serve every connection in a thread of its own until `server` is closed."""

    def one(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(5)
            serve(connection)

    with contextlib.suppress(OSError):
        while True:
            connection, _ = server.accept()
            accepted.append(1)
            threading.Thread(target=one, args=(connection,), daemon=True).start()


@contextmanager
def server(serve: Serve) -> Iterator[tuple[int, list[int]]]:
    """A server on loopback: (its port, one item for each connection it accepted)."""
    accepted: list[int] = []
    with socket.create_server((HERE, 0)) as listening:
        listening.settimeout(10)
        thread = threading.Thread(target=accept, args=(listening, serve, accepted))
        thread.start()
        try:
            yield listening.getsockname()[1], accepted
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(5)
            assert not thread.is_alive()


def tls_aim(port: int, vantage: str = NEW, deadline_s: float = 5.0, every_s: float = 0.05) -> HttpAim:
    """Looks at NAME by a client that trusts OURS and nobody else."""
    context = ssl.create_default_context()
    OURS.configure_trust(context)
    kept = vantage == PINNED
    request, good = http_request("/", NAME, {}, kept), frozenset({200})
    return HttpAim(
        "pulse",
        vantage,
        every_s,
        every_s,
        deadline_s,
        lambda: (HERE, ""),
        port,
        request,
        good,
        kept,
        tls=(context, NAME),
    )


def known(sink: Sink) -> list[Observation]:
    """The looks that have a result; the others are what this machine did not get to."""
    return [o for o in list(sink.looks) if o.outcome is not Outcome.UNKNOWN]


def test_a_right_certificate_is_health_for_new_and_for_pinned_clients() -> None:
    """Both are served; a new client shakes hands for each look, a pinned one keeps its connection."""
    with server(speaks_tls(OURS.issue_cert(NAME))) as (port, accepted), looking(tls_aim(port, NEW)) as sink:
        eventually(lambda: len(sink.looks) >= 4)
    assert {(o.outcome, o.value) for o in known(sink)} == {(Outcome.OK, HERE)}
    assert len(accepted) >= 4
    with server(speaks_tls(OURS.issue_cert(NAME))) as (port, accepted), looking(tls_aim(port, PINNED)) as sink:
        eventually(lambda: len(sink.looks) >= 6)
    assert {(o.outcome, o.value) for o in known(sink)} == {(Outcome.OK, HERE)}
    assert len(accepted) < 6


@pytest.mark.parametrize(
    ("serve", "detail"),
    [
        (speaks_tls(STRANGERS.issue_cert(NAME)), "protocol: tls: unable to get local issuer certificate"),
        (speaks_tls(OURS.issue_cert("other.example.com")), "protocol: tls: Hostname mismatch, certificate is not"),
        (
            speaks_tls(OURS.issue_cert(NAME, not_before=PAST, not_after=PAST)),
            "protocol: tls: certificate has expired",
        ),
        (speaks_plainly, "protocol: tls: WRONG_VERSION_NUMBER"),
        (hangs_up, "reset"),
        (says_nothing, "timeout"),
    ],
    ids=["nobody trusted signed it", "another name", "expired", "no TLS at all", "cut off", "never shakes hands"],
)
def test_a_failed_handshake_is_a_failure_with_its_reason_and_never_health(serve: Serve, detail: str) -> None:
    """Users meet a closed door: FAIL, and the detail says which; not one look is good."""
    with server(serve) as (port, _), looking(tls_aim(port, deadline_s=0.3 if detail == "timeout" else 5.0)) as sink:
        eventually(lambda: len([o for o in sink.looks if "end" not in o.detail]) >= 3)
    looks = [o for o in sink.looks if "end" not in o.detail]
    assert {o.outcome for o in looks} == {Outcome.FAIL}
    assert all(o.detail.startswith(detail) for o in looks), {o.detail for o in looks}


def test_a_server_that_hangs_in_the_handshake_delays_no_look() -> None:
    """The schedule is kept while every handshake waits: TLS is under way, it does not block."""
    with server(says_nothing) as (port, _), looking(tls_aim(port, deadline_s=0.5, every_s=0.02)) as sink:
        eventually(lambda: len(sink.looks) >= 15)
    sends = [o.sent_s for o in sink.looks if o.detail == "timeout"]
    gaps = sorted(b - a for a, b in pairwise(sends))
    assert gaps[len(gaps) // 2] == pytest.approx(0.02, rel=0.3)


def test_a_connection_that_takes_its_time_is_not_taken_for_tls_gone_wrong() -> None:
    """Over a real network the connection is under way when connect() returns; the handshake waits for it.

    Here the listener's queue is full, so the first packet is dropped, and sent again by the kernel a second later.
    """
    serve, accepted = speaks_tls(OURS.issue_cert(NAME)), list[int]()
    with socket.socket() as listening, contextlib.ExitStack() as stack:
        listening.bind((HERE, 0))
        listening.listen(0)
        listening.settimeout(10)
        port = listening.getsockname()[1]
        for _ in range(2):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex((HERE, port))
        thread = threading.Thread(target=accept, args=(listening, serve, accepted))
        with looking(tls_aim(port, deadline_s=8.0, every_s=0.2)) as sink:
            time.sleep(0.3)
            thread.start()
            eventually(lambda: [o for o in sink.looks if o.outcome is Outcome.OK and o.done_s - o.sent_s > 0.5])
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    assert {o.outcome for o in known(sink)} == {Outcome.OK}
