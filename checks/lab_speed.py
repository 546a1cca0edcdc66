"""A lab that this machine did not run at its declared speed: what was slow then proves nothing. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from checks.windows import Settings, Window
from drill.timeline import Event, History
from drill.verdict import Finding, Verdict

OVERRUN = "lab.overrun"
LAB_SPEED = "lab speed"
"""The finding's name."""
TIMED = ("recovery time", "service level", "unprocessed", "end state")
"""Findings that fail because something took too long; a lost write is lost however slow the machine was."""


def speed_findings(history: History) -> Iterator[Finding]:
    """INVALID when the lab admits that it did not keep its speed, whenever that was."""
    overruns = history.named(OVERRUN)
    if overruns:
        reason = f"this machine did not hold the lab's speed {len(overruns)} times: {_told(overruns[0])}"
        data = {"overruns": len(overruns)}
        yield Finding(LAB_SPEED, Verdict.INVALID, reason, advice="lower --lab-speed", data=data)


def blamed_fairly(finding: Finding, history: History, window: Window, settings: Settings) -> Finding:
    """The finding, INVALID in place of FAIL when it is about time and the lab was too slow in that window."""
    if finding.verdict is not Verdict.FAIL or not finding.name.startswith(TIMED):
        return finding
    slow = [event for event in history.named(OVERRUN) if _overlaps(event, window, settings)]
    if not slow:
        return finding
    but = f"but this machine did not hold the lab's speed meanwhile: {_told(slow[0])}"
    reason = f"proves nothing: {finding.reason}, {but}"
    return replace(finding, verdict=Verdict.INVALID, reason=reason, advice="lower --lab-speed")


def _overlaps(overrun: Event, window: Window, settings: Settings) -> bool:
    """Whether the delay that took too long was under way in the window; one of unknown time was."""
    ended_s = _number(overrun, "monotonic_s", math.nan)
    began_s = ended_s - settings.wall_s(_number(overrun, "took_s", 0.0))
    return math.isnan(ended_s) or (began_s <= window.end_s and ended_s >= window.begin_s)


def _number(event: Event, name: str, otherwise: float) -> float:
    value = event.data.get(name)
    return float(value) if isinstance(value, (int, float)) else otherwise


def _told(overrun: Event) -> str:
    said = overrun.data
    what, declared_s, took_s = (said.get(name, "?") for name in ("what", "declared_s", "took_s"))
    return f"{what} is declared as {declared_s} lab s and took {took_s} lab s"
