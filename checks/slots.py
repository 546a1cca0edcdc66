"""Whose turn to look is next, for thousands of aims.

Aims of one interval take turns in a queue: who has had its slot goes to the end, and nothing is compared. (A heap of
a thousand aims costs as much for each look as packing its question and reading its answer.) There are as many queues
as there are intervals, one or two.
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Iterable
from operator import itemgetter
from typing import Generic, TypeVar

T = TypeVar("T")
_slot_s = itemgetter(0)


class Slots(Generic[T]):
    """The next slots of some aims, as (monotonic wall seconds, aim), earliest first in each queue."""

    def __init__(self, first: Iterable[tuple[float, float, T]]) -> None:
        """first: (when its first slot is, its interval, the aim), wall seconds."""
        queues: dict[float, deque[tuple[float, T]]] = {}
        for slot_s, interval_s, aim in sorted(first, key=_slot_s):
            queues.setdefault(interval_s, deque()).append((slot_s, aim))
        self.queues = tuple(queues.values())

    def earliest(self) -> deque[tuple[float, T]]:
        """The queue that holds the earliest slot, as its first. ValueError when there are no aims.

        Who takes it hands the aim's next one to `again` before anything else is asked.
        """
        queues = self.queues
        return queues[0] if len(queues) == 1 else min(queues, key=lambda queue: queue[0][0])


def again(queue: deque[tuple[float, T]], slot_s: float, aim: T) -> None:
    """The next slot of an aim that was taken out of this queue."""
    if queue and slot_s < queue[-1][0]:  # after a stall one may have skipped a slot more than its neighbour
        bisect.insort(queue, (slot_s, aim), key=_slot_s)
    else:
        queue.append((slot_s, aim))
