"""Restoring everything that a journal calls outstanding: what the watchdog and `drill restore` have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from drill.aws import Aws, AwsFailed
from drill.clock import Clock
from drill.dead_man import disarm
from drill.errors import Fenced, RestoreFailed
from drill.fence import Fence
from drill.journal import UNCONFIRMED, Entry, Journal, begun
from drill.reach import Reach
from drill.restore import put_back, still_ours

SETTLE_WALL_S = 3.0
"""A call that a process had sent when it was killed may still be carried out: how long that is waited for, and no
shorter than `Change.settle_s`, for so long a reply may be old."""
LOOK_WALL_S = 0.5


@dataclass(frozen=True)
class Outcome:
    """What became of one Change. problem: None when it is as before; late: it was broken again after it was back.

    armed: a sentence for each call that should have disarmed its dead-man and failed.
    """

    entry: Entry
    problem: RestoreFailed | None = None
    late: bool = False
    armed: tuple[str, ...] = ()

    @property
    def what(self) -> str:
        """Kind and resources, for people."""
        return f"{self.entry.change.kind} on {', '.join(self.entry.change.resources)}"


@dataclass
class Restorer:
    """Puts back by a journal that this process has claimed. Fenced as soon as another one claims it.

    reach: how the world is reached; tell: gets each outcome as it comes. aws: with the credentials of this process.
    settle_wall_s: see SETTLE_WALL_S; 0: nothing is waited for.
    """

    journal: Journal
    reach: Reach
    clock: Clock
    aws: Aws
    tell: Callable[[Outcome], None] = lambda outcome: None
    settle_wall_s: float = SETTLE_WALL_S
    _unconfirmed: list[Entry] = field(default_factory=list)
    _last: dict[int, Outcome] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.aws.admit = Fence(self.journal).admit
        self.aws.heard.append(self.journal.called)

    @property
    def problems(self) -> list[RestoreFailed]:
        """Of what is not as before, by the last attempt at each."""
        return [outcome.problem for outcome in self._last.values() if outcome.problem is not None]

    def restore(self, only: Iterable[int] | None = None) -> list[Outcome]:
        """Put back what is outstanding (of the numbers in `only`), newest first; one that fails stops none."""
        wanted = None if only is None else set(only)
        entries = [e for e in self.journal.outstanding() if wanted is None or e.number in wanted]
        self._unconfirmed += [e for e in entries if e.state in UNCONFIRMED]
        return [self._put_back(entry) for entry in entries]

    def suspect_all(self) -> None:
        """Whoever made the changes was alive until now: any of its calls may still be on its way."""
        self._unconfirmed = begun(self.journal.path)

    def settle(self) -> None:
        """Look again for a while at what nobody saw injected: its last call may still have been on its way."""
        until_s = self.clock.monotonic_s() + self._settling_wall_s()
        while self._unconfirmed and self.clock.monotonic_s() < until_s:
            self.sleep_wall(LOOK_WALL_S)
            self.look_again(self._unconfirmed)

    def _settling_wall_s(self) -> float:
        longest_s = max((entry.change.settle_s for entry in self._unconfirmed), default=0.0)
        return max(self.settle_wall_s, longest_s / self.clock.speed) if self.settle_wall_s else 0.0

    def look_again(self, entries: Iterable[Entry] | None = None) -> list[Outcome]:
        """Put back what is broken by us once more, of `entries` or of all that was ever begun.

        What somebody else has changed since is theirs. What cannot be read now is passed over.
        """
        looked = begun(self.journal.path) if entries is None else entries
        return [self._put_back(entry, late=True) for entry in looked if self._broken(entry)]

    def sleep_wall(self, wall_s: float) -> None:
        """Sleep wall seconds."""
        self.clock.sleep(wall_s * self.clock.speed)

    def _broken(self, entry: Entry) -> bool:
        try:
            return still_ours(self.aws, entry.change)
        except AwsFailed:
            return False

    def _put_back(self, entry: Entry, late: bool = False) -> Outcome:
        sleep, timeout_s = self.clock.sleep, self.reach.restore_timeout_s
        try:
            put_back(self.aws, self.journal, entry.number, entry.change, sleep, timeout_s)
            outcome = Outcome(entry, None, late, disarm(self.aws, entry.disarm))
        except RestoreFailed as error:
            outcome = Outcome(entry, error, late)
        except Fenced:
            raise
        except OSError as error:
            problem = RestoreFailed(f"it was put back, and the journal could not say so: {error}")
            outcome = Outcome(entry, problem, late)
        except Exception as error:  # noqa: BLE001 - the others must be put back all the same
            lines = entry.change.lines(self.aws.endpoint_url)
            why = f"{entry.change.kind} could not be put back: {type(error).__name__}: {error}"
            outcome = Outcome(entry, RestoreFailed(f"{why}. Type:\n  " + "\n  ".join(lines), lines, True), late)
        self._last[entry.number] = outcome
        self.tell(outcome)
        return outcome
