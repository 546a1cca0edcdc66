"""The witness of names: what each server answers for the public name, look after look.

Each server is a vantage of its own: "authoritative" (a second one "authoritative:2"), "resolver:<region>" and, for a
target whose connection names no resolver, "resolver:system". What clients experience is the resolvers' answer; the
authoritative one tells when the switch was made. Nothing is cached here. Servers are asked by the quick witness
(checks/pulse.py): gently, and as quickly as the target allows from just before an injection until recovery is
sustained, so that each server's switch lies within tight bounds.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass

from checks.dns_flights import DnsAim, DnsServer
from checks.flights import UNKNOWN
from checks.schedule import keep_schedule
from drill.clock import Clock
from drill.probes import DNS
from drill.resolver import NO_ADDRESS, Answer, host_port, query, query_system
from drill.target import Target
from drill.timeline import Observation, Outcome

INTERVAL_S = 1.0
"""Target seconds between two looks at a server while nothing is expected."""
INTERVAL_FLOOR_S = 0.1
TIMEOUT_S = 1.0
"""Wall seconds that a server has for its answer."""


@dataclass(frozen=True)
class Vantage:
    """One server to ask. name: the observations' vantage; server: "host:port", None for the machine's resolver."""

    name: str
    server: str | None


def vantages(target: Target) -> tuple[Vantage, ...]:
    """Every authoritative server and every resolver of the target's connection."""
    connection = target.connection
    authoritative = tuple(
        Vantage("authoritative" if number == 1 else f"authoritative:{number}", server)
        for number, server in enumerate(connection.authoritative, start=1)
    )
    resolvers = tuple(Vantage(f"resolver:{region}", server) for region, server in connection.resolvers.items())
    return authoritative + (resolvers or (Vantage("resolver:system", None),))


def look(vantage: Vantage, name: str, clock: Clock) -> Observation:
    """Ask once. OK: there is an address; FAIL: an answer that there is none; UNKNOWN: no usable answer in time."""
    if vantage.server is None:
        return observation(vantage.name, query_system(name, TIMEOUT_S, clock))
    return observation(vantage.name, query(vantage.server, name, TIMEOUT_S, clock))


def observation(vantage: str, answer: Answer) -> Observation:
    """An answer as evidence: value the sorted addresses, detail TTL (as on the wire) and return code."""
    detail = f"ttl={answer.ttl_s:g} rcode={answer.rcode}"
    return Observation(answer.asked_s, answer.answered_s, DNS, vantage, _outcome(answer), answer.value, detail)


def _outcome(answer: Answer) -> Outcome:
    if answer.addresses:
        return Outcome.OK
    return Outcome.FAIL if answer.rcode in NO_ADDRESS else Outcome.UNKNOWN


def intervals_wall_s(target: Target, speed: float) -> tuple[float, float]:
    """Wall seconds between two looks at a server: (while nothing is expected, while a window is open)."""
    most_s = 1 / target.probing.names_hz
    gentle_s = max(INTERVAL_FLOOR_S, INTERVAL_S / speed, most_s)
    return gentle_s, min(gentle_s, most_s)


def aims(target: Target, speed: float) -> list[DnsAim]:
    """What the quick witness asks: each server that is named, gently, and quickly while a window is open."""
    gentle_s, quick_s = intervals_wall_s(target, speed)
    named = [(vantage.name, vantage.server) for vantage in vantages(target) if vantage.server is not None]
    return [
        DnsAim(
            DNS,
            name,
            gentle_s,
            quick_s,
            TIMEOUT_S,
            DnsServer(*host_port(server)),
            target.dns.name,
            silence=UNKNOWN,
            offset_s=quick_s * number / len(named),
        )
        for number, (name, server) in enumerate(named)
    ]


def start(
    target: Target,
    clock: Clock,
    stop: threading.Event,
    add: Callable[[Observation], None],
    hurry: Callable[[], bool] = lambda: False,
) -> list[threading.Thread]:
    """Watch the machine's own resolver where it is a vantage: it is no server that can be asked over the wire.

    hurry: whether a window is open now; it is asked by this watch alone.
    """
    gentle_s, quick_s = intervals_wall_s(target, clock.speed)

    def interval_s() -> float:
        return quick_s if hurry() else gentle_s

    threads = [
        threading.Thread(
            target=keep_schedule,
            args=(clock, interval_s, stop, functools.partial(_look_once, vantage, target.dns.name, clock, add)),
            name=f"dns {vantage.name}",
            daemon=True,
        )
        for vantage in vantages(target)
        if vantage.server is None
    ]
    for thread in threads:
        thread.start()
    return threads


def _look_once(vantage: Vantage, name: str, clock: Clock, add: Callable[[Observation], None]) -> None:
    add(look(vantage, name, clock))
