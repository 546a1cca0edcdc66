"""A game day as its reports see it: its state, its runs judged anew, and rows that every kind of report shows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from drill.gameday_log import Record
from drill.gameday_state import Attempt, State, deviations
from reports.history import Entry
from reports.markdown import shown
from reports.overridden import overridden
from reports.page import REPORT_FILE

WORDS = {
    "begun": "the game day begins",
    "resumed": "it goes on after an interruption",
    "stopping": "nothing more is started",
    "closed": "it is over",
}
"""What a record says when its data says nothing more."""
LAB = "LAB: drills against the embedded lab prove the harness, nobody's system. Their seconds are lab seconds."


@dataclass(frozen=True)
class Day:
    """folder: of the game day; runs: (drill, attempt) -> its run folders as entries; missing: what of its evidence is
    gone or changed, in words; verdict, exit_code: of the whole day; lab: whether a target of it is a lab."""

    folder: Path
    state: State
    verdict: str
    exit_code: int
    lab: bool
    runs: dict[tuple[str, int], tuple[tuple[Path, Entry], ...]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """For headings."""
        return f"game day {self.state.plan.name}"

    @property
    def departures(self) -> tuple[str, ...]:
        """Where it departed from its plan, and evidence that is gone."""
        return (*deviations(self.state), *self.missing)

    @property
    def overrides(self) -> tuple[str, ...]:
        """What was set otherwise than the targets say, a sentence a run: a PASS with that is another one."""
        told = [
            (f"{a.drill}, attempt {a.number}", overridden(entry.record.target.overrides))
            for a in self.state.attempts
            for _, entry in self.entries(a)
            if entry.record is not None
        ]
        return tuple(f"{which}: {words}" for which, words in told if words)

    @property
    def ended(self) -> datetime | None:
        """The last that is known of it."""
        return self.state.records[-1].at if self.state.records else None

    @property
    def total(self) -> str:
        """How long it was, by the machine's date."""
        began, ended = self.state.began, self.ended
        return "not known" if began is None or ended is None else lasted(ended - began)

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        if self.verdict == "PASS":
            return "Every drill of the plan met all its objectives."
        ends = ((a.drill, a.end) for a in self.state.attempts if a.end is not None)
        guilty = next((f"{drill}: {end.reason}" for drill, end in ends if end.verdict == self.verdict), "")
        undone = sum(not self.state.done(drill.id) for drill in self.state.plan.drills)
        left = f"{undone} of {len(self.state.plan.drills)} drills were not done" * bool(undone)
        return "; ".join(filter(None, (guilty, left))) + "."

    def entries(self, attempt: Attempt) -> tuple[tuple[Path, Entry], ...]:
        """The runs of an attempt."""
        return self.runs.get((attempt.drill, attempt.number), ())


def clock(at: datetime | None) -> str:
    """An instant as people read it, UTC."""
    return "" if at is None else f"{at:%H:%M:%S}Z"


def date(at: datetime | None) -> str:
    """The same, with its day."""
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S}Z"


def lasted(span: timedelta) -> str:
    """A duration as people read it."""
    seconds = max(0, round(span.total_seconds()))
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"


DRILLS = ("drill", "target", "attempt", "began", "lasted", "verdict", "why")


def drill_rows(day: Day) -> Iterator[list[str]]:
    """One row an attempt; a drill that was never started has one too."""
    for planned in day.state.plan.drills:
        found = day.state.of(planned.id)
        if not found:
            yield [planned.id, planned.step.target, "", "", "", "NOT STARTED", "it proves nothing"]
        for a in found:
            end = a.end
            how = ["RUNNING", ""] if end is None else [end.verdict, end.reason]
            span = "" if end is None else lasted(end.at - a.begun)
            yield [planned.id, planned.step.target, str(a.number), clock(a.begun), span, *how]


MEASURED = ("drill", "attempt", "objective", "limit", "measured", "verdict")


def measured_rows(day: Day) -> Iterator[list[str]]:
    """Every objective of every run, as its evidence is judged now."""
    for a in day.state.attempts:
        for _, entry in day.entries(a):
            if entry.record is None:
                yield [a.drill, str(a.number), entry.folder, "", "", f"INVALID: {entry.problem}"]
                continue
            unit = entry.record.unit
            for f in entry.record.measured:
                yield [a.drill, str(a.number), f.name, f"{f.limit_s:g} {unit}", shown(f, unit), f.verdict]


HOLDS = ("hold", "message", "reached", "released", "waited", "role", "who", "via", "role known by")


def hold_rows(day: Day) -> Iterator[list[str]]:
    """Every hold of the plan."""
    reached = {h.step.id: h for h in day.state.holds}
    for step in day.state.plan.holds:
        held = reached.get(step.id)
        if held is None:
            yield [step.id, step.message, "not reached", "", "", "", "", "", ""]
            continue
        free = held.released
        told = ["never", *[""] * 5]
        if free is not None:
            told = [clock(free.at), lasted(free.at - held.since), *_who(free), _known_by(free)]
        yield [step.id, step.message, clock(held.since), *told]


def _who(record: Record) -> list[str]:
    return [str(record.data.get(key, "")) for key in ("role", "who", "via")]


def _known_by(record: Record) -> str:
    """A record of before there were tokens of roles says nothing of a proof: then the role was claimed."""
    return str(record.data.get("proof", "claimed")) if record.data.get("role") else ""


OBSERVATIONS = ("at", "during", "seen", "by", "via", "role, by its token")


def observation_rows(day: Day) -> Iterator[list[str]]:
    """What people saw, in time."""
    for r in day.state.observations:
        yield [date(r.at), *(str(r.data.get(key, "")) for key in ("step", "text", "who", "via", "role"))]


def role_rows(day: Day) -> Iterator[list[str]]:
    """Roles and people, as the plan says them."""
    return ([role.name, ", ".join(role.named) or "MISSING: nobody is named"] for role in day.state.plan.role)


def links(day: Day) -> Iterator[tuple[str, str]]:
    """(words, path relative to the game day's folder) of every page that belongs to it and is there."""
    for a in day.state.attempts:
        name = f"{a.drill}, attempt {a.number}"
        for folder, _ in day.entries(a):
            if (folder / REPORT_FILE).is_file():
                yield f"{name}: {folder.name}", os.path.relpath(folder / REPORT_FILE, day.folder)
        for path, what in ((Path(a.html), "its session"), (Path(a.html).with_suffix(".log"), "what it printed")):
            if path.is_file():
                yield f"{name}: {what}", os.path.relpath(path, day.folder)


COURSE = ("at", "what", "more")


def course_rows(day: Day) -> Iterator[list[str]]:
    """Everything on record, in time."""
    for r in day.state.records:
        if r.event != "exited":
            yield [date(r.at), *_told(r)]


def _told(record: Record) -> list[str]:
    data = record.data
    if record.event == "hold":
        return [f"hold {data.get('step')} is reached", ""]
    if record.event == "released":
        return [f"hold {data.get('step')} is released", " ".join(filter(None, (*_who(record), _known_by(record))))]
    if record.event == "drill":
        return [f"{data.get('drill')} is started", f"attempt {data.get('attempt')}"]
    if record.event == "ended":
        return [f"{data.get('drill')} has ended", ": ".join(filter(None, (data.get("verdict"), data.get("reason"))))]
    if record.event == "observation":
        return ["seen", f"{data.get('text')} {data.get('who') or ''}".strip()]
    more = data.get("reason", data.get("exit_code", ""))
    return [WORDS.get(record.event, record.event), f"exit code {more}" if record.event == "closed" else str(more)]
