"""When the tasks of an open loop begin."""

from __future__ import annotations

import random
from collections.abc import Iterator

UNSERVED = "unserved"
"""The detail of a request that was due when no client was free: demand that was not served."""


def pauses(rate_per_s: float, kind: str, seed: str) -> Iterator[float]:
    """The pauses between arrivals (wall seconds), without end: all equal, or those of a Poisson process.

    The same seed gives the same demand.
    """
    chance = random.Random(seed)
    while True:
        yield chance.expovariate(rate_per_s) if kind == "poisson" else 1.0 / rate_per_s
