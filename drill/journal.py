"""The journal: what was changed and is not back yet, on disk before the first call.

One fsynced JSON line per state of a Change:

    prepared -> armed -> injecting -> injected -> restoring -> restored | dirty

and of an Action: intended -> started -> reached | not_reached, or intended -> not_started. The first line carries
the whole Change or Action; any process with the file can restore. A lock on the file keeps two processes from
restoring at once.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from drill.call import Call
from drill.change import Action, Change, action_from, change_from
from drill.clock import Clock
from drill.errors import DrillError, Refused
from drill.ledger import read_lines

T = TypeVar("T")
State = Literal[
    "prepared",
    "armed",
    "injecting",
    "injected",
    "restoring",
    "restored",
    "dirty",
    "intended",
    "started",
    "reached",
    "not_reached",
    "not_started",
]
BACK: tuple[State, ...] = ("restored",)
UNTOUCHED: tuple[State, ...] = ("prepared", "armed")
OVER: tuple[State, ...] = ("reached", "not_reached", "not_started")


class Unreadable(DrillError, ValueError):
    """A journal has a line that says nothing: nobody knows any more what is changed, so nobody may go on."""


@dataclass(frozen=True)
class Entry:
    """A Change with the last state the journal knows of it. number: its place in the journal, from 1.

    disarm: the calls that disarm its dead-man once it is back; none when it was not armed.
    """

    number: int
    state: str
    change: Change
    disarm: tuple[Call, ...] = ()


@dataclass(frozen=True)
class Intent:
    """An Action whose end the journal does not know: it was interrupted, and may or may not have been started."""

    number: int
    state: str
    action: Action


class Journal:
    """An open, locked journal.

    Refused when another process holds it; Unreadable names a line that is no record. What a death left of a line
    that was being written is cut off: that state was never on disk, so its call was never made.
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
        try:
            _cut_torn_line(self._fd, path)
            self._numbers = max((number for number, _, _ in _records(path)), default=0)
        except (OSError, Unreadable):
            os.close(self._fd)
            raise

    def open_change(self, change: Change) -> int:
        """Record a prepared Change, whole; returns its number."""
        return self._open("prepared", {"change": change.to_json()})

    def open_action(self, action: Action) -> int:
        """Record the intent of an Action, whole; returns its number."""
        return self._open("intended", {"action": action.to_json()})

    def record(self, number: int, state: State, **data: Any) -> None:
        """Record a new state. On disk, whole, when this returns; OSError when it cannot be (a full disk)."""
        self._append({"number": number, "state": state, **data})

    def outstanding(self) -> list[Entry]:
        """Changes that are not known to be back, newest first (the order to restore in)."""
        return outstanding(self.path)

    def was(self, number: int, state: State) -> bool:
        """Whether that Change or Action has ever been in that state. Unreadable as for `outstanding`."""
        return any((number, state) == (n, s) for n, s, _ in _records(self.path))

    def close(self) -> None:
        """Release the lock."""
        os.close(self._fd)

    def _open(self, state: State, data: dict[str, Any]) -> int:
        self._numbers += 1
        self.record(self._numbers, state, **data)
        return self._numbers

    def _append(self, record: dict[str, Any]) -> None:
        stamp = {"at_s": self._clock.monotonic_s(), "wall": self._clock.wall().isoformat()}
        line = (json.dumps(stamp | record) + "\n").encode()
        if os.write(self._fd, line) != len(line):
            _cut_torn_line(self._fd, self.path)
            raise OSError(errno.ENOSPC, f"the journal's line could not be written whole: {self.path}")
        os.fsync(self._fd)


def outstanding(path: Path) -> list[Entry]:
    """Changes in a journal file that may have been injected and are not restored, newest first.

    Unreadable names the file and the line that is no record.
    """
    if not path.exists():
        return []
    changes: dict[int, Change] = {}
    states: dict[int, str] = {}
    disarm: dict[int, tuple[Call, ...]] = {}
    for number, state, record in _records(path):
        states[number] = state
        if "change" in record:
            changes[number] = _read(change_from, path, number, record["change"])
        if "disarm" in record:
            disarm[number] = _read(_calls, path, number, record["disarm"])
    open_ = [n for n in changes if states[n] not in BACK + UNTOUCHED]
    return [Entry(n, states[n], changes[n], disarm.get(n, ())) for n in sorted(open_, reverse=True)]


def interrupted(path: Path) -> list[Intent]:
    """Actions in a journal file of which nobody noted the end, in order. They are looked at, never repeated.

    Unreadable names the file and the line that is no record.
    """
    if not path.exists():
        return []
    intents: dict[int, Intent] = {}
    for number, state, record in _records(path):
        if "action" in record:
            intents[number] = Intent(number, state, _read(action_from, path, number, record["action"]))
        elif number in intents:
            intents[number] = Intent(number, state, intents[number].action)
    return [intent for intent in intents.values() if intent.state not in OVER]


def _records(path: Path) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """(number, state, record) of every whole line."""
    try:
        records = read_lines(path)
    except ValueError as error:
        raise Unreadable(f"journal {path.parent}: {error}") from error
    for line, record in enumerate(records, start=1):
        number, state = record.get("number"), record.get("state")
        if type(number) is not int or not isinstance(state, str):
            raise Unreadable(f"journal {path}, line {line}: no number and state")
        yield number, state, record


def _read(form: Callable[[Any], T], path: Path, number: int, record: Any) -> T:
    try:
        return form(record)
    except (KeyError, TypeError, ValueError) as error:
        raise Unreadable(f"journal {path}, entry {number} is none ({type(error).__name__}: {error})") from error


def _calls(records: Any) -> tuple[Call, ...]:
    return tuple(Call(**record) for record in records)


def _cut_torn_line(fd: int, path: Path) -> None:
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole != len(data):
        os.ftruncate(fd, whole)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
