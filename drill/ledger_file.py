"""The ledger's file: cells of 64 bytes, appended, each with its own checksum.

    header   magic, version, a random tag, and one pair of instants (monotonic, wall) that dates the file
    intent   n, t_s, amount, and references to the texts account, write kind, store, payload digest
    outcome  n, t_s, result, HTTP status, and references to the texts id and peer
    text     the reference, and 48 bytes of UTF-8; a longer text goes on in the next cells

Fixed cells, because numpy then reads, checks and sorts ten million of them without one Python object each. Zeros at
the end are room that was not used (a writer that is at work, or was killed). A cell that is not whole at the end of
the file is cut off and counted; every other cell must carry the file's tag and a right CRC-32, and writes are
numbered without a gap: anything else is a ValueError that names the file and the place, because bad evidence is
never skipped silently.
"""

from __future__ import annotations

import struct

CELL = 64
BODY = CELL - 4
"""What the checksum, the last four bytes of a cell, is of."""
MAGIC, VERSION = b"drill-writes", 1
HEADER, INTENT, OUTCOME, TEXT = 72, 1, 2, 3
TEXT_BYTES = 48
MAX_TEXT = 255 * TEXT_BYTES
"""Bytes of one text; nothing that a system calls an id is longer."""

SEALED = struct.Struct("<60sI")
"""A cell: its body, which the functions below make, and the CRC-32 of that."""
HEAD = struct.Struct("<BBHI12sdd24x")
_ENTRY = struct.Struct("<BBHIQddIIII12x")
_TEXT = struct.Struct("<BBHII48s")


def header_body(tag: int, monotonic_s: float, wall_s: float) -> bytes:
    """The first cell. wall_s: seconds since 1970 at the instant `monotonic_s`."""
    return HEAD.pack(HEADER, VERSION, CELL, tag, MAGIC, monotonic_s, wall_s)


def intent_body(tag: int, n: int, t_s: float, amount: float, refs: tuple[int, int, int, int]) -> bytes:
    """A write about to be sent. refs: of the texts account, kind, store, payload digest."""
    return _ENTRY.pack(INTENT, 0, 0, tag, n, t_s, amount, *refs)


def outcome_body(tag: int, n: int, t_s: float, result: int, status: int, refs: tuple[int, int]) -> bytes:
    """What became of a write. refs: of the texts id (0: none) and peer."""
    return _ENTRY.pack(OUTCOME, result, status, tag, n, t_s, 0.0, *refs, 0, 0)


def text_bodies(tag: int, ref: int, text: str) -> tuple[bytes, ...]:
    """A text, in as many cells as it needs. ValueError beyond MAX_TEXT bytes."""
    data = text.encode(errors="surrogatepass")
    size = len(data)
    if size > MAX_TEXT:
        raise ValueError(f"a text of {size} bytes is too long for the ledger, {MAX_TEXT} at most: {text[:40]}...")
    if size <= TEXT_BYTES:  # nearly all of them, and this is in the load's way
        return (_TEXT.pack(TEXT, 0, size, tag, ref, data),)
    parts = range(0, size, TEXT_BYTES)
    return tuple(
        _TEXT.pack(TEXT, number, size, tag, ref, data[at : at + TEXT_BYTES]) for number, at in enumerate(parts)
    )
