"""Whether a Region that was told to stop takes no write any more once the traffic has been turned away from it. Pure.

What a stopped Region still acknowledges is written behind the back of who moved the system: its data may be moving
at that moment, and the other Region takes writes of the same accounts soon. Who still asks it (an old DNS answer, an
open connection) must be refused.
"""

from __future__ import annotations

from collections.abc import Iterator

from checks.phases import instant_of, switched
from checks.windows import Settings, Window
from drill.drill import Drill
from drill.ledger import Write
from drill.timeline import History
from drill.verdict import Finding, Verdict

QUIET = "quiet.promised"


def promise_quiet(drill: Drill, window: str, region: str) -> None:
    """It will be judged whether `region` takes a write once the traffic of that window is turned away from it."""
    said = f"{region} is to take no write once the traffic is turned away"
    drill.look(said, lambda: drill.timeline.mark(QUIET, window=window, region=region).name)


def quiet_findings(history: History, window: Window, settings: Settings) -> Iterator[Finding]:
    """FAIL: a write that was sent to the region after DNS answered elsewhere was acknowledged there.

    PASS needs some, and all of them refused: a Region that nobody asks is quiet anyway, and what it took or did not
    take of a write whose answer nobody saw, nobody knows.
    """
    for mark in history.named(QUIET):
        if mark.data.get("window") == window.name:
            yield _quiet(history, window, settings, str(mark.data["region"]))


def _quiet(history: History, window: Window, settings: Settings, region: str) -> Finding:
    name, turned = f"quiet, {region}", instant_of(history, window, switched(history, settings, window.survivor))
    if turned is None:
        return Finding(name, Verdict.INVALID, "proves nothing: nobody saw DNS turn the traffic away")
    asked = [w for w in history.writes if turned.high_s < w.sent_s <= window.end_s and w.peer]
    there = sorted((w for w in asked if settings.places.region_of(w.peer) == region), key=lambda w: w.sent_s)
    taken = [w for w in there if w.result == "acked"]
    unknown = sum(w.result == "indeterminate" for w in there)
    data = {"asked": len(there), "acknowledged": len(taken), "indeterminate": unknown}
    if taken:
        return Finding(name, Verdict.FAIL, _loud(region, taken, len(there), turned.high_s, settings), data=data)
    if not there:
        why = f"proves nothing: nobody asked {region} for a write after DNS had turned the traffic away"
        return Finding(name, Verdict.INVALID, why, data=data)
    if unknown:
        why = f"proves nothing: {unknown} of {len(there)} writes that were sent to {region} then were never answered"
        return Finding(name, Verdict.INVALID, why, data=data)
    why = f"all {len(there)} writes that reached {region} after DNS had turned the traffic away were refused"
    return Finding(name, Verdict.PASS, why, data=data)


def _loud(region: str, taken: list[Write], of: int, turned_s: float, settings: Settings) -> str:
    first, last = ((w.sent_s - turned_s) * settings.speed for w in (taken[0], taken[-1]))
    return (
        f"{region} had been told to stop, and acknowledged {len(taken)} of {of} writes that were sent to it after "
        f"DNS had turned the traffic away (first after {first:.0f} {settings.unit}, last after {last:.0f} "
        f"{settings.unit}, first id {taken[0].id})"
    )
