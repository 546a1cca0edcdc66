"""The write ledger: every write is on disk before it is sent, and its outcome after.

One file per writer process in the run folder (`ledger-<writer>.bin`, format: drill/ledger_file.py). Each record is
in the file's pages, which are the kernel's, before the call returns, so its flush interval is zero: the kernel keeps
them when the process is killed, and a SIGKILL at any instant loses no record that a call has returned for. What a
killed writer can lose is the *outcome* of writes that were under way: their intents are on record, so they count as
indeterminate, never as missing. A host that loses its power can lose what its kernel had not written back yet.
Room in the file is taken from the disk ahead, so that a full disk is an error here and not a crash.

A write is acked (accepted, id known), refused (the system said no) or indeterminate (timeout or reset after the
send, or no outcome on record).
"""

from __future__ import annotations

import errno
import json
import mmap
import os
import secrets
import stat
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args
from zlib import crc32 as _crc32

from drill.clock import Clock, SystemClock
from drill.ledger_file import (
    CELL,
    DIGEST_BYTES,
    DONE,
    DONE_CELL,
    ENTRY,
    ID_BYTES,
    INTENT,
    NO_ID,
    OUTCOME,
    SEALED,
    SENT,
    SENT_CELL,
    TEXT,
    TEXT_BYTES,
    TEXT_PART,
    header_body,
    text_bodies,
)

if TYPE_CHECKING:
    from drill.ledger_read import LedgerFile

Result = Literal["acked", "refused", "indeterminate"]
RESULTS: tuple[Result, ...] = get_args(Result)
_NUMBERS = {result: number for number, result in enumerate(RESULTS)}
Digest = str | bytes
"""Of a payload: a text, or bytes, which are read as a text of hex digits."""
STORE = "main"
"""The data store of a system that has but one."""
ROOM = 1024 * 1024
"""Bytes of the file that are taken from the disk, and mapped, at a time."""
REMEMBERED = 1024
"""Texts that a writer refers to instead of writing them again. Then it forgets them all, and what comes again is
written again: to look for the oldest of a dictionary each time costs more."""
_seal_into = SEALED.pack_into


class Lock(Protocol):
    """A lock, as far as the ledger uses it."""

    def __enter__(self) -> object:
        """Wait for it, and take it."""

    def __exit__(self, *_: object) -> object:
        """Let it go."""


@dataclass(frozen=True)
class Write:
    """One write as the client saw it.

    key: "<writer>-<n>", unique in the run; amount: signed effect on the account's balance if it settles;
    sent_s, result_s: monotonic wall seconds (result_s None while unknown); id: the system's own id, None unless
    acknowledged; status: HTTP status or 0; peer: address that answered, "" when none did; store: the data stores that
    are to hold it, comma-joined; digest: sha256 (hex) of the payload as sent, "" when not recorded; wall_offset_s:
    what turns its monotonic stamps into seconds since 1970, by the writer's clock as it began.
    """

    key: str
    write: str
    account: str
    amount: float
    sent_s: float
    result_s: float | None
    result: Result
    id: str | None
    status: int
    peer: str
    store: str = STORE
    digest: str = ""
    wall_offset_s: float = 0.0

    @property
    def stores(self) -> tuple[str, ...]:
        """The data stores that hold it."""
        return tuple(self.store.split(","))

    @property
    def known_s(self) -> float:
        """When the client knew what became of it; when it was sent, if it never did."""
        return self.sent_s if self.result_s is None else self.result_s


def ledger_path(folder: Path, writer: str) -> Path:
    """Where the ledger of one writer process lies in a run folder."""
    return folder / f"ledger-{writer}.bin"


class LedgerWriter:
    """Appends to one ledger file; safe from several threads of one process, one file per process.

    path: created; FileExistsError when it holds a ledger already, whose numbers would be used twice. OSError (a
    full disk) passes, then and for every record after: a write must not be sent without its intent on disk. lock: for
    a process whose threads are no threads, see loadgen.session.
    """

    def __init__(self, path: Path, clock: Clock | None = None, lock: Lock | None = None) -> None:
        clock = clock or SystemClock()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self.lock = threading.Lock() if lock is None else lock
        """Held for each record, and by who must know a number before it is given (see `add_intent`)."""
        self._tag = secrets.randbits(32)
        self._texts: dict[str, int] = {"": 0}
        self._whats: dict[tuple[str, float, str], int] = {}
        self._n = self._ref = 0
        self._broken = False
        self._map: Any = None  # mmap.mmap; no question of its being there for each record
        self._base = self._at = self._end = 0
        found = os.fstat(self._fd)
        self._mapped = stat.S_ISREG(found.st_mode)
        if self._mapped and found.st_size:
            os.close(self._fd)
            raise FileExistsError(errno.EEXIST, "a ledger is there already", str(path))
        self._append(header_body(self._tag, clock.monotonic_s(), clock.wall().timestamp()))

    def intent(
        self, t_s: float, write: str, account: str, amount: float, *, store: str = STORE, digest: Digest = b""
    ) -> int:
        """Record that a write is about to be sent; returns its sequence number.

        t_s: monotonic wall seconds, never before that of the intent before it.
        """
        with self.lock:
            return self.add_intent(t_s, write, account, amount, store, digest)

    def add_intent(self, t_s: float, write: str, account: str, amount: float, store: str, digest: Digest) -> int:
        """As `intent`, for who holds `lock`: then `next_number` is the number that it returns."""
        known, n, tag = self._texts, self._n + 1, self._tag
        who = known.get(account) or self._refer(account)
        if isinstance(digest, bytes) and len(digest) <= DIGEST_BYTES:
            what = self._whats.get((write, amount, store)) or self._say(write, amount, store)
            self._append(SENT_CELL.pack(SENT, len(digest), 0, tag, n, t_s, who, what, digest))
        else:
            kind, where = known.get(write) or self._refer(write), known.get(store) or self._refer(store)
            told = self._text(digest.hex() if isinstance(digest, bytes) else digest) if digest else 0
            self._append(ENTRY.pack(INTENT, 0, 0, tag, n, t_s, amount, who, kind, where, told))
        self._n = n
        return n

    @property
    def next_number(self) -> int:
        """The number that the next intent gets, as long as nobody else makes one."""
        return self._n + 1

    def outcome(
        self, n: int, t_s: float, result: Result, *, id: str | None = None, status: int = 0, peer: str = ""
    ) -> None:
        """Record what became of write `n`."""
        with self.lock:
            tag, where = self._tag, self._texts.get(peer) or self._refer(peer)
            data = b"" if id is None else id.encode(errors="surrogatepass")
            if len(data) <= ID_BYTES:
                how = _NUMBERS[result] + 4 * (NO_ID if id is None else len(data))
                self._append(DONE_CELL.pack(DONE, how, status, tag, n, t_s, where, data))
            else:
                told = self._text(id or "")
                self._append(ENTRY.pack(OUTCOME, _NUMBERS[result], status, tag, n, t_s, 0.0, told, where, 0, 0))

    def close(self) -> None:
        """Close the file, and give back the room that was not needed."""
        if self._map is not None:
            self._map.close()
            self._map, self._end = None, 0
            os.ftruncate(self._fd, self._base + self._at)
        self._broken = True
        os.close(self._fd)

    def _refer(self, text: str) -> int:
        """The reference of a text that will come again."""
        if not text:
            return 0
        ref = self._text(text)
        if len(self._texts) >= REMEMBERED:
            self._texts.clear()
        self._texts[text] = ref
        return ref

    def _say(self, write: str, amount: float, store: str) -> int:
        """The reference of what will be written again."""
        ref = self._text(json.dumps([write, amount, store]))
        if len(self._whats) >= REMEMBERED:
            self._whats.clear()
        self._whats[write, amount, store] = ref
        return ref

    def _text(self, text: str) -> int:
        """Record a text; its reference."""
        ref, data = self._ref + 1, text.encode(errors="surrogatepass")
        if len(data) <= TEXT_BYTES:  # nearly all of them
            self._append(TEXT_PART.pack(TEXT, 0, len(data), self._tag, ref, data))
        else:
            for body in text_bodies(self._tag, ref, data):
                self._append(body)
        self._ref = ref
        return ref

    def _append(self, body: bytes) -> None:
        # One cell after the other: whoever reads meanwhile, or after a kill, finds at most the last one unfinished.
        at = self._at
        if at < self._end:
            _seal_into(self._map, at, body, _crc32(body))
            self._at = at + CELL
            return
        if self._broken:
            raise OSError(errno.EIO, "the ledger could not be written before; nothing may be sent without it")
        try:
            self._append_outside(body)
        except OSError:
            self._broken = True
            raise

    def _append_outside(self, body: bytes) -> None:
        """Beyond the room that is mapped, which then is the next; or to what is no file (a null device)."""
        if not self._mapped:
            if os.write(self._fd, SEALED.pack(body, _crc32(body))) != CELL:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return
        end = self._base + self._at
        if self._map is not None:
            self._map.close()
            self._map, self._end = None, 0
        self._base = end // mmap.PAGESIZE * mmap.PAGESIZE
        os.posix_fallocate(self._fd, self._base, ROOM)
        self._map = mmap.mmap(self._fd, ROOM, offset=self._base)
        self._at, self._end = end - self._base, ROOM
        self._append(body)


def read_ledger(paths: Iterable[Path]) -> list[Write]:
    """All writes of the given ledger files, by send time. ValueError names file and place of what is wrong.

    What a killed writer left unfinished at the end of its file is cut off (see `torn_ledgers`).
    """
    from drill.ledger_read import read_file  # numpy takes its time to load, and a writer does not read

    writes = [write for path in sorted(paths) for write in _writes(read_file(path))]
    return sorted(writes, key=lambda w: w.sent_s)


def torn_ledgers(paths: Iterable[Path]) -> dict[str, int]:
    """File name -> bytes that were cut off at its end, for those that have any. ValueError as `read_ledger`."""
    from drill.ledger_read import read_file

    return {path.name: torn for path in sorted(paths) if (torn := read_file(path).torn_bytes)}


def _writes(file: LedgerFile) -> Iterable[Write]:
    writer = Path(file.name).stem.removeprefix("ledger-")
    text, offset_s = file.text(), file.wall_s - file.monotonic_s
    ends = {end[0]: end for end in file.ended(text)}
    for n, sent_s, account, kind, amount, store, digest in file.sent(text):
        none = (n, None, RESULTS.index("indeterminate"), 0, None, "")
        _, result_s, result, status, id, peer = ends.get(n, none)
        if result >= len(RESULTS):
            raise ValueError(f"{file.name}: write {n} refers to a result that is not on record")
        said, key = RESULTS[result], f"{writer}-{n}"
        yield Write(key, kind, account, amount, sent_s, result_s, said, id, status, peer, store, digest, offset_s)


def read_lines(path: Path) -> list[dict[str, object]]:
    """The JSON objects of a JSON-lines file; a torn last line (no newline) is dropped.

    Raises ValueError naming file and line for anything else that does not parse.
    """
    records: list[dict[str, object]] = []
    data = path.read_bytes()
    for number, line in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), start=1):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{path.name}, line {number}: not JSON ({error})") from error
        if not isinstance(record, dict):
            raise ValueError(f"{path.name}, line {number}: not a JSON object")
        records.append(record)
    return records
