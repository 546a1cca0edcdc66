"""How right the prober is: its bounds and estimates against outages whose edges are known.

The truth of an edge is itself a bracket: the instants just before and just after the action that made it. An edge is
covered when the measured interval and that bracket have an instant in common; an outage is covered when both of its
edges and its duration are. The error is the point estimate of the duration minus the true duration (middle to
middle of the brackets); positive is too long.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from checks.estimate import brown_out, edges
from checks.recovery_time import Look, measure
from drill.verdict import Interval

BROWN_OUT = "brownout"
HARD = ("refuse", "503", "reset", "dns", "hang", "blackhole")
"""The kinds whose errors make up the overall figures; flapping and brown-outs state their own."""
SUSTAINED_S = 0.12
"""Good for this long ends an outage (wall seconds): longer than any good spell of the flapping victim."""
SILENCE_S = 0.2
MARGIN_S = 0.05
"""Looks sent this soon after one outage, or before the next, belong to neither."""


@dataclass(frozen=True)
class Planted:
    """The truth about one outage: brackets of its edges, monotonic wall seconds."""

    kind: str
    onset: Interval
    recovery: Interval

    @classmethod
    def of(cls, record: dict[str, Any]) -> Planted:
        """From a line of a victim's record."""
        return cls(str(record["kind"]), Interval(*record["onset"]), Interval(*record["recovery"]))

    @property
    def duration_s(self) -> float:
        """Middle to middle."""
        return _middle(self.recovery) - _middle(self.onset)

    @property
    def doubt_s(self) -> float:
        """How wide the brackets are together: no error below this means anything."""
        return (self.onset.high_s - self.onset.low_s) + (self.recovery.high_s - self.recovery.low_s)


@dataclass(frozen=True)
class Result:
    """One outage as measured at one rate.

    covered: see the module. Where nothing can be said (a drill would be INVALID) the interval has no end, covers
    everything and is counted as unbounded, with the reason in `why`. error_s, onset_error_s, recovery_error_s: of
    the point estimate, None when there is none; width_s: of the duration's bounds, infinite when unbounded.
    """

    kind: str
    covered: bool
    error_s: float | None
    onset_error_s: float | None
    recovery_error_s: float | None
    width_s: float
    why: str = ""


def _middle(interval: Interval) -> float:
    return (interval.low_s + interval.high_s) / 2


def thinned(looks: Sequence[Look], interval_s: float, every_s: float, phase: float) -> list[Look]:
    """Every so manieth look: what a prober with `every_s` between its slots would have seen. phase: in [0, 1)."""
    if every_s <= interval_s:
        return list(looks)
    found: list[Look] = []
    slot = None
    for look in looks:
        number = math.floor(look.sent_s / every_s - phase)
        if number != slot:
            slot = number
            found.append(look)
    return found


def results(looks: Sequence[Look], truth: Sequence[Planted], interval_s: float) -> list[Result]:
    """One result per planted outage. looks: of the victim's whole life, by send time; interval_s: between two."""
    ends = [-math.inf, *(p.recovery.high_s for p in truth)]
    begins = [*(p.onset.low_s for p in truth), math.inf]
    return [
        _result(_between(looks, ends[n] + MARGIN_S, begins[n + 1] - MARGIN_S), planted, interval_s)
        for n, planted in enumerate(truth)
    ]


def _between(looks: Sequence[Look], low_s: float, high_s: float) -> list[Look]:
    return [k for k in looks if low_s <= k.sent_s < high_s]


def _result(looks: Sequence[Look], planted: Planted, interval_s: float) -> Result:
    return (_of_brown_out if planted.kind == BROWN_OUT else _of_outage)(looks, planted, interval_s)


def _of_brown_out(looks: Sequence[Look], planted: Planted, interval_s: float) -> Result:
    found = brown_out(looks, interval_s)
    if found is None:  # nothing is claimed: an interval without an end, which the summary counts as such
        return Result(planted.kind, True, None, None, None, math.inf, "no failure was seen")
    return _compared(planted, found.onset, found.recovery, found.duration, found.point)


def _of_outage(looks: Sequence[Look], planted: Planted, interval_s: float) -> Result:
    if not looks:
        return Result(planted.kind, True, None, None, None, math.inf, "the prober was blind")
    end_s = max(k.done_s for k in looks)
    found = measure(looks, looks[0].sent_s, end_s, SUSTAINED_S, max(SILENCE_S, 1.9 * interval_s))
    if found.duration is None:
        return Result(planted.kind, True, None, None, None, math.inf, found.problem)
    if found.onset is None or found.recovery is None:
        covered = _meets(found.duration, planted.duration_s, planted.doubt_s)
        return Result(planted.kind, covered, None, None, None, _width(found.duration), "nothing was seen")
    return _compared(planted, found.onset, found.recovery, found.duration, edges(looks, found))


def _compared(
    planted: Planted, onset: Interval, recovery: Interval, duration: Interval, point: tuple[float, float] | None
) -> Result:
    missed = [
        name
        for name, held in (
            ("onset", _common(onset, planted.onset)),
            ("recovery", _common(recovery, planted.recovery)),
            ("duration", _meets(duration, planted.duration_s, planted.doubt_s)),
        )
        if not held
    ]
    why = f"{', '.join(missed)} not within the bounds" if missed else ""
    if point is None:
        return Result(planted.kind, not missed, None, None, None, _width(duration), why)
    onset_error_s, recovery_error_s = point[0] - _middle(planted.onset), point[1] - _middle(planted.recovery)
    error_s = recovery_error_s - onset_error_s
    return Result(planted.kind, not missed, error_s, onset_error_s, recovery_error_s, _width(duration), why)


def _common(one: Interval, other: Interval) -> bool:
    return one.low_s <= other.high_s and other.low_s <= one.high_s


def _meets(duration: Interval, true_s: float, doubt_s: float) -> bool:
    return duration.low_s <= true_s + doubt_s and true_s - doubt_s <= duration.high_s


def _width(interval: Interval) -> float:
    return interval.high_s - interval.low_s


def quantile(values: Iterable[float], share: float) -> float | None:
    """The value that `share` of the values do not exceed (nearest rank); None of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def summary(found: Sequence[Result]) -> dict[str, Any]:
    """JSON-able: outages, covered, unbounded (bounds without an end, which cover everything), without_estimate,
    bias_s, error_s {median, p95, worst}, width_s {median, worst} of the bounded ones.

    error_s is of absolute errors; None where there is no estimate at all.
    """
    errors = [r.error_s for r in found if r.error_s is not None]
    sizes = [abs(error) for error in errors]
    widths = [r.width_s for r in found if math.isfinite(r.width_s)]
    return {
        "outages": len(found),
        "covered": sum(r.covered for r in found),
        "unbounded": sum(math.isinf(r.width_s) for r in found),
        "without_estimate": len(found) - len(errors),
        "bias_s": statistics.fmean(errors) if errors else None,
        "error_s": {
            "median": quantile(sizes, 0.5),
            "p95": quantile(sizes, 0.95),
            "worst": max(sizes, default=None),
        },
        "width_s": {"median": quantile(widths, 0.5), "worst": max(widths, default=None)},
    }


def by_kind(found: Sequence[Result]) -> dict[str, dict[str, Any]]:
    """A summary per kind, in order of the names."""
    ordered = sorted(found, key=lambda r: r.kind)
    return {kind: summary(list(rows)) for kind, rows in itertools.groupby(ordered, key=lambda r: r.kind)}
