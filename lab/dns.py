"""DNS of the lab: an authoritative server and a caching resolver that ages its cache in lab time.

Both speak UDP and TCP on one port (RFC 1035, RFC 7766) so that `dig` and every client library work. The TTL
on the wire is the published one; the resolver's cache runs on the lab's clock, so 60 s last 60 lab seconds.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset

from lab.clock import LabClock

UDP_PLAIN_BYTES = 512
"""Largest UDP reply to a client without EDNS (RFC 1035, 2.3.4)."""
UDP_EDNS_BYTES = 1232
TCP_IDLE_WALL_S = 5.0
MAX_TCP = 64
"""TCP connections at once; the next one is closed."""
UPSTREAM_WALL_S = 1.0
UPSTREAM_TRIES = 2
MAX_CACHE = 10_000
MAX_NEGATIVE_S = 3 * 3600.0
"""Longest that a negative answer is kept (RFC 2308, 5)."""
BIND_TRIES = 20
STOP_WALL_S = 3.0


@dataclass(frozen=True)
class RRset:
    """Records of one name and type; ttl_s in whole seconds, values in presentation form."""

    name: str
    rtype: str
    ttl_s: int
    values: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """What an authority says: rcode NOERROR, NXDOMAIN or REFUSED, the records, and in a negative answer the
    zone's SOA."""

    rcode: str
    rrsets: tuple[RRset, ...] = ()
    soa: RRset | None = None


Authority = Callable[[str, str, str], Answer]
"""(name in lower case with its final dot, record type, client's address) -> Answer."""


class _Server:
    """UDP and TCP sockets on one address; `_reply` answers one message."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._tcp_slots = threading.BoundedSemaphore(MAX_TCP)
        self._turns = itertools.count()
        self._udp: socket.socket
        self._tcp: socket.socket

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, the real one after `start`."""
        return self.host, self.port

    def start(self) -> None:
        """Bind both sockets, then serve. OSError when the address or port is not to be had."""
        self._udp, self._tcp = _bind(self.host, self.port)
        self.port = self._udp.getsockname()[1]
        for name, target in (("udp", self._serve_udp), ("tcp", self._serve_tcp)):
            thread = threading.Thread(target=target, name=f"dns-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Close the sockets and end the threads."""
        self._stopping.set()
        # A datagram and a connection to ourselves end the two blocking waits on every system.
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as knock:
            knock.sendto(b"", self.address)
        with contextlib.suppress(OSError), socket.create_connection(self.address, 1.0):
            pass
        for thread in self._threads:
            thread.join(STOP_WALL_S)
        self._udp.close()
        self._tcp.close()

    def _serve_udp(self) -> None:
        while not self._stopping.is_set():
            try:
                data, client = self._udp.recvfrom(65535)
            except OSError:
                continue  # a client that is gone makes the next receive fail on some systems
            if data and not self._stopping.is_set():
                self._on_datagram(data, client)

    def _on_datagram(self, data: bytes, client: tuple[str, int]) -> None:
        if (reply := self._message(data, client[0], udp=True)) is not None:
            with contextlib.suppress(OSError):
                self._udp.sendto(reply, client)

    def _serve_tcp(self) -> None:
        while not self._stopping.is_set():
            try:
                conn, client = self._tcp.accept()
            except OSError:
                continue
            if self._stopping.is_set() or not self._tcp_slots.acquire(blocking=False):
                conn.close()
                continue
            threading.Thread(target=self._converse, args=(conn, client[0]), daemon=True).start()

    def _converse(self, conn: socket.socket, client: str) -> None:
        try:
            conn.settimeout(TCP_IDLE_WALL_S)
            with conn, conn.makefile("rb") as reader:
                while (head := reader.read(2)) and len(head) == 2:
                    data = reader.read(int.from_bytes(head, "big"))
                    if (reply := self._message(data, client, udp=False)) is None:
                        return
                    conn.sendall(len(reply).to_bytes(2, "big") + reply)
        except OSError:
            pass  # idle too long, or gone
        finally:
            self._tcp_slots.release()

    def _message(self, data: bytes, client: str, udp: bool) -> bytes | None:
        try:
            query = dns.message.from_wire(data)
        except dns.exception.DNSException:
            return None  # nothing that could be answered
        if query.flags & dns.flags.QR:
            return None
        reply = dns.message.make_response(query)
        if query.opcode() != dns.opcode.QUERY:
            reply.set_rcode(dns.rcode.NOTIMP)
        elif len(query.question) != 1:
            reply.set_rcode(dns.rcode.FORMERR)
        else:
            asked = query.question[0]
            name = asked.name.to_text().lower()
            self._fill(reply, name, dns.rdatatype.to_text(asked.rdtype), client)
        room = 65535 if not udp else UDP_EDNS_BYTES if query.edns >= 0 else UDP_PLAIN_BYTES
        return _wire(reply, room)

    def _fill(self, reply: dns.message.Message, name: str, rtype: str, client: str) -> None:
        raise NotImplementedError

    def _write(self, reply: dns.message.Message, answer: Answer) -> None:
        reply.set_rcode(dns.rcode.from_text(answer.rcode))
        turn = next(self._turns)
        for rrset in answer.rrsets:
            reply.answer.append(_rrset(rrset, turn))
        if answer.soa and not answer.rrsets:
            reply.authority.append(_rrset(answer.soa, 0))


class Authoritative(_Server):
    """Answers from an `Authority`; addresses of one answer take turns in going first."""

    def __init__(self, host: str, port: int, answer: Authority) -> None:
        super().__init__(host, port)
        self._answer = answer

    def _fill(self, reply: dns.message.Message, name: str, rtype: str, client: str) -> None:
        answer = self._answer(name, rtype, client)
        if answer.rcode != "REFUSED":
            reply.flags |= dns.flags.AA
        self._write(reply, answer)


@dataclass(frozen=True)
class _Cached:
    """An answer and the lab time (epoch seconds) at which it was got and at which it ends."""

    answer: Answer
    since_s: float
    until_s: float


class CachingResolver(_Server):
    """Asks one authority, and again only after the TTL has passed in lab time.

    host is also the address from which it asks: the authority may answer each Region's resolver differently.
    """

    def __init__(self, host: str, port: int, upstream: tuple[str, int], clock: LabClock) -> None:
        super().__init__(host, port)
        self._upstream = upstream
        self._clock = clock
        self._lock = threading.Lock()
        self._cache: dict[tuple[str, str], _Cached] = {}
        self._pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="dns-upstream")

    def stop(self) -> None:
        """As every server, and no more questions to the upstream."""
        super().stop()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def flush(self) -> None:
        """Forget every answer, as an operator may do with a real resolver."""
        with self._lock:
            self._cache.clear()

    def _on_datagram(self, data: bytes, client: tuple[str, int]) -> None:
        # In a thread of the pool: a slow upstream must not hold up those whose answer is cached.
        with contextlib.suppress(RuntimeError):  # stopped meanwhile
            self._pool.submit(super()._on_datagram, data, client)

    def _fill(self, reply: dns.message.Message, name: str, rtype: str, client: str) -> None:
        reply.flags |= dns.flags.RA
        cached = self._fresh(name, rtype) or self._ask(name, rtype)
        if cached is None:
            reply.set_rcode(dns.rcode.SERVFAIL)
            return
        age_s = self._clock.now_s() - cached.since_s
        aged = tuple(_aged(rrset, age_s) for rrset in cached.answer.rrsets)
        soa = cached.answer.soa and _aged(cached.answer.soa, age_s)
        self._write(reply, replace(cached.answer, rrsets=aged, soa=soa))

    def _fresh(self, name: str, rtype: str) -> _Cached | None:
        with self._lock:
            cached = self._cache.get((name, rtype))
        return cached if cached and self._clock.now_s() < cached.until_s else None

    def _ask(self, name: str, rtype: str) -> _Cached | None:
        answer = self._query(name, rtype)
        if answer is None:
            return None
        now_s = self._clock.now_s()
        cached = _Cached(answer, now_s, now_s + _lifetime_s(answer))
        with self._lock:
            if len(self._cache) >= MAX_CACHE:
                self._cache.clear()
            self._cache[(name, rtype)] = cached
        return cached

    def _query(self, name: str, rtype: str) -> Answer | None:
        query = dns.message.make_query(name, rtype, use_edns=0)
        query.flags &= ~dns.flags.RD
        host, port = self._upstream
        for _ in range(UPSTREAM_TRIES):
            try:
                reply, _ = dns.query.udp_with_fallback(
                    query, host, timeout=UPSTREAM_WALL_S, port=port, source=self.host
                )
            except (OSError, dns.exception.DNSException):
                continue
            if reply.rcode() in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
                return _read(reply)
            return None  # REFUSED, SERVFAIL: the only authority has no answer
        return None


def _bind(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """A UDP and a TCP socket on the same port; with port 0 on a port that is free for both."""
    for attempt in range(BIND_TRIES):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            udp.bind((host, port))
            tcp = socket.create_server((host, udp.getsockname()[1]), backlog=64)
        except OSError:
            udp.close()
            if port or attempt == BIND_TRIES - 1:
                raise
            continue
        return udp, tcp
    raise AssertionError("unreachable")


def _wire(reply: dns.message.Message, room: int) -> bytes:
    try:
        # Unshuffled: the order is ours, so that addresses really take turns.
        return reply.to_wire(max_size=room, want_shuffle=False)
    except dns.exception.TooBig:
        reply.answer.clear()
        reply.authority.clear()
        reply.flags |= dns.flags.TC
        return reply.to_wire(max_size=room)


def _rrset(rrset: RRset, turn: int) -> dns.rrset.RRset:
    first = turn % max(1, len(rrset.values))
    values = rrset.values[first:] + rrset.values[:first]
    return dns.rrset.from_text(rrset.name, rrset.ttl_s, "IN", rrset.rtype, *values)


def _read(reply: dns.message.Message) -> Answer:
    rrsets = tuple(_from_wire(found) for found in reply.answer)
    soa = next((_from_wire(r) for r in reply.authority if r.rdtype == dns.rdatatype.SOA), None)
    return Answer(dns.rcode.to_text(reply.rcode()), rrsets, soa)


def _from_wire(found: dns.rrset.RRset) -> RRset:
    rtype = dns.rdatatype.to_text(found.rdtype)
    return RRset(found.name.to_text(), rtype, found.ttl, tuple(rdata.to_text() for rdata in found))


def _lifetime_s(answer: Answer) -> float:
    """How long an answer may be kept: its shortest TTL, or by RFC 2308 the lesser of SOA TTL and minimum."""
    if answer.rrsets:
        return float(min(rrset.ttl_s for rrset in answer.rrsets))
    if answer.soa is None:
        return 0.0
    minimum_s = float(answer.soa.values[0].split()[-1])
    return min(float(answer.soa.ttl_s), minimum_s, MAX_NEGATIVE_S)


def _aged(rrset: RRset, age_s: float) -> RRset:
    return replace(rrset, ttl_s=max(0, int(rrset.ttl_s - age_s)))
