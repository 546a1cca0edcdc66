"""The journal: what was changed and is not back yet, on disk before the first call.

One fsynced JSON line per state of a Change:

    prepared -> armed -> injecting -> injected -> restoring -> restored | dirty

and of an Action: intended -> started -> reached | not_reached, or intended -> not_started; one that carries an Undo
goes on from there: -> restoring -> restored | dirty. The first line carries the whole Change or Action; any process
with the file can restore.

Nobody locks the file: a process that is stopped while it holds a lock would keep everyone from restoring. Instead
each process that wants to change something appends a claim (number 0, state "claimed"). Appends have one order, so
the n-th claim of the file is epoch n, and only the last claimant may make changes (drill/fence.py). The first claim
carries how the world is reached (`Reach`), so that the file alone is enough to restore.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from drill.call import Call
from drill.calls_made import CALLED, Made
from drill.change import Action, Change, Owed, action_from, change_from
from drill.clock import Clock
from drill.errors import DrillError
from drill.reach import Reach
from drill.redact import redacted

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
    "writing",
    "cleaning",
    "cleaned",
    "unclean",
]
BACK: tuple[State, ...] = ("restored",)
UNTOUCHED: tuple[State, ...] = ("prepared", "armed", "not_started")
UNCONFIRMED: tuple[State, ...] = ("injecting", "intended")
"""Nobody saw it in force, or started: its call may still be on its way."""
CONFIRMED: tuple[State, ...] = ("injected", "started")
OVER: tuple[State, ...] = ("reached", "not_reached", "not_started", "restored")
NO_CHANGE = 0
"""The number of records that are about the journal itself, tell of a call (drill/calls_made.py), or of written data
that are to be cleaned up: writing -> cleaning -> cleaned | unclean (drill/cleaning.py)."""
WHOLE = ("change", "action", "reach", "by", "disarm", "undo")
"""Parts of a record that somebody acts on: kept as they are."""
CLAIMED, TORN = "claimed", "torn"


class Unreadable(DrillError, ValueError):
    """A journal has a line that says nothing: nobody knows any more what is changed, so nobody may go on."""


@dataclass(frozen=True)
class Entry:
    """A Change with the last state the journal knows of it. number: its place in the journal, from 1.

    Or an Action whose Undo ends what it has started. disarm: the calls that disarm its dead-man once it is back; none
    when it was not armed.
    """

    number: int
    state: str
    change: Owed
    disarm: tuple[Call, ...] = ()


@dataclass(frozen=True)
class Intent:
    """An Action whose end the journal does not know: it was interrupted, and may or may not have been started."""

    number: int
    state: str
    action: Action


@dataclass(frozen=True)
class Claim:
    """Who may change things by the journal. epoch: its place among the claims, from 1; who: in words."""

    epoch: int
    who: str
    pid: int
    host: str
    token: str

    @property
    def here(self) -> bool:
        """Whether the claimant is a process of this machine that still runs."""
        return self.host == socket.gethostname() and _runs(self.pid)

    def __str__(self) -> str:
        return f"{self.who} (pid {self.pid} on {self.host})"


class Journal:
    """An open journal that this process has claimed as `who`; every former claimant is fenced from now on.

    reach: how the world is reached, for the first claim. restoring: this process only puts back, so a claim that
    cannot be written (a full disk) is no reason to leave everything broken. Unreadable names a line that is no
    record. What a death left of a line that was being written says nothing: that state was never on disk, so its
    call was never made.
    """

    def __init__(
        self, path: Path, clock: Clock, who: str = "the drill", reach: Reach | None = None, restoring: bool = False
    ) -> None:
        self.path = path
        self._clock = clock
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            _sync_folder(path.parent)
            self._numbers = max((number for number, _, _ in _records(path)), default=0)
            self._token, self._epoch = "", 0
            with contextlib.suppress(*((OSError,) if restoring else ())):
                self.claim(who, reach)
        except (OSError, Unreadable):
            os.close(self._fd)
            raise

    @property
    def numbers(self) -> int:
        """The number of the last Change or Action."""
        return self._numbers

    @property
    def epoch(self) -> int:
        """The place of this process's claim among all, from 1."""
        return self._epoch

    def claim(self, who: str, reach: Reach | None = None) -> None:
        """Raise the epoch, durably: from here on only this process may change things by this journal."""
        token = secrets.token_hex(8)
        by = {"who": who, "pid": os.getpid(), "host": socket.gethostname(), "token": token}
        self._append(
            {"number": NO_CHANGE, "state": CLAIMED, "by": by} | ({"reach": reach.to_json()} if reach else {})
        )
        self._token = token
        self._epoch = next((c.epoch for c in claims_in(self._bytes()) if c.token == self._token), 0)

    def fenced_by(self) -> Claim | None:
        """Who has claimed the journal after this process; None while the right to make changes is ours."""
        last = _last(self._bytes())
        return None if last is None or self._token in ("", last.token) else last

    def open_change(self, change: Change) -> int:
        """Record a prepared Change, whole; returns its number."""
        return self._open("prepared", {"change": change.to_json()})

    def open_action(self, action: Action) -> int:
        """Record the intent of an Action, whole; returns its number."""
        return self._open("intended", {"action": action.to_json()})

    def record(self, number: int, state: State, **data: Any) -> None:
        """Record a new state. On disk, whole, when this returns; OSError when it cannot be (a full disk)."""
        self._append({"number": number, "state": state, "epoch": self._epoch, **data})

    def called(self, made: Made) -> None:
        """Record what came of a call. A disk that is full costs the record, never what comes next."""
        with contextlib.suppress(OSError):
            self._append({"number": NO_CHANGE, "state": CALLED, "epoch": self._epoch, "call": asdict(made)})

    def outstanding(self) -> list[Entry]:
        """Changes that are not known to be back, newest first (the order to restore in)."""
        return outstanding(self.path)

    def was(self, number: int, state: State) -> bool:
        """Whether that Change or Action has ever been in that state. Unreadable as for `outstanding`."""
        return any((number, state) == (n, s) for n, s, _ in _records(self.path))

    def close(self) -> None:
        """Close the file."""
        fd, self._fd = self._fd, -1
        os.close(fd)

    def _open(self, state: State, data: dict[str, Any]) -> int:
        self._numbers += 1
        self.record(self._numbers, state, **data)
        return self._numbers

    def _append(self, record: dict[str, Any]) -> None:
        """One write(2): it lands whole behind what others have appended, or ENOSPC leaves a torn line behind."""
        line = self._line(record)
        if self._torn():
            line = b"\n" + self._line({"number": NO_CHANGE, "state": TORN}) + line
        if os.write(self._fd, line) != len(line):
            raise OSError(errno.ENOSPC, f"the journal's line could not be written whole: {self.path}")
        os.fsync(self._fd)

    def _line(self, record: dict[str, Any]) -> bytes:
        stamp = {"at_s": self._clock.monotonic_s(), "wall": self._clock.wall().isoformat()}
        # What is to be put back must stay as it is; what others said of it must not.
        told = {k: v if k in WHOLE else redacted(v) for k, v in record.items()}
        return (json.dumps(stamp | told) + "\n").encode()

    def _torn(self) -> bool:
        """Whether the last line has no end. It is never cut off: another process may be writing it right now."""
        size = os.fstat(self._fd).st_size
        return size > 0 and os.pread(self._fd, 1, size - 1) != b"\n"

    def _bytes(self) -> bytes:
        """Through the open file: the same one, whatever became of its path."""
        return os.pread(self._fd, os.fstat(self._fd).st_size, 0)


def outstanding(path: Path) -> list[Entry]:
    """Changes in a journal file that may have been injected and are not restored, newest first.

    Among them the Actions that carry an Undo, may have been started, and of which nobody noted that they were ended.
    Unreadable names the file and the line that is no record.
    """
    return [entry for entry in begun(path) if entry.state not in BACK]


def begun(path: Path) -> list[Entry]:
    """Changes that may have been injected, whatever became of them, newest first; and Actions as `outstanding` says.

    Unreadable as `outstanding`.
    """
    if not path.exists():
        return []
    changes: dict[int, Owed] = {}
    states: dict[int, str] = {}
    disarm: dict[int, tuple[Call, ...]] = {}
    for number, state, record in _records(path):
        states[number] = state
        if "change" in record:
            changes[number] = _read(change_from, path, number, record["change"])
        if "action" in record and (action := _read(action_from, path, number, record["action"])).undo:
            changes[number] = action
        if "disarm" in record:
            disarm[number] = _read(_calls, path, number, record["disarm"])
    touched = [n for n in changes if states[n] not in UNTOUCHED]
    return [Entry(n, states[n], changes[n], disarm.get(n, ())) for n in sorted(touched, reverse=True)]


def last_claim(path: Path) -> Claim | None:
    """Who may change things by the journal; None when nobody ever claimed it. OSError when it cannot be read."""
    return _last(path.read_bytes())


def reach_of(path: Path) -> Reach | None:
    """How the world of this journal is reached, by its first claim; None in a journal of an older version."""
    found = (Reach.from_json(r["reach"]) for _, state, r in _records(path) if state == CLAIMED and "reach" in r)
    return next(found, None)


def claims_in(data: bytes) -> list[Claim]:
    """The claims, in order. Lines that say nothing are passed over: they must not keep anybody from restoring."""
    found: list[Claim] = []
    for line in data[: data.rfind(b"\n") + 1].splitlines():
        if CLAIMED.encode() not in line:
            continue
        record = _json(line)
        by = record.get("by") if isinstance(record, dict) and record.get("state") == CLAIMED else None
        if isinstance(by, Mapping):
            who, host, token = (str(by.get(key, "?")) for key in ("who", "host", "token"))
            pid = by.get("pid")
            found.append(Claim(len(found) + 1, who, pid if isinstance(pid, int) else 0, host, token))
    return found


def _last(data: bytes) -> Claim | None:
    claims = claims_in(data)
    return claims[-1] if claims else None


def journal_records(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of a journal, in order, those about the journal itself included.

    A line that was torn by a death is dropped: it is the last, or the next one says so. Unreadable names the file
    and the line of anything else that is no object.
    """
    data = path.read_bytes()
    lines = data[: data.rfind(b"\n") + 1].splitlines()
    found = []
    for number, line in enumerate(lines):
        record = _json(line)
        if isinstance(record, dict):
            found.append(record)
        elif line and not (number + 1 < len(lines) and _is_torn_mark(_json(lines[number + 1]))):
            raise Unreadable(f"journal {path.parent}: {path.name}, line {number + 1}: not a JSON object")
    return found


def _is_torn_mark(record: Any) -> bool:
    return isinstance(record, dict) and record.get("state") == TORN


def _json(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


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
    for line, record in enumerate(journal_records(path), start=1):
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


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
