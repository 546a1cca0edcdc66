"""The watchdog: a process of its own that puts back what a drill has broken when the drill cannot.

`python -m commands.watchdog CONFIG.json` (keys: folder, drill: its process id, lease_wall_s), started by every drill
before anything can be injected. It takes the drill for dead when the pipe ends without "done" or its parent is gone
(a forked child that keeps the pipe open changes nothing), and for hung when no beat came for lease_wall_s wall
seconds while something is outstanding. Then it claims the journal, which fences the drill, restores by the journal
alone, and stays until the drill is really gone, looking again: a drill that was stopped just before a call sends it
when it wakes.

What it notices and does is in `watchdog.jsonl` of the run folder; the lines to type after a restore that failed are
in its log.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drill.child import read_config, stopped
from drill.clock import SystemClock
from drill.redact import redacted

if TYPE_CHECKING:  # imported when they are needed: a drill waits for the first line that we write
    from drill.restorer import Outcome, Restorer

LOOK_S = 0.25
BLIND_S = 2.0
"""We were stopped or starved ourselves when a look took this much longer than asked: that silence proves nothing."""
RETRY_WALL_S = 120.0
"""How long is tried again what AWS did not do."""
LONGEST_PAUSE_S = 10.0
LINGER_LOOK_S = 1.0
LINGER_LIMIT_S = 24 * 3600.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
DIRTY = 20


class Record:
    """What the watchdog noticed and did. A full disk costs the record, never the restore."""

    def __init__(self, folder: Path, clock: SystemClock) -> None:
        self._clock = clock
        self._fd = os.open(folder / "watchdog.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def add(self, event: str, **data: Any) -> None:
        """One line, stamped."""
        stamp = {"at_s": self._clock.monotonic_s(), "wall": self._clock.wall().isoformat(), "event": event}
        with contextlib.suppress(OSError):
            os.write(self._fd, (json.dumps(stamp | redacted(data)) + "\n").encode())


class Watched:
    """The drill as its watchdog sees it: a pipe and a parent."""

    def __init__(self, pid: int, lease_wall_s: float, clock: SystemClock) -> None:
        self._pid, self._clock = pid, clock
        self._lease_s = lease_wall_s
        self._heard_s = clock.monotonic_s()
        self._eof = False
        self.done = self.ending = False

    @property
    def pid(self) -> int:
        """Process id."""
        return self._pid

    @property
    def gone(self) -> bool:
        """Whether its process has ended; a pipe that somebody else keeps open says nothing about that."""
        return os.getppid() != self._pid

    @property
    def dead(self) -> bool:
        """Whether it ended, or let go of the pipe, without a word."""
        return not self.done and (self.gone or self._eof)

    @property
    def silent_s(self) -> float:
        """Wall seconds since the last sign of life; 0 once it has nothing to restore any more."""
        return 0.0 if self.ending else self._clock.monotonic_s() - self._heard_s

    @property
    def hung(self) -> bool:
        """Whether it has been silent for longer than its lease."""
        return self.silent_s > self._lease_s

    def forgive(self) -> None:
        """It has a whole lease again."""
        self._heard_s = self._clock.monotonic_s()

    def listen(self, wall_s: float) -> None:
        """Take in what it says, for at most `wall_s` wall seconds."""
        began_s = self._clock.monotonic_s()
        if self._eof:
            self._clock.sleep(wall_s)
        elif select.select([0], [], [], wall_s)[0]:
            words = os.read(0, 65536)
            self._eof = not words
            self._heard_s = self._clock.monotonic_s()
            self.done = self.done or b"d" in words
            self.ending = self.ending or b"e" in words
        if self._clock.monotonic_s() - began_s > wall_s + BLIND_S:
            self._heard_s = self._clock.monotonic_s()


class Watchdog:
    """Watches one drill. `run` returns the exit code: 0, or 20 when something stays changed."""

    def __init__(self, folder: Path, drill: int, lease_wall_s: float, settle_wall_s: float) -> None:
        self._clock, self._settle_s = SystemClock(), settle_wall_s
        self._folder, self._journal = folder, folder / "journal.jsonl"
        self._record = Record(folder, self._clock)
        self._drill = Watched(drill, lease_wall_s, self._clock)
        self._asked: list[str] = []
        for number in SIGNALS:
            signal.signal(number, lambda n, _: self._asked.append(signal.Signals(n).name))
        self._record.add("watching", pid=os.getpid(), drill=self._drill.pid, lease_wall_s=lease_wall_s)

    def run(self) -> int:
        """Watch until the drill is done, or restore for it."""
        import drill.restorer  # noqa: F401 - now, while there is time, and not when something has to be put back

        while (why := self._wait()) in ("dead", "hung"):
            self._record.add("noticed", why=why, silent_s=round(self._drill.silent_s, 3))
            code = self._restored()
            if code is not None:
                return code
        self._record.add(why)
        return 0

    def _wait(self) -> str:
        """done; ended (by a signal, with nothing to put back); dead; hung."""
        while True:
            self._drill.listen(LOOK_S)
            if self._drill.done:
                return "done"
            if self._drill.dead:
                return "dead"
            if self._drill.hung and self._outstanding():
                return "hung"
            if self._asked and not self._outstanding():
                return "ended"

    def _outstanding(self) -> bool:
        """Whether something may have to be put back; a journal that cannot be read is no reason to go."""
        from drill.journal import outstanding

        try:
            return bool(outstanding(self._journal))
        except (OSError, ValueError):
            return True

    def _restored(self) -> int | None:
        """Restore, stay until the drill is gone, look a last time; None to go on watching a drill that took over."""
        from drill.errors import DrillError, Fenced

        try:
            restorer = self._restorer()
            self._retry(restorer)
            self._record.add("passed", outstanding=len(restorer.journal.outstanding()))
            restorer.settle()
            self._linger(restorer)
            left = restorer.journal.outstanding()
        except Fenced as error:
            self._record.add("fenced", reason=str(error))
            self._drill.forgive()
            return 0 if self._drill.gone else None
        except (OSError, DrillError) as error:
            self._record.add("failed", reason=f"{type(error).__name__}: {error}")
            _say(f"nothing could be put back: {error}\n  drill restore {self._folder}")
            return DIRTY
        self._record.add("finished", outstanding=len(left))
        return DIRTY if left else 0

    def _restorer(self) -> Restorer:
        from drill.aws import Aws
        from drill.errors import UsageError
        from drill.journal import Journal, reach_of
        from drill.restorer import Restorer

        journal = Journal(self._journal, self._clock, "the watchdog", restoring=True)
        reach = reach_of(self._journal)
        if reach is None:
            raise UsageError(f"{self._journal} does not say how the world is reached")
        self._record.add("claimed", epoch=journal.epoch)
        return Restorer(journal, reach, SystemClock(reach.speed), Aws.reaching(reach), self._tell, self._settle_s)

    def _retry(self, restorer: Restorer) -> None:
        """Restore, and again what AWS did not do, with longer and longer pauses."""
        until_s, pause_s = self._clock.monotonic_s() + RETRY_WALL_S, 0.5
        outcomes = restorer.restore()
        while (failed := _to_try_again(outcomes)) and self._clock.monotonic_s() < until_s:
            self._clock.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            outcomes = restorer.restore(failed)
        for problem in restorer.problems:
            _say(str(problem))

    def _linger(self, restorer: Restorer) -> None:
        """Until the drill is gone, or says that it will change nothing more; then look a last time.

        A drill that is stopped can send nothing: nobody has to look until it is continued.
        """
        until_s, looked_s, was_gone = self._clock.monotonic_s() + LINGER_LIMIT_S, 0.0, self._drill.gone
        while not self._drill.done and not self._drill.gone and self._clock.monotonic_s() < until_s:
            was_stopped = stopped(self._drill.pid)
            self._drill.listen(LOOK_S)
            due = was_stopped or self._clock.monotonic_s() - looked_s > LINGER_LOOK_S
            if due and not stopped(self._drill.pid):
                looked_s = self._clock.monotonic_s()
                restorer.look_again()
        if self._drill.gone and not was_gone:
            restorer.suspect_all()
            restorer.settle()
        restorer.look_again()

    def _tell(self, outcome: Outcome) -> None:
        event = "restored" if outcome.problem is None else "dirty"
        about = {"number": outcome.entry.number, "kind": outcome.entry.change.kind, "late": outcome.late}
        more = (
            {} if outcome.problem is None else {"reason": str(outcome.problem), "lines": list(outcome.problem.lines)}
        )
        if outcome.armed:
            more["still_armed"] = list(outcome.armed)
        self._record.add(event, **about, **more)


def _to_try_again(outcomes: Iterable[Outcome]) -> list[int]:
    return [o.entry.number for o in outcomes if o.problem is not None and o.problem.again]


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    config = read_config()
    waits = float(config["lease_wall_s"]), float(config["settle_wall_s"])
    sys.exit(Watchdog(Path(config["folder"]), int(config["drill"]), *waits).run())
