"""What became of every write, from what was sent and what the survivor shows: columns in, one fate per write out.

Pure, on numpy columns, and fed in pieces, so that ten million writes take seconds and their memory does not depend
on how often the survivor was asked. Every rule is here once; the judge (checks/recovery_point.py) and the
benchmarks use the same code.

The survivor is asked in two passes: at recovery, and again at the settle deadline for what was not terminal before.
Two different states of one write in one pass are none; a write whose last look was early and not terminal is
unknown, because nobody looked again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from drill.ledger import RESULTS

Array = npt.NDArray[Any]
PASSES = ("recovery", "settled")
STATES = ("settled", "refused", "pending", "absent", "unknown")
SETTLED, REFUSED, PENDING, ABSENT, UNKNOWN = range(len(STATES))
NOT_SEEN = 255
TERMINAL = (SETTLED, REFUSED)
FATES = (
    "surviving",
    "late",
    "refused after acceptance",
    "lost",
    "unknown",
    "indeterminate, turned up",
    "indeterminate, did not",
    "indeterminate, nobody looked",
    "refused",
    "refused, turned up",
)
"""What can become of a write; the first five are of acknowledged ones. late: absent or pending at recovery and
settled later; lost: no terminal state by the settle deadline; refused: not found, or nobody looked."""
SURVIVING, LATE, COMPENSATED, LOST, NOT_KNOWN = range(5)
TURNED_UP, STAYED_OUT, NOT_LOOKED, STAYED_REFUSED, REFUSED_UP = range(5, 10)
ACKED, REFUSED_WRITE, INDETERMINATE = (RESULTS.index(r) for r in ("acked", "refused", "indeterminate"))


@dataclass(frozen=True)
class Sent:
    """The ledger's side, one row a write. key: unsigned 64 bit, unique; result: index in drill.ledger.RESULTS;
    digest: of the payload, 0 unknown; region: number of the Region that answered, 0 unknown."""

    key: Array
    result: Array
    digest: Array
    region: Array


@dataclass(frozen=True)
class Seen:
    """Looks at the survivor, one row a look. pass_: index in PASSES; state: in STATES; copies: how many records of
    it the store shows, 0 unknown; digest, region (which accepted it, as the store says): 0 unknown."""

    key: Array
    pass_: Array
    state: Array
    copies: Array
    digest: Array
    region: Array


@dataclass(frozen=True)
class Marks:
    """Beside its fate, for each write: the store shows several of it (twice); its payload is another one (changed);
    the store says that another Region accepted it than the one that answered the client (both)."""

    twice: Array
    changed: Array
    both: Array


@dataclass(frozen=True)
class Fates:
    """One row a write, in the order of `Sent`.

    fate: index in FATES; state: final state (index in STATES, NOT_SEEN when nobody looked); strays: looks at keys
    that the ledger does not hold.
    """

    fate: Array
    state: Array
    marks: Marks
    strays: int

    def counts(self) -> dict[str, int]:
        """Fate -> how many writes, then the three marks."""
        found = np.bincount(self.fate, minlength=len(FATES)).tolist()
        return dict(zip(FATES, found, strict=True)) | {
            "duplicated": int(self.marks.twice.sum()),
            "changed": int(self.marks.changed.sum()),
            "accepted by both Regions": int(self.marks.both.sum()),
        }


def reconcile(sent: Sent, pieces: Iterable[Seen]) -> Fates:
    """The fate of every write. ValueError when two writes share a key: reading one back says nothing of the other."""
    index = _Index(sent.key)
    count = len(sent.key)
    passes = [np.full(count, NOT_SEEN, np.uint8) for _ in PASSES]
    marks = Marks(*(np.zeros(count, bool) for _ in range(3)))
    strays = 0
    for seen in pieces:
        rows, known = index.rows(seen.key)
        strays += len(seen.key) - len(rows)
        for number, states in enumerate(passes):
            here = known[seen.pass_[known] == number]
            _note(states, rows[seen.pass_[known] == number], seen.state[here])
        _mark(marks, sent, seen, rows, known)
    state = _final(*passes)
    return Fates(_fates(sent.result, passes[0], state), state, marks, strays)


class _Index:
    """Where each key is: computed when the keys are consecutive, searched for when not."""

    def __init__(self, key: Array) -> None:
        self._order: Array | None = None
        if not bool((key[1:] > key[:-1]).all()):
            self._order = np.argsort(key, kind="stable")
            key = key[self._order]
            if bool((key[1:] == key[:-1]).any()):
                twice = key[1:][key[1:] == key[:-1]][0]
                raise ValueError(f"two writes share the key {twice}")
        self._key = key

    def rows(self, key: Array) -> tuple[Array, Array]:
        """(rows of the writes, positions in `key`) of the keys that are known."""
        if not len(self._key):
            none = np.zeros(0, np.int64)
            return none, none
        at = np.minimum(np.searchsorted(self._key, key), len(self._key) - 1)
        known = np.flatnonzero(self._key[at] == key)
        rows = at[known]
        return (rows if self._order is None else self._order[rows]), known


def _note(states: Array, rows: Array, seen: Array) -> None:
    before = states[rows]
    states[rows] = seen
    against = (states[rows] != seen) | ((before != NOT_SEEN) & (before != seen))
    states[rows[against]] = UNKNOWN


def _mark(marks: Marks, sent: Sent, seen: Seen, rows: Array, known: Array) -> None:
    there = seen.state[known] == SETTLED
    digest, region = seen.digest[known], seen.region[known]
    was, by = sent.digest[rows], sent.region[rows]
    marks.twice[rows[there & (seen.copies[known] > 1)]] = True
    marks.changed[rows[there & (digest != 0) & (was != 0) & (digest != was)]] = True
    marks.both[rows[there & (region != 0) & (by != 0) & (region != by)]] = True


def _final(early: Array, late: Array) -> Array:
    closed = np.where((early == NOT_SEEN) | np.isin(early, TERMINAL), early, np.uint8(UNKNOWN))
    return np.where(late == NOT_SEEN, closed, late)


_OF_ACKED = np.full(256, NOT_KNOWN, np.uint8)
_OF_ACKED[[SETTLED, REFUSED, PENDING, ABSENT]] = [SURVIVING, COMPENSATED, LOST, LOST]
_OF_OPEN = np.full(256, NOT_LOOKED, np.uint8)
_OF_OPEN[[SETTLED, PENDING, REFUSED, ABSENT]] = [TURNED_UP, TURNED_UP, STAYED_OUT, STAYED_OUT]
_OF_REFUSED = np.full(256, STAYED_REFUSED, np.uint8)
_OF_REFUSED[SETTLED] = REFUSED_UP


def _fates(result: Array, early: Array, state: Array) -> Array:
    fate = _OF_ACKED[state]
    fate[(state == SETTLED) & np.isin(early, (ABSENT, PENDING))] = LATE
    for kind, table in ((INDETERMINATE, _OF_OPEN), (REFUSED_WRITE, _OF_REFUSED)):
        of_kind = result == kind
        fate[of_kind] = table[state[of_kind]]
    return fate
