"""What a game-day plan needs beside its own file: targets that can be read, and scenarios that drill them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from commands.scenario_names import scenarios_in
from commands.world import Options, resolve_target
from drill.child import REPOSITORY
from drill.errors import UsageError
from drill.gameday import DrillStep
from drill.target import Target

EXAMPLE = "scenarios/test_core_banking.py::test_service_loss_and_return"


def target_of(step: DrillStep) -> Target:
    """The target of a step, with its settings. UsageError when it cannot be read, or the lab's options do not fit."""
    name = str(REPOSITORY / step.target) if step.target.endswith(".toml") else step.target
    return resolve_target(
        Options(
            target=name,
            settings=step.settings,
            lab_speed=step.lab_speed,
            lab_settings=step.lab_set,
            lab_attach=None if step.lab_attach is None else Path(step.lab_attach),
        )
    )


def problems_of(steps: tuple[DrillStep, ...], production: str | None) -> Iterator[str]:
    """Everything that would end a drill before it begins and can be known beforehand, one sentence each."""
    for step in steps:
        target: Target | None = None
        try:
            target = target_of(step)
        except UsageError as error:
            yield f"step {step.id}: {error}"
        if target is not None and target.production and target.name != production:
            yield f"step {step.id}: target {target.name} is production; type: --production {target.name}"
        for node in step.scenarios:
            yield from (f"step {step.id}: {problem}" for problem in _scenario(node, target))


def _scenario(node: str, target: Target | None) -> Iterator[str]:
    """What is wrong with a node id, by its file, without running anything."""
    where, colons, test = node.partition("::")
    path = (REPOSITORY / where).resolve()
    if not colons or not path.is_file() or not path.is_relative_to(REPOSITORY):
        yield f"{node!r} is no node id of this repository; one is {EXAMPLE}"
        return
    name = test.rpartition("::")[2].partition("[")[0]
    drills = {one.test: one.system for one in scenarios_in(path)}
    if name not in drills:
        yield f"{node!r} is no scenario; those of {where}: {', '.join(drills) or 'none'}"
    elif target is not None and drills[name] not in (None, target.system):
        yield f"{node!r} drills {drills[name]}, target {target.name} is {target.system}"
