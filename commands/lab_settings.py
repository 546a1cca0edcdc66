"""Whether a lab runs as its target says: what does not is an override, as `--set` is, and counts for no gate.

What its state file says is how it was started; what was made of it since, the lab itself is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from commands.lab_control import ask
from drill.errors import UsageError
from drill.target_tables import Lab
from lab.aws.control import WORLD
from lab.aws.misbehave import parse_all
from lab.launch import LabInfo

MISBEHAVE = "misbehave"
"""The setting with which a lab is started misbehaving; by hand it is `drill lab misbehave`."""


@dataclass(frozen=True)
class Said:
    """What a running lab says of itself.

    rules: by which it misbehaves now, in words; told: what it was told by hand since it began, the first thousand
    times; times_told: how often that was.
    """

    system: str
    speed: float
    settings: tuple[str, ...]
    rules: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    times_told: int = 0


def asked(info: LabInfo) -> Said:
    """What the lab says of itself. UsageError when none answers, or another than the state file describes."""
    reply = ask(info.aws_endpoint + WORLD, "GET")
    try:
        settings, rules, told = (tuple(map(str, reply[name])) for name in ("settings", "rules", "told"))
        said = Said(
            str(reply["system"]), float(reply["speed"]), settings, rules, told, times_told=int(reply["times_told"])
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"the lab at {info.aws_endpoint} does not say how it is set ({type(error).__name__}: {error}); it is of "
            "another version: start it again with `drill lab up`"
        ) from error
    if (said.system, said.speed, said.settings) != (info.system, info.speed, info.settings):
        raise UsageError(
            f"the lab at {info.aws_endpoint} is another than its state file says: it plays {_shown(said)}, the file "
            f"says {_shown(info)}; attach to the file that `drill lab up` printed"
        )
    return said


def set_otherwise(declared: Lab, info: LabInfo, rules: Sequence[str] | None = None) -> tuple[str, ...]:
    """How the running lab differs from the target's [lab], in the words of the options that make it so.

    rules: by which it misbehaves now, None when nobody asked it.
    """
    return (*_differences(declared, info), *(() if rules is None else _by_hand(info, rules)))


def told_meanwhile(before: Said, now: Said) -> tuple[str, ...]:
    """What the lab was told by hand between two looks, in the words of an override; all of it, undone or not."""
    new = now.told[before.times_told :]
    lost = now.times_told - before.times_told - len(new)
    words = (*new, f"{lost} times more") if lost > 0 else new
    return tuple(f"--lab-set {MISBEHAVE}={one} (told by hand while the drill ran)" for one in words)


def _shown(lab: Said | LabInfo) -> str:
    return " ".join((f"{lab.system} at speed {lab.speed:g}", *lab.settings))


def _differences(declared: Lab, info: LabInfo) -> Iterator[str]:
    if info.speed != declared.speed:
        yield f"--lab-speed {info.speed:g} (the target: {declared.speed:g})"
    there = _table(info.settings)
    for name in sorted(there.keys() | declared.settings):
        if there.get(name) != declared.settings.get(name):
            yield _difference(name, there, declared.settings)


def _difference(name: str, there: Mapping[str, str], declared: Mapping[str, str]) -> str:
    said = f" (the target: {declared[name]})" if name in declared else ""
    return f"--lab-set {name}={there[name]}{said}" if name in there else f"--lab-set {name} left out{said}"


def _by_hand(info: LabInfo, rules: Sequence[str]) -> Iterator[str]:
    """What the lab was told since it was started, and still does."""
    begun = [str(rule) for rule in parse_all(_table(info.settings).get(MISBEHAVE, ""))]
    for rule in rules:
        if rule in begun:
            begun.remove(rule)
        else:
            yield f"--lab-set {MISBEHAVE}={rule} (told by hand before the drill)"
    yield from (f"--lab-set {MISBEHAVE}={rule} left out (told by hand before the drill)" for rule in begun)


def _table(settings: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE texts as the lab takes them: the last one of a name counts."""
    return {name: value for name, _, value in (text.partition("=") for text in settings)}
