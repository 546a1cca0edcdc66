"""The lab's clock: lab seconds pass `speed` times faster than wall seconds.

Every delay that a system publishes (canary period, alarm period, TTL, waits, lag) is declared in AWS's own
seconds, which are lab seconds. The mapping is affine and anchored in CLOCK_MONOTONIC, which all processes of
one machine share, so any process that is told the three numbers reads the same lab time.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class LabClock:
    """Maps the machine's monotonic clock to lab time.

    speed: lab seconds per wall second, > 0.
    origin_monotonic_s: monotonic instant (wall seconds) at which the lab epoch read `origin_epoch_s`.
    origin_epoch_s: seconds since 1970-01-01 UTC that the lab showed at that instant.
    """

    speed: float
    origin_monotonic_s: float
    origin_epoch_s: float

    @classmethod
    def starting_now(cls, speed: float) -> LabClock:
        """A clock that shows the true date now and runs at `speed` from here on."""
        return cls(speed, time.monotonic(), time.time())

    def now_s(self) -> float:
        """Lab time now, in seconds since the epoch."""
        return self.origin_epoch_s + (time.monotonic() - self.origin_monotonic_s) * self.speed

    def now(self) -> datetime:
        """Lab time now, as an aware UTC datetime (what API timestamps show)."""
        return datetime.fromtimestamp(self.now_s(), UTC)

    def wall_s(self, lab_s: float) -> float:
        """How many wall seconds `lab_s` lab seconds last."""
        return lab_s / self.speed

    def monotonic_at(self, lab_epoch_s: float) -> float:
        """The monotonic instant at which the lab's date is `lab_epoch_s`."""
        return self.origin_monotonic_s + (lab_epoch_s - self.origin_epoch_s) / self.speed

    def sleep(self, lab_s: float) -> None:
        """Sleep for `lab_s` lab seconds."""
        if lab_s > 0:
            time.sleep(self.wall_s(lab_s))

    def wait(self, event: threading.Event, lab_s: float) -> bool:
        """Wait for `event` at most `lab_s` lab seconds; True when it was set."""
        return event.wait(max(0.0, self.wall_s(lab_s)))
