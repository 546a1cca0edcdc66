"""What happened on a game day: `gameday.jsonl` of its folder, one fsynced line a record, never rewritten.

begun       the game day has begun: name, digest of plan.toml beside it, command line
resumed     it goes on after an interruption
hold        a hold was reached: step
released    a person has let it go on: step, role, who, via, proof (of the role: "token" or "claimed")
drill       a drill was started: drill, attempt, pid, html (names its run folders)
exited      its process is gone: drill, attempt, code, stopped
ended       what that counts for: drill, attempt, verdict, exit_code, reason, finished, stopped, runs
observation what somebody saw: text, who, via, step, role (whose token they have), proof
stopping    from here on nothing more is started: reason
closed      the game day is over: exit_code
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import threading
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from drill.clock import Clock
from drill.errors import Refused
from drill.ledger import read_lines
from drill.redact import redacted

LOG_FILE = "gameday.jsonl"
PLAN_FILE = "plan.toml"


@dataclass(frozen=True)
class Record:
    """One line. at: the machine's date, UTC."""

    at: datetime
    event: str
    data: dict[str, Any] = field(default_factory=dict)


class GameDayLog:
    """The open record of a game day that this process, and no other, carries on.

    Refused when another process has it open. `add` may be called from any thread.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder = folder
        self._clock = clock
        self._lock = threading.Lock()
        self._fd = os.open(folder / LOG_FILE, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            self._take()
            self._cut_torn_line()
            self._records = list(read_log(folder))
        except (OSError, ValueError, Refused):
            os.close(self._fd)
            raise

    @property
    def records(self) -> tuple[Record, ...]:
        """Everything so far, in order."""
        with self._lock:
            return tuple(self._records)

    def add(self, event: str, /, **data: Any) -> Record:
        """Append a record. On disk, whole, when this returns; OSError when it cannot be (a full disk)."""
        with self._lock:
            made = Record(self._clock.wall(), event, redacted(data))
            line = json.dumps({"at": made.at.isoformat(), "event": event, "data": made.data}) + "\n"
            self._append(line.encode())
            self._records.append(made)
            return made

    def close(self) -> None:
        """Close the file: another process may carry on."""
        os.close(self._fd)

    def _take(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"{self.folder}: this game day runs in another process; wait for it, or end it") from None

    def _cut_torn_line(self) -> None:
        """What a death left of a line was never a record; nobody else writes while we hold the lock."""
        data = os.pread(self._fd, os.fstat(self._fd).st_size, 0)
        os.ftruncate(self._fd, data.rfind(b"\n") + 1)

    def _append(self, line: bytes) -> None:
        size = os.fstat(self._fd).st_size
        try:
            if os.write(self._fd, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._fd)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, size)
            raise


def read_log(folder: Path) -> tuple[Record, ...]:
    """The records of a game day's folder. ValueError names the line that is none; OSError when it cannot be read."""
    found = []
    for number, line in enumerate(read_lines(folder / LOG_FILE), start=1):
        try:
            found.append(_record(line))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{folder / LOG_FILE}, line {number}: no record ({error})") from error
    return tuple(found)


def _record(line: dict[str, Any]) -> Record:
    at, event, data = datetime.fromisoformat(line["at"]), line["event"], line["data"]
    if at.tzinfo is None or not isinstance(event, str) or not isinstance(data, dict):
        raise TypeError("a date with its offset, a word and a table are needed")
    return Record(at, event, data)
