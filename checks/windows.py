"""What a run folder's header and marks say about the windows that are judged: when, where to, by which limits.

A window is the stretch in which one movement is measured, "failover" (to the standby Region) or "failback" (back to
the primary), or an "outage" that the system is to survive where it is, in the primary. Durations of the header are
target seconds; everything here that is compared with evidence has been turned into wall seconds by the run's speed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from drill.errors import Invalid
from drill.probing import Probing
from drill.service_level import ServiceLevel
from drill.target import Regions, Timings
from drill.timeline import Event, History
from drill.verdict import unit_of

FAILOVER = "failover"
FAILBACK = "failback"
OUTAGE = "outage"
PROBE = "write.settle"
"""The probe that says whether clients are served: a new write that is read back settled."""

INTERVAL_FLOOR_S = 0.1
"""Witnesses never poll faster than this, in wall seconds, whatever the speed."""

TIMEOUT_FLOOR_S = 1.0
"""Clients never give up sooner than this, in wall seconds, whatever the speed."""

LIMITS = {
    (FAILOVER, "time"): "rto_s",
    (FAILOVER, "point"): "rpo_s",
    (FAILBACK, "time"): "failback_rto_s",
    (FAILBACK, "point"): "failback_rpo_s",
    (FAILOVER, "unprocessed"): "unprocessed_s",
    (OUTAGE, "time"): "rto_s",
    (OUTAGE, "point"): "rpo_s",
}


@dataclass(frozen=True)
class Places:
    """Which Region an address belongs to, by the target's CIDRs (longest prefix wins)."""

    regions: Regions

    def region_of(self, address: str) -> str | None:
        """The Region of one address; None when it is no address or nobody's."""
        return self.regions.region_of(address)

    def region_of_answer(self, value: str) -> str | None:
        """The one Region of a comma-joined DNS answer; None when empty, foreign or mixed."""
        places = {self.region_of(address) for address in value.split(",")}
        return places.pop() if len(places) == 1 else None

    def other(self, region: str) -> str:
        """The other one of primary and standby."""
        return self.regions.standby if region == self.regions.primary else self.regions.primary

    def due(self, window: str) -> str:
        """The Region that has to serve at the end of a window."""
        return self.regions.primary if window in (FAILBACK, OUTAGE) else self.regions.standby


@dataclass(frozen=True)
class Settings:
    """What the header fixes for the judge; `settings_of` reads it."""

    speed: float
    timings: Timings
    objectives: dict[str, float]
    places: Places
    load_timeout_s: float
    """The load's own timeout in target seconds."""
    probing: Probing
    unit: str = "s"
    """What a target second of this run is called."""
    service_level: ServiceLevel | None = None

    def wall_s(self, target_s: float) -> float:
        """Target seconds as wall seconds of this run."""
        return target_s / self.speed

    @property
    def interval_wall_s(self) -> float:
        """The prober's schedule in wall seconds."""
        return max(INTERVAL_FLOOR_S, self.wall_s(self.timings.probe_interval_s))

    @property
    def pulse_interval_s(self) -> float:
        """The gentle schedule of the quick looks, in wall seconds: while they are quick a pause is shorter."""
        return 1 / self.probing.gentle_hz

    @property
    def timeout_wall_s(self) -> float:
        """When a probe gives up, in wall seconds."""
        return max(TIMEOUT_FLOOR_S, self.wall_s(self.timings.probe_timeout_s))

    def limit_s(self, window: str, what: str) -> float | None:
        """The objective in target seconds; what: "time", "point" or "unprocessed". None when the target has none."""
        return self.objectives.get(LIMITS.get((window, what), ""))


def settings_of(history: History) -> Settings:
    """Read the header. Invalid, in one sentence, when it does not say enough to judge by."""
    header = history.header
    target = header.get("target") or {}
    try:
        speed = float(header["speed"])
        regions = Regions.model_validate(target["regions"])
        timings = Timings.model_validate(header.get("timings") or target.get("timings") or {})
        objectives = _numbers(header.get("objectives") or target.get("objectives") or {})
        probing = Probing.model_validate(target.get("probing") or {})
        level = target.get("service_level")
        service_level = None if level is None else ServiceLevel.model_validate(level)
        load_timeout_s = float((target.get("load") or {}).get("timeout_s", 3.0))
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        why = " ".join(str(error).split())
        raise Invalid(f"run.json does not say what to judge by: {type(error).__name__}: {why}") from error
    if not (math.isfinite(speed) and speed > 0):
        raise Invalid(f"run.json: speed is {speed}, expected a number above 0")
    unit = unit_of(header.get("target_kind"))
    return Settings(speed, timings, objectives, Places(regions), load_timeout_s, probing, unit, service_level)


def _numbers(table: dict[str, Any]) -> dict[str, float]:
    numbers = {key: float(value) for key, value in table.items()}
    wrong = sorted(key for key, value in numbers.items() if math.isnan(value) or value < 0)
    if wrong:
        raise ValueError(f"objectives {', '.join(wrong)} are not numbers of seconds")
    return numbers


@dataclass(frozen=True)
class Window:
    """One window of a run.

    survivor: the Region that has to serve at its end; begin_s, end_s: monotonic wall seconds; reason: why it ended,
    "" when the run folder does not say (the drill was cut short: end_s is then the last evidence); settled_by_s:
    writes acknowledged before this instant are read back for this window; previous_end_s: end of the window before
    it, -inf for the first.
    """

    name: str
    survivor: str
    begin_s: float
    end_s: float
    reason: str
    settled_by_s: float
    previous_end_s: float = -math.inf


def windows_of(history: History, places: Places) -> tuple[Window, ...]:
    """The windows that were begun, in order of time. A window begun twice is two windows."""
    begins = sorted(history.named("window.begin"), key=lambda e: e.at_s)
    found: list[Window] = []
    for number, begin in enumerate(begins):
        next_begin_s = begins[number + 1].at_s if number + 1 < len(begins) else math.inf
        previous_end_s = found[-1].end_s if found else -math.inf
        found.append(_window(history, places, begin, next_begin_s, previous_end_s))
    return tuple(found)


def _window(history: History, places: Places, begin: Event, next_begin_s: float, previous_end_s: float) -> Window:
    name = str(begin.data.get("window", FAILOVER))
    end = _mark_in(history, "window.end", name, begin.at_s, next_begin_s)
    recovered = _mark_in(history, "window.recovered", name, begin.at_s, next_begin_s)
    last_s = max((o.done_s for o in history.observations), default=begin.at_s)
    end_s = end.at_s if end else max(begin.at_s, min(last_s, next_begin_s))
    settled_by_s = float(recovered.data.get("first_good_s", recovered.at_s)) if recovered else end_s
    reason = str(end.data.get("reason", "")) if end else ""
    survivor = str(begin.data.get("survivor", places.due(name)))
    return Window(name, survivor, begin.at_s, end_s, reason, settled_by_s, previous_end_s)


def _mark_in(history: History, mark: str, window: str, low_s: float, high_s: float) -> Event | None:
    found = (e for e in history.named(mark) if e.data.get("window", window) == window and low_s <= e.at_s <= high_s)
    return next(found, None)


def announced(history: History) -> tuple[str, ...]:
    """The windows that the scenario said it would measure (header "windows"); those begun when it said nothing."""
    named = history.header.get("windows")
    if named is not None:
        return tuple(str(name) for name in named)
    return tuple(dict.fromkeys(str(e.data.get("window", FAILOVER)) for e in history.named("window.begin")))
