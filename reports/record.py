"""drill.json: a drill in one record, for programs of others. Its JSON Schema is docs/schema/drill.schema.json.

It says which drill this was (run, target, release) and contains the judgement exactly as verdict.json has it. The
same evidence always gives the same bytes. All durations are target seconds (lab seconds for a target of kind lab).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from drill.calls_made import CallMade, calls_of
from drill.timeline import History
from drill.verdict import Interval, Judgement, Verdict, unit_of
from drill.whole_file import replace_file
from reports.overridden import overrides_of
from reports.summary import FORMAT as VERDICT_FORMAT
from reports.summary import summary_text

FORMAT = 1
DRILL_FILE = "drill.json"
DATA_RESIDUE = "data residue"
"""The finding about what was written (checks/data_residue.py)."""
SCHEMA_ID = "https://json-schema.org/draft/2020-12/schema"
Words = Literal["PASS", "INCONCLUSIVE", "INVALID", "FAIL", "DIRTY"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class IntervalRecord(_Record):
    """Bounds in target seconds. A side that is null is unbounded, and then `unbounded` is true."""

    low_s: float | None
    high_s: float | None
    unbounded: bool
    basis: list[str]

    def shown(self, unit: str) -> str:
        """The bounds with their unit."""
        return Interval(self.low, self.high).shown(unit)

    @property
    def low(self) -> float:
        """The lower bound; infinity when there is none."""
        return math.inf if self.low_s is None else self.low_s

    @property
    def high(self) -> float:
        """The upper bound; infinity when there is none."""
        return math.inf if self.high_s is None else self.high_s


class FindingRecord(_Record):
    """One judged question. limit_s: the objective, null when it has none; interval: what was measured, or null."""

    name: str
    verdict: Words
    reason: str
    limit_s: float | None
    interval: IntervalRecord | None
    advice: str
    data: dict[str, Any]


class PhaseRecord(_Record):
    """One step of the recovery, counted from the onset, with the clock that it was measured on."""

    name: str
    interval: IntervalRecord | None
    clock: str


class JudgementRecord(_Record):
    """The content of verdict.json. writes: window -> fate -> count."""

    format: Literal[1]
    verdict: Words
    exit_code: int
    findings: list[FindingRecord] = Field(min_length=1)
    phases: list[PhaseRecord]
    writes: dict[str, dict[str, int]]
    notes: list[str]

    @model_validator(mode="after")
    def _consistent(self) -> JudgementRecord:
        said = max((Verdict(f.verdict) for f in self.findings), key=lambda v: v.rank)
        if Verdict(self.verdict) is not said:
            raise ValueError(f"the verdict is {self.verdict}, its worst finding is {said.value}")
        if self.exit_code != said.exit_code:
            raise ValueError(f"exit code {self.exit_code} does not stand for {self.verdict}")
        return self


class RunRecord(_Record):
    """Which run. evidence: sha256 of the seal over all evidence, "" for a run that did not come to its end."""

    id: str = Field(min_length=1)
    created: AwareDatetime
    scenario: str = Field(min_length=1)
    sentence: str
    release: str
    """The build or commit that was drilled, as `--release` told it; "" when nobody said."""
    speed: float = Field(gt=0)
    """Target seconds per wall second; 1 on AWS."""
    read_only: bool
    command_line: list[str]
    versions: dict[str, str]
    evidence: str


class TargetRecord(_Record):
    """Which system, where, with which promises. digest: sha256 of the target's content."""

    name: str = Field(min_length=1)
    kind: Literal["lab", "aws"]
    system: str
    account: str
    digest: str
    regions: dict[str, str]
    """Role (primary, standby, observer) -> Region."""
    objectives: dict[str, float]
    overrides: list[str]
    """What `--set` changed, and how the lab was set otherwise ("--lab-..."); a run with any counts for no gate."""


class CallRecord(_Record):
    """One call that may have changed something, and what AWS said. purpose: what it was made for; see CallMade."""

    at: AwareDatetime
    purpose: Literal["inject", "restore", "action", "disarm", "safety"]
    number: int = Field(ge=0)
    """Of its Change or Action in the journal; 0 for one that belongs to none."""
    kind: str
    service: str
    operation: str
    region: str
    request_id: str
    """By which AWS and CloudTrail know it; "" when nobody answered."""
    status: int
    """Of HTTP; 0 when nobody answered."""
    attempts: int | None
    error: str
    """AWS's code, or "unanswered"; "" when it was done."""


class WrittenRecord(_Record):
    """What load and probes wrote, and what became of it. tag: what each account begins with, "" for none.

    policy: what the target says is to become of it ("left", "cleaned"); acknowledged, indeterminate: how many writes;
    cleaned, kept, left: how many records of these (one in each store that holds the write) are gone, as read back (of
    unknown outcome: may never have been there), stay because they are evidence, stay or are not known to be gone.
    """

    tag: str
    policy: str
    acknowledged: int
    indeterminate: int
    cleaned: int
    kept: int
    left: int


class DrillRecord(_Record):
    """drill.json."""

    model_config = ConfigDict(title="failover-drill: one drill")
    format: Literal[1]
    run: RunRecord
    target: TargetRecord
    judgement: JudgementRecord
    calls: list[CallRecord] = []
    """Every call that may have changed something, in order; none in a record of an older version."""
    written: WrittenRecord | None = None
    """Null for a run that was not audited, and in a record of an older version."""

    @property
    def verdict(self) -> Verdict:
        """The drill's verdict."""
        return Verdict(self.judgement.verdict)

    @property
    def created(self) -> datetime:
        """When the run began (wall, with its offset)."""
        return self.run.created

    @property
    def unit(self) -> str:
        """The name of a target second."""
        return unit_of(self.target.kind)

    @property
    def measured(self) -> tuple[FindingRecord, ...]:
        """The findings that have an objective."""
        return tuple(f for f in self.judgement.findings if f.limit_s is not None)


RANGES = ("cidrs", "ip_ranges", "ip_ranges_token", "single")
"""What a target's table of Regions has beside the roles."""


def record_of(history: History, judgement: Judgement, evidence: str) -> DrillRecord:
    """The record of a judged history. ValueError says what its header lacks.

    evidence: digest of the seal, "" without one.
    """
    header = history.header
    raw = {
        "format": FORMAT,
        "run": _run(header, evidence),
        "target": _target(history),
        "judgement": json.loads(summary_text(judgement)),
        "calls": [_call(call) for call in calls_of(history)],
        "written": next((_written(f.data) for f in judgement.findings if f.name == DATA_RESIDUE), None),
    }
    try:
        return DrillRecord.model_validate(raw)
    except ValidationError as error:
        raise ValueError(f"run.json is no drill's header: {_first(error)}") from error


def record_text(record: DrillRecord) -> str:
    """The record as JSON text, strict and in a stable order."""
    return json.dumps(record.model_dump(mode="json"), indent=2, allow_nan=False) + "\n"


def record_from(text: str) -> DrillRecord:
    """The record that `record_text` wrote. ValueError says what is wrong: no JSON, a newer format, a wrong shape."""
    raw = json.loads(text)
    found = raw.get("format") if isinstance(raw, dict) else type(raw).__name__
    if found != FORMAT:
        raise ValueError(f"format {found!r}, this version reads {FORMAT}")
    try:
        return DrillRecord.model_validate(raw)
    except ValidationError as error:
        raise ValueError(f"not a drill's record: {_first(error)}") from error


def write_record(folder: Path, record: DrillRecord) -> Path:
    """Write drill.json, whole or not at all."""
    return replace_file(folder / DRILL_FILE, record_text(record))


def schema_text() -> str:
    """The JSON Schema of drill.json, as it is published."""
    schema = {"$schema": SCHEMA_ID, **DrillRecord.model_json_schema(mode="serialization")}
    return json.dumps(schema, indent=2) + "\n"


def _run(header: Mapping[str, Any], evidence: str) -> dict[str, Any]:
    command = header.get("command_line", [])
    return {
        "id": header.get("run_id", ""),
        "created": header.get("created"),
        "scenario": header.get("scenario", ""),
        "sentence": header.get("docstring", ""),
        "release": header.get("release", ""),
        "speed": header.get("speed"),
        "read_only": bool(header.get("read_only", False)),
        "command_line": command.split() if isinstance(command, str) else command,
        "versions": header.get("versions", {}),
        "evidence": evidence,
    }


def _written(data: Mapping[str, Any]) -> dict[str, Any]:
    rows = data["rows"]
    counts = {name: sum(row.get(name, 0) for row in rows) for name in ("cleaned", "kept")}
    # Where nothing was to be cleaned, a row says no more than what there is.
    counts["left"] = sum(row.get("left", row["acknowledged"] + row["indeterminate"]) for row in rows)
    return {name: data[name] for name in ("tag", "policy", "acknowledged", "indeterminate")} | counts


def _call(call: CallMade) -> dict[str, Any]:
    made = {key: value for key, value in asdict(call.made).items() if key != "fingerprint"}
    return {"at": call.at, "purpose": call.purpose, "number": call.number, "kind": call.kind, **made}


def _target(history: History) -> dict[str, Any]:
    header = history.header
    target = header.get("target")
    content: Mapping[str, Any] = target if isinstance(target, dict) else {}
    regions = content.get("regions")
    return {
        "name": header.get("target_name", ""),
        "kind": header.get("target_kind"),
        "system": content.get("system"),
        "account": content.get("account"),
        "digest": header.get("target_digest"),
        "regions": {k: v for k, v in regions.items() if k not in RANGES} if isinstance(regions, dict) else None,
        "objectives": header.get("objectives"),
        "overrides": list(overrides_of(history)),
    }


def _first(error: ValidationError) -> str:
    found = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, found['loc'])) or 'the record'}: {found['msg'].removeprefix('Value error, ')}"


assert VERDICT_FORMAT == FORMAT  # drill.json contains verdict.json: a new format of one is a new format of both
