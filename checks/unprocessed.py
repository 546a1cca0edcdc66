"""How far back the survivor's events end at the instant of recovery: the recovery point as event systems publish it.

An event that is acknowledged and stuck in the impaired Region is not lost: it arrives late. But until then the
survivor has to do without it. EventBridge calls this its recovery point ("the measure of the data that will be left
unprocessed during a failure"), which begins with the failure; checks/recovery_point.py counts what is lost for good,
and counts from before it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from checks.looks import ELSEWHERE, spoiled_passes
from checks.recovery_time import RecoveryTime
from checks.windows import Settings, Window
from drill.ledger import Write
from drill.timeline import History, Readback
from drill.verdict import Finding, Interval, Verdict, judge_interval
from drill.writing import TERMINAL

MISSING = ("absent", "pending")
OPEN = "unprocessed"
"""The key of its objective, and what the finding's name begins with."""


def unprocessed_finding(
    history: History, window: Window, time: RecoveryTime, problems: Sequence[str], settings: Settings
) -> Finding | None:
    """The age, at recovery, of the oldest acknowledged event that the survivor did not have; None without objective.

    What was not there is what the first pass of the read-back says, made while the fault was in force.
    """
    limit_s = settings.limit_s(window.name, OPEN)
    if limit_s is None:
        return None
    name = f"{OPEN} at recovery, {window.name}"
    looks = [r for r in history.readbacks if r.window == window.name and r.pass_ == "recovery"]
    elsewhere = [said for what, said in spoiled_passes(history, window, 0.0) if what == ELSEWHERE]
    why = [*problems, *elsewhere, *_unread(history, window, looks)]
    recovery = time.recovery or _moved(window, time)
    missing = {r.key for r in looks if r.state in MISSING}
    writes = [w for w in history.writes if w.key in missing and w.result == "acked"]
    # Without an end what is missing is too old or may be, but that nothing was says nothing of a take-over to come.
    if why or recovery is None or not (writes or math.isfinite(recovery.high_s)):
        reason = "; ".join(why) or "clients did not recover"
        return Finding(name, Verdict.INVALID, f"proves nothing: {reason}", limit_s)
    found = _age(writes, recovery).scaled(settings.speed)
    judged = judge_interval(name, found, limit_s, unit=settings.unit)
    reason = f"{len(writes)} acknowledged events were not at {window.survivor} when it took over: {judged.reason}"
    return Finding(name, judged.verdict, reason, limit_s, found, judged.advice, {"events": len(writes)})


def _unread(history: History, window: Window, looks: Sequence[Readback]) -> Iterator[str]:
    """Why the first pass does not tell what was missing: what nobody could read is neither there nor missing."""
    if not looks:
        yield "nobody looked at recovery"
        return
    expected = {w.key for w in history.writes if w.result == "acked" and w.known_s < window.settled_by_s}
    unread = expected - {r.key for r in looks if r.state in (*MISSING, *TERMINAL)}
    if unread:
        yield f"{len(unread)} of {len(expected)} acknowledged events could not be read back at recovery"


def _moved(window: Window, time: RecoveryTime) -> Interval | None:
    """The instant at which the survivor served, where clients moved without a failure."""
    if time.failures or not math.isfinite(window.settled_by_s):
        return None
    return Interval(window.settled_by_s, window.settled_by_s)


def _age(writes: Sequence[Write], recovery: Interval) -> Interval:
    """[recovery.low - the first's acknowledgement, recovery.high - its send], floor 0 (wall seconds)."""
    if not writes:
        return Interval(0.0, 0.0, ("every acknowledged event was there",))
    known_s, sent_s = min(w.known_s for w in writes), min(w.sent_s for w in writes)
    low_s = max(0.0, recovery.low_s - known_s)
    return Interval(low_s, max(low_s, recovery.high_s - sent_s), (f"oldest missing event sent at {sent_s:.3f}",))
