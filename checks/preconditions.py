"""What must hold before a measurement of a window proves anything ("no credit without a bite").

Each check returns sentences about what does not hold; an empty list is the only way to hold. Missing data is a
reason, never a pass.
"""

from __future__ import annotations

import fnmatch
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from checks.recovery_time import RecoveryTime
from checks.seal import SEAL
from checks.service_level import badly_served
from checks.windows import FAILOVER, OUTAGE, TIMEOUT_FLOOR_S, Places, Settings, Window
from drill.probes import NEW, PULSE
from drill.timeline import Event, History, Observation, Outcome, Request

MIN_BASELINE = 5
"""Good probes, and good requests, that the last part of a baseline must show."""

BLIND_INTERVALS = 5
BLIND_FLOOR_S = 1.0
"""A pause between probes of known result longer than both (intervals; wall seconds) is a blind observer."""

LOAD_TIMEOUTS = 3
LOAD_FLOOR_S = 3.0
"""A stretch without any request longer than both (load timeouts; wall seconds) is a load that has stopped."""

PROBER_KEY = "p-"
"""Ledger keys of the prober; what it writes is not load."""

Check = Callable[[History, Window, Settings, RecoveryTime], Iterable[str]]


def problems_of(history: History, window: Window, settings: Settings, measured: RecoveryTime) -> tuple[str, ...]:
    """Everything that keeps this window's measurement from proving anything, one sentence each."""
    checks: tuple[Check, ...] = (
        window_whole,
        baseline_healthy,
        load_flowed,
        fault_in_force,
        effect_proven,
        moved,
        observer_sees,
        marks_agree,
        one_run,
    )
    return tuple(itertools.chain.from_iterable(check(history, window, settings, measured) for check in checks))


def window_whole(history: History, window: Window, settings: Settings, measured: RecoveryTime) -> Iterator[str]:
    """The window ended on its own terms, and its looks say something."""
    if not window.reason:
        yield f"the {window.name} window has no end: the drill was cut short"
    if window.reason in ("aborted", "no bite"):
        yield f"the {window.name} window ended early: {window.reason}"
    if measured.problem:
        yield measured.problem


def baseline_healthy(history: History, window: Window, settings: Settings, measured: RecoveryTime) -> Iterator[str]:
    """Just before the window probes and requests succeeded, enough of them and without a failure."""
    part_s = settings.wall_s(settings.timings.sustained_s)
    low_s = window.begin_s - part_s
    probes = [o for o in history.of(history.probe) if low_s <= o.done_s < window.begin_s]
    yield from _healthy("probes", probes, window)
    fresh = [r for r in history.requests if low_s <= r.done_s < window.begin_s and not r.pinned]
    yield from _healthy("requests of the load", fresh, window)
    if any(e.at_s <= window.begin_s and not e.data.get("ok", True) for e in history.named("steady")):
        yield "the steady-state hypothesis did not hold before the window"


def _healthy(what: str, looks: Sequence[Observation | Request], window: Window) -> Iterator[str]:
    good = sum(k.outcome is Outcome.OK for k in looks)
    failed = sum(k.outcome is Outcome.FAIL for k in looks)
    if failed:
        yield f"baseline not healthy: {failed} of {len(looks)} {what} failed just before the {window.name} window"
    if good < MIN_BASELINE:
        yield (
            f"baseline not shown: {good} good {what} just before the {window.name} window, {MIN_BASELINE} needed "
            "(raise timings.baseline_s)"
        )


def load_flowed(history: History, window: Window, settings: Settings, measured: RecoveryTime) -> Iterator[str]:
    """The load made requests all through the window and had writes acknowledged before the onset."""
    before_s = measured.onset.low_s if measured.onset else window.begin_s
    acked = [w for w in history.writes if w.result == "acked" and not w.key.startswith(PROBER_KEY)]
    served = [r.done_s for r in history.requests if r.outcome is Outcome.OK]
    if history.read_only and not any(window.previous_end_s <= done_s <= before_s for done_s in served):
        yield f"the load had no read answered before the {window.name}'s onset"
    if not history.read_only and not any(
        window.previous_end_s <= (w.result_s or math.inf) <= before_s for w in acked
    ):
        yield f"the load had no write acknowledged before the {window.name}'s onset"
    limit_s = max(LOAD_FLOOR_S, LOAD_TIMEOUTS * max(TIMEOUT_FLOOR_S, settings.wall_s(settings.load_timeout_s)))
    pause_s = _longest_pause_s(history.requests, window)
    if pause_s > limit_s:
        yield f"the load made no request for {pause_s:.1f} s (wall) of the {window.name} window"


def _longest_pause_s(requests: Sequence[Request], window: Window) -> float:
    """The longest stretch of the window in which no request was under way (wall seconds)."""
    covered_s, longest_s = window.begin_s, 0.0
    for request in sorted(requests, key=lambda r: r.sent_s):
        if request.done_s < window.begin_s or request.sent_s > window.end_s:
            continue
        longest_s = max(longest_s, request.sent_s - covered_s)
        covered_s = max(covered_s, request.done_s)
    return max(longest_s, window.end_s - covered_s)


def caused(history: History, window: Window) -> list[Event]:
    """The faults and actions that were meant to be felt in this window; what only arms is not among them."""
    causes = history.named("fault.injected", "action")
    return [
        e
        for e in causes
        if e.data.get("window", FAILOVER) == window.name and e.data.get("effect", "errors") != "none"
    ]


def fault_in_force(history: History, window: Window, settings: Settings, measured: RecoveryTime) -> Iterator[str]:
    """Something was done in the window; each fault was seen in force, and still so after the window had ended."""
    causes = caused(history, window)
    if not causes:
        yield f"nothing was injected and no action taken in the {window.name} window"
    for fault in (e for e in causes if e.name == "fault.injected"):
        kind = fault.data.get("kind", "the fault")
        if fault.data.get("in_force") is not True:
            yield f"the control plane never showed {kind} in force"
        early_s = [
            window.end_s - e.at_s for e in same_fault(history, "fault.restored", fault) if e.at_s < window.end_s
        ]
        if early_s:
            yield f"{kind} was restored {max(early_s):.1f} s (wall) before the window ended"
        if not any(e.at_s >= window.end_s for e in same_fault(history, "fault.held", fault)):
            yield f"nobody saw that {kind} was still in force when the window had ended"
        yield from _service_back(history, window, fault)


def same_fault(history: History, mark: str, fault: Event) -> list[Event]:
    """The later marks of that name about the same change (by its number in the journal; by kind without one)."""
    key = "number" if "number" in fault.data else "kind"
    return [e for e in history.named(mark) if e.at_s >= fault.at_s and e.data.get(key) == fault.data.get(key)]


def _service_back(history: History, window: Window, fault: Event) -> Iterator[str]:
    """The watched service had been scaled to 0, and then showed another count while the fault had to hold."""
    if not _is_watched(history, fault):
        return
    looks = [o for o in history.of("aws.ecs.transaction") if o.outcome is Outcome.OK and o.sent_s >= fault.at_s]
    seen = [o.value for o in looks if o.done_s <= window.end_s]
    if not seen:
        yield "no witness looked whether the fault stayed in force: aws.ecs.transaction was not seen in the window"
    after = itertools.dropwhile(lambda value: value != "0/0", seen)
    back = next((value for value in after if value != "0/0"), None)
    if back is not None:
        yield f"the fault did not stay in force: aws.ecs.transaction showed {back} (running/desired) in the window"


def _is_watched(history: History, fault: Event) -> bool:
    """Whether the fault scales the service that the witness of signals looks at: the target's `transaction`."""
    resources = (history.header.get("target") or {}).get("resources") or {}
    pattern = (resources.get("transaction") or {}).get("name")
    names = [str(arn).rpartition("/")[2] for arn in fault.data.get("resources", ())]
    return (
        fault.data.get("kind") == "ecs.scale"
        and pattern is not None
        and any(fnmatch.fnmatchcase(name, pattern) for name in names)
    )


def effect_proven(history: History, window: Window, settings: Settings, measured: RecoveryTime) -> Iterator[str]:
    """The declared client-visible effect was seen, and not before its cause.

    "errors" means failed probes; "region_moved" is for `moved` to see.
    """
    causes = caused(history, window)
    biting = [e for e in causes if e.data.get("effect", "errors") == "errors"]
    if biting and not _failed_since(history, window, settings, _began_s(biting)):
        yield "the fault did not bite: no client saw a failure after it"
    began_s = _began_s(causes)
    early = [
        o for o in history.of(history.probe) if o.outcome is Outcome.FAIL and window.begin_s <= o.done_s < began_s
    ]
    if causes and early:
        yield f"{len(early)} probes failed in the {window.name} window before anything was done to the system"


def _began_s(causes: Iterable[Event]) -> float:
    """When the first of them may have taken effect (monotonic wall seconds); infinity for none."""
    return min((float(e.data.get("began_s", e.at_s)) for e in causes), default=math.inf)


def _failed_since(history: History, window: Window, settings: Settings, since_s: float) -> bool:
    """Whether a look that recovery time rests on failed in the window, after that instant."""
    pulses = history.of(PULSE, NEW) if settings.probing.needed_by_writes else ()
    failed = (o for o in (*history.of(history.probe), *pulses) if o.outcome is Outcome.FAIL)
    return any(o.done_s >= max(since_s, window.begin_s) and o.sent_s <= window.end_s for o in failed)


def moved(history: History, window: Window, settings: Settings, measured: RecoveryTime) -> Iterator[str]:
    """Clients were served from the source Region before, and from the survivor at the end, by their peer addresses.

    A system that never served again did not move; that is a failed recovery and no reason to discard it. In an outage
    the source is the survivor, and a system that moved all the same has not recovered where it was to.
    """
    places, survivor = settings.places, window.survivor
    stays = window.name == OUTAGE
    source = survivor if stays else places.other(survivor)
    goods = [o for o in history.of(history.probe) if o.outcome is Outcome.OK]
    before = _last(o for o in goods if o.done_s < window.begin_s)
    if before is None or places.region_of(before.value) != source:
        yield f"clients were not served from {source} before the {window.name}: {_place(before, places)}"
    after_s = _last_failure_s(history, window)
    after = _last(o for o in goods if o.sent_s > after_s and o.done_s <= window.end_s)
    if after is not None and places.region_of(after.value) != survivor and not stays:
        yield (
            f"clients were served again, not from {survivor} ({_place(after, places)}): the fault did not stay in "
            "force, or nothing was switched"
        )
    if after is None and measured.recovered:
        yield f"no address shows that clients were served from {survivor} after the {window.name}"


def _last_failure_s(history: History, window: Window) -> float:
    """The send of the last failed probe of the window, its begin when none failed (monotonic wall seconds)."""
    failed = (o.sent_s for o in history.of(history.probe) if o.outcome is Outcome.FAIL and o.sent_s <= window.end_s)
    return max(window.begin_s, *failed, window.begin_s)


def _last(goods: Iterable[Observation]) -> Observation | None:
    return max(goods, key=lambda o: o.done_s, default=None)


def _place(look: Observation | None, places: Places) -> str:
    if look is None:
        return "no good probe"
    return (
        f"the last good probe went to {look.value or 'no address'} in {places.region_of(look.value) or 'no Region'}"
    )


def observer_sees(history: History, window: Window, settings: Settings, measured: RecoveryTime) -> Iterator[str]:
    """No witness died, and no pause between probes is so long that an outage could hide in it."""
    for event in history.named("witness.died"):
        yield f"the witness {event.data.get('name', '?')} died during the drill"
    limit_s = max(BLIND_FLOOR_S, BLIND_INTERVALS * settings.interval_wall_s)
    pause_s, tail_s = _pauses_s(history.of(history.probe), window)
    # Probes still under way when everything ends have no result; only a timeout's worth of them can be missing.
    if pause_s > limit_s or tail_s > limit_s + settings.timeout_wall_s:
        yield (
            f"the observer was blind for {max(pause_s, tail_s):.1f} s (wall) of the {window.name} window, "
            f"{limit_s:.1f} s allowed (lower the load or --lab-speed)"
        )


def _pauses_s(probes: Sequence[Observation], window: Window) -> tuple[float, float]:
    """The longest pause between sends of known result that touches the window, and the one at its end."""
    sends = [o.sent_s for o in probes if o.outcome is not Outcome.UNKNOWN]
    inside = [s for s in sends if window.begin_s <= s <= window.end_s]
    before = max((s for s in sends if s < window.begin_s), default=window.begin_s)
    after = [min((s for s in sends if s > window.end_s), default=math.nan)]
    marks = [before, *inside, *(s for s in after if not math.isnan(s))]
    pause_s = max((b - a for a, b in itertools.pairwise(marks)), default=0.0)
    return pause_s, max(0.0, window.end_s - marks[-1])


def marks_agree(history: History, window: Window, settings: Settings, measured: RecoveryTime) -> Iterator[str]:
    """What the drill took for the recovery, and waited and read back by, is what the evidence shows."""
    due = settings.places.due(window.name)
    if window.survivor != due:
        yield f"the survivor of {_one(window.name)} is {due}, the drill went by {window.survivor}"
    if measured.problem:
        return
    if window.reason == "recovered" and not measured.recovered:
        yield "the drill took its clients for recovered, and the evidence shows no sustained recovery"
    if window.reason == "timeout" and measured.recovered and not _below_level(history, window, settings):
        yield "the drill gave up waiting, and the evidence shows a sustained recovery"
    if measured.recovery and window.settled_by_s < measured.recovery.high_s < math.inf:
        late_s = measured.recovery.high_s - window.settled_by_s
        yield f"clients recovered {late_s:.3f} s (wall) after the instant that the drill took for the recovery"


def _one(name: str) -> str:
    return f"an {name}" if name == OUTAGE else f"a {name}"


def _below_level(history: History, window: Window, settings: Settings) -> bool:
    """Whether a declared service level was not held again: then the drill was right to go on waiting."""
    served = badly_served(history, window, settings)
    return served is not None and not served.held


def one_run(history: History, window: Window, settings: Settings, measured: RecoveryTime) -> Iterator[str]:
    """All evidence is of this run, and the system gave each write a name of its own."""
    load = (history.header.get("target") or {}).get("load") or {}
    prefix, run_id = load.get("synthetic_prefix"), history.header.get("run_id")
    if run_id:
        yield from _of_other_times(history)
    if prefix and run_id:
        strange = [w.key for w in history.writes if not w.account.startswith(f"{prefix}{run_id}-")]
        if strange:
            yield f"{len(strange)} writes of the ledger were not made by run {run_id} (first: {strange[0]})"
    keys, ids = Counter(w.key for w in history.writes), Counter(w.id for w in history.writes if w.result == "acked")
    for what, names in (("ledger key", keys), ("id of the system", ids)):
        twice = next((name for name, times in names.items() if times > 1), None)
        if twice is not None:
            yield f"{names[twice]} writes share the {what} {twice}: reading one back says nothing of the others"


def _of_other_times(history: History) -> Iterator[str]:
    """What was made before the first mark of the run, or after the last of one that came to its end."""
    marks, ends = [e.at_s for e in history.events], [e.at_s for e in history.named(SEAL)]
    sends = [*(o.sent_s for o in history.observations), *(r.sent_s for r in history.requests)]
    began_s, ended_s = min(marks, default=-math.inf), max(ends, default=math.inf)
    early, late = sum(sent_s < began_s for sent_s in sends), sum(sent_s > ended_s for sent_s in sends)
    if early:
        yield f"{early} looks and requests on record were made before the run began"
    if late:
        yield f"{late} looks and requests on record were made after the run had ended"
