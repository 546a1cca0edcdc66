"""From any number of observations to a bounded number of pixel columns, without losing one outlier.

Sampling would lose the one failure among a hundred thousand successes; a column here keeps every value that
occurred in it, so a picture of a busy run is as small as one of a quiet run and still shows what went wrong.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

V = TypeVar("V", bound=Hashable)
GAP_FACTOR = 5.0
"""A pause this many times the usual one between two looks is drawn as a gap: nobody was looking."""


@dataclass(frozen=True)
class Stretch(Generic[V]):
    """One value from low_s to high_s (target seconds from the start of the run)."""

    low_s: float
    high_s: float
    value: V


@dataclass(frozen=True)
class Block(Generic[V]):
    """Pixel columns [x0, x1) in which exactly these values occurred."""

    x0: int
    x1: int
    values: frozenset[V]


@dataclass(frozen=True)
class Scale:
    """The horizontal axis: [0, length_s] target seconds on `width` pixels."""

    length_s: float
    width: int

    def x(self, at_s: float) -> float:
        """The pixel of an instant, inside the plot."""
        return min(max(at_s / max(self.length_s, 1e-9), 0.0), 1.0) * self.width

    def column(self, at_s: float) -> int:
        """The pixel column of an instant, 0 ... width - 1."""
        return min(int(self.x(at_s)), self.width - 1)

    def ticks(self, most: int = 12) -> list[float]:
        """Round instants to label, at most `most` of them."""
        step = nice_step(self.length_s / most)
        return [n * step for n in range(int(self.length_s / step) + 1)]


def nice_step(least: float) -> float:
    """The smallest of 1, 2, 5, 10, 15, 30 s, 1, 2, 5, 10, 30 min, 1 h, 2 h ... that is at least `least` seconds."""
    for step in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600):
        if step >= least:
            return float(step)
    return math.ldexp(3600.0, math.ceil(math.log2(least / 3600.0)))


def stretches(looks: Sequence[tuple[float, V]]) -> list[Stretch[V]]:
    """What was seen, from each look until the next one that saw something else.

    looks: (instant of the result in target seconds, value), by instant. A value is not carried over a pause of
    more than GAP_FACTOR usual pauses: missing data is unknown.
    """
    values = list(dict.fromkeys(value for _, value in looks))
    number = {value: n for n, value in enumerate(values)}
    codes = np.array([number[value] for _, value in looks], dtype=np.int32)
    return stretches_of(np.array([at for at, _ in looks], dtype=np.float64), codes, values)


def stretches_of(at_s: NDArray[np.float64], codes: NDArray[np.int32], values: Sequence[V]) -> list[Stretch[V]]:
    """As `stretches`, of looks in columns. codes: indices into values."""
    if not len(at_s):
        return []
    pauses = np.diff(at_s)
    carried = pauses <= (GAP_FACTOR * np.median(pauses) if len(pauses) else 0.0)
    highs = np.append(np.where(carried, at_s[1:], at_s[:-1]), at_s[-1])
    begins = np.flatnonzero(np.append(True, ~carried | (codes[1:] != codes[:-1])))
    ends = np.append(begins[1:], len(at_s)) - 1
    found = zip(at_s[begins].tolist(), highs[ends].tolist(), codes[begins].tolist(), strict=True)
    return [Stretch(low, high, values[code]) for low, high, code in found]


def blocks(pieces: Iterable[Stretch[V]], scale: Scale) -> list[Block[V]]:
    """The stretches on pixel columns, equal neighbours joined; at most `scale.width` blocks."""
    held: list[set[V]] = [set() for _ in range(scale.width)]
    for piece in pieces:
        for column in range(scale.column(piece.low_s), _last_column(piece, scale) + 1):
            held[column].add(piece.value)
    return _joined([frozenset(values) for values in held])


@dataclass(frozen=True)
class Bins(Generic[V]):
    """Counts by kind in bins of equal width. bin_s: target seconds; counts[i]: kind -> how many in bin i."""

    bin_s: float
    counts: tuple[dict[V, int], ...]

    def most(self) -> int:
        """The highest total of any bin, 0 when there is none."""
        return max((sum(c.values()) for c in self.counts), default=0)


def bins(
    at_s: NDArray[np.float64],
    codes: NDArray[np.int32],
    names: Sequence[V],
    scale: Scale,
    least_s: float,
    most: int = 400,
) -> Bins[V]:
    """Count by instant (target seconds) and kind (codes: indices into names); bins of at least `least_s`, at most
    `most` of them."""
    width_s = max(least_s, scale.length_s / most, 1e-9)
    count = int(scale.length_s / width_s) + 1
    cell = np.clip((at_s / width_s).astype(np.int64), 0, count - 1)
    table = np.bincount(cell * len(names) + codes, minlength=count * len(names)).reshape(count, len(names))
    rows = ({name: n for name, n in zip(names, row, strict=True) if n} for row in table.tolist())
    return Bins(width_s, tuple(rows))


def _last_column(piece: Stretch[V], scale: Scale) -> int:
    # The column in which the next value begins belongs to that value, unless this one began there too.
    first, last = scale.column(piece.low_s), math.ceil(scale.x(piece.high_s)) - 1
    return min(max(first, last), scale.width - 1)


def _joined(columns: Sequence[frozenset[V]]) -> list[Block[V]]:
    found: list[Block[V]] = []
    for x, values in enumerate(columns):
        if found and found[-1].values == values:
            found[-1] = Block(found[-1].x0, x + 1, values)
        else:
            found.append(Block(x, x + 1, values))
    return [block for block in found if block.values]
