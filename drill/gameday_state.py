"""How far a game day is: a pure reading of its plan and its records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from drill.gameday import DrillStep, GameDay, HoldStep, PlannedDrill
from drill.gameday_log import Record


@dataclass(frozen=True)
class Attempt:
    """One start of a drill. end: None while nobody has noted how it ended.

    number: from 1; html: the session's page, by which its run folders are known; code: that of its process, None
    when nobody saw its end; stopped: why it was told to end, "" when it was not.
    """

    drill: str
    number: int
    begun: datetime
    pid: int
    html: str
    code: int | None = None
    stopped: str = ""
    end: Ended | None = None


@dataclass(frozen=True)
class Ended:
    """How an attempt ended. exit_code: what it counts for.

    verdict: a word of the design, REFUSED or USAGE; finished: whether it is never repeated; stopped: why it was
    stopped, "" when it came to its end by itself; runs: its run folders.
    """

    at: datetime
    verdict: str
    exit_code: int
    reason: str
    finished: bool
    stopped: str
    runs: tuple[str, ...]


@dataclass(frozen=True)
class Held:
    """A hold that was reached. released: None while it waits."""

    step: HoldStep
    since: datetime
    released: Record | None = None


@dataclass(frozen=True)
class State:
    """Everything that the records say, by the plan."""

    plan: GameDay
    records: tuple[Record, ...]
    attempts: tuple[Attempt, ...]
    holds: tuple[Held, ...]

    @property
    def began(self) -> datetime | None:
        """When the game day began; None before."""
        return next((r.at for r in self.records if r.event == "begun"), None)

    @property
    def closed(self) -> Record | None:
        """The record of its end, None while it runs or when it was killed."""
        last = self.records[-1] if self.records else None
        return last if last is not None and last.event == "closed" else None

    @property
    def observations(self) -> tuple[Record, ...]:
        """What people have seen, in time."""
        return tuple(r for r in self.records if r.event == "observation")

    def of(self, drill: str) -> tuple[Attempt, ...]:
        """The attempts of one drill."""
        return tuple(a for a in self.attempts if a.drill == drill)

    def result(self, drill: str) -> Ended | None:
        """How its last attempt ended; None when it has none, or nobody has noted its end."""
        found = self.of(drill)
        return found[-1].end if found else None

    def done(self, drill: str) -> bool:
        """Whether it is never to be started again."""
        return any(a.end is not None and a.end.finished for a in self.of(drill))

    @property
    def running(self) -> Attempt | None:
        """The attempt whose end is not noted."""
        return next((a for a in reversed(self.attempts) if a.end is None), None)

    @property
    def waiting(self) -> Held | None:
        """The hold that waits for a person."""
        return next((h for h in reversed(self.holds) if h.released is None), None)

    def ahead(self) -> tuple[HoldStep | PlannedDrill, ...]:
        """What is left of the plan, in order; a hold is passed when it was released."""
        passed = {h.step.id for h in self.holds if h.released is not None}
        return tuple(s for s in _flat(self.plan) if not self._over(s, passed))

    def _over(self, step: HoldStep | PlannedDrill, passed: set[str]) -> bool:
        return step.id in passed if isinstance(step, HoldStep) else self.done(step.id)


def state_of(plan: GameDay, records: Sequence[Record]) -> State:
    """Read the records. ValueError names one that does not fit the plan."""
    attempts: dict[tuple[str, int], Attempt] = {}
    holds: dict[str, Held] = {}
    for record in records:
        try:
            _take(plan, record, attempts, holds)
        except (KeyError, TypeError) as error:
            raise ValueError(f"record {record.event!r} of {record.at.isoformat()}: {error!r}") from error
    return State(plan, tuple(records), tuple(attempts.values()), tuple(holds.values()))


def _take(plan: GameDay, record: Record, attempts: dict[tuple[str, int], Attempt], holds: dict[str, Held]) -> None:
    data = record.data
    if record.event == "hold":
        holds[data["step"]] = Held({h.id: h for h in plan.holds}[data["step"]], record.at)
    elif record.event == "released":
        held = holds[data["step"]]
        holds[data["step"]] = Held(held.step, held.since, record)
    elif record.event == "drill":
        key = (data["drill"], data["attempt"])
        attempts[key] = Attempt(*key, record.at, data["pid"], data["html"])
    elif record.event == "exited":
        key = (data["drill"], data["attempt"])
        attempts[key] = replace(attempts[key], code=data["code"], stopped=data["stopped"])
    elif record.event == "ended":
        key = (data["drill"], data["attempt"])
        attempts[key] = replace(attempts[key], end=_ended(record))


def _ended(record: Record) -> Ended:
    data = record.data
    return Ended(
        record.at,
        data["verdict"],
        data["exit_code"],
        data["reason"],
        data["finished"],
        data["stopped"],
        tuple(data["runs"]),
    )


def _flat(plan: GameDay) -> Iterator[HoldStep | PlannedDrill]:
    for step in plan.step:
        if isinstance(step, DrillStep):
            yield from step.drills
        else:
            yield step


def deviations(state: State) -> tuple[str, ...]:
    """Where the game day departed from its plan, one sentence each."""
    return tuple(_deviations(state))


def _deviations(state: State) -> Iterator[str]:
    for record in state.records:
        if record.event == "stopping":
            yield f"stopped at {_clock(record.at)}: {record.data.get('reason')}"
        elif record.event == "resumed":
            yield f"interrupted, and resumed at {_clock(record.at)}"
    for attempt in state.attempts:
        if attempt.end is None:
            yield f"{attempt.drill}: nobody has noted how attempt {attempt.number} ended"
        elif attempt.end.stopped:
            yield f"{attempt.drill}: attempt {attempt.number} was stopped: {attempt.end.stopped}"
        if attempt.number > 1:
            yield f"{attempt.drill}: started again at {_clock(attempt.begun)}, attempt {attempt.number}"
    for step in state.ahead():
        if isinstance(step, HoldStep):
            yield f"hold {step.id}: never released"
        elif not state.of(step.id):
            yield f"{step.id}: never started"
    if state.closed is None:
        yield "the game day did not come to its end"


def _clock(at: datetime) -> str:
    return f"{at:%H:%M:%S}Z"
