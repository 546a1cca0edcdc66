"""A part of the network from which nothing comes and into which nothing goes: no answer, and no refusal either.

On loopback there is nothing between two ends that could lose packets, and a firewall would need rights over the
whole machine. So who listens there attaches to its own sockets a filter that drops every packet (Linux, any user):
the kernel then answers neither a SYN nor data, and the peer's own TCP tries again and at last gives up. What a
process there was about to say it keeps to itself (`Dark.lifted`).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import ipaddress
import socket
import struct
from collections.abc import Iterable, Sequence
from typing import Protocol

SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
"""<asm-generic/socket.h>; Python's socket module has no names for them."""
_RETURN = 0x06
"""BPF_RET | BPF_K: keep so many bytes of the packet; 0 drops it."""


class Filtered(Protocol):
    """A socket, or what asyncio shows of one."""

    def setsockopt(self, level: int, name: int, value: int | bytes, /) -> None:
        """See socket.socket."""

    def getsockname(self) -> tuple[str, int]:
        """See socket.socket."""


def deafen(sock: Filtered) -> None:
    """Drop every packet that arrives at this socket, and at those that it accepts."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", _RETURN, 0, 0, 0))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(program)))


def hear(sock: Filtered) -> None:
    """Undo `deafen`; what is sent again from now on arrives."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
    except OSError as error:
        if error.errno != errno.ENOENT:  # it was not deaf
            raise


class Dark:
    """Which networks are cut off now, for the sockets of one process that lie in them; inside its event loop."""

    def __init__(self) -> None:
        self._networks: tuple[ipaddress.IPv4Network, ...] = ()
        self._changed = asyncio.Event()

    def set(self, networks: Sequence[str], sockets: Iterable[Filtered]) -> None:
        """Cut these networks off and no others. sockets: all that the process has open."""
        self._networks = tuple(map(ipaddress.IPv4Network, networks))
        for sock in sockets:
            self.apply(sock)
        self._changed.set()
        self._changed = asyncio.Event()

    def apply(self, sock: Filtered) -> None:
        """Make a socket deaf or not, as its own address has it now."""
        with contextlib.suppress(OSError):  # it was closed meanwhile
            (deafen if self.covers(sock.getsockname()[0]) else hear)(sock)

    def admit(self, sock: Filtered) -> None:
        """The same for one just accepted: it may have been waiting for that when its address was cut off."""
        if self._networks:
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
