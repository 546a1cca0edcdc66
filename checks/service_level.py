"""How long users were badly served, by the level that the target declares: partial outages, brown-outs, slowness.

The model. A look is well served when it is good and quick enough. At each look the share of the well served ones is
taken over the window that ends there: the level's window, or LEAST_LOOKS looks where these take longer. While the
share is below the level's ratio users are badly served. A share cannot tell when, inside its window, things changed,
hence for a stretch of windows that are below:

    at least   from the first badly served result in them to the last badly served send in them
    at most    from the look before the first of these windows to the first look whose window is at the level again

Stretches that a sustained time does not part are one (flapping). Where the witness was blind, and where no look was
well served for longer than LEAST_LOOKS of them take, anything may be hidden: it counts as below for the upper bound,
and as nothing for the lower one. The level is held again when the evidence spans the sustained time after the last
badly served send. The longest stretch is judged. Pure.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from checks.recovery_time import SILENCE_INTERVALS, Look, looks_of
from checks.windows import Settings, Window
from drill.probes import NEW, PULSE
from drill.service_level import ServiceLevel
from drill.timeline import History, Observation, Outcome
from drill.verdict import Finding, Interval, Verdict, judge_interval

LEAST_LOOKS = 5
"""Fewer looks say nothing about a share."""
NAME = "service level"


@dataclass(frozen=True)
class Level:
    """A ServiceLevel in wall seconds."""

    success_ratio: float
    latency_s: float
    window_s: float

    @classmethod
    def of(cls, declared: ServiceLevel, speed: float) -> Level:
        """The declared level at that speed."""
        return cls(declared.success_ratio, declared.latency_wall_s, declared.window_s / speed)

    def well(self, look: Look) -> bool:
        """Whether a look was well served."""
        return look.good and look.done_s - look.sent_s <= self.latency_s


@dataclass(frozen=True)
class Below:
    """A window that is below the level, or a merged stretch of them; monotonic wall seconds.

    begin_s: the send of the look before it; end_s: the result of the first look after it whose window is at the
    level, infinite without one; first_bad_s: the first badly served result in it, last_bad_s: the last such send.
    """

    begin_s: float
    end_s: float
    first_bad_s: float
    last_bad_s: float


@dataclass(frozen=True)
class BadlyServed:
    """How long users were badly served: bounds in wall seconds, and how many stretches there were.

    problem: why nothing can be said, "" when something can; held: whether the level is held, sustained, at the end.
    """

    problem: str = ""
    duration: Interval | None = None
    stretches: int = 0
    held: bool = False


def measure_level(
    looks: Sequence[Look],
    level: Level,
    window: tuple[float, float],
    sustained_s: float,
    silence_s: float,
    blind: Sequence[tuple[float, float]] = (),
) -> BadlyServed:
    """The arithmetic, all in wall seconds.

    looks: by send time, those of the sustained time before the window too; good ones answered after its end are no
    evidence. silence_s: a longer time without a well served look hides what it hides; blind: (begin, end) of the
    stretches in which the witness did not look.
    """
    begin_s, end_s = window
    known = _evidence(looks, begin_s - sustained_s, end_s)
    inside = sum(k.sent_s >= begin_s for k in known)
    if inside < LEAST_LOOKS:
        return BadlyServed(f"{inside} quick looks in the window, {LEAST_LOOKS} needed for a share")
    if known[0].sent_s > begin_s - level.window_s:
        return BadlyServed("no quick looks before the window: nobody saw the level that there was to fall from")
    below = list(runs_below(known, level))
    if any(known[at].sent_s < begin_s for _, at, _ in below):
        return BadlyServed("the service level was not held before the window: there is nothing to fall from")
    sure = [_stretch(known, level, first, last) for first, _, last in below]
    certain = _merged(sure, sustained_s)
    unseen = [*_silences(known, level, window, silence_s), *(one for one in blind if one[1] > begin_s)]
    doubted = _merged([*sure, *(_hidden(known, *one) for one in unseen)], sustained_s)
    last_s = max(k.done_s for k in known)
    ends = [b.end_s if last_s >= b.last_bad_s + sustained_s else math.inf for b in doubted]
    low_s = max((b.last_bad_s - b.first_bad_s for b in certain), default=0.0)
    high_s = max((at_s - b.begin_s for b, at_s in zip(doubted, ends, strict=True)), default=0.0)
    basis = (f"{inside} quick looks, {len(certain)} stretches below the level",)
    duration = Interval(max(0.0, low_s), max(0.0, low_s, high_s), basis)
    return BadlyServed("", duration, len(certain), all(map(math.isfinite, ends)))


def _evidence(looks: Sequence[Look], since_s: float, end_s: float) -> list[Look]:
    """The looks that count: from the last one before since_s on, good ones by their result, others by their send."""
    known = [k for k in looks if (k.done_s if k.good else k.sent_s) <= end_s]
    return known[max(0, bisect.bisect_left(known, since_s, key=lambda k: k.sent_s) - 1) :]


def runs_below(looks: Sequence[Look], level: Level) -> Iterator[tuple[int, int, int]]:
    """Every run of windows that are below the level: (first look of the first one, last of it, last of the last)."""
    well = [level.well(look) for look in looks]
    first, good = 0, 0
    run: tuple[int, int, int] | None = None
    for last, look in enumerate(looks):
        good += well[last]
        while look.sent_s - looks[first].sent_s > level.window_s and last - first >= LEAST_LOOKS:
            good -= well[first]
            first += 1
        count = last - first + 1
        # A window that begins before the first look is not known whole.
        whole = first > 0 and count >= LEAST_LOOKS
        if whole and good < level.success_ratio * count:
            run = (first, last, last) if run is None else (*run[:2], last)
        elif run is not None:
            yield run
            run = None
    if run is not None:
        yield run


def _stretch(looks: Sequence[Look], level: Level, first: int, last: int) -> Below:
    bads = [k for k in looks[first : last + 1] if not level.well(k)]
    after_s = looks[last + 1].done_s if last + 1 < len(looks) else math.inf
    begin_s = looks[first - 1].sent_s  # a window that is known whole has a look before it
    return Below(begin_s, after_s, min(k.done_s for k in bads), max(k.sent_s for k in bads))


def _silences(
    looks: Sequence[Look], level: Level, window: tuple[float, float], silence_s: float
) -> Iterator[tuple[float, float]]:
    """The stretches of the window without a well served look that are too long to be sure of."""
    begin_s, end_s = window
    sends = [k.sent_s for k in looks if level.well(k)]
    for before_s, after_s in itertools.pairwise([min([begin_s, *sends[:1]]), *sends, end_s]):
        if after_s - before_s > silence_s and after_s > begin_s:
            yield before_s, after_s


def _hidden(looks: Sequence[Look], begin_s: float, end_s: float) -> Below:
    """A stretch of which nothing is known, as if users had been badly served all through it."""
    after = [k.done_s for k in looks if k.sent_s >= end_s]
    return Below(begin_s, min(after, default=math.inf), math.inf, end_s)


def _merged(stretches: Sequence[Below], sustained_s: float) -> list[Below]:
    """Stretches that no sustained time parts, as one."""
    found: list[Below] = []
    for one in sorted(stretches, key=lambda b: b.begin_s):
        if found and one.begin_s < max(found[-1].last_bad_s, found[-1].begin_s) + sustained_s:
            before = found.pop()
            one = Below(  # noqa: PLW2901 what comes next is merged with it
                before.begin_s,
                max(before.end_s, one.end_s),
                min(before.first_bad_s, one.first_bad_s),
                max(before.last_bad_s, one.last_bad_s),
            )
        found.append(one)
    return found


def badly_served(history: History, window: Window, settings: Settings) -> BadlyServed | None:
    """How long users of `window` were badly served, by the looks of new clients; None where no level is declared."""
    if settings.service_level is None:
        return None
    seen, every_s = history.of(PULSE, NEW), settings.pulse_interval_s
    level = Level.of(settings.service_level, settings.speed)
    sustained_s = settings.wall_s(settings.timings.sustained_s)
    between = window.begin_s, window.end_s
    return measure_level(looks_of(seen), level, between, sustained_s, hiding_s(every_s), blind_in(seen, every_s))


def hiding_s(every_s: float) -> float:
    """Longer than LEAST_LOOKS gentle looks take: had they failed, their own share would say so."""
    return (LEAST_LOOKS + 0.5) * every_s


def blind_in(seen: Iterable[Observation], every_s: float) -> list[tuple[float, float]]:
    """The stretches in which the witness says that it did not look; one that a gentle schedule has anyway is none."""
    unknown = (o for o in seen if o.outcome is Outcome.UNKNOWN)
    return [(o.sent_s, o.done_s) for o in unknown if o.done_s - o.sent_s > SILENCE_INTERVALS * every_s]


def level_finding(history: History, window: Window, problems: Sequence[str], settings: Settings) -> Iterator[Finding]:
    """How long users were badly served against the recovery time objective, in target seconds; none without level."""
    found, declared = badly_served(history, window, settings), settings.service_level
    if found is None or declared is None:
        return
    name, limit_s = f"{NAME}, {window.name}", settings.limit_s(window.name, "time")
    data = declared.model_dump() | {"stretches": found.stretches, "held": found.held}
    duration = found.duration and found.duration.scaled(settings.speed)
    why = [
        *problems,
        *filter(None, [found.problem]),
        *(["the target has no objective for it"] if limit_s is None else []),
    ]
    if why or duration is None or limit_s is None:
        yield Finding(name, Verdict.INVALID, f"proves nothing: {'; '.join(why)}", limit_s, duration, data=data)
        return
    advice = "raise probing.quick_hz, or repeat the drill"
    judged = judge_interval(name, duration, limit_s, advice, settings.unit)
    level = (
        f"at least {declared.success_ratio:.1%} served within {declared.latency_wall_s:g} s (wall), "
        f"over {declared.window_s:g} {settings.unit}"
    )
    reason = f"{level}: {'' if found.held else 'not held again in the window; '}badly served for {judged.reason}"
    yield Finding(name, judged.verdict, reason, limit_s, duration, judged.advice, data)
