"""The system's own timestamps, put on our axis with everything that is not known about them.

A stamp of the system says when *it* says that something happened. It is read to its resolution: one that shows
microseconds is known to a millisecond, one that shows none to a second, one on a full minute to a minute (an alarm
that is known only by its period). The two clocks were read side by side once ("clock" marks), so a stamp becomes an
interval on ours, as wide as its resolution, that reading, and the doubt about the system's clock together. The rows
say so; nothing is judged by them.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from checks.windows import FAILBACK, Window
from drill.timeline import Event, History
from drill.verdict import Interval

CLOCK = "clock"
"""The mark of one reading: {"at": ISO 8601 of the system's clock, "low_s", "high_s": monotonic wall seconds just
before and after, "doubt_s": target seconds by which that clock may differ from the one that stamps}."""


@dataclass(frozen=True)
class OwnStep:
    """A step as one of the system's own records shows it. resource: key in the target; shown: by its detail."""

    name: str
    source: str
    resource: str
    shown: Callable[[str], bool]


def steps_of(window: Window) -> tuple[OwnStep, ...]:
    """The steps of a window that the system stamps itself."""
    decided = OwnStep(
        "decided", "states execution history", f"{window.name}_machine", lambda d: d.strip() == "ExecutionStarted"
    )
    if window.name == FAILBACK:
        return (decided,)
    detected = OwnStep(
        "detected", "cloudwatch alarm history", "standby_alarm", lambda detail: detail.endswith("to ALARM")
    )
    return detected, decided


def resolution_s(at: datetime) -> float:
    """How finely a stamp is known, by what it shows (target seconds)."""
    if at.microsecond:
        return 0.001
    return 1.0 if at.second else 60.0


def own_clock_rows(history: History, window: Window, zero: Interval) -> Iterator[tuple[str, Interval | None, str]]:
    """Rows for the phase split: name, interval in target seconds from the onset, whose clock and how exact."""
    reading = history.first(CLOCK)
    if reading is None:
        return
    for step in steps_of(window):
        found = _first(history, window, step, reading)
        if found is not None:
            at, instant = found
            from_zero = Interval(
                (instant.low_s - zero.high_s) * history.speed, (instant.high_s - zero.low_s) * history.speed
            )
            doubt = f"{reading.data.get('doubt_s', 0):g} s of doubt between the clocks"
            yield (
                f"{window.name}: {step.name}, own clock",
                from_zero,
                (f"{step.source}, its own clock, to {resolution_s(at):g} s; {doubt}"),
            )


def _first(history: History, window: Window, step: OwnStep, reading: Event) -> tuple[datetime, Interval] | None:
    resource = ((history.header.get("target") or {}).get("resources") or {}).get(step.resource) or {}
    for signal in history.named("signal"):
        at = _stamp(signal.data, step, resource)
        if at is not None:
            instant = _on_our_clock(at, reading, history.speed)
            if window.begin_s <= instant.high_s and instant.low_s <= window.end_s:
                return at, instant
    return None


def _stamp(data: dict[str, Any], step: OwnStep, resource: dict[str, Any]) -> datetime | None:
    if data.get("source") != step.source or not data.get("at") or not step.shown(str(data.get("detail", ""))):
        return None
    same = data.get("region") == resource.get("region")
    if not (same and fnmatch.fnmatchcase(str(data.get("name", "")), str(resource.get("name", "")))):
        return None
    return datetime.fromisoformat(str(data["at"]))


def _on_our_clock(at: datetime, reading: Event, speed: float) -> Interval:
    """A stamp in monotonic wall seconds."""
    since_s = (at - datetime.fromisoformat(str(reading.data["at"]))).total_seconds() / speed
    doubt_s = (resolution_s(at) + float(reading.data.get("doubt_s", 0.0))) / speed
    low_s, high_s = float(reading.data["low_s"]), float(reading.data["high_s"])
    return Interval(low_s + since_s - doubt_s, high_s + since_s + doubt_s)
