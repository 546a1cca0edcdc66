"""The system's own timestamps on our axis, as wide as all that is not known about them.

A stamp is read to its resolution: one that shows microseconds is known to a millisecond, one that shows none to a
second, one on a full minute to a minute. The two clocks were read side by side once (the "clock" mark).
"""

from __future__ import annotations

from datetime import datetime

from drill.timeline import Event
from drill.verdict import Interval

CLOCK = "clock"
"""The mark of one reading: {"at": ISO 8601 of the system's clock, "low_s", "high_s": monotonic wall seconds just
before and after, "doubt_s": target seconds by which that clock may differ from the one that stamps}."""


def resolution_s(at: datetime) -> float:
    """How finely a stamp is known, by what it shows (target seconds)."""
    if at.microsecond:
        return 0.001
    return 1.0 if at.second else 60.0


def on_our_clock(at: datetime, reading: Event, speed: float) -> Interval:
    """A stamp in monotonic wall seconds. speed: target seconds per wall second."""
    since_s = (at - datetime.fromisoformat(str(reading.data["at"]))).total_seconds() / speed
    doubt_s = (resolution_s(at) + float(reading.data.get("doubt_s", 0.0))) / speed
    low_s, high_s = float(reading.data["low_s"]), float(reading.data["high_s"])
    return Interval(low_s + since_s - doubt_s, high_s + since_s + doubt_s)
