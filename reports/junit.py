"""The measured values of a drill as properties of its test case in pytest's own JUnit XML (`--junitxml`)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

from reports.record import DrillRecord, FindingRecord

PREFIX = "drill."


def properties(record: DrillRecord, folder: Path) -> list[tuple[str, str]]:
    """(name, value) pairs: verdict, run, release, overrides, and per objective limit_s, low_s, high_s and verdict.

    Seconds are target seconds; an open upper bound is "unbounded"; what was not measured is "not measured".
    """
    run, target = record.run, record.target
    told = [
        ("verdict", record.judgement.verdict),
        ("run", run.id),
        ("run_folder", str(folder)),
        ("release", run.release),
        ("target", target.name),
        ("target_kind", target.kind),
        ("target_digest", target.digest),
        *([("overrides", "; ".join(target.overrides))] if target.overrides else []),
        ("seconds", "lab" if target.kind == "lab" else "wall"),
        *(pair for finding in record.measured for pair in _measured(finding)),
    ]
    return [(PREFIX + name, value) for name, value in told]


def _measured(finding: FindingRecord) -> Iterator[tuple[str, str]]:
    name = ".".join(re.sub(r"[^a-z0-9]+", "_", part.lower()) for part in finding.name.split(", "))
    yield f"{name}.verdict", finding.verdict
    yield f"{name}.limit_s", f"{finding.limit_s:g}"
    yield f"{name}.low_s", _seconds(None if finding.interval is None else finding.interval.low)
    yield f"{name}.high_s", _seconds(None if finding.interval is None else finding.interval.high)


def _seconds(value: float | None) -> str:
    if value is None:
        return "not measured"
    return f"{value:.3f}" if math.isfinite(value) else "unbounded"
