"""A beat that the lab should keep, and admits when it does not.

Declared delays report their own overruns, but most of what a lab does is real work between them. A machine (or an
interpreter lock) that is busy for so long that a mere sleep ends 10 lab seconds late has delayed everything else
in the process as much, whether or not something was there to notice.
"""

from __future__ import annotations

import threading

from lab.clock import LabClock
from lab.truth import Truth

BEAT_WALL_S = 0.1
STOP_WALL_S = 2.0


class Metronome:
    """Sleeps for BEAT_WALL_S wall seconds again and again, and reports a beat that comes late as an overrun."""

    def __init__(self, clock: LabClock, truth: Truth) -> None:
        self._clock, self._truth = clock, truth
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metronome", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(STOP_WALL_S)

    def _run(self) -> None:
        beat_s = BEAT_WALL_S * self._clock.speed
        before_s = self._clock.now_s()
        while not self._over.wait(BEAT_WALL_S):
            now_s = self._clock.now_s()
            self._truth.took("a beat of the lab", beat_s, now_s - before_s)
            before_s = now_s
