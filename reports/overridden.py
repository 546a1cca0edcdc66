"""What was set otherwise than the target says, in words: such a run counts for no gate."""

from __future__ import annotations

from collections.abc import Sequence

from drill.timeline import History

TOLD = "lab.told"
"""The mark of what the lab was told by hand while the drill ran; its words are those of an override."""
OF_THE_LAB = "--lab-"
"""How an override begins that is one of the lab's; all others are of `--set`."""


def overrides_of(history: History) -> tuple[str, ...]:
    """What was set otherwise before the drill, by its header, and while it ran."""
    before = history.header.get("overrides") or ()
    told = (str(mark.data.get("words", "?")) for mark in history.named(TOLD))
    return (*(map(str, before) if isinstance(before, list | tuple) else (str(before),)), *told)


def instead_of(history: History) -> str:
    """That the run repeats another, in a sentence; "" when it does not."""
    other = history.header.get("instead_of")
    return f"Drilled instead of {other}, in which this machine did not hold the lab's speed." if other else ""


def overridden(overrides: Sequence[str]) -> str:
    """One or two sentences; "" when nothing was."""
    lab = [o for o in overrides if o.startswith(OF_THE_LAB)]
    by_set = [o for o in overrides if not o.startswith(OF_THE_LAB)]
    said = [f"Overridden with --set: {', '.join(by_set)}"] if by_set else []
    said += [f"The lab was set otherwise than the target says: {', '.join(lab)}"] if lab else []
    return f"{'. '.join(said)}; it counts for no gate." if said else ""
