"""The data of the charts: what a screen can show of any number of samples, in the same buckets for all of them.

A bucket keeps counts, shares, the quickest and the slowest: never an average, which would hide a failure. The raw
samples stay in the run folder. All instants are target seconds from the start of the run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drill.timeline import Outcome
from reports.bands import bands
from reports.demand import UNSERVED
from reports.ink import COLOURS, OKABE_ITO
from reports.panels import landed, landed_words
from reports.run import Run

MOST_BUCKETS = 2000
LEAST_WALL_S = 0.5
Column = list[float | None]


@dataclass(frozen=True)
class Line:
    """One series of a chart. kind: of ink.COLOURS, or "fg"; values: one per bucket, None where nothing is known."""

    label: str
    kind: str
    values: Column


@dataclass(frozen=True)
class Chart:
    """One chart over the common axis. form: "share" (0 to 1), "log", or "stack"; unit: of its values."""

    name: str
    title: str
    unit: str
    form: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Buckets:
    """The common axis of a run in equal buckets."""

    run: Run

    @cached_property
    def width_s(self) -> float:
        """Target seconds of one bucket."""
        return max(LEAST_WALL_S * self.run.history.speed, self.run.length_s / MOST_BUCKETS, 1e-9)

    @cached_property
    def count(self) -> int:
        """How many there are."""
        return int(self.run.length_s / self.width_s) + 1

    @property
    def wall_s(self) -> float:
        """Wall seconds of one bucket."""
        return self.width_s / self.run.history.speed

    def of(self, monotonic_s: NDArray[np.float64]) -> NDArray[np.int64]:
        """The bucket of each instant (monotonic wall seconds)."""
        return np.clip((self.run.all_at(monotonic_s) / self.width_s).astype(np.int64), 0, self.count - 1)

    def counted(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many fell into each bucket."""
        return np.bincount(cells, minlength=self.count)

    def extremes(self, cells: NDArray[np.int64], values: NDArray[np.float64]) -> tuple[Column, Column, Column]:
        """The smallest, the middle one and the largest value of each bucket."""
        order = np.lexsort((values, cells))
        held, counts = np.unique(cells[order], return_counts=True)
        ends = np.cumsum(counts)
        found: list[Column] = [[None] * self.count for _ in range(3)]
        places = (ends - counts, ends - counts + (counts - 1) // 2, ends - 1)
        for column, at in zip(found, places, strict=True):
            for bucket, value in zip(held.tolist(), values[order][at].tolist(), strict=True):
                column[bucket] = _short(value)
        return found[0], found[1], found[2]


def island(run: Run) -> str:
    """All that the page's script draws, as JSON that is safe inside a `<script>` element."""
    buckets = Buckets(run)
    shown, left_out = bands(run)
    data = {
        "unit": run.unit,
        "colours": {kind: OKABE_ITO[name] for kind, name in COLOURS.items()},
        "length": run.length_s,
        "step": buckets.width_s,
        "buckets": buckets.count,
        "charts": [_plain(chart) for chart in charts(run, buckets)],
        "bands": shown,
        "leftOut": left_out,
        "windows": [_window(w.name, w.begin_s, w.end_s, w.onset, w.recovery) for w in run.windows],
        "faults": [[round(s.low_s, 2), round(s.high_s, 2)] for s in run.faults() if s.effect not in ("", "none")],
    }
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    # ASCII only, and nothing that could end the element or open another, whatever a system calls its things.
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def charts(run: Run, buckets: Buckets) -> Iterable[Chart]:
    """The charts that this run has data for."""
    found = (_served(run, buckets), _latency(run, buckets), _arrivals(run, buckets), _landed(run, buckets))
    return (chart for chart in found if chart.lines)


def _served(run: Run, buckets: Buckets) -> Chart:
    """Shares of probe writes that came back, and of requests that failed."""
    looks = run.history.of(run.history.probe)
    known = [o for o in looks if o.outcome is not Outcome.UNKNOWN]
    sent = buckets.of(np.array([o.sent_s for o in known]))
    good = np.array([o.outcome is Outcome.OK for o in known], dtype=np.bool_)
    lines = [Line("probe writes served", "good", _share(buckets, sent, good))] if known else []
    if len(run.requests):
        failed = run.requests.where(k.outcome is Outcome.FAIL for k in run.requests.kinds)
        due = buckets.of(run.requests.due_s)
        lines.append(Line("requests of the load failed", "bad", _share(buckets, due, failed)))
    return Chart("served", "Availability and errors", "share of those begun then", "share", tuple(lines))


def _latency(run: Run, buckets: Buckets) -> Chart:
    requests = run.requests
    served = requests.where(k.outcome is Outcome.OK for k in requests.kinds)
    failed = requests.where(k.outcome is Outcome.FAIL and k.detail != UNSERVED for k in requests.kinds)
    cells, taken = buckets.of(requests.due_s), np.maximum(requests.taken_ms, 0.001)
    lines: list[Line] = []
    if served.any():
        low, middle, high = buckets.extremes(cells[served], taken[served])
        lines += [Line("slowest served", "primary", high), Line("median", "fg", middle)]
        lines.append(Line("quickest", "good", low))
    if failed.any():
        lines.append(Line("slowest failed", "bad", buckets.extremes(cells[failed], taken[failed])[2]))
    return Chart("latency", "Latency, from when a request was due", "wall ms", "log", tuple(lines))


def _arrivals(run: Run, buckets: Buckets) -> Chart:
    kinds = run.requests.kinds
    sorts = [
        ("served", "active", [k.outcome is Outcome.OK for k in kinds]),
        ("failed", "bad", [k.outcome is not Outcome.OK and k.detail != UNSERVED for k in kinds]),
        ("unserved: no user was free", "unknown", [k.detail == UNSERVED for k in kinds]),
    ]
    due = buckets.of(run.requests.due_s)
    lines = [
        Line(label, kind, _rate(buckets, due[run.requests.where(wanted)]))
        for label, kind, wanted in sorts
        if any(wanted)
    ]
    return Chart("arrivals", "Arrivals, by when they were due", "requests per wall second", "stack", tuple(lines))


def _landed(run: Run, buckets: Buckets) -> Chart:
    codes, names = run.requests.coded([landed(run, kind) for kind in run.requests.kinds])
    sent = buckets.of(run.requests.sent_s)
    order = sorted(range(len(names)), key=lambda n: (names[n][0] == "", names[n]))
    lines = [
        Line(landed_words(*names[n]), _landed_kind(run, *names[n]), _rate(buckets, sent[codes == n])) for n in order
    ]
    return Chart("landed", "Where connections landed", "requests per wall second", "stack", tuple(lines))


def _landed_kind(run: Run, region: str, pinned: bool) -> str:
    if not region:
        return "bad"
    return "mixed" if pinned else run.roles.get(region, "elsewhere")


def _share(buckets: Buckets, cells: NDArray[np.int64], wanted: NDArray[np.bool_]) -> Column:
    of, all_ = buckets.counted(cells[wanted]).tolist(), buckets.counted(cells).tolist()
    return [_portion(part, whole) if whole else None for part, whole in zip(of, all_, strict=True)]


def _portion(part: int, whole: int) -> float:
    # Rounding must not make one failure in a thousand none.
    return part / whole if part in (0, whole) else min(max(_short(part / whole), 0.0001), 0.9999)


def _rate(buckets: Buckets, cells: NDArray[np.int64]) -> Column:
    return [_short(count / buckets.wall_s) for count in buckets.counted(cells).tolist()]


def _short(value: float) -> float:
    """Three digits: what a screen can show."""
    if value == 0:
        return 0
    short = round(value, 2 - math.floor(math.log10(abs(value))))
    return int(short) if short == int(short) else short


def _plain(chart: Chart) -> dict[str, Any]:
    lines = [{"label": x.label, "kind": x.kind, "values": x.values} for x in chart.lines]
    return {"name": chart.name, "title": chart.title, "unit": chart.unit, "form": chart.form, "lines": lines}


def _window(
    name: str, begin_s: float, end_s: float, onset: Sequence[float] | None, recovery: Sequence[float] | None
) -> dict[str, Any]:
    return {
        "name": name,
        "begin": round(begin_s, 2),
        "end": round(end_s, 2),
        "onset": [round(at, 2) for at in onset] if onset else None,
        "recovery": [round(at, 2) for at in recovery] if recovery else None,
    }
