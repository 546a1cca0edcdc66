"""Eventual consistency: reads that answer what was so some lab seconds ago.

Before each change of a service in a Region, every read of it that has been asked before is asked once more and its
reply kept; such a read is answered from there until the reply has become as old as it may. So the replies are those
of one real moment, whatever the service. A read that nobody had asked before has no past and is answered fresh.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from lab.aws.protocol import ApiCall
from lab.aws.wire import HttpReply
from lab.clock import LabClock

MAX_READS = 256
"""Different reads that are remembered; the one not asked for longest is forgotten first."""
Key = tuple[str, str, str, str, str, bytes]


class Past:
    """What reads would have answered before the latest changes. Thread-safe."""

    def __init__(self, clock: LabClock, answer: Callable[[ApiCall], HttpReply]) -> None:
        self._clock, self._answer = clock, answer
        self._lock = threading.Lock()
        self._asked: OrderedDict[Key, ApiCall] = OrderedDict()
        self._kept: dict[Key, list[tuple[float, HttpReply]]] = {}

    def before_change(self, service: str, region: str, delay_s: float) -> None:
        """A change of that service is about to be made; it shows `delay_s` lab seconds later."""
        with self._lock:
            about = [(key, call) for key, call in self._asked.items() if key[:2] == (service, region)]
        until_s = self._clock.now_s() + delay_s
        replies = [(key, self._answer(call)) for key, call in about]
        with self._lock:
            for key, reply in replies:
                self._kept.setdefault(key, []).append((until_s, reply))

    def reply(self, call: ApiCall) -> HttpReply | None:
        """The old reply to a read; None when it is answered fresh. Remembers that it was asked."""
        key = _key(call)
        with self._lock:
            self._asked[key] = call
            self._asked.move_to_end(key)
            while len(self._asked) > MAX_READS:
                forgotten, _ = self._asked.popitem(last=False)
                self._kept.pop(forgotten, None)
            now_s = self._clock.now_s()
            kept = [(until_s, reply) for until_s, reply in self._kept.get(key, ()) if until_s > now_s]
            self._kept[key] = kept
            return kept[0][1] if kept else None

    def forget(self) -> None:
        """Everything is as it is."""
        with self._lock:
            self._asked.clear()
            self._kept.clear()


def _key(call: ApiCall) -> Key:
    return (call.service, call.region, call.target_operation, call.http.method, call.http.target, call.http.body)
