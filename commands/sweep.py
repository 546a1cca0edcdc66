"""Net 2: what a drill's own process puts back at its end, after everything else, and how it lets its watchdog go."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from commands.world import World
from drill.aws import AwsFailed
from drill.drill import LOOK_WALL_S
from drill.fence import Fence
from drill.journal import Entry, Journal, begun
from drill.restore import ours_in_the_end, put_back
from drill.restorer import SETTLE_WALL_S
from drill.watching import Watchdog

WATCHDOG = "commands.watchdog"
DISMISS_WALL_S = 10.0
"""What a watchdog may take to end beyond what putting everything back may take."""


@dataclass
class Sweep:
    """Of one drill. done, failed: told what became of each entry."""

    world: World
    journal: Journal
    fence: Fence
    done: Callable[[Entry], None] = lambda entry: None
    failed: Callable[[Entry, Exception], None] = lambda entry, error: None

    def run(self) -> None:
        """Put back what is outstanding, newest first; one that fails stops none. Unreadable as the journal says.

        A restorer like any other: it claims the journal first, once nobody else is at it any more.
        """
        self._await_other()
        entries = self.journal.outstanding() if self.journal.fenced_by() is None else self._after_others()
        if not entries:
            return
        self.fence.beat()
        with contextlib.suppress(OSError):  # a full disk: nobody is fenced then, and all is put back all the same
            self.journal.claim("the sweep of the drill")
        for entry in entries:
            self._put_back(entry)

    def _after_others(self) -> list[Entry]:
        """What others left, and what they put back before a late call of ours broke it once more."""
        left = self.journal.outstanding()
        known = {entry.number for entry in left}
        back = [entry for entry in begun(self.journal.path) if entry.number not in known]
        return [*left, *(entry for entry in back if self._broken(entry))]

    def _broken(self, entry: Entry) -> bool:
        try:
            return ours_in_the_end(self.world.aws, entry.change, self._sleep)
        except AwsFailed:
            return True

    @property
    def limit_wall_s(self) -> float:
        """How long putting one thing back may take."""
        return self.world.target.timings.restore_timeout_s / self.world.clock.speed + 2 * LOOK_WALL_S

    def _put_back(self, entry: Entry) -> None:
        timeout_s = self.world.target.timings.restore_timeout_s
        try:
            put_back(self.world.aws, self.journal, entry.number, entry.change, self._sleep, timeout_s)
        except Exception as error:  # noqa: BLE001 - the others must be put back all the same
            self.failed(entry, error)
        else:
            self.done(entry)

    def _await_other(self) -> None:
        until_s = self.world.clock.monotonic_s() + self.limit_wall_s
        while self.world.clock.monotonic_s() < until_s and self.journal.outstanding():
            other = self.journal.fenced_by()
            if other is None or not other.here:
                return
            self._sleep(LOOK_WALL_S * self.world.clock.speed)

    def _sleep(self, target_s: float) -> None:
        self.world.clock.sleep(target_s)
        self.fence.beat()


def start_watchdog(world: World, journal: Journal, settle_wall_s: float = SETTLE_WALL_S) -> Watchdog:
    """The watchdog of this process. A lab that this process has started lives on until the watchdog is done."""
    hold = () if world.owned is None else (world.owned.life_line,)
    watchdog = Watchdog(journal.path.parent, WATCHDOG, world.target.safety.lease_wall_s, hold, settle_wall_s)
    if world.owned is not None:
        world.owned.bequeath(watchdog.pid)
    return watchdog
