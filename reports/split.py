"""The recovery split by the system's own steps, drawn to scale: which step took how long, and which met the limit.

Only steps on the harness's clock, which may be subtracted from each other; they stand in the order in which they
happened, each from the step before it. What was seen only after clients had recovered took none of their time: it is
told below.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from drill.verdict import Finding, Interval, Verdict
from reports.ink import safe
from reports.run import Run, Window
from reports.table import shown

ONSET = "onset"
RECOVERED = "clients recovered"


@dataclass(frozen=True)
class Step:
    """One step of a recovery. since: the step before it; at: target seconds from the onset; took: from that step."""

    name: str
    since: str
    began: Interval
    at: Interval
    took: Interval


def steps_of(run: Run, window: Window) -> tuple[Step, ...]:
    """The steps of a window between its onset and its recovery, by the middle of their bounds."""
    rows = _rows(run, window)
    ends = [n for n, (name, _) in enumerate(rows, 1) if name == RECOVERED]
    return tuple(
        Step(name, since, began, at, Interval(max(at.low_s - began.high_s, 0.0), max(at.high_s - began.low_s, 0.0)))
        for (since, began), (name, at) in pairwise(
            [(ONSET, Interval(0.0, 0.0)), *rows[: min(ends, default=len(rows))]]
        )
    )


def later(run: Run, window: Window) -> tuple[tuple[str, Interval], ...]:
    """What was seen only when clients had recovered: name, target seconds from the onset."""
    return tuple(_rows(run, window)[len(steps_of(run, window)) :])


def _rows(run: Run, window: Window) -> list[tuple[str, Interval]]:
    prefix = f"{window.name}: "
    rows = [
        (name.removeprefix(prefix), at)
        for name, at, clock in run.judgement.phases
        if name.startswith(prefix) and at is not None and _counts(name, clock) and math.isfinite(at.high_s)
    ]
    return sorted((row for row in rows if row[1].high_s > 0), key=lambda row: row[1].low_s + row[1].high_s)


def split(run: Run) -> str:
    """The split of every window that has one, as HTML; empty when no step was seen."""
    return "".join(_window(run, window) for window in run.windows)


def said(run: Run, window: Window, steps: Sequence[Step]) -> str:
    """The longest step, and the one during which the limit ran out, in words."""
    longest = max(steps, key=lambda s: s.took.low_s + s.took.high_s)
    judged = _judged(run, window)
    words = f"Longest: {longest.since} to {longest.name}, {shown(longest.took, run.unit)}."
    if judged is None or judged.limit_s is None or judged.verdict is Verdict.PASS:
        return words
    late = next((s for s in steps if s.at.high_s > judged.limit_s), None)
    limit = f"{judged.limit_s:g} {run.unit}"
    if late is None:
        return f"{words} The limit of {limit} ran out after the last step that was seen: {steps[-1].name}."
    sure = "ran out" if late.at.low_s > judged.limit_s else "may have run out"
    return f"{words} The limit of {limit} {sure} before this was done: {late.name}."


def _counts(name: str, clock: str) -> bool:
    return clock.startswith("harness clock") and not name.endswith(" after the decision")


def _judged(run: Run, window: Window) -> Finding | None:
    return next((f for f in run.findings_of(window.name) if f.name.startswith("recovery time")), None)


def _window(run: Run, window: Window) -> str:
    steps = steps_of(run, window)
    if not steps:
        return ""
    judged = _judged(run, window)
    limit = judged.limit_s if judged else None
    full = max([s.at.high_s for s in steps] + [limit or 0.0]) * 1.02
    rows = "".join(_row(step, full, limit, run.unit) for step in steps)
    heads = "".join(f'<th scope="col">{words}</th>' for words in ("step", "took", "until, from the onset"))
    note = f"; the line is the limit, {limit:g} {run.unit}" if limit is not None else ""
    return (
        f'<div class="split"><h3>{safe(window.name)}</h3><p>{safe(said(run, window, steps))}</p>'
        f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        f'<p class="muted">Solid: certainly in this step. Striped: within the bounds of when it began or ended'
        f"{safe(note)}.{safe(_afterwards(run, window))}</p></div>"
    )


def _afterwards(run: Run, window: Window) -> str:
    told = "; ".join(f"{name}, {shown(at, run.unit)} from the onset" for name, at in later(run, window))
    return f" Seen only when clients had recovered: {told}." if told else ""


def _row(step: Step, full: float, limit: float | None, unit: str) -> str:
    name = f"{step.since} → {step.name}"
    sure = (max(step.began.high_s, 0.0), step.at.low_s)
    loose = (max(step.began.low_s, 0.0), step.at.high_s)
    parts = f'<i class="loose" style="{_place(*loose, full)}"></i>'
    if sure[1] > sure[0]:
        parts += f'<i class="sure" style="{_place(*sure, full)}"></i>'
    if limit is not None:
        parts += f'<i class="limit" style="left:{_part(limit, full)}"></i>'
    return (
        f"<tr><td>{safe(name)}</td><td>{safe(shown(step.took, unit))}</td>"
        f'<td class="track"><div>{parts}</div><span>{safe(shown(step.at, unit))}</span></td></tr>'
    )


def _place(low_s: float, high_s: float, full: float) -> str:
    low, high = max(low_s, 0.0), max(high_s, low_s, 0.0)
    return f"left:{_part(low, full)};width:{_part(high - low, full)}"


def _part(value_s: float, full: float) -> str:
    return f"{min(value_s / full, 1.0) * 100:.2f}%" if full > 0 else "0%"
