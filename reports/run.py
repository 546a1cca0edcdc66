"""A drill's run as the reports see it: its history and judgement, in target seconds from the start of the run.

Everything here is a pure reading of the run folder: nothing is judged again, nothing is measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from drill.evidence import Evidence
from drill.find import last_part
from drill.journal import journal_records
from drill.probes import PULSE
from drill.target_tables import Regions
from drill.timeline import Event, History, Observation, load_history
from drill.verdict import Finding, Judgement, unit_of
from reports.arrivals import Arrivals, arrivals_of, read_arrivals
from reports.quick import Key, QuickLooks, quick_of, read_quick
from reports.summary import read_verdict

CITIES = {
    "ap-northeast-1": "Tokyo",
    "ap-northeast-2": "Seoul",
    "ap-northeast-3": "Osaka",
    "ap-south-1": "Mumbai",
    "ap-southeast-1": "Singapore",
    "ap-southeast-2": "Sydney",
    "ca-central-1": "Montreal",
    "eu-central-1": "Frankfurt",
    "eu-north-1": "Stockholm",
    "eu-west-1": "Dublin",
    "eu-west-2": "London",
    "eu-west-3": "Paris",
    "us-east-1": "N. Virginia",
    "us-east-2": "Ohio",
    "us-west-1": "N. California",
    "us-west-2": "Oregon",
}
"""Region code -> the place that AWS publishes for it; only to be read by people."""


ONSET, RECOVERY = "onset_monotonic_s", "recovery_monotonic_s"
"""Where a finding's data carries the judged instants: [low, high], null for an open end."""
ENDS = {"fault.injected": "fault.restored", "action": "action.ended"}
"""The mark that ends what another mark began."""


@dataclass(frozen=True)
class Span:
    """A stretch of the run: [low_s, high_s] in target seconds from its start.

    open_ended: nothing closed it; effect: what clients were to see of it, "" when it is no fault;
    name: what it is ("fault", "action", "phase"); on: what was broken or acted on, "" when nobody said.
    """

    low_s: float
    high_s: float
    label: str
    open_ended: bool = False
    effect: str = ""
    name: str = ""
    on: str = ""


@dataclass(frozen=True)
class Window:
    """One recovery window, in target seconds from the start of the run.

    onset, recovery: [low, high] of the instants as judged (the fault's and the drill's own marks where the
    judgement names none); recovery None when clients did not recover inside the window.
    """

    name: str
    begin_s: float
    end_s: float
    onset: tuple[float, float] | None
    recovery: tuple[float, float] | None
    reason: str


@dataclass(frozen=True)
class Run:
    """One drill, ready to be shown. folder: where it lies; journal: the records of journal.jsonl, may be empty.

    read, quick_read: its requests and its quick looks, where they are not in the history.
    """

    folder: Path
    history: History
    judgement: Judgement
    journal: tuple[dict[str, Any], ...] = ()
    read: Arrivals | None = field(default=None, compare=False, repr=False)
    quick_read: Mapping[Key, QuickLooks] | None = field(default=None, compare=False, repr=False)
    _regions: dict[str, str | None] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def places(self) -> Regions | None:
        """The Regions of the header's target, which other versions have too; None when it names none."""
        try:
            return Regions.model_validate(self._said_of_target("regions"))
        except ValidationError:
            return None

    @cached_property
    def evidence(self) -> Evidence:
        """What people say of the header's target. ValueError for what this version does not understand."""
        return Evidence.model_validate(self._said_of_target("evidence") or {})

    def _said_of_target(self, table: str) -> Any:
        target = self.history.header.get("target")
        return target.get(table) if isinstance(target, Mapping) else None

    @cached_property
    def requests(self) -> Arrivals:
        """The load's requests."""
        return arrivals_of(self.history.requests) if self.read is None else self.read

    @cached_property
    def quick(self) -> Mapping[Key, QuickLooks]:
        """The quick looks by probe and vantage."""
        return quick_of(self.history.of(PULSE)) if self.quick_read is None else self.quick_read

    @property
    def looks(self) -> int:
        """How many looks all witnesses took."""
        return len(self.history.observations) + sum(len(q.sent_s) for q in (self.quick_read or {}).values())

    @cached_property
    def start_s(self) -> float:
        """Monotonic wall second of the first evidence; 0.0 of every axis."""
        return min(self._stamps(0), default=0.0)

    @cached_property
    def length_s(self) -> float:
        """Target seconds from the first evidence to the last."""
        return self.at(max(self._stamps(1), default=self.start_s))

    @property
    def lab(self) -> bool:
        """Whether the run was against the embedded lab."""
        return str(self.history.header.get("target_kind", "")) == "lab"

    @property
    def unit(self) -> str:
        """The name of a target second: "lab s" in the lab, "s" on AWS."""
        return unit_of(self.history.header.get("target_kind"))

    @property
    def title(self) -> str:
        """Scenario and target, for headings."""
        header = self.history.header
        return f"{header.get('scenario', 'drill')} on {header.get('target_name', 'an unnamed target')}"

    @property
    def roles(self) -> dict[str, str]:
        """Region -> its role in the target ("primary", "standby", "observer")."""
        if self.places is None:
            return {}
        return {str(getattr(self.places, role)): role for role in ("primary", "standby", "observer")}

    def at(self, monotonic_s: float) -> float:
        """Target seconds from the start of the run."""
        return (monotonic_s - self.start_s) * self.history.speed

    def all_at(self, monotonic_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """As `at`, for many instants."""
        found: NDArray[np.float64] = (monotonic_s - self.start_s) * self.history.speed
        return found

    def region(self, address: str) -> str | None:
        """The Region of an address by the target's CIDRs, remembered; None when unknown."""
        if address not in self._regions:
            self._regions[address] = self.places.region_of(address) if self.places else None
        return self._regions[address]

    def regions(self, addresses: str) -> str:
        """The Regions of a comma-joined list of addresses, joined by " + "; "elsewhere" for foreign ones."""
        found = sorted({self.region(a) or "elsewhere" for a in addresses.split(",") if a})
        return " + ".join(found)

    @cached_property
    def windows(self) -> tuple[Window, ...]:
        """The recovery windows in order."""
        return tuple(_window(self, begin) for begin in self.history.named("window.begin"))

    def phases(self) -> tuple[Span, ...]:
        """The drill's phases, each until the next begins."""
        marks = self.history.named("phase")
        ends = [self.at(m.at_s) for m in marks[1:]] + [self.length_s] * bool(marks)
        return tuple(
            Span(self.at(m.at_s), end, str(m.data.get("phase", "?")), name="phase")
            for m, end in zip(marks, ends, strict=True)
        )

    def faults(self) -> tuple[Span, ...]:
        """From each fault's injection to its restore, and each action's start to its declared end state.

        Open-ended when no end is on record.
        """
        begins = self.history.named("fault.injected", "action")
        acted = iter([r["action"] for r in self.journal if isinstance(r.get("action"), Mapping)])
        about = [mark.data if mark.name != "action" else next(acted, {}) for mark in begins]
        return tuple(_fault(self, mark, ENDS[mark.name], _on(what)) for mark, what in zip(begins, about, strict=True))

    def findings_of(self, window: str) -> Iterable[Finding]:
        """The findings about one window, by its name at the end of theirs."""
        return (f for f in self.judgement.findings if f.name.endswith(f", {window}"))

    def _stamps(self, side: int) -> Iterable[float]:
        history = self.history
        yield from (event.at_s for event in history.events)
        yield from map(attrgetter(("sent_s", "done_s")[side]), history.observations)
        yield from (float(q.done_s.max() if side else q.sent_s.min()) for q in self.quick.values())
        if len(self.requests):
            yield from (float(self.requests.sent_s.min()), float(self.requests.done_s.max()))


def load_run(folder: Path) -> Run:
    """A judged run folder. ValueError when it cannot be read or carries no verdict.json yet."""
    journal = folder / "journal.jsonl"
    records = tuple(journal_records(journal)) if journal.exists() else ()
    quick, others = read_quick(folder, PULSE)
    history = load_history(folder, many=False)
    history = replace(history, observations=(*history.observations, *others))
    return Run(folder, history, read_verdict(folder), records, read_arrivals(folder), quick)


def where(region: str) -> str:
    """A Region as people read it: "ap-northeast-1 (Tokyo)"; what is not a Region stays as it is."""
    return f"{region} ({CITIES[region]})" if region in CITIES else region


def place(region: str) -> str:
    """The short name of a Region, for narrow places: its city where one is published."""
    return CITIES.get(region, region)


def lost_writes(judgement: Judgement) -> list[dict[str, Any]]:
    """The named lost writes of all findings, each with the finding it comes from under "finding"."""
    return [{"finding": f.name, **row} for f in judgement.findings for row in f.data.get("lost", ())]


def _on(subject: Mapping[str, Any]) -> str:
    """The resources of a Change or Action, by the ends of their ARNs."""
    names = subject.get("resources")
    return ", ".join(last_part(str(name)) for name in names) if isinstance(names, list | tuple) else ""


def _fault(run: Run, mark: Event, ends: str, on: str) -> Span:
    later = (e for e in run.history.named(ends) if e.at_s >= mark.at_s and _same(e, mark))
    end = next(later, None)
    end_s = run.length_s if end is None else run.at(end.at_s)
    kind, effect = str(mark.data.get("kind", "fault")), str(mark.data.get("effect", ""))
    return Span(run.at(mark.at_s), end_s, kind, end is None, effect, mark.name.partition(".")[0], on)


def _same(one: Event, other: Event) -> bool:
    keys = {"change", "kind", "window"} & one.data.keys() & other.data.keys()
    return all(one.data[key] == other.data[key] for key in keys)


def _window(run: Run, begin: Event) -> Window:
    name = str(begin.data.get("window", "window"))
    after = [e for e in run.history.events if e.at_s >= begin.at_s and e.data.get("window") == name]
    end = next((e for e in after if e.name == "window.end"), None)
    end_s = run.length_s if end is None else run.at(end.at_s)
    judged = _judged(run, name)
    onset = _bounds(run, judged.get(ONSET)) if judged else _first_bad(run, run.at(begin.at_s), end_s)
    recovery = _bounds(run, judged.get(RECOVERY)) if judged else _marked(run, after)
    reason = "" if end is None else str(end.data.get("reason", ""))
    return Window(name, run.at(begin.at_s), end_s, onset, recovery, reason)


def _judged(run: Run, window: str) -> Mapping[str, Any]:
    """The data of the finding that names the window's instants; empty when none does."""
    return next((f.data for f in run.findings_of(window) if ONSET in f.data), {})


def _bounds(run: Run, stamps: Any) -> tuple[float, float] | None:
    # None, or an open end (null in JSON): there was none, or it is not known when.
    if not isinstance(stamps, list | tuple) or len(stamps) != 2 or None in stamps:
        return None
    low, high = (run.at(float(stamp)) for stamp in stamps)
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None


def _first_bad(run: Run, begin_s: float, end_s: float) -> tuple[float, float] | None:
    looks: tuple[Observation, ...] = run.history.of(run.history.probe)
    bad = (run.at(o.done_s) for o in looks if o.outcome.value == "FAIL" and begin_s <= run.at(o.done_s) <= end_s)
    first = min(bad, default=None)
    return None if first is None else (first, first)


def _marked(run: Run, after: list[Event]) -> tuple[float, float] | None:
    mark = next((e for e in after if e.name == "window.recovered"), None)
    if mark is None:
        return None
    at = run.at(float(mark.data.get("first_good_s") or mark.at_s))
    return at, at
