"""The record of the truth: when each thing in the lab really stopped and came back.

Only tests and calibration read it; no drill does. The exception is `overruns.jsonl` beside it, by which the
lab admits that the machine could not hold the speed it was asked for: a drill must know that.
"""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

from lab.clock import LabClock

OVERRUN_TOLERANCE_LAB_S = 10.0
"""A declared delay that lasts this much longer (lab seconds) than declared is an overrun: 10 s is the smallest
step that the systems publish, so an error of that size would change what a drill reports."""


class Truth:
    """Append-only JSON lines, one `write` each, safe from several threads.

    `record` lines: {"monotonic_s", "lab_s", "what", ...}. `overruns.jsonl` lines add declared_s and took_s,
    both lab seconds.
    """

    def __init__(self, folder: Path, clock: LabClock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._truth = os.open(folder / "truth.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._overruns = os.open(
            folder / "overruns.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644
        )

    def record(self, what: str, **fields: object) -> None:
        """Note that `what` is true from this instant on."""
        self._write(self._truth, {"what": what, **fields})

    def took(self, what: str, declared_s: float, took_s: float) -> None:
        """Compare a declared delay with what it really took (both lab seconds) and admit an overrun."""
        if took_s - declared_s > OVERRUN_TOLERANCE_LAB_S:
            self._write(self._overruns, {"what": what, "declared_s": declared_s, "took_s": round(took_s, 3)})

    def begin(self) -> None:
        """Forget the overruns so far: a lab that is still opening stands for nothing yet."""
        os.ftruncate(self._overruns, 0)

    def _write(self, fd: int, fields: dict[str, object]) -> None:
        stamp = {"monotonic_s": time.monotonic(), "lab_s": self._clock.now_s()}
        line = json.dumps({**stamp, **fields}) + "\n"
        with self._lock:
            os.write(fd, line.encode())
