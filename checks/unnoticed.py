"""Whether any of the system's own alarms rang while its clients went without what they were promised.

A note, not a finding: clients judge. It tells a system that is down, which its alarms see, from one that serves all
but these clients: either nothing watches what clients see, or it is only their way to the system that is bad. The
drill's witnesses are such clients, and cannot tell the two apart. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from checks.recovery_time import RecoveryTime
from checks.windows import FAILOVER, Settings, Window
from drill.drill import DECIDED
from drill.timeline import History, Outcome

ALARMS = "aws.alarm."
"""How the witness of signals calls the states of alarms."""


def unnoticed(history: History, window: Window, time: RecoveryTime, settings: Settings) -> Iterator[str]:
    """One sentence if the objective may be missed and no alarm rang from the onset until operators acted."""
    limit_s, onset = settings.limit_s(window.name, "time"), time.onset
    if window.name != FAILOVER or limit_s is None or onset is None or time.duration is None:
        return
    acted = [e.at_s for e in history.named(DECIDED) if e.data.get("window") == window.name]
    until_s, missed = min([window.end_s, *acted]), time.duration.high_s > limit_s
    seen = [
        o
        for o in history.observations
        if o.probe.startswith(ALARMS) and o.outcome is Outcome.OK and onset.high_s < o.sent_s and o.done_s < until_s
    ]
    if missed and seen and "ALARM" not in {o.value for o in seen}:
        alarms = ", ".join(sorted({o.probe for o in seen}))
        lasted = f"{(until_s - onset.high_s) * settings.speed:.0f} {settings.unit}"
        yield (
            f"{window.name}: in the first {lasted} no alarm of the system rang (looked at: {alarms}): either "
            "nothing watches what clients see, or only the way from this host to the system was bad"
        )
