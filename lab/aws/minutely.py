"""What happens once in every lab minute, some time after it has ended."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from lab.clock import LabClock
from lab.truth import Truth

MINUTE_S = 60.0
STOP_WALL_S = 5.0


class Minutely:
    """Calls `act` with the end of each minute (lab seconds since the epoch), `delay_s` lab seconds after it.

    act: also gets an event that is set when it is to end. Missed minutes are skipped, not caught up with.
    """

    def __init__(
        self,
        name: str,
        clock: LabClock,
        truth: Truth,
        delay_s: float,
        act: Callable[[float, threading.Event], None],
    ) -> None:
        self._name, self._clock, self._truth, self._delay_s, self._act = name, clock, truth, delay_s, act
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=STOP_WALL_S)

    def _run(self) -> None:
        while True:
            end_s = (math.floor((self._clock.now_s() - self._delay_s) / MINUTE_S) + 1) * MINUTE_S
            if self._clock.wait(self._stop, end_s + self._delay_s - self._clock.now_s()):
                return
            self._truth.took(self._name, self._delay_s, self._clock.now_s() - end_s)
            self._act(end_s, self._stop)
