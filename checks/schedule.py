"""An open loop: things happen at absolute slots, however long the answers take."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Monotonic(Protocol):
    """What a witness needs of drill.clock.Clock."""

    def monotonic_s(self) -> float:
        """Monotonic wall seconds, the stamp of all evidence."""


@dataclass(frozen=True)
class Missed:
    """Slots that passed while the process did not run (stopped, starved, or busy with the slot before).

    first_s: the first missed slot; now_s: when that was noticed (monotonic wall seconds); slots: how many.
    """

    first_s: float
    now_s: float
    slots: int

    def __str__(self) -> str:
        return f"{self.slots} slot(s) missed, {self.now_s - self.first_s:.2f} s late"


RETHINK_S = 0.05


def _nobody(missed: Missed) -> None:
    del missed


def keep_schedule(
    clock: Monotonic,
    interval_s: float | Callable[[], float],
    stop: threading.Event,
    fire: Callable[[], None],
    missed: Callable[[Missed], None] = _nobody,
    first_s: float | None = None,
) -> None:
    """Call `fire` at first_s, first_s + interval_s, ... until `stop` is set.

    interval_s: wall seconds, > 0, or what tells them now; first_s: monotonic wall seconds, None for now. Slots never
    shift: a slot that is late by less than an interval is fired late; slots that are overdue by more are not made
    up for (that would be a burst that no user makes) but reported once through `missed`. An interval that becomes
    shorter takes effect within RETHINK_S.
    """
    interval = interval_s if callable(interval_s) else lambda: interval_s
    slot_s = clock.monotonic_s() if first_s is None else first_s
    last_s = -math.inf
    while not stop.is_set():
        every_s, now_s = interval(), clock.monotonic_s()
        slot_s = min(slot_s, max(now_s, last_s + every_s))
        if now_s < slot_s:
            stop.wait(min(slot_s - now_s, RETHINK_S) if callable(interval_s) else slot_s - now_s)
            continue
        overdue = int((now_s - slot_s) / every_s)
        if overdue:
            missed(Missed(slot_s, now_s, overdue))
            slot_s += overdue * every_s
        fire()
        last_s, slot_s = slot_s, slot_s + every_s


def die_together(stop: threading.Event) -> list[str]:
    """From now on an unexpected exception in any thread sets `stop` and is noted in the list returned.

    A witness that has lost one of its threads is blind without knowing: it must end, visibly, as a whole.
    """
    deaths: list[str] = []

    def note(args: threading.ExceptHookArgs) -> None:
        deaths.append(
            f"{args.thread.name if args.thread else 'a thread'}: {args.exc_type.__name__}: {args.exc_value}"
        )
        stop.set()

    threading.excepthook = note
    return deaths
