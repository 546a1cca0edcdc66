"""The tables of a target file that say where a system is and what it promises. All durations are target seconds."""

from __future__ import annotations

import functools
import ipaddress

from pydantic import (
    Field,
    NonNegativeFloat,
    PositiveFloat,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from drill.ip_ranges import Ranges
from drill.write_path import Table as _Table

REGION = r"^[a-z]{2}(-[a-z]+)+-\d$"


@functools.lru_cache(maxsize=256)
def _network(cidr: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    # Every look of every witness is classified: parsing the ranges anew each time would be most of the cost.
    return ipaddress.ip_network(cidr)


DIFFERENT = {
    False: "primary, standby and observer must be three different Regions",
    True: "with single, primary and standby are the same Region and observer another one",
}


class Regions(_Table):
    """The roles of the Regions and the address ranges that tell them apart."""

    primary: str = Field(pattern=REGION)
    standby: str = Field(pattern=REGION)
    observer: str = Field(pattern=REGION)
    cidrs: dict[str, list[str]]
    """Region -> CIDRs of its own addresses. Longest prefix wins."""
    ip_ranges: str | None = None
    """A copy of AWS's ip-ranges.json, relative to the target file; `load_target` takes from it what is needed."""
    ip_ranges_token: str | None = None
    """Its syncToken, filled in by `load_target`."""
    single: bool = False
    """The system lives in one Region: primary and standby are the same, and what moves does so inside it."""

    @model_validator(mode="after")
    def _consistent(self) -> Regions:
        if len({self.primary, self.standby, self.observer}) != (2 if self.single else 3):
            raise ValueError(DIFFERENT[self.single])
        missing = {self.primary, self.standby} - self.cidrs.keys()
        if missing:
            raise ValueError(f"cidrs has no entry for {', '.join(sorted(missing))}")
        for cidr in (c for ranges in self.cidrs.values() for c in ranges):
            ipaddress.ip_network(cidr)
        return self

    def region_of(self, address: str) -> str | None:
        """The Region whose CIDRs hold `address` (longest prefix), None when none does or it is no address."""
        if ":" in address:
            return self._region_of_v6(address)
        return self._ranges.region_of(address)

    @functools.cached_property
    def _ranges(self) -> Ranges:
        return Ranges(self.cidrs)

    def _region_of_v6(self, address: str) -> str | None:
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return None
        found = [
            (_network(cidr).prefixlen, region)
            for region, cidrs in self.cidrs.items()
            for cidr in cidrs
            if ip in _network(cidr)
        ]
        return max(found)[1] if found else None


class Dns(_Table):
    """The name that clients use."""

    name: str
    ttl_s: PositiveFloat = 60.0
    hosted: bool = True
    """Whether a hosted zone of the account holds it; AWS's own names (a database's endpoint) are in none."""


class Connection(_Table):
    """How the world is reached; empty on AWS (boto3's own endpoints, the machine's resolver).

    authoritative: "host:port" list, may be empty (private zone); resolvers: Region -> "host:port";
    http_port, scheme: the port and the scheme that replace those in the endpoint URLs, None to leave them.
    """

    aws_endpoint: str | None = None
    authoritative: tuple[str, ...] = ()
    resolvers: dict[str, str] = Field(default_factory=dict)
    http_port: int | None = None
    scheme: str | None = None


class Resource(_Table):
    """One thing in the account, found by shell-style patterns that must match exactly once.

    region: where; name: pattern of the resource's own name; within: pattern of its container (ECS cluster).
    """

    region: str = Field(pattern=REGION)
    name: str
    within: str | None = None


class Objectives(_Table):
    """What is judged, in target seconds."""

    rto_s: PositiveFloat
    rpo_s: NonNegativeFloat
    failback_rto_s: PositiveFloat
    failback_rpo_s: NonNegativeFloat
    unprocessed_s: PositiveFloat | None = None
    """For a system that delivers late what it has acknowledged: how far back the survivor's events may end at the
    instant of recovery. Not judged without it."""

    @model_serializer(mode="wrap")
    def _only_what_is_promised(self, dump: SerializerFunctionWrapHandler) -> dict[str, float]:
        return {name: limit_s for name, limit_s in dump(self).items() if limit_s is not None}


class Timings(_Table):
    """How long the drill looks, in target seconds."""

    baseline_s: PositiveFloat = 60.0
    bite_s: PositiveFloat = 120.0
    """A fault whose declared effect is not seen within this is a fault without bite."""
    decision_s: NonNegativeFloat = 0.0
    """How long the people who operate the system take from the first failure to their first step: an input, not a
    measurement, of a drill of a system that people move."""
    window_s: PositiveFloat = 900.0
    """Not recovered within this: never recovered."""
    sustained_s: PositiveFloat = 30.0
    """Recovered means no failure for this long."""
    settle_s: PositiveFloat = 60.0
    """Writes must have a terminal state this long after recovery."""
    probe_interval_s: PositiveFloat = 2.0
    probe_timeout_s: PositiveFloat = 20.0
    """A probe write that is not settled and read back within this has failed."""
    signals_interval_s: PositiveFloat = 5.0
    restore_timeout_s: PositiveFloat = 300.0


class Lab(_Table):
    """Which stand-in of lab/ serves this target."""

    system: str
    speed: PositiveFloat = 10.0
    settings: dict[str, str] = Field(default_factory=dict)


class BlastRadius(_Table):
    """What may be broken: patterns of resource names, per Region. Nothing else is ever touched."""

    resources: dict[str, list[str]]


class LagMetric(_Table):
    """A CloudWatch metric by which a data store itself says how far its replica is behind."""

    region: str = Field(pattern=REGION)
    namespace: str
    metric: str
    dimensions: dict[str, str] = Field(default_factory=dict)
