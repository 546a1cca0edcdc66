"""An Action on its way: the intent is on disk, then the calls, then its declared end, each told as it happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from drill.actions import Standing, await_standing, standing
from drill.aws import Aws, AwsFailed
from drill.change import Action
from drill.journal import Journal
from drill.restore import put_back
from drill.timeline import Timeline


def end_started(
    aws: Aws, journal: Journal, timeline: Timeline, wait: Callable[[float], None], timeout_s: float, after: int
) -> None:
    """End, and read back, what actions later than number `after` of the journal have started. RestoreFailed."""
    for entry in journal.outstanding():
        if entry.number > after and isinstance(entry.change, Action):
            put_back(aws, journal, entry.number, entry.change, wait, timeout_s)
            timeline.mark("fault.restored", number=entry.number, kind=entry.change.kind)


@dataclass(frozen=True)
class Performance:
    """One action. number: its intent in the journal; window: the one it lies in; wait: for target seconds."""

    aws: Aws
    journal: Journal
    timeline: Timeline
    wait: Callable[[float], None]
    window: str
    number: int
    action: Action

    def run(self) -> None:
        """Make the calls and wait for the end. AwsFailed when it could not be started or looked at."""
        self._begin()
        found = await_standing(self.aws, self.action, self.action.timeout_s, self.wait)
        reached = found.fate == "reached"
        self.journal.record(self.number, "reached" if reached else "not_reached", observed=list(found.seen))
        self._mark(reached, list(found.seen), "" if reached else str(found))

    def broken_off(self, error: BaseException) -> None:
        """Nobody waits for it any more: say how it stands, if AWS tells."""
        why = f"{type(error).__name__}: {error}"
        try:
            found = standing(self.aws, self.action)
        except AwsFailed as unseen:
            self._mark(False, [], f"{why}; how {self.action.kind} stands could not be seen: {unseen}")
            return
        if found.over or (found.fate == "not_started" and isinstance(error, AwsFailed)):
            self._record(found)
        self._mark(found.fate == "reached", [], f"{why}; {self.action.kind} {found}")

    def _begin(self) -> None:
        """A call that fails may have taken effect all the same: then the action is begun, else it is not."""
        try:
            for call in self.action.calls:
                self.aws.run(call)
        except AwsFailed as error:
            found = await_standing(self.aws, self.action, self.action.settle_s, self.wait, until_begun=True)
            if found.fate == "not_started":
                raise
            self.timeline.mark("action.answer_lost", window=self.window, kind=self.action.kind, why=str(error))
        self.journal.record(self.number, "started")

    def _record(self, found: Standing) -> None:
        if found.fate != "running":
            self.journal.record(self.number, found.fate, observed=list(found.seen))

    def _mark(self, reached: bool, observed: list[str], why: str) -> None:
        kind = self.action.kind
        self.timeline.mark("action.ended", window=self.window, kind=kind, reached=reached, observed=observed, why=why)
