"""The gate's answer as plain text, JSON and Markdown."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any

from tabulate import tabulate

from reports.gate import GateResult, Row
from reports.ink import CONTROL
from reports.markdown import escaped, table
from reports.proof import Drift

FORMAT = 1
WIDTH = 110
MOST_NOTES = 10
LAB_NOTE = "LAB: this proves the harness, nobody's system"


def gate_text(result: GateResult) -> str:
    """For a terminal and a CI log."""
    rows = [[r.required.scenario, _target(r), _met(r), f"{r.passes} of {r.counted}", r.newest] for r in result.rows]
    header = ["required drill", "target", "gate", "passed", "newest run that counts"]
    lines = [_wrapped(f"{mark}  {words}") for mark, words in _lines(result)]
    return "\n\n".join(
        part
        for part in (tabulate(rows, header, tablefmt="simple"), "\n".join(lines), _clean(_sentence(result)))
        if part
    )


def gate_json(result: GateResult) -> str:
    """For programs: strict JSON, stable order."""
    record = {
        "format": FORMAT,
        "gate": _word(result.passed),
        "exit_code": result.exit_code,
        "release": result.release,
        "at": result.at.isoformat(),
        "drills": [_row_record(row) for row in result.rows],
        "blocks": list(result.blocks),
        "cleared": list(result.cleared),
    }
    return json.dumps(record, indent=2, allow_nan=False) + "\n"


def gate_markdown(result: GateResult) -> str:
    """For a job summary or a pull-request comment."""
    sign = "✅" if result.passed else "❌"
    rows = [[_met(r), r.required.scenario, _target(r), f"{r.passes} of {r.counted}", r.newest] for r in result.rows]
    lines = [f"- {escaped(f'{mark}: {words}')}" for mark, words in _lines(result)]
    parts = [
        f"### {sign} DR gate {_word(result.passed)} for release {escaped(result.release or 'unknown')}",
        table(["gate", "required drill", "target", "passed", "newest run that counts"], rows),
        "\n".join(lines),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _lines(result: GateResult) -> Iterator[tuple[str, str]]:
    """(mark, sentence): what fails first, then what is proven, then what a reader should know."""
    yield from (("FAIL", block) for block in result.blocks)
    for row in result.rows:
        name = row.required.scenario
        yield from (("FAIL", f"{name}: {reason}") for reason in row.reasons)
        yield "proof", f"{name}: {row.proof}"
        yield from (("drift", f"{name}: {drift}") for drift in row.drifts)
        yield from (("note", note) for note in row.notes[-MOST_NOTES:])
        if len(row.notes) > MOST_NOTES:
            yield "note", f"{name}: {len(row.notes) - MOST_NOTES} older runs do not count either"
        if row.lab:
            yield "note", f"{name}: {LAB_NOTE}"
    yield from (("note", words) for words in result.cleared)


def _row_record(row: Row) -> dict[str, Any]:
    return {
        "scenario": row.required.scenario,
        "target": row.required.target,
        "lab": row.lab,
        "met": not row.reasons,
        "reasons": list(row.reasons),
        "counted": row.counted,
        "passes": row.passes,
        "newest": row.newest,
        "proof": row.proof,
        "drift": [_drift_record(drift) for drift in row.drifts],
        "notes": list(row.notes),
    }


def _drift_record(drift: Drift) -> dict[str, Any]:
    return {
        "objective": drift.objective,
        "now": drift.now,
        "earlier": drift.earlier,
        "p": drift.p,
        "alpha": drift.alpha,
        "worse": drift.worse,
    }


def _sentence(result: GateResult) -> str:
    if result.passed:
        return f"PASS: release {result.release} has every required drill behind it."
    wrong = len(result.blocks) + sum(bool(row.reasons) for row in result.rows)
    return f"FAIL: release {result.release or 'unknown'}: {wrong} reason(s) above."


def _target(row: Row) -> str:
    return f"{row.required.target} (LAB)" if row.lab else row.required.target


def _met(row: Row) -> str:
    return _word(not row.reasons)


def _word(good: bool) -> str:
    return "PASS" if good else "FAIL"


def _wrapped(words: str) -> str:
    return "\n".join(textwrap.wrap(_clean(words), WIDTH, subsequent_indent="       "))


def _clean(words: str) -> str:
    return CONTROL.sub("?", words)
