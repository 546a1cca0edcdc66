"""The dead-man of a planned Change: which calls would arm it, move it on and disarm it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from drill.change import Change
from drill.dead_man import arming, arns, disarming, renewing
from drill.safety_stack import stack_of
from drill.target import Target


def planned_arm(target: Target, now: datetime, number: int, change: Change) -> dict[str, Any]:
    """Of a step that arms: what, calls, resources. now: the schedules are shown as of a drill that began now."""
    stack, time_s = stack_of(target), target.safety.dead_man_s
    due = now + timedelta(seconds=time_s)
    later = f"{time_s:g} {target.unit}"
    how = "schedules alone" if change.blind_safe else "its function, which reads and compares first"
    return {
        "what": f"the dead-man of {change.kind}: acts {later} later, by {how}; moved on while the drill lives",
        "calls": (*arming(stack, number, change, due), *renewing(stack, number, change, due)),
        "resources": arns(stack, number, change),
    }


def planned_disarm(target: Target, number: int, change: Change) -> dict[str, Any]:
    """Of the step that disarms after the verified restore."""
    stack = stack_of(target)
    return {
        "what": f"the dead-man of {change.kind}",
        "calls": disarming(stack, number, change),
        "resources": arns(stack, number, change),
    }
