"""A game-day plan: drills in order, holds that wait for a person, roles, a hard stop. Data only, from one TOML file.

All durations are wall seconds. Every problem of a file is reported at once. What its drills need of targets and
scenarios is not known here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, PositiveFloat, TypeAdapter, ValidationError, model_validator

from drill.errors import UsageError
from drill.evidence import Evidence
from drill.target import problems_in
from drill.write_path import Table

NAME = r"^[a-z0-9][a-z0-9-]{0,39}$"
"""Names of game days and steps: they become names of files."""
Words = Annotated[str, Field(min_length=1, max_length=2000)]


class Role(Table):
    """Who does what. people: as the file says them; nothing checks that they exist."""

    name: str = Field(min_length=1, max_length=100)
    people: tuple[Words, ...] = ()

    @property
    def named(self) -> tuple[str, ...]:
        """The people, without places that nobody has filled in ("<name>")."""
        return tuple(one for one in self.people if not (one.startswith("<") and one.endswith(">")))


class HoldStep(Table):
    """A step that waits for a person. release: the roles that may let the game day go on; none: anybody."""

    kind: Literal["hold"]
    id: str = Field(pattern=NAME)
    message: Words
    release: tuple[str, ...] = ()


class DrillStep(Table):
    """One or more scenarios on one target, each a pytest session of its own, with the options of pytest.

    target: a name in targets/, or the path of a TOML file from the repository; scenarios: node ids from there.
    """

    kind: Literal["drill"]
    id: str = Field(pattern=NAME)
    target: str = Field(min_length=1)
    scenarios: tuple[str, ...] = Field(min_length=1)
    settings: tuple[str, ...] = Field(default=(), alias="set")
    lab_speed: float | None = None
    lab_set: tuple[str, ...] = ()
    lab_attach: str | None = None

    @property
    def drills(self) -> tuple[PlannedDrill, ...]:
        """Its scenarios, in order; with more than one, each has a number after the step's name."""
        many = len(self.scenarios) > 1
        return tuple(
            PlannedDrill(f"{self.id}.{n}" if many else self.id, node, self)
            for n, node in enumerate(self.scenarios, start=1)
        )


@dataclass(frozen=True)
class PlannedDrill:
    """One pytest session of the plan. id: its name in the game day; node: the scenario's node id."""

    id: str
    node: str
    step: DrillStep


Step = Annotated[HoldStep | DrillStep, Field(discriminator="kind")]
_STEP: TypeAdapter[HoldStep | DrillStep] = TypeAdapter(Step)


class HardStop(Table):
    """After it nothing more is started, and the running drill is stopped in order; the earlier one of both.

    after_s: wall seconds from the game day's begin; at: a date with its offset.
    """

    after_s: PositiveFloat | None = None
    at: AwareDatetime | None = None

    @model_validator(mode="after")
    def _some(self) -> HardStop:
        if self.after_s is None and self.at is None:
            raise ValueError("a game day needs a hard stop: after_s = SECONDS, or at = a date with its offset")
        return self

    def instant(self, began: datetime) -> datetime:
        """When it is, for a game day that began then."""
        ends = [self.at] if self.at is not None else []
        if self.after_s is not None:
            ends.append(began + timedelta(seconds=self.after_s))
        return min(ends)


class Abort(Table):
    """What ends the game day early: a DIRTY drill always, one that FAILs by choice."""

    on_fail: bool = False


class GameDay(Table):
    """A whole plan."""

    format: Literal[1]
    name: str = Field(pattern=NAME)
    summary: str = ""
    hard_stop: HardStop
    abort: Abort = Abort()
    role: tuple[Role, ...] = ()
    evidence: Evidence = Evidence()
    """What people say of the drills of this day, for auditors; who takes part is in the roles."""
    step: tuple[Step, ...] = ()

    @property
    def drills(self) -> tuple[PlannedDrill, ...]:
        """All drills in order."""
        return tuple(drill for step in self.drill_steps for drill in step.drills)

    @property
    def drill_steps(self) -> tuple[DrillStep, ...]:
        """All steps that drill, in order."""
        return tuple(step for step in self.step if isinstance(step, DrillStep))

    @property
    def holds(self) -> tuple[HoldStep, ...]:
        """All holds in order."""
        return tuple(step for step in self.step if isinstance(step, HoldStep))


@dataclass(frozen=True)
class PlanRead:
    """What a text says. plan: None when there are problems; drills: those that can be understood all the same."""

    plan: GameDay | None
    drills: tuple[DrillStep, ...]
    problems: tuple[str, ...]


def read_plan(text: str) -> PlanRead:
    """A plan from its TOML, with every problem in it."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return PlanRead(None, (), (f"not TOML: {error}",))
    steps = raw.get("step")
    drills = tuple(s for item in _tables(steps) if isinstance(s := _step(item), DrillStep))
    problems: list[str] = []
    plan: GameDay | None = None
    try:
        plan = GameDay.model_validate(raw)
    except ValidationError as error:
        problems += [line.strip() for line in problems_in(error)]
    problems += _contradictions(raw)
    return PlanRead(None if problems else plan, drills, tuple(problems))


def load_plan(path: Path) -> GameDay:
    """A plan that was checked before. UsageError lists every problem."""
    return require_plan(str(path), read_plan(plan_text(path)))


def plan_text(path: Path) -> str:
    """The text of a plan. UsageError when it cannot be read."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as a game day: {error}") from error


def require_plan(name: str, read: PlanRead, more: tuple[str, ...] = ()) -> GameDay:
    """The plan. UsageError lists its problems, and more that were found elsewhere."""
    problems = (*read.problems, *more)
    if read.plan is None or problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise UsageError(f"{name}: {len(problems)} problem(s)\n{lines}")
    return read.plan


def _step(item: Mapping[str, Any]) -> HoldStep | DrillStep | None:
    try:
        return _STEP.validate_python(item)
    except ValidationError:
        return None


def _tables(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _contradictions(raw: Mapping[str, Any]) -> Iterator[str]:
    """What cannot all be meant, told beside what is wrong with single values."""
    roles = [r["name"] for r in _tables(raw.get("role")) if isinstance(r.get("name"), str)]
    steps = _tables(raw.get("step"))
    names = [s["id"] for s in steps if isinstance(s.get("id"), str)]
    yield from (f"role {name!r} stands there twice" for name in _twice(roles))
    yield from (f"step {name!r} stands there twice" for name in _twice(names))
    for step in steps:
        release = step.get("release")
        wanted = release if isinstance(release, list) else []
        for name in (n for n in wanted if isinstance(n, str) and n not in roles):
            known = ", ".join(map(repr, dict.fromkeys(roles))) or "none"
            yield f"step {step.get('id')!r}: release names the role {name!r}; roles of this file: {known}"
    if not any(step.get("kind") == "drill" for step in steps):
        yield 'no step is a drill (kind = "drill")'


def _twice(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})
