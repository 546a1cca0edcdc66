"""Waiting for something that has no other way to say that it is there."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

STEP_WALL_S = 0.05


def until(condition: Callable[[], bool], wall_s: float, quiet: tuple[type[Exception], ...] = ()) -> bool:
    """Poll every 50 ms, once at least, for at most `wall_s`; whether it came true. quiet: errors that say not yet."""
    deadline = time.monotonic() + wall_s
    while True:
        with contextlib.suppress(*quiet):
            if condition():
                return True
        if time.monotonic() > deadline:
            return False
        time.sleep(STEP_WALL_S)
