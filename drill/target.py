"""A target: which system is drilled, where, by which names, and what it promises. Data only, from one TOML file.

All durations are target seconds (AWS's own seconds; lab time in the lab). Every problem of a file is reported at
once. Models are frozen; a lab fills in `connection` after it has started.
"""

from __future__ import annotations

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
    ValidationError,
    field_validator,
    model_validator,
)

from drill.errors import Refused, UsageError
from drill.evidence import Evidence
from drill.ip_ranges import take_ip_ranges
from drill.probing import Probing
from drill.redact import redacted
from drill.safety import Access, Safety
from drill.service_level import ServiceLevel
from drill.sign_on import SignOn
from drill.target_checks import contradictions, valid_tables
from drill.target_tables import (
    BlastRadius,
    Connection,
    Dns,
    Lab,
    LagMetric,
    Objectives,
    Regions,
    Resource,
    Timings,
)
from drill.verdict import unit_of
from drill.write_path import Load, WritePath
from drill.write_path import Table as _Table

__all__ = [
    "GLOBAL",
    "BlastRadius",
    "Connection",
    "Dns",
    "LagMetric",
    "Objectives",
    "Regions",
    "Resource",
    "Target",
    "Timings",
    "WritePath",
    "bearer_of",
    "load_target",
    "problems_in",
    "require_breakable",
    "schema_text",
]

GLOBAL = "global"
"""The key of [blast_radius.resources] for what lies in no Region by its ARN (an Aurora global cluster)."""
NAMED_BEFORE_ID = ("targetgroup/", "task/")
"""How the end of an ARN begins in which an id follows the name: the group's own; a task's cluster's, its only one."""
SETTABLE = ("objectives", "timings")
"""The tables that `--set` may override: never account, Regions or blast radius."""
SETTABLE_SAFETY = ("dead_man_s", "lease_wall_s")
"""What `--set safety.*` may override: when a drill that is gone is put back, never whether."""


@functools.lru_cache(maxsize=256)
def _network(cidr: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    # Every look of every witness is classified: parsing the ranges anew each time would be most of the cost.
    return ipaddress.ip_network(cidr)


class Target(_Table):
    """One system under test. `load_target` reads it; `digest` names its content."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    kind: Literal["lab", "aws"]
    production: bool = False
    """A production target is drilled only when its name is typed: `--production NAME`."""
    system: str
    account: str = Field(pattern=r"^\d{12}$")
    endpoint: str = Field(pattern=r"^(https?|postgresql|mysql)://")
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
    service_level: ServiceLevel | None = None
    """Recovery is judged by it too, where there is one."""
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
    """The `--set` options in force, and how its lab is set otherwise; with any it is never eligible for a gate."""

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
        problems = list(contradictions(dict(self)))
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def digest(self) -> str:
        """sha256 of the target's content without the connection and what people say of its drills (hex)."""
        content = self.model_dump(mode="json", exclude={"connection", "overrides", "evidence"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def unit(self) -> str:
        """What a target second is called: "lab s" in a lab."""
        return unit_of(self.kind)

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
        """`endpoint` with the connection's scheme and port, without a trailing slash."""
        port, scheme = self.connection.http_port, self.connection.scheme
        bare = endpoint.rstrip("/")
        if scheme is not None:
            bare = f"{scheme}://{bare.partition('://')[2]}"
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
            f"  {line}" for line in contradictions(valid_tables(raw)) if not any(line in seen for seen in lines)
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


def schema_text() -> str:
    """The JSON Schema of a target file, for editors (docs/schema/target.schema.json). `load_target` asks for more."""
    made = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Target.model_json_schema()}
    return json.dumps(made, indent=2) + "\n"


def problems_in(error: ValidationError) -> Iterable[str]:
    """A line a problem: key, what is wrong, what was found there."""
    for item in error.errors(include_url=False):
        key = ".".join(str(part) for part in item["loc"]) or "(whole file)"
        # A secret that somebody put where it does not belong must not be told on.
        value = redacted({str(item["loc"][-1]) if item["loc"] else "": item["input"]})
        found = "" if isinstance(item["input"], Mapping) else f"; found {next(iter(value.values()))!r}"
        yield f"  {key}: {item['msg'].removeprefix('Value error, ')}{found}"
