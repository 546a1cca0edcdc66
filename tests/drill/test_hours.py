"""Windows in which drills are allowed: read exactly, never wider than written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drill.hours import DAYS, open_until, parse_hours

OFFICE = parse_hours("Mon-Fri 09:00-17:00 Asia/Tokyo")
MINUTES = st.integers(0, 60 * 24 - 1)
INSTANTS = st.floats(1735689600, 1830297600).map(lambda s: datetime.fromtimestamp(s, UTC))


def tokyo(year: int, month: int, day: int, hour: int, minute: int) -> datetime:
    """A local time in Tokyo."""
    return datetime(year, month, day, hour, minute, tzinfo=ZoneInfo("Asia/Tokyo"))


@pytest.mark.parametrize(
    ("at", "inside"),
    [
        (tokyo(2026, 11, 20, 9, 0), True),
        (tokyo(2026, 11, 20, 8, 59), False),
        (tokyo(2026, 11, 20, 16, 59), True),
        (tokyo(2026, 11, 20, 17, 0), False),
        (tokyo(2026, 11, 21, 12, 0), False),
        (datetime(2026, 11, 20, 0, 0, tzinfo=UTC), True),
    ],
)
def test_office_hours(at: datetime, inside: bool) -> None:
    """From the first minute up to the last, on working days, in the window's own zone."""
    assert (open_until([OFFICE], at, 60) is not None) is inside


def test_the_end_of_a_window_is_told() -> None:
    """So that a drill that would outlive it can be refused."""
    assert open_until([OFFICE], tokyo(2026, 11, 20, 16, 0), 7200) == tokyo(2026, 11, 20, 17, 0)


def test_windows_that_touch_are_one() -> None:
    """Two halves of a day, and a night that ends on the next day, leave no gap."""
    halves = [parse_hours("Fri 09:00-12:00 UTC"), parse_hours("Fri 12:00-17:00 UTC")]
    at = datetime(2026, 11, 20, 11, 0, tzinfo=UTC)
    assert open_until(halves, at, 3600 * 3) == at + timedelta(hours=6)
    night = parse_hours("Fri 22:00-06:00 UTC")
    assert open_until([night], datetime(2026, 11, 21, 1, 0, tzinfo=UTC), 60) == datetime(2026, 11, 21, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("always", "is no window"),
        ("Mon-Fri 9:00-17:00 UTC", "is no window"),
        ("Mon-Fri 09:00-17:00", "is no window"),
        ("Mo-Fri 09:00-17:00 UTC", "'mo-fri' is no day of the week"),
        ("Mon,, 09:00-17:00 UTC", "'' is no day"),
        ("Mon 25:00-26:00 UTC", "25:00 is no time of day"),
        ("Mon 09:60-17:00 UTC", "09:60 is no time of day"),
        ("Mon 09:00-09:00 UTC", "is empty"),
        ("Mon 24:00-09:00 UTC", "is empty"),
        ("Mon 09:00-17:00 Asia/Tokio", "no time zone 'Asia/Tokio'"),
        ("Mon 09:00-17:00 ../etc", "no time zone"),
    ],
)
def test_what_is_no_window_is_named(text: str, words: str) -> None:
    """A typo never means "any time"."""
    with pytest.raises(ValueError, match=words.replace("'", "'")):
        parse_hours(text)


@given(st.sampled_from(DAYS), st.sampled_from(DAYS), MINUTES, MINUTES, INSTANTS)
def test_in_utc_a_window_is_what_it_says(first: str, last: str, begin: int, end: int, at: datetime) -> None:
    """Held against a second reading of the same words, minute by minute."""
    if begin == end:
        return
    text = f"{first}-{last} {begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02} UTC"
    days = [DAYS[(DAYS.index(first) + n) % 7] for n in range((DAYS.index(last) - DAYS.index(first)) % 7 + 1)]
    minute = at.hour * 60 + at.minute
    today, yesterday = DAYS[at.weekday()] in days, DAYS[at.weekday() - 1] in days
    if begin < end:
        expected = today and begin <= minute < end
    else:
        expected = (today and minute >= begin) or (yesterday and minute < end)
    assert (open_until([parse_hours(text)], at, 1) is not None) is expected


@given(INSTANTS, st.floats(1, 86400 * 3))
def test_a_whole_week_is_always_open(at: datetime, for_s: float) -> None:
    """00:00-24:00 on every day has no seam, in a zone with summer time either."""
    always = [parse_hours("Mon-Sun 00:00-24:00 Europe/Berlin")]
    until = open_until(always, at, for_s)
    assert until is not None
    assert until >= at + timedelta(seconds=for_s)


@given(INSTANTS, st.floats(1, 86400))
def test_what_is_open_until_then_is_open_all_the_way(at: datetime, for_s: float) -> None:
    """No instant before the told end is outside, in a zone with summer time."""
    hours = [parse_hours("Sat,Sun-Tue 01:30-03:30 Europe/Berlin"), parse_hours("Wed 23:00-02:15 America/New_York")]
    until = open_until(hours, at, for_s)
    if until is not None:
        assert open_until(hours, until - timedelta(seconds=1), 1) is not None


def test_when_clocks_change_the_narrower_reading_counts() -> None:
    """02:30 comes twice on 2026-10-25 in Berlin: a window from then on begins with the second."""
    hours = [parse_hours("Sun 02:30-04:00 Europe/Berlin")]
    assert open_until(hours, datetime(2026, 10, 25, 0, 45, tzinfo=UTC), 60) is None
    assert open_until(hours, datetime(2026, 10, 25, 1, 45, tzinfo=UTC), 60) is not None
