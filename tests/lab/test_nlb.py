"""The network load balancer against real TCP servers."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from lab.clock import LabClock
from lab.nlb import NetworkBalancer, NlbConfig

HOST, ONE, TWO, DEAD_PORT = "127.105.9.30", "127.105.9.1", "127.105.9.2", 40000
SPEED = 100.0
LIMIT_S = 10.0


class Talker:
    """A TCP server that says its name to each client, then echoes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._socket = socket.create_server((name, 0))
        self.address = (name, int(self._socket.getsockname()[1]))
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.sendall(f"{self.name}\n".encode())
            while data := client.recv(1024):
                client.sendall(data)

    def stop(self) -> None:
        """Take no more clients."""
        self._socket.close()


@pytest.fixture
def talkers() -> Iterator[tuple[Talker, Talker]]:
    """Two servers."""
    made = (Talker(ONE), Talker(TWO))
    yield made
    for talker in made:
        talker.stop()


@contextlib.contextmanager
def balancer(registration_s: float = 0.0, check_port: int = DEAD_PORT) -> Iterator[NetworkBalancer]:
    """A balancer that is stopped at the end."""
    config = NlbConfig(HOST, 0, LabClock.starting_now(SPEED), check_port, registration_s)
    made = NetworkBalancer(config, lambda states: None)
    made.start()
    try:
        yield made
    finally:
        made.stop()


def eventually(condition: Callable[[], bool]) -> None:
    """Poll until it holds."""
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def connect(nlb: NetworkBalancer) -> tuple[socket.socket, str]:
    """A connection through the balancer and the name of who is behind it, "" for nobody."""
    sock = socket.create_connection(nlb.address, LIMIT_S)
    with contextlib.suppress(OSError):
        return sock, sock.makefile("r").readline().strip()
    return sock, ""


def name(nlb: NetworkBalancer) -> str:
    """Who is behind it."""
    sock, said = connect(nlb)
    sock.close()
    return said


def test_with_a_dead_health_check_it_fails_open(talkers: tuple[Talker, Talker]) -> None:
    """Every target is unhealthy, and takes the connections all the same: in turn, when there are two."""
    with balancer() as nlb:
        assert name(nlb) == ""
        nlb.register(talkers[0].address)
        eventually(lambda: nlb.states() == {talkers[0].address: "unhealthy"})
        assert {name(nlb) for _ in range(4)} == {ONE}
        nlb.register(talkers[1].address)
        eventually(lambda: nlb.states()[talkers[1].address] == "unhealthy")
        assert {name(nlb) for _ in range(4)} == {ONE, TWO}


def test_a_healthy_target_takes_everything(talkers: tuple[Talker, Talker]) -> None:
    """With a health check that works, the target that does not answer gets nothing."""
    with balancer(check_port=0) as nlb:
        talkers[1].stop()
        for talker in talkers:
            nlb.register(talker.address)
        eventually(lambda: nlb.states() == {talkers[0].address: "healthy", talkers[1].address: "unhealthy"})
        assert {name(nlb) for _ in range(4)} == {ONE}


def test_a_new_target_takes_nothing_while_it_is_being_registered(talkers: tuple[Talker, Talker]) -> None:
    """Until then a connection is refused, or goes to the target that was there before."""
    with balancer(registration_s=3600.0) as nlb:
        nlb.register(talkers[1].address)
        assert nlb.states() == {talkers[1].address: "initial"}
        assert name(nlb) == ""
        nlb.register(talkers[0].address, at_once=True)
        eventually(lambda: nlb.states()[talkers[0].address] == "unhealthy")
        assert {name(nlb) for _ in range(4)} == {ONE}


def test_deregistering_ends_the_target_s_connections_and_no_others(talkers: tuple[Talker, Talker]) -> None:
    """Connection termination, with a delay of 0."""
    with balancer() as nlb:
        for talker in talkers:
            nlb.register(talker.address)
        eventually(lambda: set(nlb.states().values()) == {"unhealthy"})
        connections = dict(reversed(connect(nlb)) for _ in range(2))
        nlb.deregister(talkers[0].address)
        with contextlib.suppress(ConnectionResetError):
            assert connections[ONE].recv(16) == b""
        connections[TWO].sendall(b"still there")
        assert connections[TWO].recv(16) == b"still there"
        for sock in connections.values():
            sock.close()
