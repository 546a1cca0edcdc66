"""A part of the network from which nothing comes and into which nothing goes: no answer, and no refusal either.

On loopback there is nothing between two ends that could lose packets, and a firewall would need rights over the
whole machine. So who listens there attaches to its own sockets a filter that drops every packet (Linux, any user):
the kernel then answers neither a SYN nor data, and the peer's own TCP tries again and at last gives up. What a
process there was about to say it keeps to itself (`Dark.lifted`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from typing import Protocol

from lab.packet_loss import DROP_ALL, Loss, attach

SO_DETACH_FILTER = 27
"""<asm-generic/socket.h>; Python's socket module has no name for it."""


class Filtered(Protocol):
    """A socket, or what asyncio shows of one."""

    def setsockopt(self, level: int, name: int, value: int | bytes, /) -> None:
        """See socket.socket."""

    def getsockname(self) -> tuple[str, int]:
        """See socket.socket."""


def deafen(sock: Filtered) -> None:
    """Drop every packet that arrives at this socket, and at those that it accepts."""
    attach(sock, DROP_ALL)


def hear(sock: Filtered) -> None:
    """Undo `deafen`, or a loss; what is sent again from now on arrives."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
    except OSError as error:
        if error.errno != errno.ENOENT:  # it has no filter
            raise


class Dark:
    """Which networks are cut off or lose packets now, for the sockets of one process; inside its event loop.

    A socket has one filter at most: in a network that is cut off a loss makes no difference.
    """

    def __init__(self) -> None:
        self._networks: tuple[ipaddress.IPv4Network, ...] = ()
        self._loss: Loss | None = None
        self._ever = False
        self._changed = asyncio.Event()

    def set(self, networks: Sequence[str], sockets: Iterable[Filtered]) -> None:
        """Cut these networks off and no others. sockets: all that the process has open."""
        self._networks = tuple(map(ipaddress.IPv4Network, networks))
        self._apply_all(sockets)
        self._changed.set()
        self._changed = asyncio.Event()

    def lose(self, loss: Loss | None, sockets: Iterable[Filtered]) -> None:
        """Lose packets so, or none any more. sockets: all that the process has open."""
        self._loss = loss
        self._apply_all(sockets)

    def _apply_all(self, sockets: Iterable[Filtered]) -> None:
        self._ever = True
        for sock in sockets:
            self.apply(sock)

    def apply(self, sock: Filtered) -> None:
        """Give a socket the filter that its own address has now, or none."""
        with contextlib.suppress(OSError):  # it was closed meanwhile
            host = sock.getsockname()[0]
            if self.covers(host):
                deafen(sock)
            elif self._loss is not None and self._loss.covers(host):
                self._loss.attach(sock)
            else:
                hear(sock)

    def admit(self, sock: Filtered) -> None:
        """The same for one just accepted, which has its listener's filter of when it was opened."""
        if self._ever:
            self.apply(sock)

    def covers(self, host: str) -> bool:
        """Whether that address is cut off."""
        return within(host, self._networks)

    async def lifted(self, host: str) -> None:
        """Wait until that address is not cut off."""
        while self.covers(host):
            await self._changed.wait()


def within(host: str, networks: Iterable[ipaddress.IPv4Network]) -> bool:
    """Whether an address lies in one of these networks."""
    address = ipaddress.IPv4Address(host)
    return any(address in network for network in networks)
