"""When drills are allowed: windows of the week, as text in a target file.

"Mon-Fri 09:00-17:00 Asia/Tokyo": days (a range, which may wrap, or a list of both), local times (24:00 is the end of
the day; an end before its begin lies on the next day), and a time zone of the IANA database.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FORM = re.compile(r"(?P<days>\S+)\s+(?P<begin>\d\d:\d\d)-(?P<end>\d\d:\d\d)\s+(?P<zone>\S+)")
EXAMPLE = '"Mon-Fri 09:00-17:00 Asia/Tokyo"'
DAY_MINUTES = 24 * 60
MARGIN_DAYS = 2
"""Local days looked at on each side: a window may begin the day before, in a zone up to 14 h from UTC."""

Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Hours:
    """One window. days: 0 is Monday; begin_min, end_min: minutes after local midnight, end_min may pass 24 h."""

    text: str
    days: frozenset[int]
    begin_min: int
    end_min: int
    zone: ZoneInfo

    def spans(self, low: datetime, high: datetime) -> Iterator[Span]:
        """The window's spans (UTC) of all local days that may touch [low, high]."""
        day = low.astimezone(self.zone).date() - timedelta(days=MARGIN_DAYS)
        last = high.astimezone(self.zone).date() + timedelta(days=MARGIN_DAYS)
        while day <= last:
            if day.weekday() in self.days:
                span = max(self._instants(day, self.begin_min)), min(self._instants(day, self.end_min))
                if span[0] < span[1]:
                    yield span
            day += timedelta(days=1)

    def _instants(self, day: date, minutes: int) -> tuple[datetime, datetime]:
        """Both readings of a local time: they differ when clocks change. The caller takes the narrower."""
        extra, rest = divmod(minutes, DAY_MINUTES)
        local = datetime.combine(day + timedelta(days=extra), time(rest // 60, rest % 60), tzinfo=self.zone)
        return local.replace(fold=0).astimezone(UTC), local.replace(fold=1).astimezone(UTC)


def parse_hours(text: str) -> Hours:
    """A window from its text. ValueError says which part is wrong and what it should look like."""
    match = FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no window; expected DAYS HH:MM-HH:MM ZONE, as {EXAMPLE}")
    begin_min, end_min = _minutes(text, match["begin"]), _minutes(text, match["end"])
    if begin_min in (end_min, DAY_MINUTES):
        raise ValueError(f"{text!r}: from {match['begin']} to {match['end']} is empty; a whole day is 00:00-24:00")
    end_min += DAY_MINUTES if end_min < begin_min else 0
    return Hours(text.strip(), _days(text, match["days"]), begin_min, end_min, _zone(text, match["zone"]))


def open_until(windows: Iterable[Hours], at: datetime, for_s: float) -> datetime | None:
    """The instant (UTC) until which drills are allowed without a break from `at` on; None when `at` is outside.

    Looks no further than needed for `for_s` wall seconds: the answer may be later in truth, never earlier.
    """
    now, due = at.astimezone(UTC), at.astimezone(UTC) + timedelta(seconds=for_s)
    until = now
    for begin, end in sorted(span for hours in windows for span in hours.spans(now, due)):
        if begin <= until:
            until = max(until, end)
    return until if until > now else None


def _minutes(text: str, clock: str) -> int:
    hour, minute = (int(part) for part in clock.split(":"))
    if minute > 59 or hour * 60 + minute > DAY_MINUTES:
        raise ValueError(f"{text!r}: {clock} is no time of day (00:00 to 24:00)")
    return hour * 60 + minute


def _days(text: str, words: str) -> frozenset[int]:
    found: set[int] = set()
    for part in words.lower().split(","):
        first, _, last = part.partition("-")
        if {first, last or first} - set(DAYS):
            raise ValueError(f"{text!r}: {part!r} is no day of the week; use {', '.join(d.title() for d in DAYS)}")
        low, high = DAYS.index(first), DAYS.index(last or first)
        found.update(range(low, high + 1) if low <= high else [*range(low, 7), *range(high + 1)])
    return frozenset(found)


def _zone(text: str, name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"{text!r}: no time zone {name!r} on this machine; use a name as Asia/Tokyo or UTC"
        ) from None
