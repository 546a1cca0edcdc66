"""The part of a pytest session that plans instead of drilling (`pytest --drill-dry-run`).

A plan is no evidence, so it leaves no run folder: nothing that a report, a gate, `latest` or the search for
outstanding journals could take for a drill.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from commands.instruments import LOAD, WITNESSES
from commands.run_folder import Scenario
from commands.world import World
from drill.errors import DrillError, Refused, UsageError
from drill.plan import Plan
from drill.planning import PlanningDrill
from drill.read_only import ReadOnlyAws
from drill.verdict import REFUSED_EXIT_CODE, USAGE_EXIT_CODE, Verdict
from reports.plan_text import plan_text


@dataclass
class Planned:
    """One scenario that is being walked through. error: what ended it early."""

    scenario: Scenario
    drill: PlanningDrill
    error: BaseException | None = None
    plan: Plan | None = None

    def finish(self) -> Plan:
        """What was walked through. Idempotent; to be called while the world can still be asked."""
        if self.plan is None:
            self.plan = self.drill.plan(self.scenario.name, self.scenario.docstring, _ending(self.error))
        return self.plan

    @contextlib.contextmanager
    def ending(self) -> Iterator[None]:
        """What the guards before the scenario refuse ends the walk: the plan says so, and the test with it."""
        try:
            yield
        except DrillError as error:
            self.error = error
            self.finish()
            pytest.fail(self.sentence, pytrace=False)

    @property
    def sentence(self) -> str:
        """Why this is not a plan of a drill that could run; "" when it is one."""
        if self.error is not None:
            return _ending(self.error)
        return "\n".join(f"INVALID if run now: {problem}" for problem in self.drill.problems)

    @property
    def exit_code(self) -> int:
        """0 planned, 12 refused, 4 a call or target that is wrong, 11 anything else."""
        if isinstance(self.error, Refused):
            return REFUSED_EXIT_CODE
        if isinstance(self.error, UsageError):
            return USAGE_EXIT_CODE
        return Verdict.INVALID.exit_code if self.sentence else 0


@dataclass(eq=False)
class Plans:
    """The plans of one dry session, and the pytest plugin that makes them.

    to: a file that gets them as JSON, None for none.
    """

    to: Path | None = None
    made: list[Planned] = field(default_factory=list)
    _world: World | None = None
    _looking: ReadOnlyAws | None = None
    _found: dict[str, str] = field(default_factory=dict)

    def begin(self, scenario: Scenario, world: World) -> Planned:
        """A walk through one scenario. Walks through one world share their clients, and what they have found."""
        if self._looking is None or self._world is not world:
            self._world, self._looking, self._found = world, ReadOnlyAws(world.aws), {}
        drill = PlanningDrill(
            world.target, self._looking, world.clock, witnesses=WITNESSES, load=LOAD, found=self._found
        )
        planned = Planned(scenario, drill)
        self.made.append(planned)
        return planned

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """A scenario that could not be walked through, or whose drill would be INVALID, fails with a sentence."""
        drill = getattr(item, "funcargs", {}).get("drill")
        planned = next((p for p in self.made if p.drill is drill), None)
        try:
            yield
        except BaseException as error:
            if planned is None:
                raise
            planned.error = error
            if not isinstance(error, DrillError):
                raise
        finally:
            if planned is not None:
                planned.finish()  # while the world can still be asked
        if planned is not None and planned.sentence:
            pytest.fail(planned.sentence, pytrace=False)

    def pytest_sessionfinish(self) -> None:
        """Write the file, if one was asked for."""
        if self.to is not None:
            plans = [planned.finish().to_json() for planned in self.made]
            self.to.write_text(json.dumps(plans, indent=1) + "\n")

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """All plans, for a person."""
        for planned in self.made:
            terminalreporter.write_line("\n" + plan_text(planned.finish()))

    def exit_code(self, refusals: Iterable[int], status: int) -> int:
        """The worst: refused, then usage, then INVALID; 0 when every scenario is planned; 11 when none is.

        refusals: the codes of what the session itself refused (12, 4); status: pytest's own code.
        """
        codes = {*refusals, *(planned.exit_code for planned in self.made)}
        worst = (REFUSED_EXIT_CODE, USAGE_EXIT_CODE, Verdict.INVALID.exit_code)
        none_planned = Verdict.INVALID.exit_code if status or not self.made else 0
        return next((code for code in worst if code in codes), none_planned)


def _ending(error: BaseException | None) -> str:
    if error is None:
        return ""
    word = "REFUSED" if isinstance(error, Refused) else "INVALID"
    name = "" if type(error).__module__ == "drill.errors" else f"{type(error).__name__}: "
    return f"{word}: {name}{error}"
