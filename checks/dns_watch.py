"""The witness of names: what each server answers for the public name, look after look.

Each server is a vantage of its own: "authoritative" (a second one "authoritative:2"), "resolver:<region>" and, for a
target whose connection names no resolver, "resolver:system". What clients experience is the resolvers' answer; the
authoritative one tells when the switch was made. Nothing is cached here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from checks.schedule import Monotonic, keep_schedule
from drill.clock import Clock
from drill.resolver import NO_ADDRESS, Answer, query, query_system
from drill.target import Target
from drill.timeline import Observation, Outcome

INTERVAL_S = 1.0
"""Target seconds between two looks at a server."""
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
    return Observation(answer.asked_s, answer.answered_s, "dns", vantage, _outcome(answer), answer.value, detail)


def _outcome(answer: Answer) -> Outcome:
    if answer.addresses:
        return Outcome.OK
    return Outcome.FAIL if answer.rcode in NO_ADDRESS else Outcome.UNKNOWN


def interval_wall_s(speed: float) -> float:
    """Wall seconds between two looks at a server."""
    return max(INTERVAL_FLOOR_S, INTERVAL_S / speed)


def start(
    target: Target, clock: Clock, stop: threading.Event, add: Callable[[Observation], None]
) -> list[threading.Thread]:
    """Watch every vantage, each in a thread of its own (a server that does not answer delays no other)."""
    everything = vantages(target)
    interval_s = interval_wall_s(clock.speed)
    began_s = clock.monotonic_s()
    threads = []
    for number, vantage in enumerate(everything):
        first_s = began_s + interval_s * number / len(everything)
        arguments = (target.dns.name, vantage, clock, stop, add, interval_s, first_s)
        threads.append(threading.Thread(target=_watch, args=arguments, name=f"dns {vantage.name}", daemon=True))
    for thread in threads:
        thread.start()
    return threads


def _watch(
    name: str,
    vantage: Vantage,
    clock: Clock,
    stop: threading.Event,
    add: Callable[[Observation], None],
    interval_s: float,
    first_s: float,
) -> None:
    now: Monotonic = clock
    keep_schedule(now, interval_s, stop, lambda: add(look(vantage, name, clock)), first_s=first_s)
