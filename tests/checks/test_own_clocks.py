"""The system's own timestamps as intervals on our axis, as wide as all that is not known about them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from checks.own_clocks import own_clock_rows
from checks.phases import phases_of
from checks.windows import settings_of, windows_of
from drill.stamps import resolution_s
from drill.verdict import Interval
from tests.checks.histories import OSAKA, TARGET, Story

ZERO = datetime(2026, 11, 22, 10, 0, 0, tzinfo=UTC)
ALARM = {"region": OSAKA, "name": "canaryAlarm-*"}


def told(at: datetime, doubt_s: float = 0.0, detail: str = "Alarm updated from OK to ALARM") -> Story:
    """An alarm that stamped `at`; our clocks were read side by side at 200, within 1 target second."""
    story = Story(target=TARGET | {"resources": {"standby_alarm": ALARM}}).window(0, 300)
    there = (ZERO + timedelta(seconds=200)).isoformat()
    story.mark(201, "clock", at=there, low_s=story.at(199.5), high_s=story.at(200.5), doubt_s=doubt_s)
    stamp = {"source": "cloudwatch alarm history", "region": OSAKA, "name": "canaryAlarm-1", "detail": detail}
    return story.mark(250, "signal", at=at.isoformat(), **stamp)


def row(story: Story) -> tuple[str, Interval | None, str] | None:
    """The row of its own clock, counted from an onset at 10."""
    history = story.history()
    window = windows_of(history, settings_of(history).places)[0]
    onset = Interval(story.at(10), story.at(10))
    return next(own_clock_rows(history, window, onset), None)


@pytest.mark.parametrize(
    ("stamp", "width_s"),
    [
        (ZERO + timedelta(seconds=120, microseconds=7000), 0.002),
        (ZERO + timedelta(seconds=121), 2.0),
        (ZERO + timedelta(seconds=120), 120.0),
    ],
    ids=["milliseconds", "seconds", "a full minute"],
)
def test_a_stamp_is_as_wide_as_what_it_shows(stamp: datetime, width_s: float) -> None:
    """Its resolution on both sides, and the second within which the two clocks were read."""
    found = row(told(stamp))
    assert found is not None and found[1] is not None
    name, interval, clock = found
    true_s = (stamp - ZERO).total_seconds() - 10
    assert interval.low_s <= true_s <= interval.high_s
    assert interval.high_s - interval.low_s == pytest.approx(width_s + 1.0, abs=1e-6)
    assert name == "failover: detected, own clock"
    assert "its own clock" in clock and f"to {resolution_s(stamp):g} s" in clock


def test_doubt_about_the_other_clock_widens_and_is_said() -> None:
    """A host that is kept by NTP may be a second off."""
    found = row(told(ZERO + timedelta(seconds=121, microseconds=5000), doubt_s=1.0))
    assert found is not None and found[1] is not None
    assert found[1].high_s - found[1].low_s == pytest.approx(3.002, abs=1e-6)
    assert "1 s of doubt" in found[2]


def test_what_happened_outside_the_window_or_was_something_else_is_no_row() -> None:
    """An alarm that went back to OK, one from before, and a run whose clocks were never compared."""
    assert row(told(ZERO + timedelta(seconds=121), detail="Alarm updated from ALARM to OK")) is None
    assert row(told(ZERO - timedelta(seconds=500))) is None
    story = told(ZERO + timedelta(seconds=121))
    story.events = [e for e in story.events if e.name != "clock"]
    assert row(story) is None


def test_the_phase_split_carries_the_row_beside_the_polled_one() -> None:
    """Two rows of one step, each with its clock."""
    story = told(ZERO + timedelta(seconds=121, microseconds=9000))
    story.signal("aws.alarm.standby", [(s, "ALARM" if s >= 121 else "OK") for s in range(-5, 200, 5)])
    history = story.history()
    fixed = settings_of(history)
    window = windows_of(history, fixed.places)[0]
    onset = Interval(story.at(10), story.at(10))
    rows = {name: interval for name, interval, _ in phases_of(history, window, fixed, onset, None)}
    polled, own = rows["failover: detected"], rows["failover: detected, own clock"]
    assert polled is not None and own is not None
    assert polled.low_s <= 111.009 <= polled.high_s + 5
    assert own.low_s <= 111.009 <= own.high_s
