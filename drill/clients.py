"""What clients see, read from the timeline: whether they are served steadily, and whether they feel a fault."""

from __future__ import annotations

from collections.abc import Sequence

from drill.change import Effect
from drill.probes import SERVED
from drill.target import Target
from drill.timeline import Outcome, Timeline


def unsteady(timeline: Timeline, since_s: float, dead: Sequence[str], loaded: bool) -> str | None:
    """Why it is not healthy since the monotonic instant `since_s`; None when it is.

    dead: names of the witnesses and loads that have ended by themselves; loaded: whether anybody sends requests.
    """
    probes = [o for o in timeline.observations if o.probe in SERVED and o.sent_s >= since_s]
    bad = [o for o in probes if o.outcome is not Outcome.OK]
    served = [r for r in timeline.requests if r.sent_s >= since_s and r.outcome is Outcome.OK]
    if dead:
        return f"{', '.join(dead)} ended by itself (see its log in {timeline.folder})"
    if bad:
        return f"{len(bad)} of {len(probes)} write probes failed, the first with {bad[0].detail or 'no detail'!r}"
    if not probes:
        return "no write probe came back"
    return None if served or not loaded else "the load got not one request served"


def served_since(timeline: Timeline, since_s: float) -> bool:
    """Whether a request of the load was served that was sent at or after the monotonic instant `since_s`."""
    return any(r.outcome is Outcome.OK for r in timeline.requests if r.sent_s >= since_s)


def bitten(timeline: Timeline, target: Target, effect: Effect, since_s: float) -> bool:
    """Whether clients have seen the declared effect since the monotonic instant `since_s`."""
    since = [o for o in timeline.observations if o.done_s >= since_s and o.probe in SERVED]
    if effect == "region_moved":
        survivor = target.regions.standby
        return any(o.outcome is Outcome.OK and target.region_of(o.value) == survivor for o in since)
    return effect == "errors" and any(o.outcome is Outcome.FAIL for o in since)
