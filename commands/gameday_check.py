"""What a game-day plan needs beside its own file: targets that can be read, and scenarios that drill them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from checks.admission import named_for_production
from commands.scenario_names import scenarios_in
from commands.world import Options, resolve_target
from drill.child import REPOSITORY
from drill.errors import UsageError
from drill.gameday import DrillStep, GameDay
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


def require_meant(plan: GameDay, production: Collection[str]) -> None:
    """Every production target of the plan was named. Refused for one that was not, UsageError for a name too many."""
    targets = {target.name: target for target in map(target_of, plan.drill_steps)}
    for target in targets.values():
        named_for_production(target, target.name if target.name in production else None)
    for name in sorted(set(production) - targets.keys()):
        raise UsageError(f"--production {name}: no target of this plan; its targets: {', '.join(targets)}")


def problems_of(steps: tuple[DrillStep, ...]) -> Iterator[str]:
    """Everything that would end a drill before it begins and can be known beforehand, one sentence each."""
    for step in steps:
        target: Target | None = None
        try:
            target = target_of(step)
        except UsageError as error:
            yield f"step {step.id}: {error}"
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
