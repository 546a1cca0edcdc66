"""A network that loses packets at random between some clients and some addresses.

As in lab.black_hole: who listens attaches a filter to its own sockets (Linux, any user). This one drops a share of
what certain clients send: new SYNs at a listener, data and acknowledgements at what it has accepted. TCP sends again
as over any bad line: after 200 ms, 400 ms, ... data, after 1 s, 2 s, ... a SYN. Everybody else's packets pass.

Sources: linux/filter.h and Documentation/networking/filter.rst of the Linux kernel.
"""

from __future__ import annotations

import ctypes
import ipaddress
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

SO_ATTACH_FILTER = 26
"""<asm-generic/socket.h>; Python's socket module has no name for it."""
CLIENT = "127.0.0.1"
"""Where a process on this machine connects from that chooses no address: load, witnesses and read-back of a drill, a
person's curl. Canaries and services of a lab connect from addresses of their own."""

_LOAD = 0x20
"""BPF_LD | BPF_W | BPF_ABS: four bytes of the packet, or what the kernel knows beside it."""
_SENDER = 0xFFF00000 + 12
"""SKF_NET_OFF and the offset of the source address in an IPv4 header."""
_RANDOM = 0xFFFFF000 + 56
"""SKF_AD_OFF + SKF_AD_RANDOM: 32 random bits."""
_EQUAL, _AT_LEAST = 0x15, 0x35
"""BPF_JMP | BPF_JEQ or BPF_JGE | BPF_K: how many instructions to skip if so, and if not."""
_RETURN = 0x06
"""BPF_RET | BPF_K: keep so many bytes of the packet; 0 drops it."""
_WHOLE = 0xFFFFFFFF
_DICE = 2**32


class Attachable(Protocol):
    """A socket, or what asyncio shows of one."""

    def setsockopt(self, level: int, name: int, value: bytes, /) -> None:
        """See socket.socket."""


@dataclass(frozen=True)
class Loss:
    """`percent` (0 to 100) of all packets that `clients` send to an address in `networks` are lost.

    clients: IPv4 addresses; networks: IPv4 networks or addresses.
    """

    percent: float
    networks: tuple[str, ...]
    clients: tuple[str, ...] = (CLIENT,)

    @classmethod
    def from_json(cls, value: Mapping[str, Any] | None) -> Loss | None:
        """From what dataclasses.asdict made of one, after JSON; None stays None."""
        return None if value is None else cls(value["percent"], tuple(value["networks"]), tuple(value["clients"]))

    def covers(self, host: str) -> bool:
        """Whether anything that is sent to that address is lost."""
        address = ipaddress.IPv4Address(host)
        return self.percent > 0 and any(address in ipaddress.IPv4Network(network) for network in self.networks)

    def attach(self, sock: Attachable) -> None:
        """Lose what arrives at this socket, and at those that it accepts; takes the place of any other filter."""
        attach(sock, tuple(_program(self.percent, self.clients)))


def attach(sock: Attachable, program: Sequence[tuple[int, int, int, int]]) -> None:
    """Filter what arrives at a socket. program: (code, skip if so, skip if not, operand) of classic BPF."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    fprog = struct.pack("HP", len(program), ctypes.addressof(code))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, fprog)


DROP_ALL = ((_RETURN, 0, 0, 0),)


def _program(percent: float, clients: Sequence[str]) -> Iterator[tuple[int, int, int, int]]:
    """Whose packet is it? Anybody else's passes; one of theirs passes when the dice say so."""
    yield _LOAD, 0, 0, _SENDER
    for left, client in zip(range(len(clients), 0, -1), clients, strict=True):
        yield _EQUAL, left, 0, int(ipaddress.IPv4Address(client))
    yield _RETURN, 0, 0, _WHOLE
    yield _LOAD, 0, 0, _RANDOM
    yield _AT_LEAST, 0, 1, min(_DICE - 1, round(percent / 100 * _DICE))
    yield _RETURN, 0, 0, _WHOLE if percent < 100 else 0
    yield _RETURN, 0, 0, 0
