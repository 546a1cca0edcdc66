"""The configuration of everything that a target names, as AWS tells it, as JSON: taken before and after a drill.

Read-only: every call is data, and one that is not a Describe, Get or List is refused before it is made. What could
not be read is listed under "unknown" with the reason and is never left out silently. What changes by itself is
dropped by a declared table, so that two snapshots of an untouched system are equal.

A snapshot: {"format", "when", "at_s" (monotonic wall seconds), "resources": {key: {"kind", "region", "name", "arn",
"reads": {operation: reply}}}, "unknown": {key: reason}}. Keys are those of the target's [resources], and "dns" for
the hosted zones of its name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from checks.kinds_read import READERS
from checks.reader import COULD_NOT_READ, Reader, clean
from drill.asked_once import AskedOnce
from drill.aws import Aws
from drill.call import Call
from drill.clock import Clock
from drill.end_state import ZONE
from drill.find import find
from drill.redact import redacted
from drill.target import Target
from drill.whole_file import replace_file

FORMAT = 1
MAX_PAGES = 100
AWS_NAMES = (".endpoint.events.amazonaws.com",)
"""Endings of names that AWS serves for a resource of ours: there is no zone of the account to compare."""


def take_snapshot(aws: Aws, target: Target, clock: Clock, when: Literal["before", "after"]) -> dict[str, Any]:
    """The configuration of everything the target names. Never raises for what AWS says or does not say.

    when: before or after the drill.
    """
    reader, looking = Reader(aws, clock), AskedOnce(aws)
    resources: dict[str, Any] = {}
    unknown: dict[str, str] = {}
    for key in (*sorted(target.resources), *([ZONE] if target.dns.hosted else [])):
        region = target.regions.primary if key == ZONE else target.resource(key).region
        try:
            resources[key] = (
                _zones(aws, reader, target) if key == ZONE else _resource(aws, looking, reader, target, key)
            )
        except COULD_NOT_READ as error:
            reader.note(region, error)
            unknown[key] = f"{type(error).__name__}: {error}".replace("\n", " ")[:300]
    made = {"format": FORMAT, "when": when, "at_s": clock.monotonic_s()}
    return made | {"resources": resources, "unknown": unknown}


def write_snapshot(path: Path, snapshot: Mapping[str, Any]) -> None:
    """Write it, whole or not at all. OSError (a full disk) passes."""
    replace_file(path, json.dumps(redacted(snapshot), indent=1, sort_keys=True, allow_nan=False) + "\n")


def _resource(aws: Aws, looking: AskedOnce, reader: Reader, target: Target, key: str) -> dict[str, Any]:
    """looking: by which what stands for the key is found; what it is set to is always asked anew."""
    reader.require_time(target.resource(key).region)
    found = find(looking, target, key)
    reads: dict[str, Any] = {}
    for name, reply in READERS[found.kind](aws, reader, found):
        reads[name] = reply
    return {"kind": found.kind, "region": found.region, "name": found.name, "arn": found.arn, "reads": reads}


def _zones(aws: Aws, reader: Reader, target: Target) -> dict[str, Any]:
    """Every hosted zone, public or private, that is authoritative for the target's name, its records and checks."""
    region = target.regions.primary  # the service is global; any Region's client reaches it
    reader.require_time(region)
    reads: dict[str, Any] = {}
    zones = [] if target.dns.name.endswith(AWS_NAMES) else _zones_of(aws, region, target.dns.name)
    if not zones and not target.dns.name.endswith(AWS_NAMES):
        raise LookupError(f"no hosted zone of this account holds {target.dns.name}")
    for zone in zones:
        short = zone.rpartition("/")[2]
        call = Call("route53", "GetHostedZone", {"Id": short}, region)
        records = _pages(aws, region, "list_resource_record_sets", "ResourceRecordSets", HostedZoneId=short)
        reads[f"{call.operation} {short}"] = reader.read(call)
        reads[f"ListResourceRecordSets {short}"] = clean("ListResourceRecordSets", {"ResourceRecordSets": records})
        for check in sorted({r["HealthCheckId"] for r in records if "HealthCheckId" in r}):
            look = Call("route53", "GetHealthCheck", {"HealthCheckId": check}, region)
            reads[f"{look.operation} {check}"] = reader.read(look)
    return {"kind": "route53.zones", "region": "", "name": target.dns.name, "arn": ",".join(zones), "reads": reads}


def _zones_of(aws: Aws, region: str, name: str) -> list[str]:
    """The ids of the zones with the longest name that `name` lies in."""
    dotted = "." + name.rstrip(".") + "."
    zones = _pages(aws, region, "list_hosted_zones", "HostedZones")
    holding = [z for z in zones if dotted.endswith("." + z["Name"])]
    longest = max((len(z["Name"]) for z in holding), default=0)
    return sorted(z["Id"] for z in holding if len(z["Name"]) == longest)


def _pages(aws: Aws, region: str, operation: str, field: str, **params: Any) -> list[dict[str, Any]]:
    """All items of an operation that botocore can page. ValueError beyond MAX_PAGES: never cut off silently."""
    items: list[dict[str, Any]] = []
    pages = aws.client("route53", region).get_paginator(operation).paginate(**params)
    for number, page in enumerate(pages):
        if number >= MAX_PAGES:
            raise ValueError(f"route53 {operation} has more than {MAX_PAGES} pages")
        items += page[field]
    return items
