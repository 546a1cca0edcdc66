"""What a drill would do, as data: the steps of a scenario that was walked through without touching anything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from drill.call import Call, Fact, fact_from
from drill.undo import Undo, undo_from

Does = Literal["look", "start", "wait", "window", "arm", "inject", "restore", "disarm", "act", "end"]
SAFETY: tuple[Does, ...] = ("arm", "disarm")
"""Steps that touch the safety stack, not the system."""
FORMAT = 1


@dataclass(frozen=True)
class PlannedStep:
    """One step, in the order in which the drill would take it.

    number: from 1; does: look (a guard), start (processes), wait, window (begin of a judged outage), arm and disarm
    (the dead-man of a Change), inject and restore (a Change), act (an Action), end (of a window); what: for people;
    window: the one it lies in, "" outside; depth: how many windows and faults are open around it; phase: the phase it
    opens, "" for none.
    calls: what would be called, in order; facts: what would be read until it holds; resources: ARNs it touches, all
    inside the blast radius or, of arm and disarm, in the safety stack; at_most_s: target seconds that it may take,
    None when it takes no time of its own.
    seen: what a guard that was run saw; reads: what was asked of AWS meanwhile; restores: number of the inject or act
    step that this one puts back, or ends; undo: how it ends what an action has started.
    depends_on: earlier steps that change what this one was planned from: it is prepared again when its turn comes,
    and may look different then; planned: False when it could not even be prepared because of them, so that calls
    and resources are known only when its turn comes. note: anything else to know.
    """

    number: int
    does: Does
    what: str
    window: str = ""
    depth: int = 0
    phase: str = ""
    calls: tuple[Call, ...] = ()
    facts: tuple[Fact, ...] = ()
    resources: tuple[str, ...] = ()
    at_most_s: float | None = None
    seen: tuple[str, ...] = ()
    reads: tuple[Call, ...] = ()
    restores: int | None = None
    depends_on: tuple[int, ...] = ()
    planned: bool = True
    note: str = ""
    undo: Undo | None = None

    def lines(self, endpoint_url: str | None = None) -> tuple[str, ...]:
        """What a person would type for it."""
        ends = (self.undo.line(endpoint_url),) if self.undo else ()
        return (*(call.cli(endpoint_url) for call in self.calls), *ends)

    def to_json(self, endpoint_url: str | None = None) -> dict[str, Any]:
        """JSON form, with the aws-cli line of every call; `plan_from` reads it."""
        return asdict(self) | {"lines": list(self.lines(endpoint_url))}


@dataclass(frozen=True)
class Plan:
    """A scenario, walked through.

    scenario: its name; docstring: its sentence; target, kind, account: whose; endpoint_url: the lab's API, None on
    AWS; found: what each key of the target's [resources] is now (ARN); problems: why the drill would be INVALID if it
    were run now; ended: why the walk stopped early, "" when it came to its end.
    """

    scenario: str
    docstring: str
    target: str
    kind: str
    account: str
    endpoint_url: str | None
    steps: tuple[PlannedStep, ...]
    found: dict[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    ended: str = ""

    @property
    def touched(self) -> tuple[str, ...]:
        """Every resource of the system that would be touched, once, in order."""
        steps = (step for step in self.steps if step.does not in SAFETY)
        return tuple(dict.fromkeys(arn for step in steps for arn in step.resources))

    @property
    def holes(self) -> tuple[int, ...]:
        """Numbers of the steps of which only the drill itself can tell what they would call."""
        return tuple(step.number for step in self.steps if not step.planned)

    @property
    def longest_s(self) -> float:
        """Target seconds: the sum of all that it may wait."""
        return sum(step.at_most_s or 0.0 for step in self.steps)

    def to_json(self) -> dict[str, Any]:
        """JSON form; `plan_from` reads it."""
        steps = [step.to_json(self.endpoint_url) for step in self.steps]
        return {"format": FORMAT, **asdict(self), "steps": steps, "longest_s": self.longest_s}


def plan_from(record: dict[str, Any]) -> Plan:
    """A Plan from its JSON form. KeyError, TypeError or ValueError when it is none."""
    if record["format"] != FORMAT:
        raise ValueError(f"plan format {record['format']!r}, expected {FORMAT}")
    known = {k: v for k, v in record.items() if k not in ("format", "longest_s")}
    steps = tuple(_step(item) for item in record["steps"])
    return Plan(**(known | {"steps": steps, "problems": tuple(record["problems"])}))


def _step(record: dict[str, Any]) -> PlannedStep:
    known = {k: v for k, v in record.items() if k != "lines"}
    calls = {key: _calls(record[key]) for key in ("calls", "reads")}
    facts = tuple(fact_from(f) for f in record["facts"])
    tuples = {key: tuple(record[key]) for key in ("resources", "seen", "depends_on")}
    return PlannedStep(**(known | calls | tuples | {"facts": facts, "undo": undo_from(record.get("undo"))}))


def _calls(records: Iterable[dict[str, Any]]) -> tuple[Call, ...]:
    return tuple(Call(**record) for record in records)
