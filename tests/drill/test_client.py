"""The HTTP client against real servers that misbehave on purpose."""

from __future__ import annotations

import contextlib
import datetime
import os
import resource
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler
from itertools import count
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from drill.client import MAX_BODY_BYTES, HttpClient, Reply, wall_timeout_s
from drill.clock import FakeClock
from drill.resolver import CachingClient
from tests.loadgen.loopback import Zone, answer, dns_server, http_server

NAME = "api.example.com"
TOKYO, OSAKA = "127.100.5.165", "127.101.7.20"


def ok(request: BaseHTTPRequestHandler, _body: bytes) -> None:
    """The good server."""
    answer(request, 200, {"peer": request.client_address[1], "host": request.headers["Host"]})


@contextmanager
def raw_server(talk: Callable[[socket.socket], None], host: str = "127.0.0.1") -> Iterator[int]:
    """A TCP server that hands each connection to `talk` and closes it after."""
    listener = socket.create_server((host, 0))
    listener.settimeout(0.05)
    stop = threading.Event()

    def accept() -> None:
        while not stop.is_set():
            try:
                connection = listener.accept()[0]
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(3)
                talk(connection)

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        stop.set()
        thread.join(5)
        listener.close()


def get(
    client: HttpClient, port: int, *, host: str = "127.0.0.1", timeout_s: float = 1.0, fresh: bool = False
) -> Reply:
    """One GET."""
    url = f"http://{host}:{port}/x?y=1"
    return client.with_pinned(url, client.request("GET", url, timeout_wall_s=timeout_s, fresh=fresh))


@pytest.fixture
def client() -> Iterator[HttpClient]:
    """A client without DNS servers (literal addresses only)."""
    made = HttpClient(CachingClient([]))
    yield made
    made.close()


def test_it_connects_to_an_address_and_names_the_host(client: HttpClient) -> None:
    """The Host header carries the name of the URL, and peer the address that was connected to."""
    with dns_server(Zone({NAME: [TOKYO]})) as dns, http_server(ok, TOKYO) as port:
        reply = get(HttpClient(CachingClient([dns])), port, host=NAME, fresh=True)
    assert reply.ok
    assert (reply.status, reply.peer, reply.error, reply.maybe_sent) == (200, TOKYO, "", True)
    assert f'"host": "{NAME}:{port}"'.encode() in reply.body
    assert 0 < reply.done_s - reply.sent_s < 5


def test_a_connection_is_kept_unless_the_request_is_fresh(client: HttpClient) -> None:
    """Kept connections are reused and say so; a fresh request has one of its own and leaves the kept one alone."""
    with http_server(ok) as port:
        replies = [get(client, port), get(client, port), get(client, port, fresh=True), get(client, port)]
    assert [r.reused for r in replies] == [False, True, False, True]
    assert replies[0].body == replies[1].body == replies[3].body != replies[2].body


def test_a_closed_client_resolves_and_connects_again(client: HttpClient) -> None:
    """After `close` nothing is reused."""
    with http_server(ok) as port:
        get(client, port)
        client.close()
        assert not get(client, port).reused


def test_nothing_is_sent_twice(client: HttpClient) -> None:
    """A server that drops every second request is seen as exactly half down."""
    served = count(1)

    def half(request: BaseHTTPRequestHandler, body: bytes) -> None:
        if next(served) % 2:
            ok(request, body)
        else:
            request.close_connection = True

    with http_server(half) as port:
        replies = [get(client, port, fresh=bool(i % 3)) for i in range(40)]
    assert [r.error for r in replies].count("reset") == 20
    assert [r.status for r in replies].count(200) == 20
    assert next(served) == 41


def test_a_kept_connection_that_was_closed_meanwhile_is_a_failure(client: HttpClient) -> None:
    """The client does not hide it by connecting again, and recovers with the next request."""

    def once(request: BaseHTTPRequestHandler, body: bytes) -> None:
        ok(request, body)
        request.close_connection = True

    with http_server(once) as port:
        first = get(client, port)
        time.sleep(0.1)
        second, third = get(client, port), get(client, port)
    assert (first.error, second.error, second.reused, third.error, third.reused) == ("", "reset", True, "", False)


def test_the_deadline_is_for_the_whole_request(client: HttpClient) -> None:
    """A server that sends a byte every 50 ms never keeps a client beyond its deadline."""

    def drip(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(40):
            time.sleep(0.05)
            try:
                connection.sendall(b".")
            except OSError:
                return

    with raw_server(drip) as port:
        reply = get(client, port, timeout_s=0.4)
    assert (reply.error, reply.status, reply.maybe_sent, reply.ok) == ("timeout", 200, True, False)
    assert 0.4 <= reply.done_s - reply.sent_s < 1.9


def test_a_silent_server_times_out_after_the_send(client: HttpClient) -> None:
    """The request may have arrived, and says so."""
    with raw_server(lambda connection: time.sleep(0.5)) as port:
        reply = get(client, port, timeout_s=0.2)
    assert (reply.error, reply.status, reply.peer, reply.maybe_sent) == ("timeout", 0, "127.0.0.1", True)


def test_a_full_backlog_times_out_before_the_send(client: HttpClient) -> None:
    """A connection that never opens is a timeout of which the server has seen nothing."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        reply = get(client, listener.getsockname()[1], timeout_s=0.3)
    assert (reply.error, reply.maybe_sent) == ("timeout", False)
    assert reply.done_s - reply.sent_s < 3.0


def test_a_refused_connection_has_sent_nothing(client: HttpClient) -> None:
    """Refused: the address is known, and nothing has left."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    reply = get(client, port)
    assert (reply.error, reply.status, reply.peer, reply.maybe_sent) == ("refused", 0, "127.0.0.1", False)


def test_a_name_without_an_address_is_a_dns_failure() -> None:
    """The detail says what DNS said."""
    with dns_server(Zone({})) as dns:
        reply = get(HttpClient(CachingClient([dns])), 80, host=NAME)
    assert (reply.error, reply.peer, reply.maybe_sent) == ("dns", "", False)
    assert "NXDOMAIN" in reply.detail


def test_a_silent_dns_server_counts_against_the_deadline() -> None:
    """Resolving is part of the request."""
    with dns_server(Zone(rcode="DROP")) as dns:
        reply = get(HttpClient(CachingClient([dns])), 80, host=NAME, timeout_s=0.3)
    assert reply.error == "dns"
    assert 0.25 < reply.done_s - reply.sent_s < 3.0


@pytest.mark.parametrize(
    ("wire", "error"),
    [
        (b"SSH-2.0-x\r\n\r\n", "protocol"),
        (b"", "reset"),
        (b"HTTP/1.1 200 OK\r\nContent-Len", "reset"),
        (b"HTTP/1.1 200 OK\r\nX: y\r\n", "reset"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "reset"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", "reset"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (MAX_BODY_BYTES + 2), "protocol"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", ""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", ""),
    ],
    ids=[
        "not-http",
        "nothing",
        "half-line",
        "half-head",
        "half-body",
        "half-chunk",
        "huge",
        "huge-head",
        "chunked",
        "empty",
    ],
)
def test_every_broken_reply_has_its_class(client: HttpClient, wire: bytes, error: str) -> None:
    """Cut short is a reset, nonsense and excess are protocol errors, and none of them raises."""

    def send(connection: socket.socket) -> None:
        connection.recv(4096)
        try:
            connection.sendall(wire)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)
        except OSError:
            return

    with raw_server(send) as port:
        reply = get(client, port)
        client.close()
    assert reply.error == error, reply.detail
    assert reply.ok == (error == "")


def test_the_addresses_of_an_answer_take_turns() -> None:
    """Fresh connections alternate over both balancer addresses, in whatever order DNS gives them."""
    zone, clock = Zone({NAME: [TOKYO, "127.100.9.9"]}, ttl=1), FakeClock()
    with dns_server(zone) as dns, http_server(ok, TOKYO) as port, http_server(ok, "127.100.9.9", port):
        client = HttpClient(CachingClient([dns], clock), clock)
        peers = []
        for _ in range(6):
            peers.append(get(client, port, host=NAME, fresh=True).peer)
            zone.addresses[NAME].reverse()
            clock.now_s += 2
    assert set(peers[0::2]) == {TOKYO}
    assert set(peers[1::2]) == {"127.100.9.9"}


def test_a_connection_to_where_dns_no_longer_points_is_pinned() -> None:
    """While the old server is still up a kept connection goes on using it, and every such request says pinned."""
    zone, clock = Zone({NAME: [TOKYO]}, ttl=60), FakeClock(10.0)
    with dns_server(zone) as dns, http_server(ok, TOKYO) as port, http_server(ok, OSAKA, port):
        client = HttpClient(CachingClient([dns], clock), clock)
        before = [get(client, port, host=NAME) for _ in range(2)]
        zone.addresses[NAME] = [OSAKA]
        within_ttl = get(client, port, host=NAME)
        clock.now_s += 6.1
        after = get(client, port, host=NAME)
        fresh = get(client, port, host=NAME, fresh=True)
        client.close()
        moved = get(client, port, host=NAME)
        client.close()
    assert [r.pinned for r in (*before, within_ttl, after, fresh, moved)] == [False, False, False, True, False, False]
    assert [r.peer for r in (after, fresh, moved)] == [TOKYO, OSAKA, OSAKA]


def test_fresh_requests_may_come_from_many_threads(client: HttpClient) -> None:
    """They share nothing but the resolver."""
    with http_server(ok) as port, ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: get(client, port, fresh=True), range(40)))
    assert all(r.ok and not r.reused for r in replies)


@pytest.mark.parametrize("url", ["api.example.com/x", "ftp://api.example.com", "http:///x"])
def test_a_malformed_url_is_the_callers_mistake(client: HttpClient, url: str) -> None:
    """It raises instead of counting as an outage."""
    with pytest.raises(ValueError, match="URL"):
        client.request("GET", url, timeout_wall_s=1)


def self_signed(folder: Path) -> Path:
    """A certificate for NAME and its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    begin = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "server.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pem.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    return pem


@pytest.mark.parametrize("trusted", [True, False])
def test_https_is_verified_against_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool) -> None:
    """A certificate for the name is accepted when its issuer is trusted; otherwise nothing is sent."""
    pem = self_signed(tmp_path)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(pem)

    def talk(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), server_side.wrap_socket(connection, server_side=True) as tls:
            tls.recv(4096)
            tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")

    with dns_server(Zone({NAME: ["127.0.0.1"]})) as dns, raw_server(talk) as port:
        url = f"https://{NAME}:{port}/"
        reply = HttpClient(CachingClient([dns])).request("GET", url, timeout_wall_s=2)
    if trusted:
        assert (reply.status, reply.body, reply.error) == (200, b"hi", "")
    else:
        assert (reply.status, reply.error, reply.maybe_sent) == (0, "protocol", False)
        assert "certificate" in reply.detail


def test_a_declared_timeout_has_a_floor_in_wall_seconds() -> None:
    """Three target seconds at speed 10 would be 0.3 s; the machine gets a second."""
    assert [wall_timeout_s(3, 1), wall_timeout_s(3, 10), wall_timeout_s(20, 10)] == [3, 1, 2]


@contextlib.contextmanager
def no_descriptor_left() -> Iterator[None]:
    """This process can open nothing more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = [os.open(os.devnull, os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (held[0] + 1, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in held:
            os.close(fd)


def test_what_is_wrong_with_ourselves_is_nobody_elses_failure(client: HttpClient) -> None:
    """Without a descriptor for a connection nothing was asked: not refused, certainly not sent, and said so."""
    with http_server(ok) as port:
        with no_descriptor_left():
            reply = get(client, port, fresh=True)
        assert (reply.error, reply.maybe_sent, reply.status) == ("own", False, 0)
        assert "Too many open files" in reply.detail
        assert get(client, port, fresh=True).ok
