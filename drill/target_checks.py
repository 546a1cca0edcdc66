"""Values of a target file that cannot all be meant. Pure: the tables in, one sentence a contradiction out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import (
    ValidationError,
)

from drill.limits import Limits
from drill.safety import Access, Safety
from drill.service_level import ServiceLevel
from drill.sign_on import SignOn
from drill.target_tables import Objectives, Regions, Timings
from drill.write_path import CLEANED, Load, WritePath
from drill.write_path import Table as _Table


def contradictions(tables: Mapping[str, Any]) -> Iterable[str]:
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
        yield from _uncleanable(load, writes)
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
    yield from _unseen_level(tables)
    yield from _misplaced_secrets(kind, tables)
    regions, endpoints = tables.get("regions"), tables.get("regional_endpoints")
    if regions and isinstance(endpoints, Mapping):
        for region in sorted({regions.primary, regions.standby} - endpoints.keys()):
            yield f"regional_endpoints has no entry for {region}"


def _uncleanable(load: Load, writes: WritePath) -> Iterable[str]:
    """A residue that nobody can bring about."""
    if load.residue != CLEANED:
        return
    if writes.protocol != "sql":
        yield (
            f"load.residue is 'cleaned', and a target of protocol {writes.protocol!r} has no known way to delete "
            "what was written: say 'left'"
        )
    if writes.balance_path is not None:
        yield "load.residue is 'cleaned', and what adds up to balances is evidence account by account: say 'left'"


def _unseen_level(tables: Mapping[str, Any]) -> Iterable[str]:
    """A service level that no look can tell."""
    level, timings, writes = tables.get("service_level"), tables.get("timings"), tables.get("writes")
    if not isinstance(level, ServiceLevel):
        return
    if timings and level.window_s > timings.sustained_s:
        yield (
            f"service_level.window_s is {level.window_s:g}: longer than timings.sustained_s "
            f"({timings.sustained_s:g}), so the drill would end before the level can be seen to be held again"
        )
    if writes and writes.protocol == "sql":
        yield "service_level is taken from quick looks over HTTP, of which a target that speaks SQL has none"


def _misplaced_secrets(kind: object, tables: Mapping[str, Any]) -> Iterable[str]:
    """Real credentials where a lab is drilled, and those of a lab where it is not."""
    if kind == "lab" and tables.get("access") not in (None, {}, Access()):
        yield "[access] is for kind 'aws': a lab accepts any credentials and must never be shown real ones"
    sign_on = tables.get("sign_on")
    if kind == "aws" and isinstance(sign_on, SignOn) and sign_on.password:
        yield "[sign_on] password is for a lab: name the environment variable of a real one with password_env"


def valid_tables(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of a raw file that are valid by themselves."""
    models: dict[str, type[_Table]] = {
        "objectives": Objectives,
        "timings": Timings,
        "load": Load,
        "writes": WritePath,
        "regions": Regions,
        "safety": Safety,
    }
    if "service_level" in raw:
        models["service_level"] = ServiceLevel
    found = {key: raw.get(key) for key in ("kind", "lab", "regional_endpoints", "resources", "access")}
    for name, model in models.items():
        with contextlib.suppress(ValidationError):
            found[name] = model.model_validate(raw.get(name, {}))
    return found
