"""Whether a lab runs as its target says: what does not is an override, as `--set` is, and counts for no gate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from drill.target_tables import Lab
from lab.launch import LabInfo


def set_otherwise(declared: Lab, info: LabInfo) -> tuple[str, ...]:
    """How the running lab differs from the target's [lab], in the words of the options that make it so."""
    return tuple(_differences(declared, info))


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


def _table(settings: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE texts as the lab takes them: the last one of a name counts."""
    return {name: value for name, _, value in (text.partition("=") for text in settings)}
