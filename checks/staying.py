"""Whether a system stays where it is: one that was brought back, with nobody touching it; one that is to survive an
outage without a move. Pure.

A recovery is judged once it has been sustained for `timings.sustained_s`; an automation that turns the system round
again minutes later is seen by no window. So a scenario may go on looking, and every look counts.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from checks.windows import OUTAGE, Settings, Window
from drill.drill import STAY_BEGIN, STAY_END
from drill.timeline import Event, History, Observation, Outcome
from drill.verdict import Finding, Verdict

MIN_LOOKS = 5
"""Fewer known looks than this say nothing about minutes."""
BLIND_INTERVALS = 10
BLIND_FLOOR_S = 3.0
"""A pause between known looks longer than both (intervals; wall seconds) may hide what is looked for."""


def staying_findings(history: History, settings: Settings) -> Iterator[Finding]:
    """One finding for each time that a scenario went on looking (marks STAY_BEGIN, STAY_END)."""
    ends = history.named(STAY_END)
    for number, begin in enumerate(history.named(STAY_BEGIN)):
        end = ends[number] if number < len(ends) else None
        yield _staying(history, settings, begin, end)


def remaining_findings(
    history: History, window: Window, settings: Settings, problems: tuple[str, ...]
) -> Iterator[Finding]:
    """Of an outage alone: FAIL when clients were served from elsewhere in the window, however well; the system was to
    get over it where it was. Nothing when they were not served at all: the recovery time says that. problems: the
    preconditions that do not hold."""
    if window.name != OUTAGE:
        return
    looks = [o for o in history.of(history.probe) if window.begin_s <= o.sent_s and o.done_s <= window.end_s]
    served = sorted((o for o in looks if o.outcome is Outcome.OK), key=lambda o: o.sent_s)
    away = [o for o in served if settings.places.region_of(o.value) != window.survivor]
    name, data = f"remains, {window.name}", {"served": len(served), "elsewhere": len(away)}
    if problems and served:
        yield Finding(name, Verdict.INVALID, f"proves nothing: {'; '.join(problems)}", data=data)
    elif away:
        after_s = (away[0].sent_s - window.begin_s) * settings.speed
        where = settings.places.region_of(away[0].value) or "no known Region"
        why = f"{len(away)} of {len(served)} writes that were served were served from {where} and not from"
        told = f"{why} {window.survivor}, the first after {after_s:.0f} {settings.unit}: the system moved"
        yield Finding(name, Verdict.FAIL, told, data=data)
    elif served:
        yield Finding(name, Verdict.PASS, f"all {len(served)} were served from {window.survivor}", data=data)


def _staying(history: History, settings: Settings, begin: Event, end: Event | None) -> Finding:
    region, for_s = str(begin.data["region"]), float(begin.data["for_s"])
    name = f"stays, {region}"
    if end is None:
        return Finding(name, Verdict.INVALID, f"the drill was cut short while it looked whether {region} stays")
    since_s = begin.at_s
    looks = [o for o in history.of(history.probe) if since_s <= o.sent_s <= end.at_s]
    known = sorted((o for o in looks if o.outcome is not Outcome.UNKNOWN), key=lambda o: o.sent_s)
    bad = [o for o in known if o.outcome is Outcome.FAIL or settings.places.region_of(o.value) != region]
    data = {"looks": len(known), "bad": len(bad)}
    if bad:
        return Finding(name, Verdict.FAIL, _left(settings, region, bad, len(known), since_s), data=data)
    if why := _blind(settings, known, since_s, end.at_s):
        return Finding(name, Verdict.INVALID, f"proves nothing: {why}", data=data)
    return Finding(
        name, Verdict.PASS, f"{len(known)} writes in {for_s:g} {settings.unit}, all served from {region}", data=data
    )


def _left(settings: Settings, region: str, bad: list[Observation], of: int, since_s: float) -> str:
    first = bad[0]
    after_s = (first.sent_s - since_s) * settings.speed
    elsewhere = sum(o.outcome is Outcome.OK for o in bad)
    what = first.detail or f"served from {settings.places.region_of(first.value) or 'no known Region'}"
    return (
        f"clients were not served from {region} for good: {len(bad) - elsewhere} of {of} writes failed and "
        f"{elsewhere} were served elsewhere, the first after {after_s:.0f} {settings.unit} ({what})"
    )


def _blind(settings: Settings, known: list[Observation], since_s: float, end_s: float) -> str:
    if len(known) < MIN_LOOKS:
        return f"{len(known)} writes are known of, {MIN_LOOKS} needed"
    marks = [since_s, *(o.sent_s for o in known), end_s - settings.timeout_wall_s]
    pause_s = max(b - a for a, b in itertools.pairwise(marks))
    limit_s = max(BLIND_FLOOR_S, BLIND_INTERVALS * settings.interval_wall_s)
    return f"the observer was blind for {pause_s:.1f} s (wall)" if pause_s > limit_s else ""
