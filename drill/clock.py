"""The only module that reads a clock.

Evidence is stamped with the machine's monotonic clock (wall seconds, shared by all processes of one machine).
Durations that belong to the system under test (objectives, windows, phases) are *target seconds*: equal to wall
seconds on AWS, and `speed` times faster in the lab.
"""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

_STAMP = struct.Struct("qq")


def lived_s() -> float:
    """Wall seconds of this machine's life, sleep and suspension included: for leases, never for evidence."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Clock(Protocol):
    """What a drill needs of time."""

    @property
    def speed(self) -> float:
        """Target seconds per wall second, > 0."""

    def monotonic_s(self) -> float:
        """Monotonic wall seconds, the stamp of all evidence."""

    def wall(self) -> datetime:
        """The date, UTC, as the machine shows it (for names and headers, never for arithmetic)."""

    def sleep(self, target_s: float) -> None:
        """Sleep for `target_s` target seconds."""


@dataclass(frozen=True)
class SystemClock:
    """The machine's own clock; target seconds pass `speed` times faster than wall seconds.

    speed: target seconds per wall second, > 0; 1.0 on AWS, the lab's speed factor in the lab.
    """

    speed: float = 1.0

    monotonic_s = staticmethod(time.monotonic)
    """See Clock. The function itself: witnesses ask some ten thousand times a second."""

    def wall(self) -> datetime:
        """See Clock."""
        return datetime.now(UTC)

    def sleep(self, target_s: float) -> None:
        """See Clock."""
        if target_s > 0:
            time.sleep(target_s / self.speed)


def arrived_s(kernel_stamp: bytes) -> float:
    """The monotonic instant of a packet's arrival, from the kernel's stamp of it (SCM_TIMESTAMPNS: wall clock).

    The kernel stamps a packet when it comes in, whenever its reader may be allowed to run. The two clocks are
    compared now, so a step of the wall clock between arrival and this call gives a wrong instant: callers bound it.
    """
    seconds, nanoseconds = _STAMP.unpack(kernel_stamp)
    return float(seconds + nanoseconds * 1e-9 + (time.monotonic() - time.time()))


@dataclass
class FakeClock:
    """A clock that a test moves by hand: sleeping advances it at once."""

    speed: float = 1.0
    now_s: float = 1000.0
    date: datetime = field(default_factory=lambda: datetime(2026, 1, 1, tzinfo=UTC))

    def monotonic_s(self) -> float:
        """See Clock."""
        return self.now_s

    def wall(self) -> datetime:
        """See Clock."""
        return self.date

    def sleep(self, target_s: float) -> None:
        """See Clock."""
        self.now_s += max(0.0, target_s) / self.speed
