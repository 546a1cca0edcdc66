"""The history: a SQLite file of drill records that any machine can import run folders into.

    drills       run id -> record (drill.json as text), its sha256, what is wrong with it, changes that are not back
    unreadable   folder name -> why it could not be read

A row is replaced only by the same evidence, judged again or put back meanwhile: importing twice changes nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from drill.errors import Invalid
from reports.record import DrillRecord, record_from, record_text

FORMAT = 1
APPLICATION = 0x0D2111
"""Marks the file as ours (SQLite's application_id)."""
BUSY_WALL_S = 10.0
TABLES = (
    "CREATE TABLE drills (run_id TEXT PRIMARY KEY, folder TEXT NOT NULL, record TEXT NOT NULL, digest TEXT NOT NULL, "
    "problem TEXT NOT NULL, left_changed INTEGER)",
    "CREATE TABLE unreadable (folder TEXT PRIMARY KEY, reason TEXT NOT NULL)",
)


class Mixed(Invalid):
    """A run id that the history knows with other evidence."""


@dataclass(frozen=True)
class Entry:
    """One drill of the history.

    id: the run's id, or the folder's name when nobody could read it; record: None then; problem: what is wrong with
    its evidence ("" when nothing is): such a drill proves nothing; left_changed: changes that the journal did not
    know to be back when the run was imported, None when the journal could not be read.
    """

    id: str
    folder: str
    record: DrillRecord | None
    problem: str = ""
    left_changed: int | None = 0


class HistoryFile:
    """An open history. Invalid when the file is no history of ours, is damaged or cannot be written."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self.path = path
        self._db = db

    def add(self, entry: Entry) -> str:
        """Keep an entry; returns "new", "same" or "updated".

        Mixed for a run id that the history knows with other evidence: two runs, or one that was changed.
        """
        with _in_words(self.path):
            if entry.record is None:
                return self._put("unreadable", "folder", (entry.folder, entry.problem))
            self._require_same_evidence(entry, entry.record)
            text = record_text(entry.record)
            row = (entry.id, entry.folder, text, _sha256(text), entry.problem, entry.left_changed)
            with self._db:
                self._db.execute("DELETE FROM unreadable WHERE folder = ?", (entry.folder,))
            return self._put("drills", "run_id", row)

    def entries(self) -> tuple[Entry, ...]:
        """Every drill by the date of its run, after those that nobody can read."""
        with _in_words(self.path):
            bad = self._db.execute("SELECT folder, reason FROM unreadable ORDER BY folder").fetchall()
            rows = self._db.execute("SELECT run_id, folder, record, digest, problem, left_changed FROM drills")
            found = [_entry(*row) for row in rows]
        found.sort(key=lambda e: (0.0 if e.record is None else e.record.created.timestamp(), e.id))
        return (*(Entry(folder, folder, None, reason, None) for folder, reason in bad), *found)

    def _require_same_evidence(self, entry: Entry, record: DrillRecord) -> None:
        known = self._db.execute("SELECT record, digest FROM drills WHERE run_id = ?", (entry.id,)).fetchone()
        if known is None:
            return
        with contextlib.suppress(ValueError):  # a damaged row is replaced by what the run folder says
            then = record_from(known[0])
            if _sha256(known[0]) == known[1] and not _same(then, record):
                raise Mixed(
                    f"run {entry.id} is in {self.path} with other evidence: two runs of one id, or one that was "
                    "changed since; the history keeps the first"
                )

    def _put(self, table: str, key: str, row: tuple[object, ...]) -> str:
        known = self._db.execute(f"SELECT * FROM {table} WHERE {key} = ?", row[:1]).fetchone()
        if known == row:
            return "same"
        with self._db:
            self._db.execute(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(row))})", row)
        return "new" if known is None else "updated"


@contextlib.contextmanager
def open_history(path: Path, *, create: bool = False) -> Iterator[HistoryFile]:
    """The history in that file. Invalid when there is none (unless `create`), or it is not one that can be read."""
    if not create and not path.is_file():
        raise Invalid(f"no history in {path}; make one with: drill history import RUN...")
    with _in_words(path):
        db = sqlite3.connect(path, timeout=BUSY_WALL_S)
    try:
        with _in_words(path):
            _check(db, path, create)
        yield HistoryFile(path, db)
    finally:
        db.close()


@contextlib.contextmanager
def history_in_memory() -> Iterator[HistoryFile]:
    """A history that is kept nowhere."""
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        _check(db, Path(":memory:"), True)
        yield HistoryFile(Path(":memory:"), db)


def _check(db: sqlite3.Connection, path: Path, create: bool) -> None:
    mark, version = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
    empty = not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if empty and create and not mark:
        with db:
            for line in (*TABLES, f"PRAGMA application_id = {APPLICATION}", f"PRAGMA user_version = {FORMAT}"):
                db.execute(line)
        return
    if mark != APPLICATION:
        raise Invalid(
            f"{path}: no history of failover-drill; give the right file with --db, or import into a new one"
        )
    if version != FORMAT:
        raise Invalid(f"{path}: a history of format {version}, this version reads {FORMAT}; update failover-drill")
    said = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if said != "ok":
        raise sqlite3.DatabaseError(said)


def _entry(run_id: object, folder: object, text: object, digest: object, problem: object, left: object) -> Entry:
    bad = Entry(
        str(run_id), str(folder), None, "its row in the history is damaged; import the run folder again", None
    )
    try:
        record = record_from(str(text))
    except ValueError:
        return bad
    if _sha256(str(text)) != digest or record.run.id != run_id or not isinstance(problem, str):
        return bad
    return Entry(record.run.id, str(folder), record, problem, left if isinstance(left, int) else None)


def _same(then: DrillRecord, now: DrillRecord) -> bool:
    """Whether they are of the same evidence, or the first of a drill that had not ended yet."""
    run = then.run if then.run.evidence else then.run.model_copy(update={"evidence": now.run.evidence})
    return (run, then.target) == (now.run, now.target)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@contextlib.contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """SQLite's errors (damaged, locked, a full disk, not a database) as a sentence."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise Invalid(
            f"{path}: the history cannot be used ({error}); nothing was taken from it. If it is damaged, "
            "move it away and import the run folders again: drill history import RUN..."
        ) from error
