"""One objective against what was measured, drawn to scale: the limit as a line, the interval as a bar."""

from __future__ import annotations

import math

from drill.verdict import Finding, Interval, Verdict
from reports.columns import nice_step
from reports.ink import line, patterns, rectangles, safe, scope_of, style, text

WIDTH = 340
PLOT = 320
LEFT = 10
HEIGHT = 62
KINDS = {Verdict.PASS: "good", Verdict.INCONCLUSIVE: "warn", Verdict.INVALID: "unknown"}
"""Verdict -> kind of band; all others are bad."""


def bar(finding: Finding, unit: str, number: int) -> str:
    """An `<svg>` of a finding that has a limit. unit: of its seconds; number: makes ids unique on the page."""
    scope = scope_of(f"bar-{number}")
    full = reach(finding)
    measured = "not measured" if finding.interval is None else finding.interval.shown(unit)
    words = f"{finding.name}: {measured}, limit {finding.limit_s:g} {unit}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" class="{scope}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" aria-labelledby="{scope}-t" font-family="system-ui,sans-serif">'
        f'<title id="{scope}-t">{safe(words)}, {finding.verdict.value}</title>{style(scope)}{patterns(scope)}'
        f'<g transform="translate({LEFT},0)"><rect class="lane" y="20" width="{PLOT}" height="18"/>'
        f"{_measured(finding, full, scope, unit)}{_limit(finding, full, unit)}{_axis(full)}</g></svg>"
    )


def reach(finding: Finding) -> float:
    """The seconds that the width of the bar stands for: limit and interval with a little room."""
    interval = finding.interval or Interval(0.0, 0.0)
    ends = [finding.limit_s or 0.0, interval.low_s, interval.high_s]
    return max([e for e in ends if math.isfinite(e)] + [1.0]) * 1.15


def _measured(finding: Finding, full: float, scope: str, unit: str) -> str:
    if finding.interval is None:
        return text(4, 33, "not measured", "muted")
    low = min(finding.interval.low_s, full) / full * PLOT
    high = min(finding.interval.high_s, full) / full * PLOT
    box = (min(low, PLOT - 3.0), 22.0, max(high - low, 3.0), 14.0)
    body = rectangles(scope, KINDS.get(finding.verdict, "bad"), [box], finding.interval.shown(unit))
    return body if math.isfinite(finding.interval.high_s) else body + text(PLOT - 2, 33, "no end ▸", "on", "end", 10)


def _limit(finding: Finding, full: float, unit: str) -> str:
    x = (finding.limit_s or 0.0) / full * PLOT
    anchor = "start" if x < PLOT / 2 else "end"
    label = text(x, 12, f"limit {finding.limit_s:g} {unit}", anchor=anchor)
    return line(x, 15, x, 43, width=2) + label


def _axis(full: float) -> str:
    step = nice_step(full / 6)
    ticks = [n * step for n in range(int(full / step) + 1)]
    return "".join(
        line(t / full * PLOT, 38, t / full * PLOT, 42) + text(t / full * PLOT, 54, f"{t:g}", "muted", "middle", 10)
        for t in ticks
    )
