"""The drill's side of its watchdog (commands/watchdog.py): start it, tell it that we live, tell it that we are done.

On the pipe a byte is a word: BEAT, a sign of life; ENDING, all restoring is over, so silence is no hang any more;
DONE, this process will change nothing more. The pipe's end without DONE means that the drill died.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from drill.child import Child, ended_within, stopped
from drill.clock import SystemClock, lived_s
from drill.ledger import read_lines
from drill.restorer import SETTLE_WALL_S

BEAT, ENDING, DONE = b".", b"e", b"d"
RECORD = "watchdog.jsonl"
"""In the run folder: what the watchdog noticed and did, one JSON line each."""
BEAT_WALL_S = 0.5
START_TIMEOUT_S = 30.0
STEP_S = 0.05


class Watchdog:
    """One running watchdog of this process.

    folder: the run folder; module: what to start; lease_wall_s: silence after which it takes this process for hung;
    hold: file descriptors that it keeps open while it lives (the life line of a lab that would die with us);
    settle_wall_s: how long it looks for calls that we had sent when we died.
    """

    def __init__(
        self,
        folder: Path,
        module: str,
        lease_wall_s: float,
        hold: tuple[int, ...] = (),
        settle_wall_s: float = SETTLE_WALL_S,
    ) -> None:
        self._folder, self._clock = folder, SystemClock()
        config: dict[str, Any] = {"folder": str(folder), "drill": os.getpid()}
        config |= {"lease_wall_s": lease_wall_s, "settle_wall_s": settle_wall_s}
        self._child = Child("watchdog", module, config, folder, pass_fds=hold)
        self._spacing_s = min(BEAT_WALL_S, lease_wall_s / 20)
        self._beaten_s = 0.0
        self._watching = False

    @property
    def pid(self) -> int:
        """Process id."""
        return self._child.pid

    def beat(self) -> None:
        """See Watcher. At most one in BEAT_WALL_S."""
        now_s = lived_s()
        if now_s - self._beaten_s >= self._spacing_s:
            self._beaten_s = now_s
            self._child.say(BEAT)

    def problem(self) -> str | None:
        """See Watcher. Waits, up to START_TIMEOUT_S wall seconds, for a watchdog that is still starting."""
        died = self._child.died()
        if died is not None:
            return f"the watchdog is gone ({died})"
        if stopped(self.pid):
            return f"the watchdog (pid {self.pid}) is stopped"
        return None if self._is_watching() else f"the watchdog did not start within {START_TIMEOUT_S:g} s"

    def ending(self) -> None:
        """All restoring is over: reading, judging and rendering may take as long as they take."""
        self._child.say(ENDING)

    def done(self, timeout_s: float) -> str | None:
        """Say that nothing more will be changed, wait `timeout_s` wall seconds for its end; why it has not ended.

        It is never killed: while it runs it has something to put back.
        """
        self._child.say(DONE)
        if ended_within(self._child, timeout_s, self._clock):
            self._child.stop()
            return None
        return f"the watchdog (pid {self.pid}) is still at work; see {self._folder / RECORD}"

    def _is_watching(self) -> bool:
        for _ in range(int(START_TIMEOUT_S / STEP_S)):
            if self._watching or self._child.died() is not None:
                break
            self._watching = any(r.get("event") == "watching" for r in watchdog_records(self._folder))
            if not self._watching:
                self._clock.sleep(STEP_S)
        return self._watching


def watchdog_records(folder: Path) -> list[dict[str, Any]]:
    """What the watchdog of a run folder recorded, in order; nothing when there was none. ValueError for rubbish."""
    path = folder / RECORD
    return [dict(record) for record in read_lines(path)] if path.exists() else []
