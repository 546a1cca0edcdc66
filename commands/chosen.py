"""Which targets a session of drills is for: the one that was named, or every system that is shipped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from commands.world import TARGETS, Options, resolve_target
from drill.errors import UsageError
from drill.target import Target

FIRST = "core-banking"
"""The target of what names no system, in a session that names no target."""


def known_targets() -> tuple[str, ...]:
    """The names of the shipped targets, examples aside."""
    return tuple(sorted(p.stem for p in TARGETS.glob("*.toml") if not p.stem.endswith(".example")))


def chosen(name: str | None, options: Options) -> Mapping[str, Target]:
    """System -> target. UsageError before anything is started: a bad target, or an option that means one system.

    name: as typed, None for all that have a lab (no other is ever meant by default); of several targets of one system
    the first by name is taken.
    """
    name = name or _attached(options.lab_attach)
    if name is not None:
        target = resolve_target(replace(options, target=name))
        return {target.system: target}
    known = known_targets()
    targets = [resolve_target(replace(options, target=one)) for one in known]
    one_only = {"--lab-set": options.lab_settings, "--lab-port": options.lab_port}
    named = [option for option, value in one_only.items() if value]
    if named and len(known) > 1:
        raise UsageError(f"{', '.join(named)}: for one system; name it, --target one of {', '.join(known)}")
    return {target.system: target for target in reversed(targets) if target.lab is not None}


def _attached(state: Path | None) -> str | None:
    """The target of the lab that is attached to, which knows its own system; the first one's when it does not say."""
    if state is None:
        return None
    try:
        system = str(json.loads(state.read_text())["system"])
    except (OSError, ValueError, KeyError, TypeError):
        return FIRST  # attaching says what is wrong with the file
    return system if system in known_targets() else FIRST


def target_for(targets: Mapping[str, Target], system: str | None) -> Target | None:
    """The target that a scenario drills; system: what it names, None when it fits every system.

    None when it does not apply to any of them.
    """
    if system is not None:
        return targets.get(system)
    return targets.get(FIRST) or next(iter(targets.values()))
