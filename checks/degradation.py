"""Badly served, not only not served: the share of good and quick looks over a sliding window.

An outage in which every look fails is measured elsewhere (checks/recovery_time.py). A partial outage or a brown-out
lets some looks pass, or all of them slowly; it is said by how many were served well, over how long. These numbers
stand beside the recovery time and are never judged: a threshold is a choice. Where a target declares a level to be
judged by, checks/service_level.py does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from checks.recovery_time import Look

LEAST_LOOKS = 5
"""Fewer looks in a window say nothing about a share."""


@dataclass(frozen=True)
class Degradation:
    """stretches: (begin, end) in monotonic wall seconds in which the share was below the threshold; lowest: the
    lowest share of any window, None without enough looks; served: the share of all looks that were served well."""

    stretches: tuple[tuple[float, float], ...] = ()
    lowest: float | None = None
    served: float | None = None

    @property
    def total_s(self) -> float:
        """Wall seconds of all stretches."""
        return math.fsum(end_s - begin_s for begin_s, end_s in self.stretches)


def degradation(looks: Sequence[Look], window_s: float, least_share: float, slow_s: float) -> Degradation:
    """How badly these looks (by send time) were served.

    window_s: of the sliding window; least_share: below this users are badly served; slow_s: a good look that took
    longer is a bad one here. Wall seconds. A stretch runs from the first send of the first window that is below to
    the last send of the last one: a share cannot tell when inside its window things changed.
    """
    well = [look.good and look.done_s - look.sent_s <= slow_s for look in looks]
    stretches: list[tuple[float, float]] = []
    lowest, first, good = None, 0, 0
    for last, look in enumerate(looks):
        good += well[last]
        while look.sent_s - looks[first].sent_s > window_s:
            good -= well[first]
            first += 1
        count = last - first + 1
        if count < LEAST_LOOKS:
            continue
        lowest = min(good / count, 1.0 if lowest is None else lowest)
        if good / count < least_share:
            _extend(stretches, looks[first].sent_s, look.sent_s)
    return Degradation(tuple(stretches), lowest, sum(well) / len(well) if well else None)


def _extend(stretches: list[tuple[float, float]], begin_s: float, end_s: float) -> None:
    if stretches and begin_s <= stretches[-1][1]:
        begin_s = stretches.pop()[0]
    stretches.append((begin_s, end_s))
