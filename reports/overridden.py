"""What was set otherwise than the target says, in words: such a run counts for no gate."""

from __future__ import annotations

from collections.abc import Sequence

OF_THE_LAB = "--lab-"
"""How an override begins that is one of the lab's; all others are of `--set`."""


def overridden(overrides: Sequence[str]) -> str:
    """One or two sentences; "" when nothing was."""
    lab = [o for o in overrides if o.startswith(OF_THE_LAB)]
    by_set = [o for o in overrides if not o.startswith(OF_THE_LAB)]
    said = [f"Overridden with --set: {', '.join(by_set)}"] if by_set else []
    said += [f"The lab was set otherwise than the target says: {', '.join(lab)}"] if lab else []
    return f"{'. '.join(said)}; it counts for no gate." if said else ""
