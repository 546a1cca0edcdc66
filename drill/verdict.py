"""Verdicts, findings and the algebra that joins them (design, "Verdicts and exit codes")."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Verdict(Enum):
    """The outcome of a finding, a drill or a session; ordered from best to worst by `rank`."""

    PASS = "PASS"
    INCONCLUSIVE = "INCONCLUSIVE"
    INVALID = "INVALID"
    FAIL = "FAIL"
    DIRTY = "DIRTY"

    @property
    def rank(self) -> int:
        """0 for the best, rising; the worst of several is the one with the highest rank."""
        return list(Verdict).index(self)

    @property
    def exit_code(self) -> int:
        """The process exit code that stands for this verdict."""
        return {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 10, "INVALID": 11, "DIRTY": 20}[self.value]


USAGE_EXIT_CODE = 4
REFUSED_EXIT_CODE = 12


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst verdict; INVALID when there is none, because nothing proven is never PASS."""
    return max(verdicts, key=lambda v: v.rank, default=Verdict.INVALID)


@dataclass(frozen=True)
class Interval:
    """Bounds of a quantity in seconds; `high_s` may be infinity.

    basis: the observations it rests on, in words (probe, instants).
    Raises ValueError when the bounds are not ordered numbers.
    """

    low_s: float
    high_s: float
    basis: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if math.isnan(self.low_s) or math.isnan(self.high_s) or self.low_s > self.high_s:
            raise ValueError(f"interval bounds are not ordered: [{self.low_s}, {self.high_s}]")

    def minus(self, earlier: Interval) -> Interval:
        """The duration from `earlier` to this instant: the interval difference, floor 0."""
        low = max(0.0, self.low_s - earlier.high_s)
        return Interval(low, max(low, self.high_s - earlier.low_s), earlier.basis + self.basis)

    def scaled(self, factor: float) -> Interval:
        """The same interval in another unit (wall seconds to target seconds)."""
        return Interval(self.low_s * factor, self.high_s * factor, self.basis)

    def shown(self, unit: str) -> str:
        """With its unit: "[1.0, 2.0 lab s]", "[1.0 lab s, infinity)"."""
        if math.isfinite(self.high_s):
            return f"[{self.low_s:.1f}, {self.high_s:.1f} {unit}]"
        return f"[{self.low_s:.1f} {unit}, infinity)"

    def __str__(self) -> str:
        return self.shown("s")


@dataclass(frozen=True)
class Finding:
    """One judged question.

    name: what was judged ("recovery time, failover"); limit_s: the objective in target seconds, None when the
    finding has no limit; interval: what was measured in target seconds, None when nothing could be measured;
    reason: one sentence; advice: what to do about it, may be empty; data: JSON-able details (named writes, ...).
    """

    name: str
    verdict: Verdict
    reason: str
    limit_s: float | None = None
    interval: Interval | None = None
    advice: str = ""
    data: dict[str, Any] = field(default_factory=dict)


def unit_of(kind: object) -> str:
    """What a target second is called, by the target's kind: "lab s" in a lab, where time runs at its own speed."""
    return "lab s" if kind == "lab" else "s"


def judge_interval(name: str, interval: Interval, limit_s: float, advice: str = "", unit: str = "s") -> Finding:
    """PASS only if the upper bound meets the limit, FAIL only if the lower bound misses it.

    interval and limit_s are target seconds; unit: what these are called. Meeting means <=.
    """
    measured, limit = interval.shown(unit), f"{limit_s:g} {unit}"
    if interval.high_s <= limit_s:
        return Finding(name, Verdict.PASS, f"{measured} meets the limit of {limit}", limit_s, interval)
    if interval.low_s > limit_s:
        return Finding(name, Verdict.FAIL, f"{measured} misses the limit of {limit}", limit_s, interval)
    reason = f"the limit of {limit} lies inside the bounds {measured}"
    more = advice or "raise the probe rate (timings.probe_interval_s) or repeat the drill"
    return Finding(name, Verdict.INCONCLUSIVE, reason, limit_s, interval, more)


@dataclass(frozen=True)
class Judgement:
    """A drill's verdict with all its findings and tables; a pure function of the run folder.

    phases: rows (name, Interval in target seconds from the onset, source clock).
    writes: counts by fate ("acknowledged", "lost", "late", "duplicate", "indeterminate", ...), per window.
    """

    verdict: Verdict
    findings: tuple[Finding, ...]
    phases: tuple[tuple[str, Interval | None, str], ...] = ()
    writes: dict[str, dict[str, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def conclude(
    findings: Iterable[Finding],
    phases: tuple[tuple[str, Interval | None, str], ...] = (),
    writes: dict[str, dict[str, int]] | None = None,
    notes: tuple[str, ...] = (),
) -> Judgement:
    """Join findings into a judgement: the drill's verdict is the worst of them."""
    found = tuple(findings)
    return Judgement(worst(f.verdict for f in found), found, phases, writes or {}, notes)
