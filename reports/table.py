"""The closing table of a drill, for a terminal and for a CI log: plain text, at most WIDTH columns."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from drill.calibration import line
from drill.timeline import History
from drill.verdict import Finding, Interval, Judgement, Verdict
from reports.ink import CONTROL
from reports.overridden import instead_of, overridden, overrides_of
from reports.run import Run, lost_writes, place
from reports.summary import MISSING

WIDTH = 110
MOST_NAMED = 20
FATES = (
    "acknowledged",
    "lost",
    "lost after onset",
    "lost again",
    "archived only",
    "late",
    "duplicate",
    "changed",
    "accepted by both Regions",
    "indeterminate",
    "indeterminate, turned up",
    "indeterminate, did not",
    "refused",
    "refused, turned up",
    "refused after acceptance",
)
"""The fates of writes in the order in which they are shown; others follow."""
MEETS = "PASS: every objective is met by its unfavourable bound"


def closing_table(history: History, judgement: Judgement, folder: Path) -> str:
    """The closing text of a judged history; folder: where its evidence lies."""
    return table(Run(folder, history, judgement))


def table(run: Run) -> str:
    """The whole closing text: objectives, phase split, writes, named lost writes, the verdict, where to see more."""
    parts = [
        _heading(run),
        _objectives(run),
        _remarks(run.judgement),
        _vantages(run),
        _phases(run),
        _writes(run.judgement),
        _lost(run.judgement),
        _wrapped(sentence(run.judgement)),
        _more(run),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def sentence(judgement: Judgement) -> str:
    """The verdict in one sentence: the worst finding's reason, and what to do about it."""
    if judgement.verdict is Verdict.PASS:
        return f"{MEETS}."
    worst = next((f for f in judgement.findings if f.verdict is judgement.verdict), None)
    if worst is None:
        return f"{judgement.verdict.value}: nothing was judged, so nothing is proven."
    advice = f" What to do: {_ended(worst.advice)}" if worst.advice and not worst.data.get("lines") else ""
    # Reasons that carry lines to type go on below; the sentence is their first line.
    return f"{judgement.verdict.value}: {worst.name}: {_ended(worst.reason.partition(chr(10))[0])}{advice}"


def banner(run: Run) -> str:
    """What a reader must know of a lab run before any number; empty on AWS."""
    if not run.lab:
        return ""
    speed = run.history.speed
    pace = "at its real pace" if speed == 1 else f"{speed:g} times faster"
    return (
        f"LAB run: it proves the harness, nobody's system. Time runs {pace}: objectives, "
        f"intervals and phases are lab seconds (the system's own; 1 wall second is {speed:g} lab s); "
        "request rates, client timeouts and polling are wall time."
    )


def calibration(run: Run) -> str:
    """How accurate the machine that measured is known to be, in one sentence."""
    words = line(run.history.header.get("calibration"))
    return f"{words[:1].upper()}{words[1:]}."


def vantage_rows(run: Run) -> list[list[str]]:
    """One row per window and vantage: how long it was without service, the estimate, who served it in the end."""
    found = [(f.name.rpartition(", ")[2], row) for f in run.judgement.findings for row in f.data.get("vantages", ())]
    return [[f"{window}: {row.get('vantage')}", *_vantage_cells(row, run.unit)] for window, row in found]


def _vantage_cells(row: Mapping[str, Any], unit: str) -> list[str]:
    low, high = row.get("recovery_s") or (None, None)
    without = "not measured" if low is None else shown(Interval(low, math.inf if high is None else high), unit)
    estimate, share, from_ = row.get("estimate_s"), row.get("served_share"), row.get("served_from")
    return [
        without,
        "" if estimate is None else f"{estimate:.1f} {unit}",
        "" if share is None else f"{share:.1%}",
        ", ".join(map(place, from_ or ())),
    ]


def shown(interval: Interval | None, unit: str) -> str:
    """An interval with its unit, "not measured" without one."""
    return "not measured" if interval is None else interval.shown(unit)


def writes_table(judgement: Judgement) -> tuple[list[str], list[list[object]]]:
    """Header and rows of the writes by fate: a row per fate, a column per window; no rows when none was counted."""
    known = {fate for counts in judgement.writes.values() for fate in counts}
    fates = [f for f in FATES if f in known] + sorted(known.difference(FATES))
    rows: list[list[object]] = [[f, *(c.get(f, "-") for c in judgement.writes.values())] for f in fates]
    return ["writes", *judgement.writes], rows


def objective_rows(run: Run) -> list[list[str]]:
    """One row per finding with a limit: objective, limit, measured interval, verdict."""
    found = [f for f in run.judgement.findings if f.limit_s is not None]
    return [[f.name, f"{f.limit_s:g} {run.unit}", shown(f.interval, run.unit), f.verdict.value] for f in found]


def phase_rows(run: Run) -> list[list[str]]:
    """One row per step of the phase split: step, interval from the onset, source clock."""
    return [[name, shown(interval, run.unit), clock] for name, interval, clock in run.judgement.phases]


def _heading(run: Run) -> str:
    lines = [run.title, *textwrap.wrap(banner(run), WIDTH), *textwrap.wrap(calibration(run), WIDTH)]
    for words in (overridden(overrides_of(run.history)), instead_of(run.history)):
        lines += textwrap.wrap(words, WIDTH)
    return "\n".join(_clean(line) for line in lines)


def _objectives(run: Run) -> str:
    return _tabled(["objective", "limit", "measured", "verdict"], objective_rows(run), [36, 16, 32, 14])


def _remarks(judgement: Judgement) -> str:
    said = [f for f in judgement.findings if f.verdict is not Verdict.PASS]
    return "\n".join([*(_wrapped(_remark(f), "  ") for f in said), *(_wrapped(n, "  ") for n in judgement.notes)])


def _remark(finding: Finding) -> str:
    lines = [str(line) for line in finding.data.get("lines", ())]
    typed = "".join(f"\n    {line}" for line in lines if line not in finding.reason)
    advice = "" if lines or not finding.advice else f" {_ended(finding.advice)}"
    return f"{finding.verdict.value}  {finding.name}: {_ended(finding.reason)}{advice}{typed}"


def _vantages(run: Run) -> str:
    header = ["seen from", "without service", "estimate", "looks served", "served from"]
    return _tabled(header, vantage_rows(run), [36, 24, 14, 12, 20])


def _phases(run: Run) -> str:
    return _tabled(["phase", "from the onset", "source clock"], phase_rows(run), [29, 21, 56])


def _writes(judgement: Judgement) -> str:
    header, rows = writes_table(judgement)
    return _tabled(header, rows, None)


def _lost(judgement: Judgement) -> str:
    rows = lost_writes(judgement)
    named = [_lost_line(row) for row in rows[:MOST_NAMED]]
    if len(rows) > MOST_NAMED:
        named.append(f"  + {len(rows) - MOST_NAMED} more in {MISSING}.csv")
    return "\n".join(["Lost writes, acknowledged and gone:", *named]) if rows else ""


def _lost_line(row: dict[str, object]) -> str:
    words = [str(row.get(k)) for k in ("key", "id", "write", "account", "amount") if row.get(k) is not None]
    return _clean(f"  {'  '.join(words)}")[:WIDTH]


def _more(run: Run) -> str:
    return f"Everything behind this: {run.folder}\nThe report: {run.folder / 'report.html'}"


def _tabled(header: Sequence[str], rows: Sequence[Sequence[object]], widths: Sequence[int] | None) -> str:
    if not rows:
        return ""
    cells = [[_clean(str(cell)) for cell in row] for row in rows]
    return tabulate(cells, header, tablefmt="simple", maxcolwidths=widths, disable_numparse=True)


def _wrapped(content: str, indent: str = "") -> str:
    return "\n".join(_wrapped_lines(_clean(content), indent))


def _wrapped_lines(content: str, indent: str) -> Iterable[str]:
    # Lines to type (after the first line break) are never broken: they are there to be pasted.
    first, *typed = content.split("\n")
    yield from textwrap.wrap(first, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ") or [""]
    yield from typed


def _ended(words: str) -> str:
    return words if words.endswith((".", "!", "?", ":")) or "\n" in words else words + "."


def _clean(words: str) -> str:
    # Names come from the system under test: no escape sequence of theirs reaches a terminal.
    return CONTROL.sub("?", words)
