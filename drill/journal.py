"""The journal: what was changed and is not back yet, on disk before the first call.

One fsynced JSON line per state of a Change:

    prepared -> injecting -> injected -> restoring -> restored | dirty

and of an Action: intended -> started -> reached | not_reached. The first line carries the whole Change; any
process with the file can restore. A lock on the file keeps two processes from restoring at once.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from drill.change import Action, Change, change_from
from drill.clock import Clock
from drill.errors import Refused
from drill.ledger import read_lines

State = Literal[
    "prepared",
    "injecting",
    "injected",
    "restoring",
    "restored",
    "dirty",
    "intended",
    "started",
    "reached",
    "not_reached",
]
BACK: tuple[State, ...] = ("restored",)
UNTOUCHED: tuple[State, ...] = ("prepared",)


@dataclass(frozen=True)
class Entry:
    """A Change with the last state the journal knows of it. number: its place in the journal, from 1."""

    number: int
    state: str
    change: Change


class Journal:
    """An open, locked journal.

    Refused when another process holds it.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise Refused(f"journal {path} is held by another process; wait for it, or end it") from None
        _sync_folder(path.parent)
        self._numbers = max((int(str(r["number"])) for r in read_lines(path)), default=0)

    def open_change(self, change: Change) -> int:
        """Record a prepared Change, whole; returns its number."""
        return self._open("prepared", {"change": change.to_json()})

    def open_action(self, action: Action) -> int:
        """Record the intent of an Action, whole; returns its number."""
        return self._open("intended", {"action": action.to_json()})

    def record(self, number: int, state: State, **data: Any) -> None:
        """Record a new state. On disk when this returns."""
        self._append({"number": number, "state": state, **data})

    def outstanding(self) -> list[Entry]:
        """Changes that are not known to be back, newest first (the order to restore in)."""
        return outstanding(self.path)

    def close(self) -> None:
        """Release the lock."""
        os.close(self._fd)

    def _open(self, state: State, data: dict[str, Any]) -> int:
        self._numbers += 1
        self.record(self._numbers, state, **data)
        return self._numbers

    def _append(self, record: dict[str, Any]) -> None:
        stamp = {"at_s": self._clock.monotonic_s(), "wall": self._clock.wall().isoformat()}
        os.write(self._fd, (json.dumps(stamp | record) + "\n").encode())
        os.fsync(self._fd)


def outstanding(path: Path) -> list[Entry]:
    """Changes in a journal file that may have been injected and are not restored, newest first.

    ValueError names an unreadable line.
    """
    if not path.exists():
        return []
    changes: dict[int, Change] = {}
    states: dict[int, str] = {}
    for record in read_lines(path):
        number = int(str(record["number"]))
        states[number] = str(record["state"])
        if isinstance(record.get("change"), dict):
            changes[number] = change_from(record["change"])  # type: ignore[arg-type]
    open_ = [n for n in changes if states[n] not in BACK + UNTOUCHED]
    return [Entry(n, states[n], changes[n]) for n in sorted(open_, reverse=True)]


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
