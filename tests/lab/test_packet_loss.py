"""A network that loses packets: the filter by itself, and at the load balancer's process."""

from __future__ import annotations

import math
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab.balancer import BalancerConfig, BalancerProcess, Rule
from lab.clock import LabClock
from lab.packet_loss import CLIENT, Loss
from tests.checks.worlds import eventually

LOSSY, OTHER, CANARY = "127.100.5.165", "127.100.9.84", "127.100.3.10"
PACKETS = 1000
ODDS = 1e-9
"""Of a test that fails although the filter is right."""
TALKS, LIMIT_S = 20, 30.0
"""Connections enough: with 30 % of the packets lost, fewer than one in a million of such sets has no repetition."""
SOON_S = 0.5
"""Longer than an answer over loopback takes, and than TCP's first repetition of data."""
REQUEST = b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
TOTAL_RETRANS = 8 + 23 * 4
"""Where tcpi_total_retrans stands in <linux/tcp.h>'s struct tcp_info: every segment that was sent again, SYNs too."""


def arrived(loss: Loss, sender: str) -> int:
    """How many of PACKETS datagrams from that address get through."""
    with (
        socket.socket(type=socket.SOCK_DGRAM) as receiver,
        socket.socket(type=socket.SOCK_DGRAM) as source,
    ):
        receiver.bind((LOSSY, 0))
        receiver.setblocking(False)
        loss.attach(receiver)
        source.bind((sender, 0))
        return sum(_passes(source, receiver) for _ in range(PACKETS))


def _passes(source: socket.socket, receiver: socket.socket) -> bool:
    source.sendto(b"-", receiver.getsockname())
    try:
        return receiver.recv(1) == b"-"
    except BlockingIOError:  # over loopback it would be there by now
        return False


def bounds(share: float) -> tuple[int, int]:
    """Between which counts so many of PACKETS lie with odds of 1 - ODDS."""
    chances = [math.comb(PACKETS, k) * share**k * (1 - share) ** (PACKETS - k) for k in range(PACKETS + 1)]
    low = next(k for k in range(PACKETS + 1) if math.fsum(chances[: k + 1]) > ODDS / 2)
    high = next(k for k in range(PACKETS, -1, -1) if math.fsum(chances[k:]) > ODDS / 2)
    return low, high


@pytest.mark.parametrize("percent", [5, 30, 70])
def test_the_share_that_was_asked_for_is_lost(percent: int) -> None:
    """Of a thousand packets as many as chance allows, neither more nor fewer."""
    low, high = bounds(1 - percent / 100)
    assert low <= arrived(Loss(percent, (LOSSY,)), CLIENT) <= high


def test_all_is_lost_or_nothing_at_the_ends() -> None:
    """100 % lets nothing through; 0 % is no loss anywhere."""
    assert arrived(Loss(100, (LOSSY,)), CLIENT) == 0
    assert arrived(Loss(0, (LOSSY,)), CLIENT) == PACKETS
    assert not Loss(0, (LOSSY,)).covers(LOSSY)


def test_only_what_clients_send_is_lost() -> None:
    """Everybody else's packets arrive at the very same socket, all of them; of several clients none is spared."""
    both = Loss(100, (LOSSY,), (CLIENT, "127.0.0.9"))
    assert [arrived(both, sender) for sender in (CANARY, "127.0.0.9", CLIENT)] == [PACKETS, 0, 0]


@pytest.fixture
def balancer() -> Iterator[BalancerProcess]:
    """A load balancer with two addresses."""
    clock = LabClock.starting_now(60.0)
    process = BalancerProcess(BalancerConfig("west", (LOSSY, OTHER), 0, [Rule("/a", "A")], clock), lambda *_: None)
    try:
        process.start()
        yield process
    finally:
        process.stop()


def retransmitted(address: str, port: int, sender: str, limit_s: float = LIMIT_S) -> int:
    """How many segments TALKS connections at once have sent again; one without an answer in time counts as one."""
    with ThreadPoolExecutor(TALKS) as pool:
        return sum(pool.map(lambda _: _sent_again(address, port, sender, limit_s), range(TALKS)))


def _sent_again(address: str, port: int, sender: str, limit_s: float) -> int:
    try:
        with socket.create_connection((address, port), limit_s, (sender, 0)) as sock:
            sock.sendall(REQUEST)
            assert sock.recv(65536).startswith(b"HTTP/1.1 400")
            return retransmissions(sock)
    except TimeoutError:
        return 1


def retransmissions(sock: socket.socket) -> int:
    """Of one connection, by the kernel's own count."""
    told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TOTAL_RETRANS + 4)
    return int(struct.unpack_from("I", told, TOTAL_RETRANS)[0])


def test_tcp_sends_again_what_a_client_lost_and_nobody_else_does(balancer: BalancerProcess) -> None:
    """By the kernel's count: between that client and that address; not to the other address, not from a canary."""
    balancer.lose(Loss(30, (LOSSY,)))
    eventually(lambda: retransmitted(LOSSY, balancer.port, CLIENT, SOON_S) > 0, LIMIT_S)
    assert retransmitted(LOSSY, balancer.port, CANARY) == 0
    assert retransmitted(OTHER, balancer.port, CLIENT) == 0


def test_a_loss_that_is_over_is_over_for_open_connections_too(balancer: BalancerProcess) -> None:
    """One that was opened in the loss has its listener's filter; afterwards it has none, as new ones have none."""
    balancer.lose(Loss(100, (OTHER,)))
    balancer.lose(Loss(50, (LOSSY,)))
    with socket.create_connection((LOSSY, balancer.port), LIMIT_S, (CLIENT, 0)) as old:
        balancer.lose(None)
        eventually(lambda: retransmitted(LOSSY, balancer.port, CLIENT) == 0, LIMIT_S)
        before = retransmissions(old)
        for _ in range(TALKS):
            old.sendall(REQUEST.replace(b"close", b"keep-alive"))
            assert old.recv(65536).startswith(b"HTTP/1.1 400")
        assert retransmissions(old) == before
    assert retransmitted(OTHER, balancer.port, CLIENT) == 0


def test_where_a_network_is_cut_off_it_loses_everything(balancer: BalancerProcess) -> None:
    """A canary, which no loss concerns, gets no answer there; when the hole is gone, the loss is still there."""
    balancer.lose(Loss(30, (LOSSY,)))
    balancer.cut_off([f"{LOSSY}/32"])
    eventually(lambda: not opens(balancer.port), LIMIT_S)
    balancer.cut_off([])
    eventually(lambda: opens(balancer.port), LIMIT_S)
    eventually(lambda: retransmitted(LOSSY, balancer.port, CLIENT, SOON_S) > 0, LIMIT_S)


def opens(port: int) -> bool:
    """Whether a canary's connection opens soon."""
    try:
        socket.create_connection((LOSSY, port), SOON_S, (CANARY, 0)).close()
    except TimeoutError:
        return False
    return True
