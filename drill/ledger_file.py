"""The ledger's file: cells of 64 bytes, appended, each with its own checksum.

    header   magic, version, a random tag, and one pair of instants (monotonic, wall) that dates the file
    intent   n, t_s, amount, and references to the texts account, write kind, store, payload digest
    outcome  n, t_s, result, HTTP status, and references to the texts id and peer
    text     the reference, and 48 bytes of UTF-8; a longer text goes on in the next cells
    sent     (since version 2) an intent whose payload digest is in it, as bytes; and references to the texts account
             and what: write kind, amount and store as JSON
    done     (since version 2) an outcome whose id is in it

Version 2 writes sent and done where they hold what is to be said, else intent and outcome: one cell and not five for
most writes.

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
MAGIC, VERSION = b"drill-writes", 2
HEADER, INTENT, OUTCOME, TEXT, SENT, DONE = 72, 1, 2, 3, 4, 5
KINDS = {1: (INTENT, OUTCOME, TEXT), 2: (INTENT, OUTCOME, TEXT, SENT, DONE)}
"""Version -> the cells that there are in such a file, behind its header. All of these are read."""
TEXT_BYTES = 48
MAX_TEXT = 255 * TEXT_BYTES
"""Bytes of one text; nothing that a system calls an id is longer."""

SEALED = struct.Struct("<60sI")
"""A cell: its body and the CRC-32 of that."""
HEAD = struct.Struct("<BBHI12sdd24x")
ENTRY = struct.Struct("<BBHIQddIIII12x")
"""An intent (INTENT, 0, 0, tag, n, t_s, amount, references to account, kind, store, payload digest) or an outcome
(OUTCOME, result, status, tag, n, t_s, 0.0, references to id (0: none) and peer, 0, 0). Packed where it is recorded:
that is in the load's way, and a call costs as much as the packing."""
TEXT_PART = struct.Struct("<BBHII48s")
"""A part of a text: TEXT, its number, size of the whole, tag, reference, the bytes."""
SENT_CELL = struct.Struct("<BBHIIdII32s")
"""SENT, size of the digest, 0, tag, n, t_s, references to account and what, the digest."""
DONE_CELL = struct.Struct("<BBHIIdI36s")
"""DONE, result + 4 * size of the id, status, tag, n, t_s, reference to peer, the id."""
DIGEST_BYTES, ID_BYTES = 32, 36
NO_ID = 63
"""In place of the size of an id."""


def header_body(tag: int, monotonic_s: float, wall_s: float) -> bytes:
    """The first cell. wall_s: seconds since 1970 at the instant `monotonic_s`."""
    return HEAD.pack(HEADER, VERSION, CELL, tag, MAGIC, monotonic_s, wall_s)


def text_bodies(tag: int, ref: int, data: bytes) -> list[bytes]:
    """A text (UTF-8), in as many cells as it needs. ValueError beyond MAX_TEXT bytes."""
    size = len(data)
    if size > MAX_TEXT:
        shown = data[:40].decode(errors="replace")
        raise ValueError(f"a text of {size} bytes is too long for the ledger, {MAX_TEXT} at most: {shown}...")
    parts = range((size + TEXT_BYTES - 1) // TEXT_BYTES or 1)
    return [TEXT_PART.pack(TEXT, n, size, tag, ref, data[n * TEXT_BYTES : (n + 1) * TEXT_BYTES]) for n in parts]
