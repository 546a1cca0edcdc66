"""What a scenario waits for, asked of the run while it goes on.

The same arithmetic as the judge's, so that what ends the waiting is what the judge will count: a probe that has not
answered yet leaves a silence, and a silence is not sustained success.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from checks.recovery_time import SILENCE_INTERVALS, Look, first_sustained, looks_of
from checks.windows import INTERVAL_FLOOR_S, PROBE, Places
from drill.target import Target
from drill.timeline import Observation, Outcome, Timeline


def _since(timeline: Timeline, since_s: float, landed: Callable[[str], bool]) -> list[Look]:
    return looks_of((o for o in timeline.observations if o.probe == PROBE and o.done_s >= since_s), landed)


def _silences(looks: Sequence[Look], silence_s: float) -> list[float]:
    """The ends of the pauses longer than silence_s, as the last instants at which a failure may have been sent."""
    pairs = itertools.pairwise(looks)
    return [math.nextafter(b.sent_s, -math.inf) for a, b in pairs if b.sent_s - a.sent_s > silence_s]


def _first_sustained(looks: Sequence[Look], silence_s: float, sustained_s: float) -> Look | None:
    """The first good look that is followed by good looks only, without a pause, for sustained_s (wall seconds)."""
    bads = [k for k in looks if not (k.good and k.landed)]
    # The judge wants the whole sustained time after the last failure became known as well.
    edges = sorted(
        [-math.inf, *(t for k in bads for t in (k.sent_s, k.done_s)), *_silences(looks, silence_s), math.inf]
    )
    goods = [k for k in looks if k.good and k.landed]
    for after_s, until_s in itertools.pairwise(edges):
        between = [k for k in goods if after_s < k.sent_s < until_s] if until_s - after_s > sustained_s else []
        found = first_sustained(between, until_s, sustained_s)
        if found is not None:
            return found
    return None


def served_from(target: Target, region: str) -> Served:
    """Clients of `target` are served from `region`, by the target's own timings."""
    timings = target.timings
    return Served(Places(target.regions).region_of, region, timings.sustained_s, timings.probe_interval_s)


@dataclass(frozen=True)
class Served:
    """Clients are served from `region`: new writes, read back settled, for a sustained time.

    region_of: the Region of an address, None when unknown (Target.region_of); sustained_s, interval_s: target
    seconds, interval_s being the prober's schedule.
    """

    region_of: Callable[[str], str | None]
    region: str
    sustained_s: float
    interval_s: float = 2.0

    def reached(self, timeline: Timeline, since_s: float) -> float | None:
        """The monotonic instant of the first good write in the Region that has been sustained, None until then.

        since_s: monotonic wall seconds; results known before it do not count. The caller refreshes the timeline.
        """
        speed = timeline.clock.speed
        looks = _since(timeline, since_s, lambda peer: self.region_of(peer) == self.region)
        silence_s = SILENCE_INTERVALS * max(INTERVAL_FLOOR_S, self.interval_s / speed)
        found = _first_sustained(looks, silence_s, self.sustained_s / speed)
        return None if found is None else found.done_s

    def progress(self, timeline: Timeline, since_s: float) -> str:
        """One line for people: what the last probe saw and how long it has been good in the Region."""
        observed = [o for o in timeline.observations if o.probe == PROBE and o.done_s >= since_s]
        known = [o for o in observed if o.outcome is not Outcome.UNKNOWN]
        if not known:
            return f"waiting for a probe to say whether {self.region} serves"
        last = max(known, key=lambda o: o.done_s)
        if last.outcome is Outcome.FAIL:
            return f"last write failed ({last.detail or 'no detail'}), waiting for {self.region}"
        place = self.region_of(last.value) or last.value or "an unknown place"
        if place != self.region:
            return f"served from {place}, waiting for {self.region}"
        return (
            f"served from {place} for {self._good_for_s(known, timeline.clock.speed):.0f} s of {self.sustained_s:g} s"
        )

    def _good_for_s(self, known: Sequence[Observation], speed: float) -> float:
        looks = looks_of(known, lambda peer: self.region_of(peer) == self.region)
        last_bad_s = max((k.sent_s for k in looks if not (k.good and k.landed)), default=-math.inf)
        goods = [k.done_s for k in looks if k.good and k.landed and k.sent_s > last_bad_s]
        return (max(goods) - min(goods)) * speed if goods else 0.0


@dataclass(frozen=True)
class SteadyState:
    """The steady-state hypothesis: probes and load both succeed, without a failure, for `for_s` target seconds."""

    for_s: float
    interval_s: float = 2.0

    def reached(self, timeline: Timeline, since_s: float) -> float | None:
        """The monotonic instant from which everything has been good for `for_s`, None until then.

        since_s: monotonic wall seconds. Load and probes must both have something to show.
        """
        speed = timeline.clock.speed
        bad_s = self._last_failed_request_s(timeline, since_s)
        looks = [k for k in _since(timeline, since_s, lambda peer: True) if k.sent_s > bad_s]
        silence_s = SILENCE_INTERVALS * max(INTERVAL_FLOOR_S, self.interval_s / speed)
        found = _first_sustained(looks, silence_s, self.for_s / speed)
        if found is None or not any(r.done_s >= found.done_s for r in timeline.requests):
            return None
        return found.done_s

    def progress(self, timeline: Timeline, since_s: float) -> str:
        """One line for people: how many looks and requests were good and bad so far."""
        looks = _since(timeline, since_s, lambda peer: True)
        failed = sum(not k.good for k in looks)
        requests = [r for r in timeline.requests if r.done_s >= since_s]
        errors = sum(r.outcome is Outcome.FAIL for r in requests)
        return (
            f"{len(looks) - failed} good and {failed} failed probes, {len(requests)} requests with {errors} errors; "
            f"steady means {self.for_s:g} s without a failure"
        )

    @staticmethod
    def _last_failed_request_s(timeline: Timeline, since_s: float) -> float:
        failed = (r.sent_s for r in timeline.requests if r.outcome is Outcome.FAIL and r.done_s >= since_s)
        return max(failed, default=-math.inf)
