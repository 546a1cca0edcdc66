"""The system's own timestamps, put on our axis with everything that is not known about them.

A stamp of the system says when *it* says that something happened. It becomes an interval on our clock, as wide as its
resolution (an alarm that is known only by its period: a minute), the reading of the two clocks, and the doubt about
the system's clock together (drill/stamps.py). The rows say so; nothing is judged by them.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from checks.windows import FAILBACK, Window
from drill.stamps import CLOCK, on_our_clock, resolution_s
from drill.timeline import Event, History
from drill.verdict import Interval, unit_of


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
            unit = unit_of(history.header.get("target_kind"))
            doubt = f"{reading.data.get('doubt_s', 0):g} {unit} of doubt between the clocks"
            yield (
                f"{window.name}: {step.name}, own clock",
                from_zero,
                (f"{step.source}, its own clock, to {resolution_s(at):g} {unit}; {doubt}"),
            )


def _first(history: History, window: Window, step: OwnStep, reading: Event) -> tuple[datetime, Interval] | None:
    resource = ((history.header.get("target") or {}).get("resources") or {}).get(step.resource) or {}
    for signal in history.named("signal"):
        at = _stamp(signal.data, step, resource)
        if at is not None:
            instant = on_our_clock(at, reading, history.speed)
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
