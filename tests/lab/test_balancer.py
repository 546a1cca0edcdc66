"""The load balancer process against real targets."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lab.balancer import REGION_HEADER, BalancerConfig, BalancerProcess, Rule
from lab.clock import LabClock

SPEED = 60.0
ADDRESSES = ("127.100.5.165", "127.100.9.84")


class Backend(BaseHTTPRequestHandler):
    """Answers with its server's name; /health with the server's `health` status."""

    protocol_version = "HTTP/1.1"
    server: BackendServer

    def do_GET(self) -> None:
        if self.path == "/a/break":
            self.close_connection = True
            self.connection.close()
            return
        if self.path == "/a/slow":
            time.sleep(4)
        status = self.server.health if self.path == "/health" else 200
        body = f"{self.server.name} {self.headers.get('X-Forwarded-For', '-')}".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class BackendServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, name: str) -> None:
        super().__init__(("127.100.2.10", 0), Backend)
        self.name, self.health = name, 200
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


@pytest.fixture
def balancer() -> Iterator[BalancerProcess]:
    config = BalancerConfig("west", ADDRESSES, 0, [Rule("/a", "A")], LabClock.starting_now(SPEED))
    process = BalancerProcess(config, lambda group, states: None)
    try:
        process.start()
        yield process
    finally:
        process.stop()


@pytest.fixture
def backend() -> Iterator[Callable[[str], BackendServer]]:
    servers: list[BackendServer] = []

    def make(name: str) -> BackendServer:
        servers.append(BackendServer(name))
        return servers[-1]

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


def get(balancer: BalancerProcess, path: str, address: str = ADDRESSES[0]) -> tuple[int, str, str | None]:
    connection = http.client.HTTPConnection(address, balancer.port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode(), response.getheader(REGION_HEADER)
    finally:
        connection.close()


def join(balancer: BalancerProcess, server: BackendServer, state: str = "healthy") -> None:
    balancer.register("A", "127.100.2.10", server.port)
    assert balancer.await_state("A", "127.100.2.10", server.port, state, 5)


def test_a_path_without_a_rule_gets_the_fixed_400(balancer: BalancerProcess) -> None:
    """The listener's default action is a fixed 400, on both addresses, and names its Region."""
    assert [get(balancer, "/x", address) for address in ADDRESSES] == [(400, "", "west")] * 2


def test_a_group_without_targets_answers_503(balancer: BalancerProcess) -> None:
    """No registered target means 503 from the balancer itself."""
    assert get(balancer, "/a")[0] == 503


def test_requests_take_turns_and_say_for_whom(
    balancer: BalancerProcess, backend: Callable[[str], BackendServer]
) -> None:
    """Two healthy targets share the requests; the client's address is forwarded."""
    for name in ("one", "two"):
        join(balancer, backend(name))
    answers = {get(balancer, "/a")[1] for _ in range(4)}
    assert answers == {"one 127.0.0.1", "two 127.0.0.1"}


def test_an_unhealthy_target_gets_nothing_while_another_is_healthy(
    balancer: BalancerProcess, backend: Callable[[str], BackendServer]
) -> None:
    """Two failed checks in a row take a target out, two good ones bring it back."""
    good, bad = backend("good"), backend("bad")
    join(balancer, good)
    join(balancer, bad)
    bad.health = 500
    assert balancer.await_state("A", "127.100.2.10", bad.port, "unhealthy", 5)
    assert {get(balancer, "/a")[1].split()[0] for _ in range(4)} == {"good"}
    bad.health = 200
    assert balancer.await_state("A", "127.100.2.10", bad.port, "healthy", 5)


def test_a_group_with_only_unhealthy_targets_fails_open(
    balancer: BalancerProcess, backend: Callable[[str], BackendServer]
) -> None:
    """When no target is healthy the balancer routes to all of them."""
    server = backend("only")
    server.health = 500
    join(balancer, server, "unhealthy")
    assert get(balancer, "/a")[0] == 200


def test_refused_and_broken_connections_are_502(
    balancer: BalancerProcess, backend: Callable[[str], BackendServer]
) -> None:
    """A target that drops the connection, or is not there, is a 502."""
    join(balancer, backend("one"))
    assert get(balancer, "/a/break")[0] == 502


def test_a_target_that_takes_too_long_is_504(
    balancer: BalancerProcess, backend: Callable[[str], BackendServer]
) -> None:
    """A request that outlasts the idle timeout (here its wall floor of 2 s) is a 504."""
    join(balancer, backend("one"))
    assert get(balancer, "/a/slow")[0] == 504


def test_a_draining_target_gets_no_new_requests_and_is_forgotten_after_the_delay(
    balancer: BalancerProcess, backend: Callable[[str], BackendServer]
) -> None:
    """Deregistration stops new requests at once and lasts its declared 10 lab seconds."""
    server = backend("one")
    join(balancer, server)
    balancer.deregister("A", "127.100.2.10", server.port)
    started = time.monotonic()
    assert balancer.await_state("A", "127.100.2.10", server.port, "draining", 5)
    assert get(balancer, "/a")[0] == 503
    assert balancer.await_state("A", "127.100.2.10", server.port, None, 5)
    assert time.monotonic() - started >= 0.9 * 10 / SPEED


def test_a_taken_port_is_an_os_error() -> None:
    """A fixed port that somebody holds on one of the addresses is refused, not shared."""
    with socket.socket() as taken:
        taken.bind((ADDRESSES[1], 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        config = BalancerConfig("west", ADDRESSES, port, [], LabClock.starting_now(SPEED))
        process = BalancerProcess(config, lambda group, states: None)
        try:
            with pytest.raises(OSError, match="in use"):
                process.start()
        finally:
            process.stop()


def test_a_request_too_large_or_malformed_is_a_400(balancer: BalancerProcess) -> None:
    """What is no request that the balancer understands ends as a 400, not as a hang."""
    for bad in (b"nonsense\r\n\r\n", b"POST /a HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"):
        with socket.create_connection((ADDRESSES[0], balancer.port), timeout=5) as sock:
            sock.sendall(bad)
            assert sock.recv(4096).startswith(b"HTTP/1.1 400")
