"""Reading a ledger file: every cell checked, in columns. Apart from writing, which must not wait for numpy."""

from __future__ import annotations

import functools
import json
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from drill.ledger_file import (
    BODY,
    CELL,
    DONE,
    HEAD,
    HEADER,
    INTENT,
    KINDS,
    MAGIC,
    NO_ID,
    OUTCOME,
    SENT,
    TEXT,
    TEXT_BYTES,
)

STEP_S = 1.0
"""Threads may stamp their writes in another order than they record them; no thread waits this long in between."""
CHUNK = 65_536
"""Cells that are checked at a time: small enough for the processor's cache."""
_LAYOUT = [
    ("kind", "u1"),
    ("result", "u1"),
    ("status", "<u2"),
    ("tag", "<u4"),
    ("n", "<u8"),
    ("t_s", "<f8"),
    ("amount", "<f8"),
    ("refs", "<u4", (4,)),
    ("spare", "V12"),
    ("crc", "<u4"),
]
_TEXT_LAYOUT = [("kind", "u1"), ("part", "u1"), ("size", "<u2"), ("tag", "<u4"), ("ref", "<u4"), ("data", "V48")]
ENTRIES = np.dtype(_LAYOUT)  # type: ignore[arg-type, unused-ignore]
TEXTS = np.dtype([*_TEXT_LAYOUT, ("crc", "<u4")])  # type: ignore[arg-type, unused-ignore]
_SENT_LAYOUT = [("kind", "u1"), ("size", "u1"), ("spare", "<u2"), ("tag", "<u4"), ("n", "<u4"), ("t_s", "<f8"),
                ("who", "<u4"), ("what", "<u4"), ("digest", "V32"), ("crc", "<u4")]  # fmt: skip
_DONE_LAYOUT = [("kind", "u1"), ("how", "u1"), ("status", "<u2"), ("tag", "<u4"), ("n", "<u4"), ("t_s", "<f8"),
                ("peer", "<u4"), ("id", "V36"), ("crc", "<u4")]  # fmt: skip
_INTENT_COLUMNS = [("n", "u8"), ("t_s", "f8"), ("amount", "f8"), ("refs", "u4", (4,)), ("what", "u4"),
                   ("size", "u1"), ("digest", "V32")]  # fmt: skip
_OUTCOME_COLUMNS = [("n", "u8"), ("t_s", "f8"), ("result", "u1"), ("status", "u2"), ("refs", "u4", (2,)),
                    ("size", "u1"), ("id", "V36")]  # fmt: skip
_SENTS = np.dtype(_SENT_LAYOUT)  # type: ignore[arg-type, unused-ignore]
_DONES = np.dtype(_DONE_LAYOUT)  # type: ignore[arg-type, unused-ignore]
INTENTS = np.dtype(_INTENT_COLUMNS)  # type: ignore[arg-type, unused-ignore]
OUTCOMES = np.dtype(_OUTCOME_COLUMNS)  # type: ignore[arg-type, unused-ignore]
BY_REFERENCE = 255
"""In place of the size of an id that is a text of its own."""
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class LedgerFile:
    """One file, read and checked. Arrays are in the order of the file.

    monotonic_s, wall_s: the pair of instants of its header (wall_s: seconds since 1970); intents, outcomes: of dtypes
    INTENTS and OUTCOMES, numbered 1, 2, 3 ... and each outcome's number among the intents'; texts: of dtype TEXTS;
    torn_bytes: what was cut off at the end.
    """

    name: str
    monotonic_s: float
    wall_s: float
    intents: Array
    outcomes: Array
    texts: Array
    torn_bytes: int = 0

    def text(self) -> dict[int, str]:
        """Reference -> text; 0 is the empty one. ValueError for one that is not whole."""
        found: dict[int, bytes] = {0: b""}
        sizes: dict[int, int] = {0: 0}
        for part, size, ref, data in zip(
            *(self.texts[field].tolist() for field in ("part", "size", "ref", "data")), strict=True
        ):
            if part * TEXT_BYTES != len(found.get(ref, b"")) or sizes.setdefault(ref, size) != size:
                raise ValueError(f"{self.name}: text {ref} is not whole")
            found[ref] = (found.get(ref, b"") + data)[:size]
        cut = [ref for ref, size in sizes.items() if len(found[ref]) != size]
        if cut:
            raise ValueError(f"{self.name}: text {cut[0]} is not whole")
        return {ref: data.decode(errors="surrogatepass") for ref, data in found.items()}

    def sent(self, text: dict[int, str]) -> Iterator[tuple[int, float, str, str, float, str, str]]:
        """n, when, account, kind, amount, store and digest of each write. text: see `text`. ValueError for one that
        refers to what is not on record."""
        whats: dict[int, tuple[str, float, str]] = {}
        for n, t_s, amount, (who, kind, where, told), what, size, digest in _rows(self.intents):
            try:
                if not what:
                    yield n, t_s, text[who], text[kind], amount, text[where], text[told]
                    continue
                said = whats.get(what) or whats.setdefault(what, _what(text[what]))
                yield n, t_s, text[who], *said, digest[:size].hex()
            except KeyError:
                raise self._unknown(n) from None
            except (TypeError, ValueError):
                raise ValueError(f"{self.name}: {text[what]!r} of write {n} is not what a write is") from None

    def ended(self, text: dict[int, str]) -> Iterator[tuple[int, float, int, int, str | None, str]]:
        """n, when, result, status, id and peer of each outcome. ValueError as `sent`."""
        for n, t_s, result, status, (told, peer), size, data in _rows(self.outcomes):
            try:
                if size == BY_REFERENCE:
                    id = text[told] if told else None
                else:
                    id = None if size == NO_ID else data[:size].decode(errors="surrogatepass")
                yield n, t_s, result, status, id, text[peer]
            except (KeyError, ValueError):
                raise self._unknown(n) from None

    def _unknown(self, n: int) -> ValueError:
        return ValueError(f"{self.name}: write {n} refers to a text that is not on record")


def _rows(columns: Array) -> Iterator[tuple[Any, ...]]:
    assert columns.dtype.names is not None
    return zip(*(columns[name].tolist() for name in columns.dtype.names), strict=True)


def _what(told: str) -> tuple[str, float, str]:
    kind, amount, store = json.loads(told)
    if not (isinstance(kind, str) and isinstance(store, str) and math.isfinite(amount)):
        raise ValueError
    return kind, float(amount), store


def read_file(path: Path) -> LedgerFile:
    """Read and check one ledger file.

    A file without a whole header (a writer that was killed as it began) holds no writes. ValueError names what is
    wrong with any other: no ledger, another version, a checksum, a foreign cell, a number missing or used twice, a
    clock that stepped back.
    """
    cells, torn = _whole(np.fromfile(path, dtype=np.uint8))
    whole = len(cells)
    if not whole:
        none = np.zeros(0, INTENTS), np.zeros(0, OUTCOMES), np.zeros(0, TEXTS)
        return LedgerFile(path.name, 0.0, 0.0, *none, torn)
    version, tag, monotonic_s, wall_s = _header(path.name, cells[0].tobytes())
    _check_cells(path.name, cells, tag, KINDS[version])
    kinds = cells[:, 0]
    intents, outcomes = _intents(cells, kinds), _outcomes(cells, kinds)
    _check_numbers(path.name, intents, outcomes)
    _check_stamps(path.name, intents, outcomes)
    texts = cells[kinds == TEXT].reshape(-1).view(TEXTS)
    return LedgerFile(path.name, monotonic_s, wall_s, intents, outcomes, texts, torn)


def _intents(cells: Array, kinds: Array) -> Array:
    """Intents and sents in one array, in the order of the file."""
    plain, short = np.flatnonzero(kinds == INTENT), np.flatnonzero(kinds == SENT)
    entries, sents = _as(cells[plain], ENTRIES), _as(cells[short], _SENTS)
    found = np.zeros(len(plain) + len(short), INTENTS)
    at, is_short = _merged(plain, short)
    for name in ("n", "t_s", "amount", "refs"):
        found[name][at] = entries[name]
    for name in ("n", "t_s", "what", "size", "digest"):
        found[name][is_short] = sents[name]
    found["refs"][is_short, 0] = sents["who"]
    return found


def _outcomes(cells: Array, kinds: Array) -> Array:
    """Outcomes and dones in one array, in the order of the file."""
    plain, short = np.flatnonzero(kinds == OUTCOME), np.flatnonzero(kinds == DONE)
    entries, dones = _as(cells[plain], ENTRIES), _as(cells[short], _DONES)
    found = np.zeros(len(plain) + len(short), OUTCOMES)
    at, is_short = _merged(plain, short)
    for name in ("n", "t_s", "result", "status"):
        found[name][at] = entries[name]
    found["refs"][at], found["size"][at] = entries["refs"][:, :2], BY_REFERENCE
    for name in ("n", "t_s", "status", "id"):
        found[name][is_short] = dones[name]
    found["result"][is_short], found["size"][is_short] = dones["how"] & 3, dones["how"] >> 2
    found["refs"][is_short, 1] = dones["peer"]
    return found


def _as(cells: Array, layout: Any) -> Array:
    return cells.reshape(-1).view(layout)


def _merged(first: Array, second: Array) -> tuple[Array, ...]:
    """Where the members of two ordered sets of places stand in both together."""
    return tuple(np.arange(len(a)) + np.searchsorted(b, a) for a, b in ((first, second), (second, first)))


def _whole(data: Array) -> tuple[Array, int]:
    """The cells of a file, and how many bytes of an unfinished one were cut off behind them."""
    count, torn = divmod(len(data), CELL)
    cells = data[: count * CELL].reshape(count, CELL)
    if torn:
        return cells, torn
    used = _used(cells)
    if used < count and used and not _right(cells[used - 1].tobytes()):  # the writer was in the middle of it
        return cells[: used - 1], CELL
    return cells[:used], 0


def _used(cells: Array) -> int:
    """How many cells there are before the zeros at the end."""
    for end in range(len(cells), 0, -CHUNK):
        begin = max(0, end - CHUNK)
        used = np.flatnonzero(cells[begin:end].any(axis=1))
        if len(used):
            return begin + int(used[-1]) + 1
    return 0


def _right(cell: bytes) -> bool:
    return int.from_bytes(cell[BODY:], "little") == zlib.crc32(cell[:BODY])


def _header(name: str, cell: bytes) -> tuple[int, int, float, float]:
    kind, version, size, tag, magic, monotonic_s, wall_s = HEAD.unpack(cell[:BODY])
    if (kind, magic) != (HEADER, MAGIC) or not _right(cell):
        raise ValueError(f"{name}: not a ledger of writes (its first {CELL} bytes are no header)")
    if version not in KINDS or size != CELL:
        known = " and ".join(map(str, KINDS))
        raise ValueError(f"{name}: version {version} of the ledger, this version reads {known}")
    return version, tag, monotonic_s, wall_s


def _check_cells(name: str, cells: Array, tag: int, kinds: tuple[int, ...]) -> None:
    for begin in range(0, len(cells), CHUNK):
        chunk = cells[begin : begin + CHUNK]
        wrong = np.flatnonzero(checksums(chunk) != chunk[:, BODY:].copy().view("<u4")[:, 0])
        if len(wrong):
            raise _at(name, begin + int(wrong[0]), "its checksum is wrong: it was changed, or torn by another write")
        foreign = np.flatnonzero(chunk[:, 4:8].copy().view("<u4")[:, 0] != tag)
        if len(foreign):
            raise _at(name, begin + int(foreign[0]), "it was written by another writer: two ledgers are mixed")
        known = np.isin(chunk[:, 0], kinds)
        known[0] |= begin == 0
        if not known.all():
            raise _at(name, begin + int(np.argmin(known)), "it is no record of the ledger, or the file is doubled")


def _at(name: str, number: int, why: str) -> ValueError:
    return ValueError(f"{name}, cell {number} (byte {number * CELL}): {why}")


def checksums(cells: Array) -> Array:
    """The CRC-32 of the body of every cell, as zlib.crc32 gives it one by one.

    A CRC is linear: that of a message is that of zeros, and one table entry for each byte, exclusive-ored.
    """
    zeros, tables = _tables()
    found = np.full(len(cells), zeros, np.uint32)
    columns = np.ascontiguousarray(cells[:, :BODY].T)
    for table, column in zip(tables, columns, strict=True):
        found ^= table[column]
    return found


@functools.cache
def _tables() -> tuple[int, list[Array]]:
    zeros = zlib.crc32(bytes(BODY))
    return zeros, [
        np.array([zlib.crc32(bytes([*[0] * at, byte, *[0] * (BODY - at - 1)])) ^ zeros for byte in range(256)], "<u4")
        for at in range(BODY)
    ]


def _check_numbers(name: str, intents: Array, outcomes: Array) -> None:
    wrong = np.flatnonzero(intents["n"] != np.arange(1, len(intents) + 1, dtype=np.uint64))
    if len(wrong):
        at = int(wrong[0])
        raise ValueError(f"{name}: write {at + 1} is missing or used twice (found number {intents['n'][at]} there)")
    numbers = outcomes["n"]
    orphans = numbers[(numbers < 1) | (numbers > len(intents))]
    if len(orphans):
        raise ValueError(f"{name}: outcome without intent for write {orphans.min()}")
    ordered = np.sort(numbers)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(twice):
        raise ValueError(f"{name}: write {twice[0]} has two outcomes")


def _check_stamps(name: str, intents: Array, outcomes: Array) -> None:
    sent, known = intents["t_s"], outcomes["t_s"]
    if not (np.isfinite(sent).all() and np.isfinite(known).all() and np.isfinite(intents["amount"]).all()):
        raise ValueError(f"{name}: a stamp or an amount is no number")
    back = np.flatnonzero(np.diff(sent) < -STEP_S)
    if len(back):
        at = int(back[0])
        raise ValueError(f"{name}: the clock stepped back between write {at + 1} ({sent[at]}) and write {at + 2}")
    early = np.flatnonzero(known < sent[outcomes["n"].astype(np.int64) - 1])
    if len(early):
        raise ValueError(f"{name}: the result of write {outcomes['n'][early[0]]} is older than its send")
