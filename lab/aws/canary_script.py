"""What a canary's script is given, and how it is called: until when it may run, how it waits, how long it worked."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from lab.clock import LabClock

Script = Callable[["CanaryContext"], None]


class CanaryTimeoutError(Exception):
    """The run's time is up; raised inside the script by `CanaryContext.sleep` and `.check`."""


@dataclass
class Work:
    """How long (lab seconds) one run's script has worked between its waits; a step under way does not count yet."""

    since_s: float
    done_s: float = 0.0

    def pause(self, now_s: float) -> None:
        """A wait, or the run's end, begins now."""
        self.done_s += now_s - self.since_s
        self.since_s = now_s

    def resume(self, now_s: float) -> None:
        """A wait ends now."""
        self.since_s = now_s


@dataclass(frozen=True)
class CanaryContext:
    """What a script is given: where it runs, until when (lab seconds since the epoch), and how to wait."""

    name: str
    region: str
    run_id: str
    deadline_s: float
    clock: LabClock
    _over: threading.Event = field(repr=False)
    _work: Work = field(repr=False)

    def remaining_s(self) -> float:
        """Lab seconds until the run is out of time, never below 0."""
        return max(0.0, self.deadline_s - self.clock.now_s())

    def check(self) -> None:
        """Raise CanaryTimeoutError when the run is out of time or the lab stops."""
        if self._over.is_set() or self.remaining_s() <= 0:
            raise CanaryTimeoutError(f"run of {self.name} is out of time")

    def sleep(self, lab_s: float) -> None:
        """Wait `lab_s` lab seconds; raises CanaryTimeoutError when the run ends before."""
        self._work.pause(self.clock.now_s())
        self.clock.wait(self._over, min(lab_s, self.remaining_s()))
        self._work.resume(self.clock.now_s())
        self.check()


def no_script(context: CanaryContext) -> None:
    """Stands in for a canary whose script nobody gave: each run fails."""
    raise LookupError(f"no script for canary {context.name}")


def run_script(script: Script, context: CanaryContext, results: list[str | None]) -> None:
    """Run it to its end and append None, or why it failed."""
    try:
        script(context)
        context._work.pause(context.clock.now_s())
        results.append(None)
    # Whatever a script raises is its verdict, as an exception in a canary's handler is in AWS.
    except Exception as error:  # noqa: BLE001
        results.append(f"{type(error).__name__}: {error}"[:500])
