"""What became of an Action: read back from AWS, never repeated.

A drill that dies between the journal's line and the call, or right after the call, leaves an intent. Its facts tell
the two apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from drill.aws import Aws
from drill.call import Reading
from drill.change import Action

STEP_S = 2.0
Fate = Literal["not_started", "running", "reached", "not_reached"]
SAID: dict[Fate, str] = {
    "not_started": "was never started",
    "running": "was started and has not ended yet",
    "reached": "was started and has reached its end state",
    "not_reached": "was started and has ended without reaching its end state",
}


@dataclass(frozen=True)
class Standing:
    """How an action stands. fate: see SAID; seen: what was read, for people."""

    fate: Fate
    seen: tuple[str, ...]

    @property
    def over(self) -> bool:
        """Whether nothing more is to be expected of it."""
        return self.fate in ("reached", "not_reached")

    def __str__(self) -> str:
        return f"{SAID[self.fate]} ({'; '.join(self.seen)})"


def standing(aws: Aws, action: Action) -> Standing:
    """Look once. AwsFailed when AWS does not say."""
    readings = iter(aws.read(action.facts))
    begun, end, given_up = ([next(readings) for _ in fs] for fs in (action.begun, action.end_state, action.given_up))
    return Standing(_fate(begun, end, given_up), tuple(str(reading) for reading in end))


def await_standing(
    aws: Aws, action: Action, timeout_s: float, sleep: Callable[[float], None], until_begun: bool = False
) -> Standing:
    """Look until it is over, or `timeout_s` target seconds have been slept.

    until_begun: only until it is seen to have been started. A start shows late, so one look proves no absence.
    """
    found = standing(aws, action)
    for _ in range(int(timeout_s / STEP_S)):
        if found.over or (until_begun and found.fate != "not_started"):
            break
        sleep(STEP_S)
        found = standing(aws, action)
    return found


def _fate(begun: list[Reading], end: list[Reading], given_up: list[Reading]) -> Fate:
    if all(reading.holds for reading in end):
        return "reached"
    if any(reading.holds for reading in given_up):
        return "not_reached"
    return "running" if all(reading.holds for reading in begun) else "not_started"
