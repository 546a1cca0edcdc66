"""How Route 53 chooses what to answer: pure functions over plain records.

Rules: Route 53 developer guide, "How Amazon Route 53 chooses records when health checking is configured",
"How Amazon Route 53 determines whether a record is healthy" and "Choosing between alias and non-alias
records". Not played: geolocation, geoproximity, IP-based and CIDR routing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from lab.dns import Answer, RRset

ALIAS_TO_BALANCER_TTL_S = 60
"""TTL of an alias to a load balancer; it cannot be set."""
MAX_CHASE = 8
"""CNAMEs and aliases followed for one question."""
MAX_MULTIVALUE = 8
"""Records of a multivalue answer."""
DEFAULT_SOA = "ns-2048.awsdns-64.com. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400"
SOA_TTL_S = 900


@dataclass(frozen=True)
class Alias:
    """Where an alias record points; target in lower case with its final dot."""

    target: str
    evaluate_health: bool = False


@dataclass(frozen=True)
class Record:
    """One record set as stored; name in lower case with its final dot.

    failover: "PRIMARY" or "SECONDARY"; weight: 0 to 255; region: latency routing. An alias has no values.
    """

    name: str
    rtype: str
    ttl_s: int = 0
    values: tuple[str, ...] = ()
    alias: Alias | None = None
    failover: str | None = None
    weight: int | None = None
    region: str | None = None
    multivalue: bool = False
    health_check: str | None = None


@dataclass(frozen=True)
class Zone:
    """A hosted zone; name in lower case with its final dot."""

    name: str
    records: tuple[Record, ...]


class World(Protocol):
    """What the rules need to know of the rest of the lab."""

    def healthy(self, health_check: str) -> bool:
        """Whether Route 53 holds that health check for healthy now."""
        ...

    def addresses(self, balancer: str) -> Sequence[str]:
        """Addresses of the load balancer with that DNS name (no final dot); empty when there is none."""
        ...

    def balancer_healthy(self, balancer: str) -> bool:
        """Whether a load balancer counts as healthy for EvaluateTargetHealth."""
        ...


@dataclass(frozen=True)
class Question:
    """nearest: Regions from the client's point of view, nearest first. draw: a number in [0, 1)."""

    name: str
    rtype: str
    nearest: tuple[str, ...] = ()
    draw: Callable[[], float] = lambda: 0.0


def answer(zones: Sequence[Zone], question: Question, world: World) -> Answer:
    """What Route 53 answers; REFUSED for a name outside the zones."""
    zone = zone_of(zones, question.name)
    if zone is None:
        return Answer("REFUSED")
    rrsets = tuple(_follow(zones, zone, question, world))
    if rrsets:
        return Answer("NOERROR", rrsets)
    exists = any(_covers(record.name, question.name) for record in zone.records)
    return Answer("NOERROR" if exists else "NXDOMAIN", soa=soa_of(zone))


def zone_of(zones: Sequence[Zone], name: str) -> Zone | None:
    """The most specific zone that contains the name."""
    inside = [zone for zone in zones if name == zone.name or name.endswith(f".{zone.name}")]
    return max(inside, key=lambda zone: len(zone.name), default=None)


def soa_of(zone: Zone) -> RRset:
    """The zone's SOA, Route 53's usual one when none is stored."""
    for record in zone.records:
        if record.rtype == "SOA" and record.name == zone.name and record.values:
            return RRset(zone.name, "SOA", record.ttl_s, record.values)
    return RRset(zone.name, "SOA", SOA_TTL_S, (DEFAULT_SOA,))


def _covers(stored: str, name: str) -> bool:
    """Whether a stored name makes `name` exist: itself, something below it, or a wildcard."""
    wildcard = stored.startswith("*.") and name.endswith(stored[1:])
    return stored == name or stored.endswith(f".{name}") or wildcard


def _follow(zones: Sequence[Zone], zone: Zone, question: Question, world: World, depth: int = 0) -> Iterator[RRset]:
    if depth >= MAX_CHASE:
        return
    chosen = choose(_at(zone, question.name, question.rtype), question, zones, world)
    if chosen:
        yield from _rrsets(zones, chosen, question, world)
        return
    cname = choose(_at(zone, question.name, "CNAME"), question, zones, world)
    if not cname:
        return
    yield from _rrsets(zones, cname, question, world)
    target = cname[0].values[0].lower() if cname[0].values else ""
    if target and (there := zone_of(zones, target)):
        yield from _follow(zones, there, _asking(question, target), world, depth + 1)


def _at(zone: Zone, name: str, rtype: str) -> list[Record]:
    exact = [record for record in zone.records if record.name == name]
    if not exact:
        exact = [r for r in zone.records if r.name.startswith("*.") and name.endswith(r.name[1:])]
    return [record for record in exact if record.rtype == rtype]


def _asking(question: Question, name: str) -> Question:
    return Question(name, question.rtype, question.nearest, question.draw)


def _rrsets(zones: Sequence[Zone], chosen: Sequence[Record], question: Question, world: World) -> Iterator[RRset]:
    first = chosen[0]
    if first.alias is None:
        values = tuple(value for record in chosen for value in record.values)
        yield RRset(question.name, first.rtype, first.ttl_s, values)
        return
    target = first.alias.target
    if there := zone_of(zones, target):
        for rrset in _follow(zones, there, _asking(question, target), world, 1):
            if rrset.rtype == first.rtype:
                yield RRset(question.name, rrset.rtype, rrset.ttl_s, rrset.values)
    elif addresses := tuple(world.addresses(target.rstrip("."))):
        yield RRset(question.name, first.rtype, ALIAS_TO_BALANCER_TTL_S, addresses)


def choose(records: Sequence[Record], question: Question, zones: Sequence[Zone], world: World) -> list[Record]:
    """The records, of those with the asked name and type, from which the answer is made."""
    if not records:
        return []
    good = [record for record in records if record_healthy(record, zones, world)]
    if any(record.failover for record in records):
        return _failover(records, good)
    if any(record.weight is not None for record in records):
        return _weighted(records, good, question.draw)
    # With every record unhealthy all count as healthy: the mode of last resort.
    usable = good or list(records)
    if any(record.region for record in records):
        return _latency(usable, question.nearest)
    if any(record.multivalue for record in records):
        return usable[:MAX_MULTIVALUE]
    return [records[0]]


def _failover(records: Sequence[Record], good: Sequence[Record]) -> list[Record]:
    """Primary when it is healthy, else the secondary when that is, else the primary again."""
    by_role = {record.failover: record for record in records}
    primary, secondary = by_role.get("PRIMARY"), by_role.get("SECONDARY")
    for record in (primary, secondary):
        if record is not None and record in good:
            return [record]
    last = primary or secondary
    return [last] if last else []


def _weighted(records: Sequence[Record], good: Sequence[Record], draw: Callable[[], float]) -> list[Record]:
    """By weight among the healthy; weight 0 only when no healthy record has more."""
    for pool in (good, records):
        heavy = [record for record in pool if record.weight]
        if heavy:
            return [_drawn(heavy, [float(record.weight or 0) for record in heavy], draw())]
        if pool:
            return [_drawn(pool, [1.0] * len(pool), draw())]
    return []


def _drawn(records: Sequence[Record], weights: Sequence[float], draw: float) -> Record:
    mark = draw * sum(weights)
    for record, weight in zip(records, weights, strict=True):
        mark -= weight
        if mark < 0:
            return record
    return records[-1]


def _latency(usable: Sequence[Record], nearest: Sequence[str]) -> list[Record]:
    rank = {region: place for place, region in enumerate(nearest)}
    return [min(usable, key=lambda record: rank.get(record.region or "", len(rank)))]


def record_healthy(record: Record, zones: Sequence[Zone], world: World, depth: int = 0) -> bool:
    """Without a health check and without EvaluateTargetHealth a record is always healthy."""
    if record.health_check and not world.healthy(record.health_check):
        return False
    if record.alias is None or not record.alias.evaluate_health or depth >= MAX_CHASE:
        return True
    target = record.alias.target
    there = zone_of(zones, target)
    if there is None:
        return world.balancer_healthy(target.rstrip("."))
    # An alias to a group of records is healthy while one of them is.
    group = _at(there, target, record.rtype)
    return any(record_healthy(member, zones, world, depth + 1) for member in group)
