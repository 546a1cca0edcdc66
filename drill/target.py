"""A target: which system is drilled, where, by which names, and what it promises. Data only, from one TOML file.

All durations are target seconds (AWS's own seconds; lab time in the lab). Every problem of a file is reported at
once. Models are frozen; a lab fills in `connection` after it has started.
"""

from __future__ import annotations

import contextlib
import fnmatch
import functools
import hashlib
import ipaddress
import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    PositiveFloat,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from drill.errors import Refused, UsageError
from drill.evidence import Evidence
from drill.ip_ranges import Ranges, take_ip_ranges
from drill.limits import Limits
from drill.probing import Probing
from drill.redact import redacted
from drill.safety import Access, Safety
from drill.sign_on import SignOn
from drill.write_path import Load, WritePath
from drill.write_path import Table as _Table

REGION = r"^[a-z]{2}(-[a-z]+)+-\d$"
GLOBAL = "global"
"""The key of [blast_radius.resources] for what lies in no Region by its ARN (an Aurora global cluster)."""
NAMED_BEFORE_ID = "targetgroup/"
"""How the end of an ARN begins in which an id follows the name."""
SETTABLE = ("objectives", "timings")
"""The tables that `--set` may override: never account, Regions or blast radius."""
SETTABLE_SAFETY = ("dead_man_s", "lease_wall_s")
"""What `--set safety.*` may override: when a drill that is gone is put back, never whether."""


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
    http_port: port that replaces the one in the endpoint URLs, None to leave them.
    """

    aws_endpoint: str | None = None
    authoritative: tuple[str, ...] = ()
    resolvers: dict[str, str] = Field(default_factory=dict)
    http_port: int | None = None


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


class Target(_Table):
    """One system under test. `load_target` reads it; `digest` names its content."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    kind: Literal["lab", "aws"]
    production: bool = False
    """A production target is drilled only when its name is typed: `--production NAME`."""
    system: str
    account: str = Field(pattern=r"^\d{12}$")
    endpoint: str = Field(pattern=r"^(https?|postgresql)://")
    """The URL that users use."""
    regional_endpoints: dict[str, str]
    """Region -> URL that bypasses failover (used to read written data back from the survivor)."""
    regions: Regions
    dns: Dns
    resources: dict[str, Resource]
    writes: WritePath
    values: dict[str, str] = Field(default_factory=dict)
    """Names that only the scenarios of this system need (an instance, an address)."""
    load: Load
    objectives: Objectives
    timings: Timings = Timings()
    probing: Probing = Probing()
    blast_radius: BlastRadius
    safety: Safety = Safety()
    access: Access = Access()
    lab: Lab | None = None
    sign_on: SignOn | None = None
    """Who the clients are, of a system that serves nobody without a token."""
    lag_metrics: dict[str, LagMetric] = Field(default_factory=dict)
    """Name of a data store -> its own lag metric: shown beside the recovery point, never judged."""
    connection: Connection = Connection()
    evidence: Evidence = Evidence()
    """What people say of its drills; no part of the digest: another participant does not make it another target."""
    overrides: tuple[str, ...] = ()
    """The `--set` options in force; a target with any is never eligible for a gate."""

    @field_validator("endpoint", "regional_endpoints")
    @classmethod
    def _no_credentials(cls, value: str | dict[str, str]) -> str | dict[str, str]:
        # The address of a target is in every report: a password in it would be too.
        urls = [value] if isinstance(value, str) else value.values()
        if any("@" in url.partition("://")[2].partition("/")[0] for url in urls):
            raise ValueError("a user name or password in a URL; take it out")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Target:
        problems = list(_contradictions(dict(self)))
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def digest(self) -> str:
        """sha256 of the target's content without the connection and what people say of its drills (hex)."""
        content = self.model_dump(mode="json", exclude={"connection", "overrides", "evidence"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def resource(self, key: str) -> Resource:
        """The resource of that key. UsageError names the known ones."""
        try:
            return self.resources[key]
        except KeyError:
            known = ", ".join(sorted(self.resources))
            raise UsageError(f"target {self.name}: no resource {key!r}; known: {known}") from None

    def value(self, key: str) -> str:
        """That one of `[values]`. UsageError names the known ones."""
        try:
            return self.values[key]
        except KeyError:
            known = ", ".join(sorted(self.values)) or "none"
            raise UsageError(
                f"target {self.name}: [values] has no {key!r}, which this scenario needs; known: {known}"
            ) from None

    def region_of(self, address: str) -> str | None:
        """The Region whose CIDRs hold `address` (longest prefix), None when none does."""
        return self.regions.region_of(address)

    def require_inside_blast_radius(self, region: str, name: str) -> None:
        """Refused unless `name` in `region` is declared breakable."""
        patterns = self.blast_radius.resources.get(region, [])
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
            raise Refused(
                f"{name} in {region} is outside the blast radius of target {self.name} "
                f"(allowed there: {patterns or 'nothing'}); add it to [blast_radius.resources] if it may be broken"
            )

    def url(self, endpoint: str) -> str:
        """`endpoint` with the connection's port, without a trailing slash."""
        port = self.connection.http_port
        bare = endpoint.rstrip("/")
        return bare if port is None else f"{bare}:{port}"


def bearer_of(arn: str) -> str:
    """The ARN of what bears the tags and the name of a resource: an execution has neither, its state machine has."""
    parts = arn.split(":")
    if parts[2:3] == ["states"] and parts[5:6] == ["execution"] and len(parts) == 8:
        return ":".join([*parts[:5], "stateMachine", parts[6]])
    return arn


def require_breakable(target: Target, arn: str) -> None:
    """Refused unless the resource lies in the target's account and inside its blast radius.

    arn: partition:service:region:account:rest, the last part of which names the resource; a service that is the same
    in every account leaves the account empty.
    """
    parts = bearer_of(arn).split(":", 5)
    if len(parts) != 6:
        raise Refused(f"{arn!r} is no ARN, so nobody knows whether it may be broken; nothing was touched")
    region, account, rest = parts[3:]
    if account not in ("", target.account):
        raise Refused(
            f"{arn} is in account {account}, target {target.name} is {target.account}: nothing was touched; use the "
            "credentials of the target's account"
        )
    named = rest.split("/")[1] if rest.startswith(NAMED_BEFORE_ID) else rest.rpartition("/")[2]
    target.require_inside_blast_radius(region or GLOBAL, named.rpartition(":")[2])


def load_target(path: Path, settings: Iterable[str] = ()) -> Target:
    """Read, override and validate a target file.

    settings: "objectives.rto_s=5" strings. UsageError lists every problem at once: file, key, found, expected.
    """
    try:
        raw = tomllib.loads(path.read_text())
    except FileNotFoundError:
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.toml") if not p.stem.endswith(".example")))
        raise UsageError(f"unknown target {path.stem!r}: no file {path}; known targets: {known or 'none'}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as TOML: {error}") from error
    try:
        take_ip_ranges(raw, path)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path}: regions.ip_ranges: {error}; fetch https://ip-ranges.amazonaws.com/ip-ranges.json beside it"
        ) from error
    overrides = tuple(settings)
    for setting in overrides:
        _override(raw, setting)
    try:
        return Target.model_validate(raw | {"overrides": overrides})
    except ValidationError as error:
        lines = list(problems_in(error))
        lines += [
            f"  {line}" for line in _contradictions(_valid_tables(raw)) if not any(line in seen for seen in lines)
        ]
        raise UsageError(f"{path}: {len(lines)} problem(s)\n" + "\n".join(lines)) from None


def _override(raw: dict[str, Any], setting: str) -> None:
    key, equals, value = setting.partition("=")
    table, _, name = key.partition(".")
    allowed = table in SETTABLE or (table == "safety" and name in SETTABLE_SAFETY)
    if not equals or not allowed or not name:
        known = [*(f"{t}.*" for t in SETTABLE), *(f"safety.{n}" for n in SETTABLE_SAFETY)]
        raise UsageError(
            f"--set {setting}: only KEY=VALUE with KEY in {' or '.join(known)} can be set "
            "(never account, Regions or blast radius); example: --set objectives.rto_s=300"
        )
    try:
        raw.setdefault(table, {})[name] = float(value)
    except ValueError:
        raise UsageError(f"--set {setting}: {value!r} is not a number of seconds") from None


def _contradictions(tables: Mapping[str, Any]) -> Iterable[str]:
    """Values that cannot all be meant; tables that are missing or invalid are None and take no part."""
    kind, lab = tables.get("kind"), tables.get("lab")
    if kind in ("lab", "aws") and (kind == "lab") != (lab is not None):
        yield f"kind is {kind!r} but the [lab] table is {'missing' if lab is None else 'present'}"
    objectives, timings = tables.get("objectives"), tables.get("timings")
    if objectives and timings:
        needed = max(objectives.rto_s, objectives.failback_rto_s) + timings.sustained_s
        if timings.window_s < needed:
            yield (
                f"timings.window_s is {timings.window_s:g}: shorter than the longest recovery objective plus "
                f"timings.sustained_s ({needed:g}), so a miss could not be told from a late recovery"
            )
    load, writes = tables.get("load"), tables.get("writes")
    if load and writes:
        for name in sorted(set(load.task) - writes.kinds.keys()):
            yield f"load.task names {name!r}, which is not in writes.kinds {sorted(writes.kinds)}"
    safety, resources = tables.get("safety"), tables.get("resources")
    if safety and isinstance(resources, Mapping):
        for key in safety.stop_alarms:
            if key not in resources or not key.endswith("_alarm"):
                known = sorted(k for k in resources if k.endswith("_alarm"))
                yield f"safety.stop_alarms names {key!r}, which is no alarm of [resources] {known}"
    if safety and kind == "aws" and safety.lease_wall_s <= Limits().worst_call_s:
        yield (
            f"safety.lease_wall_s is {safety.lease_wall_s:g}: one call to a Region that does not answer may take "
            f"{Limits().worst_call_s:g} s, and a drill that waits for it must not be taken for hung"
        )
    yield from _misplaced_secrets(kind, tables)
    regions, endpoints = tables.get("regions"), tables.get("regional_endpoints")
    if regions and isinstance(endpoints, Mapping):
        for region in sorted({regions.primary, regions.standby} - endpoints.keys()):
            yield f"regional_endpoints has no entry for {region}"


def _misplaced_secrets(kind: object, tables: Mapping[str, Any]) -> Iterable[str]:
    """Real credentials where a lab is drilled, and those of a lab where it is not."""
    if kind == "lab" and tables.get("access") not in (None, {}, Access()):
        yield "[access] is for kind 'aws': a lab accepts any credentials and must never be shown real ones"
    sign_on = tables.get("sign_on")
    if kind == "aws" and isinstance(sign_on, SignOn) and sign_on.password:
        yield "[sign_on] password is for a lab: name the environment variable of a real one with password_env"


def _valid_tables(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of a raw file that are valid by themselves."""
    models: dict[str, type[_Table]] = {
        "objectives": Objectives,
        "timings": Timings,
        "load": Load,
        "writes": WritePath,
        "regions": Regions,
        "safety": Safety,
    }
    found = {key: raw.get(key) for key in ("kind", "lab", "regional_endpoints", "resources", "access")}
    for name, model in models.items():
        with contextlib.suppress(ValidationError):
            found[name] = model.model_validate(raw.get(name, {}))
    return found


def problems_in(error: ValidationError) -> Iterable[str]:
    """A line a problem: key, what is wrong, what was found there."""
    for item in error.errors(include_url=False):
        key = ".".join(str(part) for part in item["loc"]) or "(whole file)"
        # A secret that somebody put where it does not belong must not be told on.
        value = redacted({str(item["loc"][-1]) if item["loc"] else "": item["input"]})
        found = "" if isinstance(item["input"], Mapping) else f"; found {next(iter(value.values()))!r}"
        yield f"  {key}: {item['msg'].removeprefix('Value error, ')}{found}"
