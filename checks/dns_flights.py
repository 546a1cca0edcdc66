"""Looks at names: raw questions to one DNS server over one UDP socket, thousands of names a second.

Each look is one datagram, asked once, matched to its answer by id and question. What an answer says is kept apart:
addresses (OK when they are the expected ones, or any when none are expected), NXDOMAIN and NODATA (FAIL: there is no
address), SERVFAIL and REFUSED (UNKNOWN for a name; where `silence_fails` is set, FAIL: a user gets nothing either
way). No answer in time is FAIL, except where only the name is asked about (`silence`). An answer that is cut off (TC)
has no meaning here and is UNKNOWN.
"""

from __future__ import annotations

import select
import socket
import struct
from dataclasses import dataclass, field
from functools import cached_property

from checks.flights import FAIL, OK, SO_TIMESTAMPNS, UNKNOWN, Ancillary, Flight, Loop

TC, RCODES = 0x0200, {0: "NOERROR", 2: "SERVFAIL", 3: "NXDOMAIN", 5: "REFUSED"}
A, IN_CLASS = 1, 1
BUFFER_BYTES = 1024 * 1024
MOST_READ = 4096
MALFORMED = (struct.error, IndexError, ValueError, OSError)


@dataclass(frozen=True)
class Reply:
    """What an answer says. ttl_s: the least of its records (as on the wire); truncated: nothing else counts."""

    rcode: str
    addresses: tuple[str, ...]
    ttl_s: int
    truncated: bool = False

    @cached_property
    def value(self) -> str:
        """The addresses, comma-joined."""
        return ",".join(self.addresses)

    @cached_property
    def said(self) -> str:
        """TTL and return code in words."""
        return "truncated" if self.truncated else f"ttl={self.ttl_s} rcode={self.rcode}"


def question(name: str, recursive: bool) -> bytes:
    """The wire form of "A of name", with id 0. ValueError for what is no name."""
    labels = [label.encode("idna") for label in name.rstrip(".").split(".")]
    if not all(0 < len(label) < 64 for label in labels):
        raise ValueError(f"{name!r} is not a DNS name")
    wire = b"".join(bytes((len(label),)) + label for label in labels)
    return struct.pack(">HHHHHH", 0, 0x0100 if recursive else 0, 1, 0, 0, 0) + wire + b"\0\0\1\0\1"


def read_reply(data: bytes) -> Reply:
    """Read an answer; one of MALFORMED for what is none."""
    _, flags, questions, answers, _, _ = struct.unpack_from(">HHHHHH", data)
    at = 12
    for _ in range(questions):
        at = _after_name(data, at) + 4
    addresses, ttls = [], []
    for _ in range(answers):
        at = _after_name(data, at)
        kind, _, ttl, length = struct.unpack_from(">HHIH", data, at)
        at += 10
        ttls.append(ttl)
        if kind == A and length == 4:
            addresses.append(socket.inet_ntoa(data[at : at + 4]))
        at += length
    rcode = RCODES.get(flags & 0xF, str(flags & 0xF))
    if rcode == "NOERROR" and not addresses:
        rcode = "NODATA"
    return Reply(rcode, tuple(sorted(addresses)), min(ttls, default=0), bool(flags & TC))


def _after_name(data: bytes, at: int) -> int:
    while data[at]:
        if data[at] >= 0xC0:
            return at + 2
        at += data[at] + 1
    return at + 1


class DnsServer:
    """One server and the looks that wait for it. Belongs to one loop, which `begin` of its aims hands over."""

    def __init__(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self._sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._sock.connect((host, port))
        self._read: dict[bytes, Reply] = {}
        self._waiting: dict[int, DnsFlight] = {}
        self._next = 0
        self._watched = False

    def ask(self, flight: DnsFlight) -> None:
        """Send the question of a look."""
        if not self._watched:
            flight.loop.watch(self._sock.fileno(), select.EPOLLIN, self._readable)
            self._watched = True
        self._next = (self._next + 1) & 0xFFFF
        flight.number = self._next
        old = self._waiting.get(self._next)
        if old is not None and not old.over:
            flight.loop.ended(flight, UNKNOWN, "too many questions in the air")
            return
        self._waiting[self._next] = flight
        try:
            self._sock.send(self._next.to_bytes(2, "big") + flight.aim.wire)
        except OSError as error:  # an earlier datagram came back as "port unreachable"
            flight.loop.ended(flight, FAIL if flight.aim.silence_fails else UNKNOWN, type(error).__name__)

    def forget(self, flight: DnsFlight) -> None:
        """Nobody waits for it any more."""
        if self._waiting.get(flight.number) is flight:
            del self._waiting[flight.number]

    def _readable(self, mask: int) -> None:
        waiting, receive = self._waiting, self._sock.recvmsg
        while True:
            try:
                data, extra, _, _ = receive(4096, 64)
            except (BlockingIOError, ConnectionError):
                return
            number = int.from_bytes(data[:2], "big")
            flight = waiting.get(number)
            if flight is not None and flight.aim.asks(data):
                del waiting[number]
                flight.answered(self._reply(data), extra)
            if not waiting:  # nothing more is expected: do not ask the kernel once more to hear so
                return

    def _reply(self, data: bytes) -> Reply | None:
        """What an answer says, None when it is none. Answers repeat themselves but for the id."""
        said = data[2:]
        reply = self._read.get(said)
        if reply is None:
            try:
                reply = read_reply(data)
            except MALFORMED:
                return None
            if len(self._read) >= MOST_READ:
                self._read.clear()
            self._read[said] = reply
        return reply


@dataclass
class DnsAim:
    """One name at one server. See checks.flights.Aim.

    good: the addresses that are right, () for any; silence_fails: whether no usable answer is a failure; silence: the
    outcome of a look that nobody answered in time.
    """

    probe: str
    vantage: str
    interval_s: float
    quick_interval_s: float
    deadline_s: float
    server: DnsServer
    name: str
    recursive: bool = True
    good: tuple[str, ...] = ()
    silence_fails: bool = False
    silence: int = FAIL
    offset_s: float = 0.0
    wire: bytes = field(init=False)
    """The question, without the id before it."""

    def __post_init__(self) -> None:
        self.wire = question(self.name, self.recursive)[2:]
        self._asked = self.wire[10:]
        self._last: tuple[Reply | None, int] = (None, UNKNOWN)

    def begin(self, loop: Loop, now_s: float) -> None:
        """See checks.flights.Aim."""
        self.server.ask(DnsFlight(self, now_s, loop))

    def asks(self, data: bytes) -> bool:
        """Whether that is the question of this answer; servers may change its case."""
        asked = self._asked
        return data.startswith(asked, 12) or data[12 : 12 + len(asked)].lower() == asked.lower()

    def outcome(self, reply: Reply) -> int:
        """What an answer means for this name."""
        last, outcome = self._last
        if reply is not last:  # answers repeat themselves, and a server hands out the same object then
            outcome = self._outcome(reply)
            self._last = reply, outcome
        return outcome

    def _outcome(self, reply: Reply) -> int:
        if reply.truncated or reply.rcode not in ("NOERROR", "NODATA", "NXDOMAIN"):
            return FAIL if self.silence_fails else UNKNOWN
        right = all(address in self.good for address in reply.addresses) if self.good else True
        return OK if reply.addresses and right else FAIL


class DnsFlight(Flight):
    """One question and its answer."""

    __slots__ = ("loop", "number")
    aim: DnsAim

    def __init__(self, aim: DnsAim, sent_s: float, loop: Loop) -> None:
        Flight.__init__(self, aim, sent_s, "", aim.silence)
        self.loop, self.number = loop, -1
        loop.flew(self)

    def answered(self, reply: Reply | None, extra: Ancillary) -> None:
        """An answer has come; None: it makes no sense."""
        if reply is None:
            self.loop.ended(self, FAIL if self.aim.silence_fails else UNKNOWN, "malformed answer")
            return
        self.value = reply.value
        self.loop.ended(self, self.aim.outcome(reply), reply.said, extra)

    def gone(self) -> None:
        """See Flight."""
        self.aim.server.forget(self)
