"""Many open-loop looks at once, in one thread: HTTP over sockets of its own, on absolute schedules.

Every aim has its slots; a slot is a look, sent when it is due however many looks are still in the air, and each ends
by itself: an answer, an error, or its deadline. Nothing is asked twice. The stamps are taken at the send (before the
connection is opened) and when the result came in: an answer's is the kernel's, so that on a busy machine our own
waiting for a turn is not taken for the system's.

What the loop did not do is evidence too: slots that passed while the process did not run are recorded as one UNKNOWN
look over their whole time, never as failures and never as health. After a stall what has arrived is read before any
deadline is judged, and deadlines count only the time that the loop has run: our own stall is nobody's timeout.
"""

from __future__ import annotations

import collections
import select
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from checks.schedule import Missed, Monotonic
from checks.slots import Slots, again
from drill.clock import arrived_s

OK, FAIL, UNKNOWN = 0, 1, 2
"""Indexes into drill.observations.OUTCOMES."""
MOST_IN_THE_AIR = 4096
MISSED, CROWDED, AT_THE_END = "missed its schedule", "too many looks in the air", "in the air at the end"
"""The details of looks that are UNKNOWN for a reason of our own: they say nothing about whoever was to answer."""
LONGEST_WAIT_S = 0.05
GATHER_S = 0.0003
"""On a dense schedule an answer waits so long for others, and a turn of the loop serves them all: their stamps are
the kernel's and do not change. A refusal or a reset has no such stamp, and is later by so much."""
DENSE_PER_S = 1500.0
STALL_S = 2 * LONGEST_WAIT_S
"""A turn of the loop that took longer did not run all the time: that time counts for nobody's deadline."""
SO_TIMESTAMPNS = 35
"""Linux's socket option, and the kind of the ancillary data that it yields."""
Ancillary = Sequence[tuple[int, int, bytes]]


class Sink(Protocol):
    """Where looks go: drill.observations.ObservationLog."""

    def put(
        self, sent_s: float, done_s: float, probe: str, vantage: str, outcome: int, value: str, detail: str
    ) -> None:
        """Record one look."""

    def flush(self) -> None:
        """Hand what was recorded to the system."""


class Aim(Protocol):
    """What is looked at, from which vantage, how often.

    interval_s: between two slots; quick_interval_s: the same while the loop is quick; offset_s: of the first slot;
    deadline_s: after this a look has failed. All wall seconds.
    """

    probe: str
    vantage: str
    interval_s: float
    quick_interval_s: float
    offset_s: float
    deadline_s: float

    def begin(self, loop: Loop, now_s: float) -> None:
        """Send one look now; it reports its end through `loop.ended`, at once or later."""


class Flight:
    """A look in the air. deadline_s: by the time that the loop has really run; over: it has ended; silence: what no
    answer in time means."""

    __slots__ = ("aim", "deadline_s", "over", "sent_s", "silence", "value")

    def __init__(self, aim: Aim, sent_s: float, value: str = "", silence: int = FAIL) -> None:
        self.aim, self.sent_s, self.value, self.silence = aim, sent_s, value, silence
        self.deadline_s = sent_s + aim.deadline_s
        self.over = False

    def gone(self) -> None:
        """Its deadline passed or the loop ends: let go of what it holds."""


class Loop:
    """Runs aims until `stop` is set. For one thread; `quick` may be set from another."""

    def __init__(self, clock: Monotonic, sink: Sink) -> None:
        self.now = clock.monotonic_s
        self.quick = False
        self.lateness_s: list[float] | None = None
        """When a list, how late each look was sent (a benchmark's); None keeps none."""
        self._sink = sink
        # select() on the epoll's own descriptor waits to the microsecond, epoll_wait() only to the millisecond.
        self._epoll = select.epoll()
        self._ready: dict[int, Callable[[int], None]] = {}
        self._air: dict[float, collections.deque[Flight]] = {}
        self._count = 0
        self._turned_s, self._stalled_s = self.now(), 0.0
        self._dense = False

    # -- for aims

    def watch(self, fd: int, events: int, ready: Callable[[int], None]) -> None:
        """Call `ready(event mask)` when `fd` is ready; replaces a former watch of it."""
        if fd in self._ready:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._ready[fd] = ready

    def forget(self, fd: int, closing: bool = False) -> None:
        """Stop watching `fd`. closing: it is closed next, which the kernel takes for the same."""
        if self._ready.pop(fd, None) is not None and not closing:
            self._epoll.unregister(fd)

    def flew(self, flight: Flight) -> None:
        """A look is in the air; its deadline counts."""
        flight.deadline_s -= self._stalled_s
        air = self._air.get(flight.aim.deadline_s)
        if air is None:
            air = self._air[flight.aim.deadline_s] = collections.deque()
        air.append(flight)
        self._count += 1

    def ended(self, flight: Flight, outcome: int, detail: str = "", extra: Ancillary = ()) -> None:
        """A look has its result, now, or when the kernel says that it came in. The first result counts."""
        if flight.over:
            return
        flight.over = True
        self._count -= 1
        aim, done_s = flight.aim, self.now()
        for _, kind, stamp in extra:
            if kind == SO_TIMESTAMPNS and len(stamp) == 16 and (came_s := arrived_s(stamp)) < done_s:
                done_s = came_s if came_s > flight.sent_s else flight.sent_s
        self._sink.put(flight.sent_s, done_s, aim.probe, aim.vantage, outcome, flight.value, detail)

    # -- the loop

    def run(self, aims: Sequence[Aim], stop: threading.Event) -> None:
        """Look until `stop`; what is in the air then is UNKNOWN."""
        began_s, quick = self.now(), self.quick
        self._turned_s = began_s
        slots = Slots((began_s + aim.offset_s, self._every_s(aim), aim) for aim in aims)
        self._dense = self._is_dense(aims)
        while not stop.is_set():
            if self.quick != quick:
                quick = self.quick
                slots = self._repaced(slots)
                self._dense = self._is_dense(aims)
            self._poll(slots.earliest()[0][0] - self.now() if aims else LONGEST_WAIT_S)
            self._expire()
            while aims and (queue := slots.earliest())[0][0] <= (now_s := self.now()):
                slot_s, aim = queue.popleft()
                again(queue, self._fire(aim, slot_s, now_s), aim)
            self._sink.flush()
        self._land()
        self._sink.flush()

    def _fire(self, aim: Aim, slot_s: float, now_s: float) -> float:
        """Fire what is due; the next slot. Slots never shift; those that were missed are told and not made up for."""
        interval_s = aim.quick_interval_s if self.quick else aim.interval_s
        if self.lateness_s is not None:
            self.lateness_s.append(now_s - slot_s)
        if now_s - slot_s >= interval_s:
            overdue = int((now_s - slot_s) / interval_s)
            missed = Missed(slot_s, now_s, overdue)
            self._sink.put(slot_s, now_s, aim.probe, aim.vantage, UNKNOWN, "", MISSED)
            slot_s += missed.slots * interval_s
        if self._count >= MOST_IN_THE_AIR:
            self._sink.put(now_s, self.now(), aim.probe, aim.vantage, UNKNOWN, "", CROWDED)
        else:
            aim.begin(self, now_s)
        return slot_s + interval_s

    def _repaced(self, slots: Slots[Aim]) -> Slots[Aim]:
        """The schedule at another pace: nobody waits for a slot of the gentle one."""
        now_s = self.now()
        return Slots(
            (min(slot_s, now_s + (aim.offset_s % aim.quick_interval_s)), self._every_s(aim), aim)
            for queue in slots.queues
            for slot_s, aim in queue
        )

    def _every_s(self, aim: Aim) -> float:
        return aim.quick_interval_s if self.quick else aim.interval_s

    def _is_dense(self, aims: Sequence[Aim]) -> bool:
        return sum(1 / self._every_s(aim) for aim in aims) > DENSE_PER_S

    def _poll(self, wait_s: float) -> None:
        if wait_s > 0:
            asked_s = self.now()
            some = select.select((self._epoll.fileno(),), (), (), min(wait_s, LONGEST_WAIT_S))[0]
            left_s = wait_s - (self.now() - asked_s)
            if some and self._dense and left_s > 0:
                select.select((), (), (), min(left_s, GATHER_S))
        for fd, mask in self._epoll.poll(0):
            ready = self._ready.get(fd)
            if ready is not None:
                ready(mask)

    def _ran_s(self) -> float:
        """Now, by a clock that stood still while the loop did."""
        now_s = self.now()
        took_s, self._turned_s = now_s - self._turned_s, now_s
        if took_s > STALL_S:
            self._stalled_s += took_s - LONGEST_WAIT_S
        return now_s - self._stalled_s

    def _expire(self) -> None:
        now_s = self._ran_s()
        overdue = [air for air in self._air.values() if air and (air[0].over or air[0].deadline_s <= now_s)]
        if not overdue:
            return
        self._poll(0)  # what has arrived while we did not run is no timeout
        for air in overdue:
            while air and (air[0].over or air[0].deadline_s <= now_s):
                flight = air.popleft()
                if not flight.over:
                    self.ended(flight, flight.silence, "timeout")
                    flight.gone()

    def _land(self) -> None:
        for air in self._air.values():
            for flight in air:
                if not flight.over:
                    self.ended(flight, UNKNOWN, AT_THE_END)
                    flight.gone()
        self._epoll.close()
