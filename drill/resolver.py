"""Name resolution as one client does it: a query over the wire, and a cache that honours the TTL.

`query` asks one server once and keeps every kind of answer apart, because they mean different things to a witness:
NXDOMAIN and NODATA are answers ("there is no address"), TIMEOUT and SERVFAIL are the absence of one. `CachingClient`
is what a well-behaved client does with such answers: it keeps them for their TTL and not longer. The TTL on the wire
is in target seconds, so the cache ages by the target's speed.

Everything blocks on plain sockets: it works in threads, and under gevent when the process is patched first.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

from drill.clock import Clock, SystemClock
from drill.target import Target

NOERROR, NODATA, NXDOMAIN = "NOERROR", "NODATA", "NXDOMAIN"
SERVFAIL, REFUSED, TIMEOUT, ERROR = "SERVFAIL", "REFUSED", "TIMEOUT", "ERROR"
NO_ADDRESS = (NODATA, NXDOMAIN)
"""The answers that say, with authority, that there is no address."""

QUERY_TIMEOUT_WALL_S = 1.0
"""How long a client waits for one DNS server (wall seconds)."""
NEGATIVE_CAP_S = 1.0
"""No answer without an address is kept longer than this (target seconds): a client that gets none asks again soon."""
MAX_TTL_S = 86_400.0
MAX_NAMES = 256
GATES = 16


@dataclass(frozen=True)
class Answer:
    """What a name resolved to.

    addresses: in the order of the answer, () when there is none; ttl_s: target seconds that it may be kept (the
    least of its CNAME chain; the negative TTL of RFC 2308 when there is no address); asked_s, answered_s: monotonic
    wall seconds; rcode: NOERROR (there is an address), NODATA, NXDOMAIN, SERVFAIL, REFUSED, TIMEOUT, ERROR
    (malformed or unreachable) or another name of RFC 6895; server: "host:port", "system", or "" for a literal
    address; cached: it came out of the cache, and the stamps are those of the query that filled it.
    """

    name: str
    addresses: tuple[str, ...]
    ttl_s: float
    asked_s: float
    answered_s: float
    rcode: str
    server: str
    cached: bool = False

    @property
    def value(self) -> str:
        """The sorted addresses, comma-joined: the value of a "dns" observation."""
        return ",".join(sorted(self.addresses))


def query(server: str, name: str, timeout_wall_s: float, clock: Clock | None = None) -> Answer:
    """Ask `server` ("host:port", host a literal address) once for the A records of `name`.

    UDP, then TCP when the answer is truncated, within `timeout_wall_s` in all; nothing is asked twice. Never raises
    for what the network does: see `Answer.rcode`. ValueError when `server` or `name` is malformed.
    """
    clock = clock or SystemClock()
    host, port = host_port(server)
    message = dns.message.make_query(name, dns.rdatatype.A)
    asked_s = clock.monotonic_s()
    try:
        response = _exchange(message, host, port, asked_s + timeout_wall_s, clock)
        rcode, addresses, ttl_s = _read(response)
    except dns.exception.Timeout:
        rcode, addresses, ttl_s = TIMEOUT, (), 0.0
    except (dns.exception.DNSException, OSError, EOFError):
        rcode, addresses, ttl_s = ERROR, (), 0.0
    return Answer(name, addresses, ttl_s, asked_s, clock.monotonic_s(), rcode, server)


def host_port(server: str) -> tuple[str, int]:
    """The parts of "host:port" (an IPv6 address in brackets). ValueError when it is malformed."""
    host, colon, port = server.rpartition(":")
    if not colon or not port.isdigit():
        raise ValueError(f"DNS server {server!r}: expected host:port, for example 127.0.0.1:53")
    return host.strip("[]"), int(port)


def _exchange(
    message: dns.message.Message, host: str, port: int, deadline_s: float, clock: Clock
) -> dns.message.Message:
    # Not udp_with_fallback: its timeout counts twice when the answer is truncated, and here the deadline is total.
    # ignore_errors: a stray or forged datagram must not end the wait for the real answer.
    try:
        left = deadline_s - clock.monotonic_s()
        return dns.query.udp(message, host, left, port, raise_on_truncation=True, ignore_errors=True)
    except dns.message.Truncated:
        return dns.query.tcp(message, host, max(0.0, deadline_s - clock.monotonic_s()), port)


def _read(response: dns.message.Message) -> tuple[str, tuple[str, ...], float]:
    rcode = dns.rcode.to_text(response.rcode())
    if rcode not in (NOERROR, NXDOMAIN):
        return rcode, (), 0.0
    if not isinstance(response, dns.message.QueryMessage):
        return ERROR, (), 0.0
    chain = response.resolve_chaining()
    addresses = tuple(record.address for record in chain.answer or ())
    ttl_s = float(chain.minimum_ttl)
    if rcode == NOERROR and not addresses:
        return NODATA, (), ttl_s
    return rcode, addresses, ttl_s


def query_system(name: str, timeout_wall_s: float, clock: Clock | None = None) -> Answer:
    """Ask the machine's own resolver. It tells no TTL, so the answer's is 0: the machine does the caching.

    getaddrinfo takes no timeout, so it runs in a thread of its own that is left behind when it is too slow.
    """
    clock = clock or SystemClock()
    asked_s = clock.monotonic_s()
    found: list[tuple[str, tuple[str, ...]]] = []
    thread = threading.Thread(target=lambda: found.append(_getaddrinfo(name)), name=f"resolve {name}", daemon=True)
    thread.start()
    thread.join(timeout_wall_s)
    rcode, addresses = found[0] if found else (TIMEOUT, ())
    return Answer(name, addresses, 0.0, asked_s, clock.monotonic_s(), rcode, "system")


def _getaddrinfo(name: str) -> tuple[str, tuple[str, ...]]:
    try:
        records = socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)
    except socket.gaierror as error:
        no_name = {socket.EAI_NONAME: NXDOMAIN, socket.EAI_AGAIN: SERVFAIL}
        return no_name.get(error.errno or 0, NODATA if error.errno == socket.EAI_NODATA else ERROR), ()
    except (OSError, UnicodeError):
        return ERROR, ()
    return NOERROR, tuple(dict.fromkeys(str(record[4][0]) for record in records))


class CachingClient:
    """The resolver inside one simulated client: its cache, and the servers it asks.

    servers: "host:port", asked in this order until one answers (NXDOMAIN and NODATA are answers); none: the
    machine's own resolver, without a cache of ours. clock: its speed ages the TTLs. Safe to share among threads or
    greenlets; concurrent look-ups of one expired name cost one query.
    """

    def __init__(self, servers: Iterable[str], clock: Clock | None = None) -> None:
        self.servers = tuple(servers)
        self._clock = clock or SystemClock()
        self._kept: dict[str, Answer] = {}
        self._looked: dict[str, Answer] = {}
        self._gates = tuple(threading.Lock() for _ in range(GATES))

    @classmethod
    def for_target(cls, target: Target, clock: Clock, region: str | None = None) -> CachingClient:
        """The cache of one client of `target`.

        region: ask only that Region's resolver. Without it: the primary's first, then the others; a target whose
        connection names no resolver uses the machine's own.
        """
        known = target.connection.resolvers
        if region is not None:
            return cls([known[region]] if region in known else [], clock)
        primary = target.regions.primary
        return cls([known[r] for r in sorted(known, key=lambda r: (r != primary, r))], clock)

    def addresses(self, name: str, timeout_wall_s: float = QUERY_TIMEOUT_WALL_S) -> tuple[str, ...]:
        """The addresses of `name`, () when there is none or nobody answers within `timeout_wall_s`."""
        return self.resolve(name, timeout_wall_s).addresses

    def resolve(self, name: str, timeout_wall_s: float = QUERY_TIMEOUT_WALL_S) -> Answer:
        """The cached answer while its TTL lasts, else a new one, within `timeout_wall_s` in all."""
        return self._cached_or_asked(name, self._kept, timeout_wall_s)

    def would_answer(self, name: str, timeout_wall_s: float = QUERY_TIMEOUT_WALL_S) -> tuple[str, ...]:
        """What `addresses` would give now, without changing what a later call gives.

        For a client that does not resolve because it holds an open connection: a look from outside must not keep
        its cache warm. So a query that is needed fills a cache beside the client's own.
        """
        kept = self._fresh(name, self._kept)
        return (kept or self._cached_or_asked(name, self._looked, timeout_wall_s)).addresses

    def _cached_or_asked(self, name: str, cache: dict[str, Answer], timeout_wall_s: float) -> Answer:
        fresh = self._fresh(name, cache)
        return fresh or self._ask_once(name, cache, timeout_wall_s)

    def _ask_once(self, name: str, cache: dict[str, Answer], timeout_wall_s: float) -> Answer:
        start_s = self._clock.monotonic_s()
        gate = self._gates[hash(name) % GATES]
        if not gate.acquire(timeout=max(0.0, timeout_wall_s)):
            return Answer(name, (), 0.0, start_s, self._clock.monotonic_s(), TIMEOUT, "")
        try:
            left_s = timeout_wall_s - (self._clock.monotonic_s() - start_s)
            return self._fresh(name, cache) or self._ask(name, cache, left_s)
        finally:
            gate.release()

    def _fresh(self, name: str, cache: dict[str, Answer]) -> Answer | None:
        if _is_address(name):
            now_s = self._clock.monotonic_s()
            return Answer(name, (name,), MAX_TTL_S, now_s, now_s, NOERROR, "")
        kept = cache.get(name)
        if kept is None:
            return None
        # From the send, not the arrival: the server counted its TTL from somewhere between, and stale is worse.
        age_s = (self._clock.monotonic_s() - kept.asked_s) * self._clock.speed
        return replace(kept, cached=True) if age_s < kept.ttl_s else None

    def _ask(self, name: str, cache: dict[str, Answer], timeout_wall_s: float) -> Answer:
        answer = self._ask_servers(name, timeout_wall_s)
        if self.servers:
            cap_s = MAX_TTL_S if answer.addresses else NEGATIVE_CAP_S
            ttl_s = answer.ttl_s if answer.rcode in (NOERROR, *NO_ADDRESS) else NEGATIVE_CAP_S
            self._keep(replace(answer, ttl_s=min(ttl_s, cap_s)), cache)
        return answer

    def _ask_servers(self, name: str, timeout_wall_s: float) -> Answer:
        if not self.servers:
            return query_system(name, timeout_wall_s, self._clock)
        deadline_s = self._clock.monotonic_s() + timeout_wall_s
        for position, server in enumerate(self.servers):
            share_s = (deadline_s - self._clock.monotonic_s()) / (len(self.servers) - position)
            answer = query(server, name, min(QUERY_TIMEOUT_WALL_S, max(0.0, share_s)), self._clock)
            if answer.rcode in (NOERROR, *NO_ADDRESS):
                break
        return answer

    def _keep(self, answer: Answer, cache: dict[str, Answer]) -> None:
        cache.pop(answer.name, None)
        while len(cache) >= MAX_NAMES:
            cache.pop(next(iter(cache)), None)
        cache[answer.name] = answer


def _is_address(name: str) -> bool:
    try:
        socket.inet_aton(name)
    except OSError:
        return False
    return name.count(".") == 3
