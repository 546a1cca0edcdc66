"""The field list of a DR test report: what was measured, what a person supplied, and what is missing.

docs/evidence.md maps every field to the frameworks that ask for it; a test holds the two together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from drill.evidence import Evidence, FollowUp
from drill.harness import NAME
from drill.verdict import Finding, Judgement, Verdict
from reports.markdown import escaped, shown
from reports.record import DrillRecord, FindingRecord
from reports.run import Run

FORMAT = 1
Source = Literal["measured", "supplied", "missing"]
MISSING = "MISSING"


@dataclass(frozen=True)
class Item:
    """One field. value: JSON-able, None when it is missing; source: who says it."""

    key: str
    title: str
    value: Any
    source: Source


def evidence_items(run: Run, record: DrillRecord, supplied: Evidence) -> tuple[Item, ...]:
    """Every field, in the order of the report."""
    return (*_plan(run, record, supplied), *_results(run, record, supplied), *_after(run.judgement, supplied))


def missing(items: tuple[Item, ...]) -> tuple[str, ...]:
    """The keys of what nobody has said or measured."""
    return tuple(item.key for item in items if item.source == "missing")


def evidence_json(items: tuple[Item, ...]) -> str:
    """For programs: strict JSON."""
    fields = [{"key": i.key, "title": i.title, "source": i.source, "value": i.value} for i in items]
    record = {"format": FORMAT, "missing": list(missing(items)), "fields": fields}
    return json.dumps(record, indent=2, allow_nan=False, default=str) + "\n"


def evidence_markdown(record: DrillRecord, items: tuple[Item, ...]) -> str:
    """For people: a section per field; what is missing says so in capitals."""
    head = f"# DR test report: {escaped(record.run.scenario)} on {escaped(record.target.name)}\n"
    lab = "**LAB run: it proves the harness, and is no evidence about any system.**\n"
    lines = [head, *([lab] if record.target.kind == "lab" else [])]
    for item in items:
        lines.append(f"## {item.title} ({item.source})\n")
        lines += [*_shown(item), ""]
    return "\n".join(lines)


def _plan(told: Run, record: DrillRecord, supplied: Evidence) -> Iterator[Item]:
    run, target = record.run, record.target
    ended = (run.created + timedelta(seconds=told.length_s / run.speed)).isoformat()
    harness = {k: v for k, v in run.versions.items() if k.startswith(NAME)}
    when = {"id": run.id, "began": run.created.isoformat(), "ended": ended, "evidence": run.evidence}
    yield _measured("run", "Drill", when | harness)
    where = {"system": target.system, "account": target.account, "regions": target.regions, "digest": target.digest}
    yield _measured("scope", "System in scope", {"name": target.name, "kind": target.kind, **where})
    yield _measured("release", "Release that was drilled", run.release)
    yield _supplied("business_function", "Business function", supplied.business_function)
    yield _supplied("impact_analysis", "Business impact analysis and risk assessment", supplied.impact_analysis)
    yield _measured("objectives", f"Objectives, in {_seconds(record)}", target.objectives)
    approved = {"by": supplied.objectives_approved_by, "on": str(supplied.objectives_approved_on or "")}
    yield _supplied("objectives_approved", "Who approved the objectives", approved if all(approved.values()) else "")
    yield _measured("scenario", "Scenario", {"name": run.scenario, "sentence": run.sentence} if run.sentence else "")
    yield _supplied("why_plausible", "Why the scenario is plausible", supplied.why_plausible)
    people = [p.model_dump() for p in supplied.participants]
    yield _supplied("participants", "Participants and roles", people)
    yield _supplied("third_parties", "Third parties", supplied.third_parties)


def _results(run: Run, record: DrillRecord, supplied: Evidence) -> Iterator[Item]:
    judged = record.judgement
    yield _measured("verdict", "Verdict", judged.verdict)
    yield _measured(
        "results",
        f"Objective against measured interval, in {_seconds(record)}",
        [_result(f) for f in record.measured],
    )
    phases = [{"step": p.name, "from_onset": shown(p, record.unit), "clock": p.clock} for p in judged.phases]
    yield _measured("phases", "Recovery by step", phases)
    yield _measured("written_data", "Written data: reconciliation by the harness", judged.writes)
    yield _supplied("data_reconciled_by", "Written data: reconciliation by people", supplied.data_reconciled_by)
    yield _measured("time_on_standby", f"Time spent on the standby, in {_seconds(record)}", _on_standby(run))
    yield _measured("failback", "Failback", [_said(f) for f in run.findings_of("failback")])
    restored = [_said(f) for f in run.judgement.findings if f.name in ("residue", "data residue", "clean-up")]
    yield _measured("restored", "What was put back and what stayed", restored)
    changed = [*(f"overridden: {o}" for o in record.target.overrides), *judged.notes]
    yield _measured("deviations_measured", "Deviations that the harness saw", changed or "none")
    yield _supplied("deviations", "Deviations from the plan", supplied.deviations)


def _after(judgement: Judgement, supplied: Evidence) -> Iterator[Item]:
    """Findings and what is done about each; a finding without owner and due date makes the field missing."""
    open_ = [f for f in judgement.findings if f.verdict is not Verdict.PASS]
    told = {f.finding: f for f in supplied.follow_up}
    yield _measured("findings", "Findings", [_said(f) for f in open_] or "none")
    unowned = [f.name for f in open_ if not _owned(told.get(f.name))]
    unowned += [f.finding for f in supplied.follow_up if not _owned(f) and f.finding not in unowned]
    follow = [f.model_dump(mode="json") for f in supplied.follow_up]
    title = "What is done about each finding: owner and due date"
    yield Item("follow_up", title, follow or ("none" if not open_ else None), _source(unowned, follow))
    due = [f.finding for f in supplied.follow_up if not f.retest] + [f.name for f in open_ if f.name not in told]
    retests = {f.finding: f.retest for f in supplied.follow_up if f.retest}
    yield Item("retest", "Retest", retests or ("none needed" if not due else None), _source(due, retests))
    yield _supplied("reported_to", "Reported to", supplied.reported_to)


def _seconds(record: DrillRecord) -> str:
    return "lab seconds" if record.target.kind == "lab" else "seconds"


def _source(lacking: list[str], supplied: Any) -> Source:
    return "missing" if lacking else "supplied" if supplied else "measured"


def _owned(follow: FollowUp | None) -> bool:
    return follow is not None and bool(follow.owner) and follow.due is not None


def _on_standby(run: Run) -> dict[str, float] | str:
    """From the recovery at the standby to that at the primary: both are intervals, so is what lies between."""
    ends = {w.name: w.recovery for w in run.windows}
    there, back = ends.get("failover"), ends.get("failback")
    if there is None or back is None:
        return ""
    return {"low_s": round(max(0.0, back[0] - there[1]), 3), "high_s": round(max(0.0, back[1] - there[0]), 3)}


def _result(finding: FindingRecord) -> dict[str, Any]:
    interval = finding.interval
    return {
        "objective": finding.name,
        "limit_s": finding.limit_s,
        "low_s": None if interval is None else interval.low_s,
        "high_s": None if interval is None else interval.high_s,
        "verdict": finding.verdict,
    }


def _said(finding: Finding) -> str:
    return f"{finding.verdict.value}: {finding.name}: {finding.reason}"


def _measured(key: str, title: str, value: Any) -> Item:
    return Item(key, title, value or None, "measured" if value else "missing")


def _supplied(key: str, title: str, value: Any) -> Item:
    return Item(key, title, value or None, "supplied" if value else "missing")


def _shown(item: Item) -> Iterator[str]:
    if item.source == "missing":
        yield f"**{MISSING}**"
    if isinstance(item.value, dict):
        yield from (f"- {escaped(key)}: {escaped(value)}" for key, value in item.value.items())
    elif isinstance(item.value, list):
        yield from (f"- {escaped(_flat(value))}" for value in item.value)
    elif item.value is not None:
        yield escaped(item.value)


def _flat(value: Any) -> str:
    return "; ".join(f"{k}: {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
