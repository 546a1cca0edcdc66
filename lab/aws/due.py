"""Things that fall due at lab instants: a heap that several workers wait on, and that may be dated anew."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from lab.clock import LabClock

T = TypeVar("T")
IDLE_WALL_S = 0.5
"""The longest that a worker waits before it looks whether it is to end (wall seconds)."""


class DueQueue(Generic[T]):
    """Thread-safe. limit: how many things may wait."""

    def __init__(self, clock: LabClock, limit: int) -> None:
        self._clock, self._limit = clock, limit
        self._heap: list[tuple[float, int, T]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()

    def put(self, due_lab_s: float, item: T) -> bool:
        """Add a thing; False when there is no room."""
        with self._changed:
            if len(self._heap) >= self._limit:
                return False
            heapq.heappush(self._heap, (due_lab_s, next(self._order), item))
            self._changed.notify()
        return True

    def take(self, stop: threading.Event) -> tuple[float, T] | None:
        """The earliest thing and when it was due, once it is due; None when `stop` is set."""
        with self._changed:
            while not stop.is_set():
                left_s = self._heap[0][0] - self._clock.now_s() if self._heap else None
                if left_s is not None and left_s <= 0:
                    due_s, _, item = heapq.heappop(self._heap)
                    return due_s, item
                wait_s = IDLE_WALL_S if left_s is None else min(IDLE_WALL_S, self._clock.wall_s(left_s))
                self._changed.wait(wait_s)
        return None

    def redate(self, due_of: Callable[[T], float | None]) -> None:
        """Date again every thing for which `due_of`, asked in the order in which they are due, gives an instant."""
        with self._changed:
            dated = [(due_of(item), was_s, n, item) for was_s, n, item in sorted(self._heap, key=lambda one: one[:2])]
            self._heap = [(was_s if new_s is None else new_s, n, item) for new_s, was_s, n, item in dated]
            heapq.heapify(self._heap)
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._heap)
