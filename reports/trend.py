"""How a target's drills went over time: a row per drill and objective, and a line to see at a glance."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tabulate import tabulate

from reports.history import Entry
from reports.ink import CONTROL
from reports.markdown import shown
from reports.record import DrillRecord, FindingRecord

BARS = "▁▂▃▄▅▆▇█"
ENDLESS = "!"
UNKNOWN = "·"
NEWEST = 60
"""Points of a line, the newest ones."""


@dataclass(frozen=True)
class Trend:
    """One objective of one scenario on one target over time. points: oldest first; unit: of a target second."""

    target: str
    scenario: str
    objective: str
    points: tuple[FindingRecord, ...]
    unit: str = "s"

    def line(self) -> str:
        """The upper bounds as bars on the scale of the largest; "!" never recovered, "·" not measured."""
        highs = [None if f.interval is None else f.interval.high for f in self.points[-NEWEST:]]
        most = max((h for h in highs if h is not None and math.isfinite(h)), default=0.0)
        return "".join(_bar(high, most) for high in highs)


def trends(entries: Iterable[Entry]) -> tuple[Trend, ...]:
    """Per target, scenario and objective, in that order; drills that cannot be read or believed take no part."""
    found: dict[tuple[str, str, str, str], list[FindingRecord]] = {}
    for record in (e.record for e in entries if e.record is not None and not e.problem):
        for finding in record.measured:
            key = (record.target.name, record.run.scenario, finding.name, record.unit)
            found.setdefault(key, []).append(finding)
    return tuple(Trend(t, s, o, tuple(points), unit) for (t, s, o, unit), points in sorted(found.items()))


def history_text(entries: Sequence[Entry]) -> str:
    """The drills, their trends, and what nobody could read, as plain text."""
    drills = [_drill_row(e, e.record) for e in entries if e.record is not None]
    lines = [_trend_row(t) for t in trends(entries)]
    wrong = [f"{e.id}: {e.problem}" for e in entries if e.problem]
    parts = [
        _tabled(["date", "target", "scenario", "release", "verdict", "run", "recovery time"], drills),
        _tabled(["target", "scenario", "objective", "n", "limit", "newest", "upper bounds, oldest first"], lines),
        "\n".join(["Not to be believed:", *map(_clean, wrong)]) if wrong else "",
    ]
    return "\n\n".join(part for part in parts if part) or "no drills"


def _drill_row(entry: Entry, record: DrillRecord) -> list[str]:
    run, target = record.run, record.target
    times = [shown(f, record.unit) for f in record.measured if f.name.startswith("recovery time")]
    name = f"{target.name} (LAB)" if target.kind == "lab" else target.name
    verdict = f"{record.verdict.value}{' (not to be believed)' if entry.problem else ''}"
    date = run.created.isoformat(sep=" ", timespec="minutes")
    return [date, name, run.scenario, run.release or "-", verdict, run.id, ", ".join(times)]


def _trend_row(trend: Trend) -> list[str]:
    newest = trend.points[-1]
    limit = f"{newest.limit_s:g} {trend.unit}"
    measured = shown(newest, trend.unit)
    return [trend.target, trend.scenario, trend.objective, str(len(trend.points)), limit, measured, trend.line()]


def _bar(high: float | None, most: float) -> str:
    if high is None:
        return UNKNOWN
    if not math.isfinite(high):
        return ENDLESS
    return BARS[0] if not most else BARS[min(len(BARS) - 1, int(high / most * (len(BARS) - 1) + 0.5))]


def _tabled(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [[_clean(cell) for cell in row] for row in rows]
    return tabulate(cells, header, tablefmt="simple", disable_numparse=True) if rows else ""


def _clean(words: str) -> str:
    return CONTROL.sub("?", words.replace("\n", " "))
