"""Recovery time from looks of known outcome: bounds that contain the truth, not a point that pretends to.

The model. A look is sent at s and answered at d. A good one proves that the service was up at some instant of
[s, d], a bad one that it was down at some instant of [s, d]; a look that could not be made proves nothing. Hence,
with D the first bad result and L the last bad send of an outage that lasted from O to R:

    onset     max(s of good looks that completed before D)  <=  O  <=  D
    recovery  L  <=  R  <=  min(d of good looks that were sent after L)

One is the mirror image of the other in time. A request that hangs through the outage and is answered at its end
completed after D, so it says nothing about the onset; a request that was sent into the outage and gives up after
its end was sent before L or is L, so it does not move the end. Both bounds need that some look was sent after the
first failure was known (D <= L). When none was (one slow failure, good looks on both sides of it and during it)
nobody knows where inside that look the failure lay: onset and recovery are then bounded by its whole length, and
the duration by the widest gap in which no good look fits, which holds for every outage.

A recovery is sustained when no bad look was sent or became known from the first good result on until the sustained
time later, and a good result came after that time. A stretch without looks is neither good nor bad: it cannot end
an outage, so it counts as a failure for the upper bound and as nothing for the lower one.

The number judged is the longest outage of the window, from its first failure to its sustained end.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from checks.windows import PROBE, Settings, Window
from drill.probes import NEW, PULSE
from drill.timeline import History, Observation, Outcome
from drill.verdict import Interval

TIMED_OUT = "timeout"
"""The detail of a look that nobody answered."""
SILENCE_INTERVALS = 1.9
"""A pause between looks longer than this many intervals is a look that is missing, not one that is late."""


@dataclass(frozen=True)
class Look:
    """One look of known outcome, monotonic wall seconds.

    good: served or not; landed: whether it was served from where it should be at the end (a good look elsewhere is
    no recovery); sure: False for a silence that counts as a failure in the unfavourable reading only; silent: it
    gave up at done_s without any answer, so that its send tells more than its end (only the point estimate asks).
    """

    sent_s: float
    done_s: float
    good: bool
    landed: bool = True
    sure: bool = True
    silent: bool = False


@dataclass(frozen=True)
class Outage:
    """One outage in wall seconds: instants of onset and recovery, and its duration.

    delimited: whether a look was sent after the first failure was known; if not, the widest gap without a good look
    bounds the duration closer than the instants do.
    """

    onset: Interval
    recovery: Interval
    duration: Interval
    delimited: bool

    def longest_s(self, gap_s: float) -> float:
        """The upper bound of the duration; gap_s: the widest gap between good looks (wall seconds)."""
        if self.delimited or math.isinf(self.recovery.high_s):
            return self.duration.high_s
        return max(self.duration.low_s, min(gap_s, self.duration.high_s))


@dataclass(frozen=True)
class RecoveryTime:
    """What the looks of one window say.

    problem: why nothing can be said, "" when something can; onset, recovery: instants in monotonic wall seconds of
    the longest outage, None without any failure (recovery's upper bound is infinite when there was none in the
    window); duration: target seconds, None with a problem; widest_gap_s: target seconds in which no good look fits;
    outages: how many; unavailable: total of all of them, target seconds; failures, successes: looks in the window.
    """

    problem: str = ""
    onset: Interval | None = None
    recovery: Interval | None = None
    duration: Interval | None = None
    widest_gap_s: float = math.inf
    outages: int = 0
    unavailable: Interval | None = None
    failures: int = 0
    successes: int = 0

    @property
    def recovered(self) -> bool:
        """Whether service is sustained at the end, by the unfavourable reading; True without any failure."""
        return not self.problem and (self.recovery is None or math.isfinite(self.recovery.high_s))


def looks_of(observations: Iterable[Observation], landed: Callable[[str], bool] = lambda peer: True) -> list[Look]:
    """The looks of known outcome, by send time. landed: whether an address is where service has to be."""
    known = (
        Look(o.sent_s, o.done_s, o.outcome is Outcome.OK, landed(o.value), silent=o.detail == TIMED_OUT)
        for o in observations
        if o.outcome is not Outcome.UNKNOWN
    )
    return sorted(known, key=lambda look: (look.sent_s, look.done_s))


def service_looks(
    served: Iterable[Observation], pulses: Iterable[Observation], landed: Callable[[str], bool]
) -> list[Look]:
    """The looks that the number judged rests on: those of the service probe, and the quick looks that failed.

    pulses: quick looks at what the service probe needs too. Where one fails the service is down, so it narrows the
    bounds from the side of the failures; that one is good proves nothing about the whole service, so it is left out.
    """
    quick = (o for o in pulses if o.outcome is Outcome.FAIL)
    return sorted([*looks_of(served, landed), *looks_of(quick)], key=lambda k: (k.sent_s, k.done_s))


def recovery_time(history: History, window: Window, settings: Settings, probe: str = PROBE) -> RecoveryTime:
    """Recovery time of `window`, from the observations of `probe`; served from the window's survivor."""
    pulses = history.of(PULSE, NEW) if settings.probing.needed_by_writes else ()
    looks = service_looks(history.of(probe), pulses, lambda peer: settings.places.region_of(peer) == window.survivor)
    measured = measure(
        looks,
        window.begin_s,
        window.end_s,
        settings.wall_s(settings.timings.sustained_s),
        SILENCE_INTERVALS * settings.interval_wall_s,
    )
    return _in_target_seconds(measured, settings.speed)


def _in_target_seconds(found: RecoveryTime, speed: float) -> RecoveryTime:
    return RecoveryTime(
        found.problem,
        found.onset,
        found.recovery,
        found.duration and found.duration.scaled(speed),
        found.widest_gap_s * speed,
        found.outages,
        found.unavailable and found.unavailable.scaled(speed),
        found.failures,
        found.successes,
    )


def measure(
    looks: Sequence[Look], begin_s: float, end_s: float, sustained_s: float, silence_s: float = math.inf
) -> RecoveryTime:
    """The arithmetic, all in wall seconds.

    looks: by send time, of the whole run: those before begin_s tell the last good. Good looks answered after end_s
    are not evidence (the restore may have served them); bad ones sent before end_s are. silence_s: a longer pause
    between sends counts against the upper bound.
    """
    bads = [k for k in looks if not k.good and k.done_s >= begin_s and k.sent_s <= end_s]
    goods = [k for k in looks if k.good and k.done_s <= end_s]
    successes = sum(k.done_s >= begin_s for k in goods)
    gap_s = widest_gap_s([k for k in looks if k.good], begin_s, end_s)
    problem = _problem(looks, goods, bads, begin_s)
    if problem or not successes + len(bads):
        return RecoveryTime(problem or "no probe has a result in the window", failures=len(bads), successes=successes)
    sure = outages(goods, bads, sustained_s)
    if any(math.isinf(o.onset.low_s) for o in sure):
        problem = "the first probe to fail was sent before any that succeeded was answered: no baseline to fall from"
        return RecoveryTime(problem, failures=len(bads), successes=successes)
    pauses = [
        (before, after)
        for before, after in itertools.pairwise(looks)
        if after.sent_s - before.sent_s > silence_s and begin_s < after.sent_s <= end_s
    ]
    hopeful = outages(_hoping(goods, pauses), bads, sustained_s)
    doubted = outages(*_doubting(goods, bads, pauses), sustained_s)
    return _joined(sure, hopeful, doubted, gap_s, len(bads), successes)


def _problem(looks: Sequence[Look], goods: Sequence[Look], bads: Sequence[Look], begin_s: float) -> str:
    if not goods:
        return "no probe succeeded before the end of the window, so there is no healthy baseline to fall from"
    first_bad_s = min((k.done_s for k in bads), default=math.inf)
    before = [k for k in looks if k.done_s < min(begin_s, first_bad_s)]
    last_bad = max((k.sent_s for k in before if not k.good), default=-math.inf)
    if bads and not any(k.done_s < first_bad_s and k.sent_s > last_bad for k in goods):
        return "no probe succeeded just before the first failure: the system was not healthy when the window began"
    return ""


def _hoping(goods: Sequence[Look], pauses: Iterable[tuple[Look, Look]]) -> list[Look]:
    """Goods as the favourable reading has them: all through a pause the service may have been up.

    A recovery that was sustained only unseen, if at all, parts two outages: nobody knows that they are one.
    """
    ends = [at_s for before, after in pauses for at_s in _inside(before, after)]
    return sorted([*goods, *(Look(at_s, at_s, True) for at_s in ends)], key=lambda k: k.sent_s)


def _inside(before: Look, after: Look) -> tuple[float, float]:
    return math.nextafter(before.sent_s, math.inf), math.nextafter(after.sent_s, -math.inf)


def _doubting(
    goods: Sequence[Look], bads: Sequence[Look], pauses: Iterable[tuple[Look, Look]]
) -> tuple[list[Look], list[Look]]:
    """Goods and bads as the unfavourable reading has them.

    A look served from the wrong place after the first failure is no recovery. A silence may hide a failure that was
    known as early as the look before it and sent as late as the look after it.
    """
    first_bad_s = min((k.done_s for k in bads), default=math.inf)
    strays = [k for k in goods if not k.landed and k.sent_s > first_bad_s]
    silences = [silence(before, after) for before, after in pauses]
    settled = [k for k in goods if k.landed or k.sent_s <= first_bad_s]
    return settled, sorted([*bads, *strays, *silences], key=lambda k: k.sent_s)


def silence(before: Look, after: Look) -> Look:
    """The failure that a pause between two looks may hide: known as soon as the one was answered (when that was good,
    the service was up after its send), sent as late as the other."""
    return Look(math.nextafter(after.sent_s, -math.inf), math.nextafter(before.done_s, math.inf), False, sure=False)


def _joined(
    sure: Sequence[Outage],
    hopeful: Sequence[Outage],
    doubted: Sequence[Outage],
    gap_s: float,
    failures: int,
    successes: int,
) -> RecoveryTime:
    high_s = max(gap_s, *(o.longest_s(gap_s) for o in doubted)) if doubted else gap_s
    if not sure:
        basis = (f"no failure; widest gap between good probes {gap_s:.3f} s wall",)
        return RecoveryTime(
            "", None, None, Interval(0.0, high_s, basis), gap_s, 0, Interval(0.0, 0.0), failures, successes
        )
    longest = max(sure, key=lambda o: (o.duration.low_s, o.duration.high_s))
    # The unfavourable reading has all of these failures and more, so one of its outages contains the longest.
    around = next(o for o in doubted if o.recovery.low_s >= longest.recovery.low_s)
    recovery = Interval(
        longest.recovery.low_s,
        max(longest.recovery.high_s, around.recovery.high_s),
        tuple(dict.fromkeys(longest.recovery.basis + around.recovery.basis[-1:])),
    )
    total = Interval(sum(o.duration.low_s for o in hopeful), sum(o.longest_s(gap_s) for o in doubted))
    low_s = max(o.duration.low_s for o in hopeful)
    duration = Interval(low_s, max(low_s, high_s), longest.onset.basis + recovery.basis)
    return RecoveryTime("", longest.onset, recovery, duration, gap_s, len(sure), total, failures, successes)


def widest_gap_s(goods: Sequence[Look], begin_s: float, end_s: float) -> float:
    """The longest stretch touching [begin_s, end_s] in which no good look lies whole (wall seconds).

    An outage (a, b) can hide from a good look only if that look was sent before a or answered after b. goods: by
    send time. Infinite without any good look.
    """
    if not goods:
        return math.inf
    sends = [
        (sent_s, min(k.done_s for k in same)) for sent_s, same in itertools.groupby(goods, key=lambda k: k.sent_s)
    ]
    if sends[0][0] > begin_s:
        sends.insert(0, (begin_s, math.inf))
    widest, next_done_s = 0.0, math.inf
    for sent_s, done_s in reversed(sends):
        closed_s = min(next_done_s, end_s)
        if sent_s < end_s and closed_s > begin_s:
            widest = max(widest, closed_s - sent_s)
        next_done_s = min(next_done_s, done_s)
    return widest


@dataclass
class _Group:
    """The failures of one outage, gathered in order of their sends."""

    first_sent_s: float = math.inf
    first_done_s: float = math.inf
    first_sure_s: float = math.inf
    first_silence_s: float = math.inf
    last_sent_s: float = -math.inf
    last_done_s: float = -math.inf

    def add(self, bad: Look) -> None:
        self.first_sent_s = min(self.first_sent_s, bad.sent_s, bad.done_s)
        self.first_done_s = min(self.first_done_s, bad.done_s)
        if bad.sure:
            self.first_sure_s = min(self.first_sure_s, bad.done_s)
        else:
            self.first_silence_s = min(self.first_silence_s, bad.sent_s)
        self.last_sent_s = max(self.last_sent_s, bad.sent_s)
        self.last_done_s = max(self.last_done_s, bad.done_s)

    @property
    def delimited(self) -> bool:
        """Whether a look was sent after the first failure was known."""
        return self.last_sent_s >= self.first_sure_s or self.last_sent_s > self.first_silence_s


def outages(goods: Sequence[Look], bads: Sequence[Look], sustained_s: float) -> list[Outage]:
    """The outages in order; a good stretch shorter than sustained_s does not end one (flapping).

    goods, bads: by send time; wall seconds. The last outage has an infinite upper bound when nothing sustained
    follows it.
    """
    sends = [k.sent_s for k in goods]
    found: list[Outage] = []
    group = _Group()
    for number, bad in enumerate(bads):
        group.add(bad)
        until_s = bads[number + 1].sent_s if number + 1 < len(bads) else math.inf
        after, before = bisect.bisect_right(sends, group.last_sent_s), bisect.bisect_left(sends, until_s)
        between = goods[after:before]
        first = first_sustained(between, until_s, sustained_s, group.last_done_s)
        if first is not None and not group.delimited:
            # Only a good look sent after the slow failure was known was surely sent after the onset.
            first = min((k for k in between if k.sent_s >= group.last_done_s), key=lambda k: k.done_s, default=None)
        if first is not None:
            found.append(_outage(goods, group, first))
            group = _Group()
    return found if math.isinf(group.first_sent_s) else [*found, _outage(goods, group, None)]


def first_sustained(
    goods: Sequence[Look], until_s: float, sustained_s: float, known_s: float = -math.inf
) -> Look | None:
    """The first good result that was sustained: no failure was sent or known in the time, good evidence spans it.

    goods: the good looks sent between two failures; until_s: the send of the next failure, infinite when there is
    none; known_s: when the last failure before became known. Wall seconds.
    """
    first = min(goods, key=lambda k: k.done_s, default=None)
    if first is None:
        return None
    long_enough_s = max(first.done_s, known_s) + sustained_s
    spanned = any(k.done_s >= long_enough_s for k in goods)
    return first if spanned and long_enough_s < until_s else None


def _outage(goods: Sequence[Look], group: _Group, first_good: Look | None) -> Outage:
    onset, recovery = _onset(goods, group), _recovery(group, first_good)
    low_s = max(0.0, recovery.low_s - onset.high_s)
    # A look that fails slowly may have met the failure as it was sent, however many were served meanwhile.
    earliest_s = min(onset.low_s, _last_good_s(goods, math.nextafter(group.first_sent_s, math.inf)))
    return Outage(onset, recovery, Interval(low_s, max(low_s, recovery.high_s - earliest_s)), group.delimited)


def _last_good_s(goods: Sequence[Look], before_s: float) -> float:
    """The latest send of a good look that was answered before then."""
    return max((k.sent_s for k in goods if k.done_s < before_s), default=-math.inf)


def _onset(goods: Sequence[Look], group: _Group) -> Interval:
    before_s = group.first_done_s if group.delimited else math.nextafter(group.first_sent_s, math.inf)
    last_s = _last_good_s(goods, before_s)
    basis = (f"last good probe sent at {last_s:.3f}", f"first failure known at {group.first_done_s:.3f}")
    return Interval(min(last_s, group.first_done_s), group.first_done_s, basis)


def _recovery(group: _Group, first_good: Look | None) -> Interval:
    first_s = math.inf if first_good is None else first_good.done_s
    end = "no sustained recovery" if first_good is None else f"first sustained good result at {first_s:.3f}"
    basis = (f"last failure sent at {group.last_sent_s:.3f}", end)
    return Interval(group.last_sent_s, max(group.last_sent_s, first_s), basis)
