"""The same outage as different clients had it: each vantage's own recovery time, and that of a quorum of them.

"new clients" connect anew for each look, "pinned clients" keep the connections they had: after a DNS switch the first
recover when their names do, the others when their connections break. Neither says that writes complete: the number
that is judged rests on write probes (checks/recovery_time.py). These stand beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from checks.degradation import Degradation, degradation
from checks.estimate import edges
from checks.recovery_time import SILENCE_INTERVALS, RecoveryTime, looks_of, measure
from checks.windows import Settings, Window
from drill.probes import NEW, PINNED, PULSE
from drill.timeline import History, Observation, Outcome
from drill.verdict import Interval

QUORUM = "quorum"


@dataclass(frozen=True)
class Vantage:
    """One vantage in one window.

    time: as measured, instants in monotonic wall seconds and durations in wall seconds; estimate_s: the point
    estimate of the duration (wall seconds), None without one; regions: who served its last looks; looks: how many.
    """

    name: str
    time: RecoveryTime
    estimate_s: float | None
    degraded: Degradation
    regions: tuple[str, ...]
    looks: int


def vantages_of(history: History, window: Window, settings: Settings) -> tuple[Vantage, ...]:
    """Every vantage that looked in this window. Empty in a run without quick looks."""
    seen = (
        (f"{history.probe}", history.of(history.probe), settings.interval_wall_s),
        *((f"reads, {name}", history.of(PULSE, name), settings.pulse_interval_s) for name in (NEW, PINNED)),
    )
    return tuple(_vantage(name, rows, window, settings, every_s) for name, rows, every_s in seen if rows)


def _vantage(
    name: str, rows: Sequence[Observation], window: Window, settings: Settings, interval_s: float
) -> Vantage:
    pinned = name.endswith(PINNED)

    def landed(peer: str) -> bool:  # whoever is pinned has recovered when it is served again, from wherever
        return pinned or settings.places.region_of(peer) == window.survivor

    looks = looks_of(rows, landed)
    sustained_s = settings.wall_s(settings.timings.sustained_s)
    time = measure(looks, window.begin_s, window.end_s, sustained_s, SILENCE_INTERVALS * interval_s)
    inside = [k for k in looks if window.begin_s <= k.sent_s <= window.end_s]
    point = edges(looks, time)
    probing = settings.probing
    window_s = settings.wall_s(probing.degraded_window_s)
    return Vantage(
        name,
        time,
        None if point is None else point[1] - point[0],
        degradation(inside, window_s, probing.degraded_share, probing.degraded_wall_s),
        _served_from(rows, window, settings),
        len(inside),
    )


def _served_from(rows: Sequence[Observation], window: Window, settings: Settings) -> tuple[str, ...]:
    """The Regions that served in the last sustained stretch of the window, by the addresses connected to."""
    since_s = window.end_s - settings.wall_s(settings.timings.sustained_s)
    good = {o.value for o in rows if o.outcome is Outcome.OK and since_s <= o.done_s <= window.end_s}
    return tuple(sorted({settings.places.region_of(address) or "elsewhere" for address in good}))


def quorum(found: Sequence[Vantage]) -> Interval | None:
    """The longest time in which fewer than a majority of the vantages were served (wall seconds), by the longest
    outage of each.

    [0, 0] while a majority saw no outage at all; None when there is no vantage, or one of them says nothing.
    """
    times = [v.time for v in found]
    if not times or any(t.problem for t in times):
        return None
    spare = len(times) - (len(times) // 2 + 1)
    out = [(t.onset, t.recovery) for t in times if t.onset is not None and t.recovery is not None]
    certain = [(onset.high_s, recovery.low_s) for onset, recovery in out if onset.high_s < recovery.low_s]
    possible = [(onset.low_s, recovery.high_s) for onset, recovery in out]
    low_s = _longest_beyond(certain, spare)
    return Interval(low_s, max(low_s, _longest_beyond(possible, spare)))


def _longest_beyond(spans: Sequence[tuple[float, float]], spare: int) -> float:
    """The longest stretch that more than `spare` of these stretches cover."""
    edges = sorted([*((begin_s, -1) for begin_s, _ in spans), *((end_s, 1) for _, end_s in spans)])
    down, since_s, longest_s = 0, 0.0, 0.0
    for at_s, end in edges:
        before, down = down, down - end
        if before <= spare < down:
            since_s = at_s
        if down <= spare < before:
            longest_s = max(longest_s, at_s - since_s)
    return longest_s


def rows_of(found: Sequence[Vantage], speed: float) -> list[dict[str, Any]]:
    """JSON-able rows in target seconds, the quorum's last; infinity and what is not known are null."""
    rows = [_row(vantage, speed) for vantage in found]
    together = quorum(found)
    if len(found) > 1 and together is not None:
        rows.append({"vantage": f"{QUORUM} of {len(found)}", "recovery_s": _bounds(together.scaled(speed))})
    return rows


def _row(vantage: Vantage, speed: float) -> dict[str, Any]:
    time, degraded = vantage.time, vantage.degraded
    return {
        "vantage": vantage.name,
        "recovery_s": _bounds(time.duration and time.duration.scaled(speed)),
        "estimate_s": None if vantage.estimate_s is None else round(vantage.estimate_s * speed, 6),
        "outages": time.outages,
        "unavailable_s": _bounds(time.unavailable and time.unavailable.scaled(speed)),
        "looks": vantage.looks,
        "served_share": None if degraded.served is None else round(degraded.served, 6),
        "lowest_share": None if degraded.lowest is None else round(degraded.lowest, 6),
        "degraded_s": round(degraded.total_s * speed, 6),
        "served_from": list(vantage.regions),
        "problem": time.problem,
    }


def _bounds(interval: Interval | None) -> list[float | None] | None:
    if interval is None:
        return None
    return [round(value, 6) if math.isfinite(value) else None for value in (interval.low_s, interval.high_s)]
