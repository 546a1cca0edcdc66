"""Writes with planted fates: what a ledger and a survivor show when it is known beforehand what became of each.

For calibration, benchmarks and tests. The truth is chosen first, per write; the looks are made to fit it, each fate
in every way that it can show itself. Nothing here uses the rules of checks/reconcile.py, only its columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from checks.reconcile import (
    ABSENT,
    ACKED,
    FATES,
    INDETERMINATE,
    PENDING,
    REFUSED,
    REFUSED_WRITE,
    SETTLED,
    UNKNOWN,
    Array,
    Fates,
    Seen,
    Sent,
    reconcile,
)

NONE = -1
WAYS: dict[str, tuple[int, tuple[tuple[int, int, int], ...]]] = {
    "surviving": (ACKED, ((SETTLED, NONE, NONE), (NONE, SETTLED, NONE), (UNKNOWN, SETTLED, NONE))),
    "late": (ACKED, ((ABSENT, SETTLED, NONE), (PENDING, SETTLED, NONE))),
    "refused after acceptance": (ACKED, ((REFUSED, NONE, NONE), (PENDING, REFUSED, NONE), (NONE, REFUSED, NONE))),
    "lost": (
        ACKED,
        ((ABSENT, ABSENT, NONE), (PENDING, ABSENT, NONE), (NONE, PENDING, NONE), (UNKNOWN, ABSENT, NONE)),
    ),
    "unknown": (
        ACKED,
        (
            (NONE, NONE, NONE),
            (ABSENT, NONE, NONE),
            (PENDING, UNKNOWN, NONE),
            (NONE, SETTLED, ABSENT),
            (ABSENT, ABSENT, SETTLED),
        ),
    ),
    "indeterminate, turned up": (INDETERMINATE, ((NONE, SETTLED, NONE), (NONE, PENDING, NONE))),
    "indeterminate, did not": (INDETERMINATE, ((NONE, ABSENT, NONE), (NONE, REFUSED, NONE))),
    "indeterminate, nobody looked": (INDETERMINATE, ((NONE, NONE, NONE), (NONE, UNKNOWN, NONE))),
    "refused": (REFUSED_WRITE, ((NONE, NONE, NONE), (NONE, ABSENT, NONE), (NONE, REFUSED, NONE))),
    "refused, turned up": (REFUSED_WRITE, ((NONE, SETTLED, NONE),)),
}
"""Fate -> (result at the client, the ways it shows: state at recovery, at settle, and at settle a second time)."""
ODD = 0.02
"""Share of the settled writes that are planted to be there twice, changed, or accepted by the other Region."""


@dataclass(frozen=True)
class Planted:
    """Writes and the truth about them. sent: as a ledger holds them; fate: index in checks.reconcile.FATES; marks:
    twice, changed, both; looks: (early, late, late again) states, NONE where nobody looked."""

    sent: Sent
    fate: Array
    twice: Array
    changed: Array
    both: Array
    looks: Array

    def pieces(self, size: int = 1_000_000) -> Iterator[Seen]:
        """The looks at the survivor, in pieces."""
        for begin in range(0, len(self.fate), size):
            for column, pass_ in ((0, 0), (1, 1), (2, 1)):
                yield self._piece(slice(begin, begin + size), column, pass_)

    def _piece(self, rows: slice, column: int, pass_: int) -> Seen:
        state = self.looks[rows, column]
        at = np.flatnonzero(state != NONE) + rows.start
        digest, region = self.sent.digest[at], self.sent.region[at]
        return Seen(
            self.sent.key[at],
            np.full(len(at), pass_, np.uint8),
            self.looks[at, column].astype(np.uint8),
            np.where(self.twice[at], 2, 1).astype(np.uint16),
            np.where(self.changed[at], digest ^ np.uint64(1 << 63), digest),
            np.where(self.both[at], 3 - region, region).astype(np.uint8),
        )

    def wrong(self, found: Fates) -> int:
        """How many writes were classified otherwise than planted, in fate or marks."""
        marks = found.marks
        pairs = ((found.fate, self.fate), (marks.twice, self.twice), (marks.changed, self.changed))
        bad = np.zeros(len(self.fate), bool)
        for said, truth in (*pairs, (marks.both, self.both)):
            bad |= said != truth
        return int(bad.sum())


def plant(count: int, seed: int) -> Planted:
    """`count` writes, all fates in equal shares, by a random generator of that seed."""
    chance = np.random.default_rng(seed)
    fate = chance.integers(0, len(FATES), count).astype(np.uint8)
    results = np.array([WAYS[name][0] for name in FATES], np.uint8)
    looks = np.full((count, 3), NONE, np.int8)
    for number, name in enumerate(FATES):
        mine = np.flatnonzero(fate == number)
        ways = np.array(WAYS[name][1], np.int8)
        looks[mine] = ways[chance.integers(0, len(ways), len(mine))]
    settled = (looks == SETTLED).any(axis=1)
    twice, changed, both = (settled & (chance.random(count) < ODD) for _ in range(3))
    digest = chance.integers(1, 1 << 62, count, dtype=np.uint64)
    region = chance.integers(1, 3, count).astype(np.uint8)
    key = (chance.integers(0, 4, count, dtype=np.uint64) << np.uint64(48)) + np.arange(count, dtype=np.uint64)
    return Planted(Sent(key, results[fate], digest, region), fate, twice, changed, both, looks)


def writes_right(count: int, seed: int = 1) -> int:
    """How many of `count` planted writes are classified as they were planted."""
    planted = plant(count, seed)
    return count - planted.wrong(reconcile(planted.sent, planted.pieces()))
