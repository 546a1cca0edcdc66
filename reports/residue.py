"""What a drill left behind, for the report: settings that are not as before, and what became of the writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from drill.verdict import Finding, Judgement
from reports.record import DATA_RESIDUE
from reports.summary import columns

NAMES = ("residue", DATA_RESIDUE)
"""The findings of the audit; a run that was made before there was one has none of them."""
SETTING = ("setting", "before", "after", "why")
WRITTEN = ("writer", "id", "accounts", "acknowledged", "indeterminate", "tag", "cleaned", "kept", "left")
ORDER = (*SETTING, *WRITTEN)


@dataclass(frozen=True)
class Part:
    """One finding of the audit. said: verdict and reason; header, rows: its table, which may be empty."""

    said: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def parts(judgement: Judgement) -> tuple[Part, ...]:
    """The findings of the audit in their order, configuration first; empty for a run without an audit."""
    return tuple(_part(f) for name in NAMES for f in judgement.findings if f.name == name)


def _part(finding: Finding) -> Part:
    rows = [*finding.data.get("rows", ()), *_unknown(finding.data), *_records(finding.data)]
    names = columns(rows)
    header = (*(n for n in ORDER if n in names), *(n for n in names if n not in ORDER))
    said = f"{finding.verdict.value}: {finding.name}: {finding.reason.partition(chr(10))[0]}"
    return Part(said, header, tuple(tuple(str(row.get(name, "")) for name in header) for row in rows))


def _unknown(data: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for key, why in data.get("unknown", {}).items():
        yield {"setting": key, "before": "?", "after": "?", "why": f"not compared: {why}"}


def _records(data: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Records that are there though they were to be cleaned up, by the ledger's key and as they are called there."""
    for why, records in (("kept as evidence", data.get("kept", ())), ("not known to be gone", data.get("left", ()))):
        for record in records:
            more = f": {record['why']}" if "why" in record else ""
            yield {"writer": record["key"], "id": record["id"], "why": f"{why}{more}"}
