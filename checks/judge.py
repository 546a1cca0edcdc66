"""From the run folder to the verdict: which questions a drill answers, and what each answer rests on.

Pure: the same history gives the same judgement. No finding passes on missing data: a measurement whose
preconditions do not hold is INVALID whatever it says, with two exceptions that stand on their own: an acknowledged
write that is lost is lost (FAIL), and what was not put back is not put back (DIRTY).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from checks.automation import gave_up
from checks.balances import Balances
from checks.data_residue import cleaning_of
from checks.error_windows import error_notes, error_rows
from checks.integrity import integrity_finding, side_by_side, strays, torn_findings
from checks.lab_speed import blamed_fairly, speed_findings
from checks.looks import spoiled_passes
from checks.names import servers_of
from checks.phases import phases_of
from checks.preconditions import caused, problems_of, same_fault
from checks.quiet import quiet_findings
from checks.recovery_point import RecoveryPoint, recovery_point
from checks.recovery_time import RecoveryTime, recovery_time
from checks.residue import left_behind
from checks.seal import broken_seals
from checks.service_level import level_finding
from checks.staying import remaining_findings, staying_findings
from checks.switch import blind_wall_s, switch_findings
from checks.unnoticed import unnoticed
from checks.unprocessed import unprocessed_finding
from checks.unreplicated import unreplicated_notes
from checks.vantages import rows_of, vantages_of
from checks.watched import restored_by_journal, to_put_back, watchdog_findings
from checks.windows import OUTAGE, Settings, Window, announced, settings_of, windows_of
from drill.end_state import DECLARED
from drill.errors import Invalid
from drill.timeline import History, Outcome
from drill.verdict import Finding, Interval, Judgement, Verdict, conclude, judge_interval, unit_of

SKIPS_DETECTION = "route53.health_check_inverted"
"""The kind of fault that says to a health check what it would have to find out."""
NONSENSE = (TypeError, ValueError, KeyError, AttributeError, LookupError, ArithmeticError)
"""What reading a record of a wrong shape raises: a word where a number belongs, a list where a table does."""


@dataclass(frozen=True)
class Measured:
    """One window with everything that was measured in it; problems: the preconditions that do not hold."""

    window: Window
    time: RecoveryTime
    point: RecoveryPoint
    problems: tuple[str, ...]
    vantages: tuple[dict[str, Any], ...] = ()
    """The rows of the vantages beside the number that is judged (checks/vantages.py)."""
    names: tuple[dict[str, Any], ...] = ()
    """The rows of the DNS servers (checks/names.py)."""
    errors: tuple[dict[str, Any], ...] = ()
    """What failed writes said, in the order of the first (checks/error_windows.py)."""
    unserved: tuple[int, int] = (0, 0)
    """Of the load's requests between onset and recovery: how many were not served, of how many."""


def judge(history: History) -> Judgement:
    """The judgement of a run folder. Never raises for what a history says or does not say."""
    try:
        return _judged(history, settings_of(history))
    except Invalid as error:
        return conclude([*_said_of_itself(history), Finding("evidence", Verdict.INVALID, str(error))])
    except NONSENSE as error:
        return conclude([*_said_of_itself(history), _nonsense(error)])


def _said_of_itself(history: History) -> list[Finding]:
    """`run_findings`, of a history that may make no sense there either."""
    try:
        return list(run_findings(history))
    except NONSENSE as error:
        return [_nonsense(error)]


def _nonsense(error: Exception) -> Finding:
    return Finding("evidence", Verdict.INVALID, f"the evidence makes no sense ({type(error).__name__}: {error})")


def _judged(history: History, settings: Settings) -> Judgement:
    measured = [measure_window(history, window, settings) for window in windows_of(history, settings.places)]
    findings = [
        blamed_fairly(finding, history, m.window, settings)
        for m in measured
        for finding in _window_findings(history, m, settings)
    ]
    findings += staying_findings(history, settings)
    findings += [*_missing_windows(history, measured), *run_findings(history)]
    phases = tuple(
        row for m in measured for row in phases_of(history, m.window, settings, m.time.onset, m.time.recovery)
    )
    late = tuple(f"put back only later: {e.data.get('reason', '?')}" for e in history.named("restore.failed"))
    left = tuple(str(e.data.get("reason", "?")) for e in history.named("dead_man.left"))
    region_of = settings.places.region_of
    tellers = (side_by_side, unreplicated_notes)
    beside = (note for m in measured for tell in tellers for note in tell(history, m.window, region_of))
    unseen = (note for m in measured for note in unnoticed(history, m.window, m.time, settings))
    told = (note for m in measured for note in _notes(history, m))
    notes = (*told, *unseen, *gave_up(history), *beside, *late, *left)
    return conclude(findings, phases, {m.window.name: m.point.counts() for m in measured}, notes)


def measure_window(history: History, window: Window, settings: Settings) -> Measured:
    """Measure one window: recovery time, recovery point and the preconditions."""
    time = recovery_time(history, window, settings, history.probe)
    settle_wall_s = settings.wall_s(settings.timings.settle_s)
    region_of = settings.places.region_of
    point = recovery_point(history, window, time.onset, settings.speed, settle_wall_s, region_of)
    rows = tuple(rows_of(vantages_of(history, window, settings), settings.speed))
    unserved = unserved_demand(history, window, time)
    ttl_s = float(((history.header.get("target") or {}).get("dns") or {}).get("ttl_s", 60.0))
    names = tuple(server.row() for server in servers_of(history, window, settings, ttl_s))
    errors = error_rows(history, window, time.onset, settings.speed)
    problems = problems_of(history, window, settings, time)
    return Measured(window, time, point, problems, rows, names, errors, unserved)


def unserved_demand(history: History, window: Window, time: RecoveryTime) -> tuple[int, int]:
    """(not served, of how many) requests that the load sent between the earliest onset and the latest recovery."""
    if time.onset is None or time.recovery is None:
        return 0, 0
    low_s, high_s = time.onset.low_s, min(time.recovery.high_s, window.end_s)
    during = [r for r in history.requests if low_s <= r.sent_s <= high_s]
    return sum(r.outcome is not Outcome.OK for r in during), len(during)


def _window_findings(history: History, measured: Measured, settings: Settings) -> Iterator[Finding]:
    name = measured.window.name
    yield time_finding(measured, settings.limit_s(name, "time"), settings.unit)
    yield point_finding(history, measured, settings)
    open_s = unprocessed_finding(history, measured.window, measured.time, measured.problems, settings)
    yield from () if open_s is None else (open_s,)
    yield from level_finding(history, measured.window, measured.problems, settings)
    yield from integrity_finding(history, measured.window, measured.point, measured.problems)
    if measured.point.balances is not None:
        yield balances_finding(history, measured, measured.point.balances)
    yield from end_state_findings(history, measured.window)
    yield from switch_findings(history, measured.window, blind_wall_s(settings))
    yield from quiet_findings(history, measured.window, settings)
    yield from remaining_findings(history, measured.window, settings, measured.problems)
    yield evidence_finding(measured)


def time_finding(measured: Measured, limit_s: float | None, unit: str) -> Finding:
    """Recovery time against its objective, in target seconds; unit: what these are called."""
    name, time = f"recovery time, {measured.window.name}", measured.time
    data = _time_data(time) | {
        "vantages": list(measured.vantages),
        "names": list(measured.names),
        "errors": list(measured.errors),
        "unserved": list(measured.unserved),
    }
    if limit_s is None:
        return Finding(name, Verdict.INVALID, "the target has no objective for it", None, time.duration, data=data)
    if measured.problems or time.duration is None:
        return _unproven(name, measured.problems, limit_s, time, data)
    judged = judge_interval(name, time.duration, limit_s, unit=unit)
    if time.recovered:
        return Finding(name, judged.verdict, judged.reason, limit_s, time.duration, judged.advice, data)
    never = f"never recovered in the window: {time.duration.shown(unit)}, the limit is {limit_s:g} {unit}"
    advice = "" if judged.verdict is Verdict.FAIL else "the window ended too early: raise timings.window_s"
    return Finding(name, judged.verdict, never, limit_s, time.duration, advice, data)


def _unproven(
    name: str, problems: Iterable[str], limit_s: float, time: RecoveryTime, data: dict[str, object]
) -> Finding:
    why = "; ".join(problems) or time.problem or "nothing was measured"
    return Finding(name, Verdict.INVALID, f"proves nothing: {why}", limit_s, time.duration, data=data)


def _time_data(time: RecoveryTime) -> dict[str, object]:
    """JSON-able details; infinity is null."""
    return {
        "failures": time.failures,
        "successes": time.successes,
        "outages": time.outages,
        "unavailable_s": _bounds(time.unavailable),
        "onset_monotonic_s": _bounds(time.onset),
        "recovery_monotonic_s": _bounds(time.recovery),
        "widest_gap_s": _finite(time.widest_gap_s),
    }


def _bounds(interval: Interval | None) -> list[float | None] | None:
    return None if interval is None else [_finite(interval.low_s), _finite(interval.high_s)]


def _finite(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


def point_finding(history: History, measured: Measured, settings: Settings) -> Finding:
    """Recovery point against its objective. A lost write fails on its own, whatever else does not hold."""
    name, point = f"recovery point, {measured.window.name}", measured.point
    limit_s = settings.limit_s(measured.window.name, "point")
    data: dict[str, object] = {"counts": point.counts(), "lost": [w.row() for w in point.lost]}
    data["stores"] = [store.row() for store in point.stores]
    if limit_s is None:
        return Finding(name, Verdict.INVALID, "the target has no objective for it", None, point.interval, data=data)
    problems = (*measured.problems, *_unread(history, measured, settings))
    if point.lost:
        return _lost_finding(name, point, problems, limit_s, data, settings.unit)
    if problems:
        why = "; ".join(problems)
        return Finding(name, Verdict.INVALID, f"proves nothing: {why}", limit_s, data=data)
    reason = f"none of {point.acknowledged} acknowledged writes is lost ({point.late} late)"
    return Finding(name, Verdict.PASS, reason, limit_s, point.interval, data=data)


def _lost_finding(
    name: str, point: RecoveryPoint, problems: tuple[str, ...], limit_s: float, data: dict[str, object], unit: str
) -> Finding:
    first = point.lost[0]
    lost = (
        f"{point.lost_writes} of {point.acknowledged} acknowledged writes lost (first {first.key}, id {first.id}: "
        f"{first.state}), {point.lost_after_onset} of them sent after the onset, "
        f"{point.lost_under_way} under way at it"
    )
    if point.lost_again:
        lost += f", {point.lost_again} of them seen settled by an earlier window"
    if point.archived:
        lost += f"; {point.archived}"
        data["archived"] = point.archived.row()
    judged = judge_interval(name, point.interval, limit_s, unit=unit)
    # With an objective of 0 any loss is beyond it, and no objective covers what was accepted after the onset.
    if limit_s == 0 or point.lost_after_onset:
        return Finding(name, Verdict.FAIL, lost, limit_s, point.interval, data=data)
    if judged.verdict is not Verdict.FAIL and problems:
        why = f"{lost}; more is not proven: {'; '.join(problems)}"
        return Finding(name, Verdict.INVALID, why, limit_s, point.interval, data=data)
    return Finding(name, judged.verdict, f"{lost}; {judged.reason}", limit_s, point.interval, judged.advice, data)


def _unread(history: History, measured: Measured, settings: Settings) -> Iterator[str]:
    point = measured.point
    settle_wall_s = settings.wall_s(settings.timings.settle_s)
    yield from (why for _, why in spoiled_passes(history, measured.window, settle_wall_s))
    if point.unknown:
        yield f"{point.unknown} of {point.acknowledged} acknowledged writes could not be read back at the survivor"
    if history.read_only:
        yield "nothing was written: the target declares no load.synthetic_prefix"
    elif not point.acknowledged:
        yield "no acknowledged write to read back"
    yield from strays(history, measured.window)


def balances_finding(history: History, measured: Measured, found: Balances) -> Finding:
    """Whether every settled write took effect exactly once, by the accounts' balances."""
    name = f"balances, {measured.window.name}"
    data: dict[str, object] = {"rows": list(found.rows), "checked": found.checked, "unread": found.unread}
    unknown = tuple(strays(history, measured.window))
    if unknown:
        return Finding(name, Verdict.INVALID, f"proves nothing: {'; '.join(unknown)}", data=data)
    if found.rows:
        reason = (
            f"{len(found.rows)} of {found.checked} accounts do not add up: {found.duplicates} duplicate writes, "
            f"{found.missing:g} missing, {found.excess:g} too much (first account: {found.rows[0]['account']})"
        )
        return Finding(name, Verdict.FAIL, reason, data=data)
    if found.unread or not found.checked:
        return Finding(name, Verdict.INVALID, f"{found.unread} balances could not be read", data=data)
    if measured.problems:
        return Finding(name, Verdict.INVALID, f"proves nothing: {'; '.join(measured.problems)}", data=data)
    return Finding(name, Verdict.PASS, f"{found.checked} accounts add up, nothing twice, nothing missing", data=data)


def end_state_findings(history: History, window: Window) -> Iterator[Finding]:
    """Whether each action of the window reached the end state that it declares.

    FAIL when the system was seen in another state when its time was over: the way back did not do what it promises,
    whatever the traffic did. INVALID when nobody saw where it ended.
    """
    ends = [e for e in history.named("action.ended") if e.data.get("window") == window.name]
    actions = [e for e in history.named("action") if e.data.get("window") == window.name]
    for number, action in enumerate(actions):
        name, kind = f"end state, {window.name}", str(action.data.get("kind", "the action"))
        data = ends[number].data if number < len(ends) else {}
        seen = ", ".join(map(str, data.get("observed") or ()))
        if data.get("reached") is True:
            yield Finding(name, Verdict.PASS, f"{kind} reached its declared end state ({seen or 'not recorded'})")
        elif seen:
            why = f"{kind} did not reach its declared end state in its time: {seen}"
            yield Finding(name, Verdict.FAIL, why, advice="look at its own history before drilling again")
        else:
            why = str(data.get("why") or "no record of it")
            yield Finding(name, Verdict.INVALID, f"nobody saw whether {kind} reached its declared end state: {why}")


def evidence_finding(measured: Measured) -> Finding:
    """Whether the window's measurements may be believed: its preconditions."""
    name = f"evidence, {measured.window.name}"
    if measured.problems:
        return Finding(
            name, Verdict.INVALID, "; ".join(measured.problems), data={"problems": list(measured.problems)}
        )
    traffic = "stayed" if measured.window.name == OUTAGE else "moved"
    held = f"baseline healthy, load flowed, effect proven, traffic {traffic}, observer saw it all"
    if not measured.time.recovered:
        held = "baseline healthy, load flowed, effect proven, observer saw it all; clients never served again"
    return Finding(name, Verdict.PASS, held)


def _missing_windows(history: History, measured: Iterable[Measured]) -> Iterator[Finding]:
    named = announced(history)
    begun = {m.window.name for m in measured}
    for name in named:
        if name not in begun:
            yield Finding(f"evidence, {name}", Verdict.INVALID, f"the {name} was announced and never begun")
    if not named:
        yield Finding("evidence", Verdict.INVALID, "no window was begun: nothing was measured")


def run_findings(history: History) -> Iterator[Finding]:
    """What the run says of itself: reasons to discard it, a speed not held, a record cut off, things not put back."""
    for event in history.named("invalid"):
        yield Finding("run", Verdict.INVALID, str(event.data.get("reason", "no reason recorded")))
    yield from speed_findings(history)
    yield from watchdog_findings(history)
    yield from torn_findings(history)
    for why in broken_seals(history):
        yield Finding("run folder", Verdict.INVALID, why)
    marks = [event.data for event in history.named(DECLARED)]
    cleaning = cleaning_of(history)
    yield from left_behind(history.header, history.snapshots, history.journal, marks, history.writes, cleaning)
    dirty = history.named("dirty")
    for event in dirty:
        lines = [str(line) for line in event.data.get("lines") or ()]
        reason = str(event.data.get("reason", "something is not back as it was"))
        yield Finding("clean-up", Verdict.DIRTY, reason, advice="\n".join(lines), data={"lines": lines})
    for fault in () if dirty else to_put_back(history):
        by_journal = restored_by_journal(history, fault.data.get("number"))
        if not same_fault(history, "fault.restored", fault) and not by_journal:
            why = f"no record shows that {fault.data.get('kind', 'the fault')} was put back; type: drill restore RUN"
            yield Finding("clean-up", Verdict.DIRTY, why, data={"lines": []})


def _notes(history: History, measured: Measured) -> Iterator[str]:
    window, time, unit = measured.window, measured.time, unit_of(history.header.get("target_kind"))
    if history.read_only:
        yield f"{window.name}: the recovery time is that of reads; nothing is known of writes"
    if any(cause.data.get("kind") == SKIPS_DETECTION for cause in caused(history, window)):
        yield (
            f"{window.name}: the health check was inverted, so nothing had to be detected: the recovery time is that "
            "of status and DNS, and nothing is known of how long an alarm would have taken"
        )
    pinned = sum(r.pinned and window.begin_s <= r.sent_s <= window.end_s for r in history.requests)
    if pinned:
        yield f"{window.name}: {pinned} requests went over connections pinned to an address no longer in DNS"
    if measured.unserved[1]:
        failed, sent = measured.unserved
        yield f"{window.name}: {failed} of the load's {sent} requests between onset and recovery were not served"
    yield from error_notes(window.name, measured.errors, unit)
    for row in measured.names:
        if row["flaps"]:
            yield f"{window.name}: the answers of {row['server']} went back and forth, {row['flaps']} times back"
        if row["held_past_ttl_s"]:
            past = f"{row['held_past_ttl_s']:.1f} {unit}"
            yield f"{window.name}: {row['server']} held an old answer {past} past its TTL"
    if time.outages > 1:
        in_all = time.unavailable and time.unavailable.shown(unit)
        yield f"{window.name}: {time.outages} outages; the longest is judged, {in_all} unavailable in all"
    if measured.point.balances is not None and measured.point.balances.unread:
        yield f"{window.name}: {measured.point.balances.unread} balances could not be read"
    if measured.point.indeterminate:
        yield (
            f"{window.name}: {measured.point.indeterminate} indeterminate writes were sent and never answered: they "
            f"count neither as acknowledged nor as lost; {_became_of(measured.point)}"
        )


def _became_of(point: RecoveryPoint) -> str:
    up, out = point.turned_up or 0, point.stayed_out or 0
    rest = point.indeterminate - up - out
    known = f"{up} took effect, {out} did not" if up or out else ""
    unknown = f"nobody can tell whether {rest} took effect" if rest > 0 else ""
    return ", ".join(filter(None, (known, unknown)))
