"""verdict.json and missing-transactions.csv/.json: the judgement for programs, written beside the evidence.

The same judgement always gives the same bytes. JSON knows no infinity: an unbounded side is null, and the
interval then says `"unbounded": true`.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from drill.verdict import Finding, Interval, Judgement, Verdict
from drill.whole_file import replace_file

FORMAT = 1
VERDICT_FILE = "verdict.json"
MISSING = "missing-transactions"
FIRST_COLUMNS = (
    "finding",
    "key",
    "id",
    "write",
    "account",
    "amount",
    "store",
    "state",
    "region",
    "sent_at",
    "acked_at",
    "sent_monotonic_s",
    "acked_monotonic_s",
    "payload_sha256",
)


def write_summary(folder: Path, judgement: Judgement) -> tuple[Path, ...]:
    """Write verdict.json, and the missing transactions if they were looked for; returns the paths.

    Each file is written whole or not at all. OSError (a full disk) passes.
    """
    verdict = replace_file(folder / VERDICT_FILE, summary_text(judgement))
    return (verdict, *write_missing(folder, judgement))


def read_judgement(folder: Path) -> str | None:
    """The text of verdict.json as it is stored, to be compared with `summary_text`; None when there is none.

    What is no text at all has replacement characters in it: it is like no judgement.
    """
    path = folder / VERDICT_FILE
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else None


def read_verdict(folder: Path) -> Judgement:
    """The judgement that `write_summary` wrote. ValueError names what cannot be read."""
    path = folder / VERDICT_FILE
    try:
        return _judgement(json.loads(path.read_text()))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: no readable verdict ({error}); where there is none, type: drill report {folder}; "
            f"to compare one: drill verify {folder}"
        ) from error


def summary_text(judgement: Judgement) -> str:
    """The judgement as JSON text: strict (no Infinity or NaN), stable key order, times in target seconds."""
    record = {
        "format": FORMAT,
        "verdict": judgement.verdict.value,
        "exit_code": judgement.verdict.exit_code,
        "findings": [_finding_record(f) for f in judgement.findings],
        "phases": [{"name": n, "interval": _interval_record(i), "clock": c} for n, i, c in judgement.phases],
        "writes": {window: _plain(counts) for window, counts in judgement.writes.items()},
        "notes": list(judgement.notes),
    }
    return json.dumps(record, indent=2, allow_nan=False) + "\n"


def write_missing(folder: Path, judgement: Judgement) -> tuple[Path, ...]:
    """Write the named lost writes as CSV and JSON; returns the paths.

    Writes nothing, and returns (), when no finding looked for lost writes: an empty list would claim that none
    was lost.
    """
    return tuple(replace_file(folder / name, text) for name, text in missing_texts(judgement).items())


def missing_texts(judgement: Judgement) -> dict[str, str]:
    """File name -> text of the missing transactions; empty when no finding looked for lost writes."""
    looked = [f for f in judgement.findings if "lost" in f.data]
    if not looked:
        return {}
    rows = [{"finding": f.name, **_plain(row)} for f in looked for row in f.data["lost"]]
    text = json.dumps(rows, indent=2, allow_nan=False) + "\n"
    return {f"{MISSING}.csv": _csv(rows), f"{MISSING}.json": text}


def differing_missing(folder: Path, judgement: Judgement) -> list[str]:
    """The names of the missing-transactions files that are not what the judgement says, or are not there."""
    return [
        name
        for name, text in missing_texts(judgement).items()
        if not (path := folder / name).exists() or path.read_bytes() != text.encode()
    ]


def columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The column names of rows that may differ: the well-known ones first, the others sorted."""
    names = {name for row in rows for name in row}
    return [n for n in FIRST_COLUMNS if n in names] + sorted(names.difference(FIRST_COLUMNS))


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns(rows) or list(FIRST_COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: cell(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def cell(value: Any) -> Any:
    """A value as a cell of CSV that no spreadsheet runs."""
    # Ids and accounts come from the system under test; a spreadsheet would run one that starts like a formula.
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _finding_record(finding: Finding) -> dict[str, Any]:
    return {
        "name": finding.name,
        "verdict": finding.verdict.value,
        "reason": finding.reason,
        "limit_s": finding.limit_s,
        "interval": _interval_record(finding.interval),
        "advice": finding.advice,
        "data": _plain(finding.data),
    }


def _interval_record(interval: Interval | None) -> dict[str, Any] | None:
    if interval is None:
        return None
    return {
        "low_s": _number(interval.low_s),
        "high_s": _number(interval.high_s),
        "unbounded": math.isinf(interval.high_s) or math.isinf(interval.low_s),
        "basis": list(interval.basis),
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return _number(value)
    return value if isinstance(value, str | int | bool | None) else str(value)


def _judgement(record: dict[str, Any]) -> Judgement:
    if record["format"] != FORMAT:
        raise ValueError(f"format {record['format']!r}, this version reads {FORMAT}")
    return Judgement(
        Verdict(record["verdict"]),
        tuple(_finding(f) for f in record["findings"]),
        tuple((p["name"], _interval(p["interval"]), p["clock"]) for p in record["phases"]),
        record["writes"],
        tuple(record["notes"]),
    )


def _finding(record: dict[str, Any]) -> Finding:
    return Finding(**(record | {"verdict": Verdict(record["verdict"]), "interval": _interval(record["interval"])}))


def _interval(record: dict[str, Any] | None) -> Interval | None:
    if record is None:
        return None
    low, high = record["low_s"], record["high_s"]
    return Interval(math.inf if low is None else low, math.inf if high is None else high, tuple(record["basis"]))
