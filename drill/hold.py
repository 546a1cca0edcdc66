"""Is a fault still in force? What the world undoes by itself while a drill runs proves nothing."""

from __future__ import annotations

from functools import cached_property

from drill.aws import GLANCE, Aws, AwsFailed
from drill.call import Reading
from drill.change import Change
from drill.clock import Clock
from drill.timeline import Timeline

STEP_S, STEP_WALL_S = 15.0, 2.0
"""How often it is looked: target seconds, and no more often than wall seconds."""
PATIENCE = 4
"""After a look that failed the next one comes so many times later."""


class Hold:
    """The faults in force. What it notices is marked `invalid`, once for each fault.

    Between two looks a fault may be undone and come back unseen: what flaps faster than STEP_S is not noticed.
    """

    def __init__(self, aws: Aws, clock: Clock, timeline: Timeline) -> None:
        self._aws, self._clock, self._timeline = aws, clock, timeline
        self._in_force: dict[int, Change] = {}
        self._undone: set[int] = set()
        self._let_go: set[int] = set()
        self._next_s = 0.0

    def add(self, number: int, change: Change, held: bool = True) -> None:
        """It was seen in force just now. held: whether it has to stay so; not when the system itself may move it."""
        if not held:
            self._let_go.add(number)
            return
        self._in_force[number] = change
        self._next_s = self._clock.monotonic_s() + self._step_s

    def drop(self, number: int) -> None:
        """It is being put back: nobody looks any more. No-op for one that never was in force."""
        self._in_force.pop(number, None)

    def look(self) -> None:
        """Look at all of them, if it is time. A look that fails means nothing by itself and must not hold up the
        drill: it is short, and the next one comes later."""
        now_s = self._clock.monotonic_s()
        if now_s < self._next_s:
            return
        self._next_s = now_s + self._step_s
        for number, change in list(self._in_force.items()):
            try:
                readings = self._glance.read(change.faulted + change.effective)
            except AwsFailed:
                self._next_s = now_s + PATIENCE * self._step_s
                return
            self._noticed(number, change, readings)

    def last_look(self, number: int, change: Change) -> None:
        """Just before it is put back, and not to be missed: `fault.held` or `invalid` is marked, if it is to hold."""
        if number in self._let_go:
            return
        try:
            readings = self._aws.read(change.faulted + change.effective)
        except AwsFailed as error:
            reason = f"could not see whether {change.kind} was still in force: {error}"
            self._timeline.mark("invalid", reason=reason)
            return
        if not self._noticed(number, change, readings):
            self._timeline.mark("fault.held", number=number, kind=change.kind)

    def _noticed(self, number: int, change: Change, readings: list[Reading]) -> bool:
        """Whether it is, or has ever been, undone."""
        gone = [str(reading) for reading in readings if not reading.holds]
        if gone and number not in self._undone:
            self._undone.add(number)
            reason = f"{change.kind} was undone while the drill ran: {'; '.join(gone)}"
            self._timeline.mark("invalid", reason=reason)
        return number in self._undone

    @property
    def _step_s(self) -> float:
        return max(STEP_S / self._clock.speed, STEP_WALL_S)

    @cached_property
    def _glance(self) -> Aws:
        return self._aws.with_limits(GLANCE)
