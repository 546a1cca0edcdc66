"""What the drills of one pytest session share: options, targets, runs, what was refused, how it all ends."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from commands.again import HALF, TOO_OFTEN, told, too_fast
from commands.ahead import Ahead
from commands.asked import one_target
from commands.chosen import chosen, target_for
from commands.dry_run import Plans
from commands.exit_code import session_exit_code
from commands.world import Options, World, open_world, release_of
from drill.errors import UsageError
from drill.interrupt import Interrupts
from drill.target import Target
from drill.verdict import REFUSED_EXIT_CODE, USAGE_EXIT_CODE

if TYPE_CHECKING:  # a session whose options are wrong starts sooner without it
    from commands.running import Run

NO_DRILL = "INVALID: no drill was run, so nothing is proven"


class Session:
    """What the drills of one pytest session share."""

    def __init__(self, config: pytest.Config) -> None:
        option = config.option
        self.options = Options(
            explicit=bool(option.target),
            production=option.production,
            settings=tuple(option.drill_set),
            lab_speed=option.lab_speed,
            lab_port=option.lab_port,
            lab_settings=tuple(option.lab_set),
            lab_attach=option.lab_attach,
            runs=option.runs.resolve(),
            release=release_of(option.release, os.environ.get("DRILL_RELEASE")),
        )
        self.targets = chosen(one_target(option.target), self.options)
        for target in self.targets.values() if option.twin else ():
            if target.lab is None:
                raise UsageError(f"--twin is for a lab; target {target.name} is {target.kind}")
        self.runs: list[Run] = []
        self.repeated: list[Run] = []
        self.refusals: list[int] = []
        self.plans = Plans(option.drill_plan_to) if option.drill_dry_run else None
        self.problems: list[str] = []
        self.not_applicable: list[str] = []
        self.untold = ""
        self.interrupts = Interrupts()
        self.worlds = ExitStack()
        self._looked_at: World | None = None
        self.ahead = Ahead()
        self.finished = False

    def finish(self) -> None:
        """Finish every run, then let the worlds go; what cannot be ended is told, and is no PASS. Idempotent."""
        if self.finished:
            return
        self.finished = True
        worlds = (self.close_worlds, self.ahead.close)
        for part in (*(run.finish for run in self.runs), *worlds, self.interrupts.uninstall):
            try:
                part()
            except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the other parts must end all the same
                self.problems.append(f"the session did not end in order: {type(error).__name__}: {error}")

    def applies(self, node: pytest.Item) -> Target | str:
        """The target that a scenario drills in this session, or why none does."""
        wanted = next((str(marker.args[0]) for marker in node.iter_markers("system")), None)
        target = target_for(self.targets, wanted)
        if target is None:
            return f"this scenario drills {wanted}, the target is {', '.join(self.targets)}"
        for needs in node.iter_markers("needs"):
            if needs.args[0] not in target.resources:
                return f"target {target.name} has no {needs.args[0]} in its [resources]: {needs.args[1]}"
        return target

    def world(self, target: Target) -> World:
        """The world of the next drill, from `open_world`: of a drill its own, so what was open before is closed.

        Plans touch nothing, so that those of one target, one after the other, all look at the same.
        """
        if self.plans is not None and self._looked_at is not None and self._looked_at.target.name == target.name:
            return self._looked_at
        self.close_worlds()
        self._looked_at = self.worlds.enter_context(open_world(target, self.options, self.ahead.lab))
        return self._looked_at

    def close_worlds(self) -> None:
        """Let go of the world that is open, if one is."""
        self._looked_at = None
        self.worlds.close()

    def begin_next(self, node: pytest.Item) -> None:
        """Begin to start the lab of the drill that comes after this one, if any does."""
        items = node.session.items
        later = [item for item in items[items.index(node) + 1 :] if "drill" in getattr(item, "fixturenames", ())]
        targets = (self.applies(item) for item in later)
        self.ahead.begin(next((target for target in targets if isinstance(target, Target)), None), self._later)

    @property
    def counted(self) -> list[Run]:
        """The runs that count: of a drill that was repeated (commands/again.py), the second one."""
        return [run for run in self.runs if run not in self.repeated]

    @property
    def instead_of(self) -> str:
        """The folder of the run that the next one repeats; "" when it repeats none."""
        return self.repeated[-1].folder.name if self.repeated and self.repeated[-1] is self.runs[-1] else ""

    def again(self, since: int) -> bool:
        """Whether the last run, if one began after the first `since`, is to be repeated, which is slower."""
        asked = self.options.lab_speed is not None or self.options.lab_attach is not None
        if asked or len(self.runs) == since or not too_fast(self.runs[-1]):
            return False
        self.repeated.append(self.runs[-1])
        self.options = replace(self.options, lab_pace=self.options.lab_pace * HALF)
        return True

    def go_on(self) -> None:
        """After a repeated drill: labs are as fast as before, unless this machine has failed at that too often."""
        self.options = self._later

    @property
    def _later(self) -> Options:
        """How the drills after this one are to be."""
        return self.options if len(self.repeated) >= TOO_OFTEN else replace(self.options, lab_pace=1.0)

    def words(self, shown: Collection[Run]) -> list[str]:
        """What the session's page says beside its drills, in sentences. shown: the runs that it shows."""
        cut = [run.folder for run in self.counted if run not in shown]
        said = [f"INVALID: a drill was cut short or could not be reported; its folder: {folder}" for folder in cut]
        if not self.runs:
            refused = f" (exit code {max(self.refusals)}: the terminal says why)" if self.refusals else ""
            said.append(f"{NO_DRILL}{refused}")
        said += [f"not applicable: {left_out}" for left_out in self.not_applicable]
        said += [told(run) for run in self.repeated]
        return said + [f"INVALID: {problem}" for problem in self.problems]

    def exit_code(self, status: int) -> int:
        """The session's exit code from its drills and pytest's own status."""
        if self.plans is not None:
            return self.plans.exit_code(self.refusals, status or len(self.problems))
        verdicts = [r.judgement.verdict if r.judgement else None for r in self.counted]
        refusals = [*self.refusals, *(REFUSED_EXIT_CODE for r in self.runs if r.refused)]
        if not verdicts and status == pytest.ExitCode.USAGE_ERROR:
            refusals.append(USAGE_EXIT_CODE)
        return session_exit_code(verdicts, refusals, status or len(self.problems))
