"""What a scenario waits for, asked of the run while it goes on.

The same arithmetic as the judge's, so that what ends the waiting is what the judge will count: a probe that has not
answered yet leaves a silence, and a silence is not sustained success.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from checks.recovery_time import (
    SILENCE_INTERVALS,
    Look,
    first_sustained,
    looks_of,
    outages,
    service_looks,
    silence,
)
from checks.service_level import Level, blind_in, hiding_s, measure_level
from checks.windows import INTERVAL_FLOOR_S, Places
from drill.probes import NEW, PULSE, SERVED
from drill.service_level import ServiceLevel
from drill.target import Target
from drill.timeline import Observation, Outcome, Timeline


def _since(timeline: Timeline, since_s: float, landed: Callable[[str], bool], with_quick: bool = False) -> list[Look]:
    known = [o for o in timeline.observations if o.done_s >= since_s]
    quick = (o for o in known if with_quick and o.probe == PULSE and o.vantage == NEW)
    return service_looks((o for o in known if o.probe in SERVED), quick, landed)


def _good(look: Look) -> bool:
    return look.good and look.landed


def _bads(looks: Sequence[Look], silence_s: float) -> list[Look]:
    """What counts against: failures, success in the wrong place, and silences in which a failure may lie hidden."""
    pairs = itertools.pairwise(looks)
    silences = [silence(a, b) for a, b in pairs if b.sent_s - a.sent_s > silence_s]
    return sorted([*(k for k in looks if not _good(k)), *silences], key=lambda k: k.sent_s)


def _first_sustained(looks: Sequence[Look], silence_s: float, sustained_s: float) -> float | None:
    """The first good result that is followed by good ones only, without a pause, for sustained_s (wall seconds).

    By the judge's own arithmetic, so that the instant is the upper bound of the recovery that will be judged.
    """
    goods, bads = [k for k in looks if _good(k)], _bads(looks, silence_s)
    first_bad_s = bads[0].sent_s if bads else math.inf
    early = first_sustained([k for k in goods if k.sent_s < first_bad_s], first_bad_s, sustained_s)
    if early is not None:
        return early.done_s
    ends = (outage.recovery.high_s for outage in outages(goods, bads, sustained_s))
    return next((end_s for end_s in ends if math.isfinite(end_s)), None)


def _first_sign(looks: Sequence[Look]) -> float | None:
    """The first good result after the last failure, sustained or not."""
    last_bad_s = max((k.sent_s for k in looks if not _good(k)), default=-math.inf)
    return min((k.done_s for k in looks if _good(k) and k.sent_s > last_bad_s), default=None)


def served_from(target: Target, region: str, from_s: float = -math.inf) -> Served:
    """Clients of `target` are served from `region`, by the target's own timings; from_s: see Served."""
    timings, where = target.timings, Places(target.regions).region_of
    quick = target.probing.needed_by_writes
    level, gentle_s = target.service_level, 1 / target.probing.gentle_hz
    every_s = timings.probe_interval_s
    return Served(where, region, timings.sustained_s, every_s, quick, from_s, target.unit, level, gentle_s)


@dataclass(frozen=True)
class Served:
    """Clients are served from `region`: new writes, read back settled, for a sustained time.

    region_of: the Region of an address, None when unknown (Target.region_of); sustained_s, interval_s: target
    seconds, interval_s being the prober's schedule; with_quick: whether failed quick looks count, as for the judge;
    from_s: the monotonic instant before which nothing counts, for a failover that itself is an outage: clients who
    were served until it began have not recovered from it; unit: what a target second is called; level: the declared
    service level, which has to be held again too; gentle_s: between two gentle looks (wall seconds).
    """

    region_of: Callable[[str], str | None]
    region: str
    sustained_s: float
    interval_s: float = 2.0
    with_quick: bool = True
    from_s: float = -math.inf
    unit: str = "s"
    level: ServiceLevel | None = None
    gentle_s: float = 0.5

    def __str__(self) -> str:
        return f"{self.region} serving for {self.sustained_s:g} {self.unit}"

    def reached(self, timeline: Timeline, since_s: float) -> float | None:
        """The monotonic instant of the first good write in the Region that has been sustained, None until then.

        since_s: monotonic wall seconds; results known before it do not count. The caller refreshes the timeline.
        """
        speed = timeline.clock.speed
        silence_s = SILENCE_INTERVALS * max(INTERVAL_FLOOR_S, self.interval_s / speed)
        found_s = _first_sustained(self._looks(timeline, since_s), silence_s, self.sustained_s / speed)
        return found_s if found_s is not None and self._well_served(timeline, since_s) else None

    def _well_served(self, timeline: Timeline, since_s: float) -> bool:
        """Whether the declared level is held again; what says nothing about it is the judge's to discard."""
        if self.level is None:
            return True
        speed = timeline.clock.speed
        seen = [o for o in timeline.observations if o.probe == PULSE and o.vantage == NEW]
        looks, between = looks_of(seen), (since_s, max((o.done_s for o in seen), default=since_s))
        silent_s, blind = hiding_s(self.gentle_s), blind_in(seen, self.gentle_s)
        level = Level.of(self.level, speed)
        served = measure_level(looks, level, between, self.sustained_s / speed, silent_s, blind)
        return bool(served.problem) or served.held

    def begun(self, timeline: Timeline, since_s: float) -> float | None:
        """The monotonic instant of the first good write in the Region after the last failure, None without one."""
        return _first_sign(self._looks(timeline, since_s))

    def _looks(self, timeline: Timeline, since_s: float) -> list[Look]:
        begin_s = max(since_s, self.from_s)
        return _since(timeline, begin_s, lambda peer: self.region_of(peer) == self.region, self.with_quick)

    def progress(self, timeline: Timeline, since_s: float) -> str:
        """One line for people: what the last probe saw and how long it has been good in the Region."""
        observed = [o for o in timeline.observations if o.probe in SERVED and o.done_s >= since_s]
        known = [o for o in observed if o.outcome is not Outcome.UNKNOWN]
        if not known:
            return f"waiting for a probe to say whether {self.region} serves"
        last = max(known, key=lambda o: o.done_s)
        if last.outcome is Outcome.FAIL:
            return f"last write failed ({last.detail or 'no detail'}), waiting for {self.region}"
        place = self.region_of(last.value) or last.value or "an unknown place"
        if place != self.region:
            return f"served from {place}, waiting for {self.region}"
        good_s = self._good_for_s(known, timeline.clock.speed)
        return f"served from {place} for {good_s:.0f} {self.unit} of {self.sustained_s:g} {self.unit}"

    def _good_for_s(self, known: Sequence[Observation], speed: float) -> float:
        looks = looks_of(known, lambda peer: self.region_of(peer) == self.region)
        last_bad_s = max((k.sent_s for k in looks if not (k.good and k.landed)), default=-math.inf)
        goods = [k.done_s for k in looks if k.good and k.landed and k.sent_s > last_bad_s]
        return (max(goods) - min(goods)) * speed if goods else 0.0


@dataclass(frozen=True)
class Shows:
    """One of the system's own signals (a probe of checks/signals.py) shows a value; `otherwise`: any but that.

    value: of an execution its status alone; the signal has the number of executions before it ("2:RUNNING").
    """

    probe: str
    value: str
    otherwise: bool = False

    def reached(self, timeline: Timeline, since_s: float) -> float | None:
        """When the newest answer to a look sent since `since_s` (monotonic wall seconds) came, if it shows it."""
        looks = (o for o in timeline.observations if o.probe == self.probe and o.sent_s >= since_s)
        newest = max((o for o in looks if o.outcome is Outcome.OK), key=lambda o: o.done_s, default=None)
        shown = newest and newest.value.rpartition(":")[2] == self.value
        return newest.done_s if newest and shown != self.otherwise else None

    def begun(self, timeline: Timeline, since_s: float) -> float | None:
        """There is nothing between not shown and shown."""
        return self.reached(timeline, since_s)

    def __str__(self) -> str:
        return f"{self.probe} {'other than' if self.otherwise else 'showing'} {self.value}"


def shown(timeline: Timeline, probe: str) -> str:
    """The newest answer of one of the system's own signals, "" without any."""
    looks = (o for o in timeline.observations if o.probe == probe and o.outcome is Outcome.OK)
    newest = max(looks, key=lambda o: o.done_s, default=None)
    return "" if newest is None else newest.value


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
        found_s = _first_sustained(looks, silence_s, self.for_s / speed)
        return found_s if found_s is not None and any(r.done_s >= found_s for r in timeline.requests) else None

    def begun(self, timeline: Timeline, since_s: float) -> float | None:
        """The monotonic instant of the first good write after the last failed one, None without one."""
        return _first_sign(_since(timeline, since_s, lambda peer: True))

    def progress(self, timeline: Timeline, since_s: float) -> str:
        """One line for people: how many looks and requests were good and bad so far."""
        looks = _since(timeline, since_s, lambda peer: True)
        failed = sum(not k.good for k in looks)
        requests = [r for r in timeline.requests if r.done_s >= since_s]
        errors = sum(r.outcome is Outcome.FAIL for r in requests)
        return (
            f"{len(looks) - failed} good and {failed} failed probes, {len(requests)} requests with {errors} errors; "
            f"steady means {self.for_s:g} s of the target's time without a failure"
        )

    @staticmethod
    def _last_failed_request_s(timeline: Timeline, since_s: float) -> float:
        failed = (r.sent_s for r in timeline.requests if r.outcome is Outcome.FAIL and r.done_s >= since_s)
        return max(failed, default=-math.inf)
