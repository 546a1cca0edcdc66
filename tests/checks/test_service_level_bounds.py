"""The arithmetic of the service level, to the look: where a stretch begins and ends, and what is a stretch at all.

Looks each second, an eighth of a second long, so that every sum is exact: six of them to a window of five seconds,
of which two that fail are below a ratio of 0.8. The window that is judged is from 0 to 39.5.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

import pytest

from checks.recovery_time import Look
from checks.service_level import (
    LEAST_LOOKS,
    BadlyServed,
    Level,
    badly_served,
    level_finding,
    measure_level,
    runs_below,
)
from checks.windows import settings_of, windows_of
from drill.probes import NEW, PINNED, PULSE
from drill.service_level import ServiceLevel
from drill.timeline import Observation
from drill.verdict import Finding, Verdict
from tests.checks.histories import FAIL, OK, TARGET, UNKNOWN, Story

TOOK_S = 0.125
LEVEL = Level(0.8, 0.3, 5.0)
BEGIN_S, END_S, SUSTAINED_S, SILENCE_S = 0.0, 39.5, 8.0, 5.5
OUTAGE = (10, 11, 12)
"""Below from the window that ends at 11 to that at 16: at least from 10.125 to 12, at most from 5 to 17.125."""


def looks(*bad: int, from_s: int = -20, to_s: int = 40, without: Iterable[int] = ()) -> list[Look]:
    """A look each second: which of them failed, and which nobody made."""
    missing = set(without)
    return [Look(float(s), s + TOOK_S, s not in bad) for s in range(from_s, to_s) if s not in missing]


def rare(*bad: int, from_s: int, to_s: int) -> list[Look]:
    """A look each two seconds, five to a window therefore, which takes the sustained time."""
    return [Look(float(s), s + TOOK_S, s not in bad) for s in range(from_s, to_s, 2)]


def measured(
    seen: list[Look],
    blind: Iterable[tuple[float, float]] = (),
    end_s: float = END_S,
    level: Level = LEVEL,
    silence_s: float = SILENCE_S,
) -> BadlyServed:
    """What is said of the window."""
    return measure_level(seen, level, (BEGIN_S, end_s), SUSTAINED_S, silence_s, list(blind))


def bounds(found: BadlyServed) -> tuple[float, float, int, bool]:
    """Lower and upper bound, how many stretches, and whether the level is held at the end."""
    assert not found.problem and found.duration is not None
    return found.duration.low_s, found.duration.high_s, found.stretches, found.held


NOTHING = (0.0, 0.0, 0, True)
TOLD = (1.875, 12.125, 1, True)


# -- runs of windows


@pytest.mark.parametrize(
    ("bad", "runs"),
    [
        ((), []),
        ((10,), []),
        (OUTAGE, [(6, 11, 16)]),
        ((10, 11, 20, 21, 38, 39), [(6, 11, 15), (16, 21, 25), (34, 39, 39)]),
        ((10, 16), []),
        ((10, 15), [(10, 15, 15)]),
        ((0, 1, 2, 3), [(1, 6, 7)]),
    ],
)
def test_runs_of_windows_below_the_level_are_told_by_their_looks(
    bad: tuple[int, ...], runs: list[tuple[int, int, int]]
) -> None:
    """First look of the first window, its last, the last of the last one; a window of which no look stands before
    its first is not known whole."""
    assert list(runs_below(looks(*bad, from_s=0), LEVEL)) == runs


def test_looks_that_are_rare_make_windows_of_five() -> None:
    """Each two seconds: a window of five seconds holds three, which say nothing about a share."""
    seen = rare(20, 22, from_s=0, to_s=40)
    assert LEAST_LOOKS == 5
    assert list(runs_below(seen, LEVEL)) == [(7, 11, 14)]
    assert list(runs_below(seen, Level(0.6, 0.3, 5.0))) == []
    assert list(runs_below(seen[:5], Level(1.0, 0.0, 5.0))) == []
    assert list(runs_below(seen[:6], Level(1.0, 0.0, 5.0))) == [(1, 5, 5)]


# -- bounds


def test_a_stretch_is_told_from_its_looks() -> None:
    """At least from the first bad result to the last bad send; at most from the look before its first window to the
    result of the first look whose window is at the level again."""
    found = measured(looks(*OUTAGE))
    assert bounds(found) == TOLD
    assert found.duration is not None
    assert found.duration.basis == ("40 quick looks, 1 stretches below the level",)
    assert bounds(measured(looks())) == NOTHING
    assert bounds(measured(looks(12))) == NOTHING
    slow = [dataclasses.replace(k, done_s=k.sent_s + 0.5, good=True) if not k.good else k for k in looks(*OUTAGE)]
    assert bounds(measured(slow)) == (1.5, 12.125, 1, True)


def test_a_stretch_that_one_look_tells_has_no_negative_length() -> None:
    """Rare failures, the one that hangs longest with its result behind the last send: the lower bound is nothing."""
    hanging = [dataclasses.replace(k, done_s=30.0) if not k.good else k for k in looks(10, 11)]
    assert bounds(measured(hanging)) == (0.0, 11.125, 1, True)


def test_a_failure_behind_the_last_window_below_is_no_part_of_it() -> None:
    """Two looks of a window leave it at once and one that failed comes in: that is at the level again."""
    seen = sorted([*looks(10, 16), Look(10.25, 10.25 + TOOK_S, False)], key=lambda k: k.sent_s)
    assert bounds(measured(seen)) == (0.125, 11.125, 1, True)


def test_rare_looks_are_bounded_by_the_very_first_and_the_very_last() -> None:
    """The one look behind a stretch that ends it, and the one look before it that begins it."""
    last, cut = (measured(rare(20, 22, from_s=-20, to_s=to_s), end_s=31.0, silence_s=11.0) for to_s in (32, 30))
    assert bounds(last) == (1.875, 18.125, 1, True)
    assert bounds(cut) == (1.875, math.inf, 1, False)
    assert bounds(measured(rare(-2, 0, from_s=-20, to_s=40), silence_s=11.0)) == (1.875, 18.125, 1, True)


@pytest.mark.parametrize(
    ("again", "told"),
    [
        ((24, 25), (14.875, 25.125, 1, True)),
        ((25, 26), (1.875, 12.125, 2, True)),
        ((25, 26, 27), (1.875, 12.125, 2, True)),
    ],
)
def test_only_a_sustained_time_parts_two_stretches(again: tuple[int, ...], told: tuple[float, ...]) -> None:
    """Eight seconds from the last bad send of one to the look before the other; parted, the longest is told."""
    assert bounds(measured(looks(*OUTAGE, *again))) == told


def test_the_longest_stretch_is_told_wherever_it_is() -> None:
    """Its own upper bound, not that of the last."""
    assert bounds(measured(looks(2, 3, 20, 21, 22, 23))) == (2.875, 13.125, 2, True)


def test_the_level_is_held_again_when_a_sustained_time_of_evidence_follows() -> None:
    """From the last bad send on: 31.125 and eight seconds are 39.125, the last result."""
    late = looks(29, 30, 31)
    assert bounds(measured([*late, Look(39.4, 39.5, True)]))[3] is True
    assert bounds(measured(late)) == (1.875, 12.125, 1, True)
    assert bounds(measured(looks(30, 31, 32))) == (1.875, math.inf, 1, False)
    assert bounds(measured(looks(37, 38, 39))) == (1.875, math.inf, 1, False)
    assert bounds(measured(looks(), [(20.0, 31.125)])) == (0.0, 12.125, 0, True)
    assert bounds(measured(looks(), [(20.0, 31.25)])) == (0.0, math.inf, 0, False)


# -- what nobody saw


@pytest.mark.parametrize(
    ("blind", "high_s"),
    [
        ((20.0, 26.0), 6.125),
        ((20.0, 26.5), 7.125),
        ((-5.0, 0.0), 0.0),
        ((-5.0, 0.5), 6.125),
        ((-5.0, -1.0), 0.0),
    ],
)
def test_a_blind_stretch_lasts_until_the_next_look(blind: tuple[float, float], high_s: float) -> None:
    """One that was over when the window began hides nothing of it."""
    assert bounds(measured(looks(), [blind])) == (0.0, high_s, 0, True)


@pytest.mark.parametrize(
    ("without", "high_s"),
    [
        (range(20, 28), 9.125),
        (range(20, 25), 6.125),
        (range(20, 24), 0.0),
        (range(-7, 0), 0.0),
        (range(-6, 1), 8.125),
    ],
)
def test_a_silence_lasts_from_the_good_look_before_it_to_the_one_behind(without: range, high_s: float) -> None:
    """Where no look was good for longer than the silence that may be; one that ended as the window began is none."""
    assert bounds(measured(looks(without=without))) == (0.0, high_s, 0, True)


def test_looks_that_stop_hide_what_comes() -> None:
    """To the window's end, if that is longer than a silence may be; exactly as long is not."""
    assert bounds(measured(looks(to_s=35))) == NOTHING
    assert bounds(measured(looks(to_s=34))) == (0.0, math.inf, 0, False)


def test_what_is_hidden_widens_the_upper_bound_of_what_was_seen() -> None:
    """Around a stretch, within it, before it: the lower bound stays what was seen."""
    assert bounds(measured(looks(*OUTAGE), [(4.0, 30.0)])) == (1.875, 26.125, 1, True)
    assert bounds(measured(looks(*OUTAGE), [(11.0, 12.0)])) == TOLD
    assert bounds(measured(looks(*OUTAGE), [(15.0, 18.0)])) == (1.875, 13.125, 1, True)
    assert bounds(measured(looks(*OUTAGE), [(1.0, 3.0)])) == (1.875, 16.125, 1, True)
    assert bounds(measured(looks(*OUTAGE), [(20.0, 23.0)])) == TOLD
    assert bounds(measured(looks(*OUTAGE), [(19.0, 23.0)])) == (1.875, 18.125, 1, True)
    # the sustained time counts from the end of what was hidden
    assert bounds(measured(looks(*OUTAGE), [(13.0, 18.0), (25.0, 27.0)])) == (1.875, 22.125, 1, True)
    assert bounds(measured(looks(*OUTAGE), [(13.0, 18.0), (26.0, 28.0)])) == (1.875, 13.125, 1, True)


# -- what is evidence


def test_a_share_needs_five_looks_in_the_window() -> None:
    """Counted by their sends, the one on its first instant too."""
    found = measured(looks(), end_s=3.5)
    assert found == BadlyServed("4 quick looks in the window, 5 needed for a share")
    assert bounds(measured(looks(), end_s=4.5)) == NOTHING


def test_there_is_a_level_to_fall_from_only_where_somebody_saw_it() -> None:
    """A whole window of looks before it begins."""
    assert bounds(measured(looks(from_s=-5))) == NOTHING
    unseen = "no quick looks before the window: nobody saw the level that there was to fall from"
    assert measured(looks(from_s=-4)) == BadlyServed(unseen)


def test_a_level_that_was_not_held_before_the_window_is_nothing_to_fall_from() -> None:
    """By the window that ends before it; one that ends on its first instant is the drill's own."""
    before = "the service level was not held before the window: there is nothing to fall from"
    assert measured(looks(-2, -1)) == BadlyServed(before)
    assert measured(looks(-2, -1, 20, 21)) == BadlyServed(before)
    assert bounds(measured(looks(-1, 0))) == (0.875, 11.125, 1, True)


def test_what_was_long_before_the_window_is_no_evidence() -> None:
    """From the last look before the sustained time on: 8 s before the window there is one at -8, so from -9."""
    assert bounds(measured(looks(*range(-20, -12)))) == NOTHING
    assert bounds(measured(looks(-10, -9, -8))) == NOTHING
    assert measured(looks(-4, -3)).problem and measured(looks(-5, -4, from_s=-9)).problem


def test_the_windows_end_cuts_good_looks_by_their_result_and_others_by_their_send() -> None:
    """A request that hangs through the end and succeeds says nothing; one that fails had begun to by its send."""
    seen = looks(to_s=34)
    assert bounds(measured([*seen, Look(34.0, 39.5, True)], level=Level(0.8, 6.0, 5.0))) == NOTHING
    assert bounds(measured([*seen, Look(34.0, 39.625, True)], level=Level(0.8, 6.0, 5.0)))[3] is False
    failing = [*looks(to_s=38), Look(38.0, 60.0, False), Look(39.5, 61.0, False), Look(39.75, 39.8, False)]
    found = measured(failing)
    assert bounds(found) == (0.0, math.inf, 1, False)
    assert found.duration is not None and found.duration.basis[0].startswith("40 quick looks")
    assert bounds(measured([*looks(to_s=38), Look(39.75, 39.8, False), Look(39.875, 39.9, False)])) == NOTHING


# -- of a run folder


def told(bad: tuple[int, ...], unknown: tuple[float, float] | None = None) -> Story:
    """The same looks at speed 10, each ten target seconds therefore, of a target with the same level."""
    level = {"success_ratio": 0.8, "latency_wall_s": 0.3, "window_s": 50.0}
    story = Story(zero_s=0.0, target=TARGET | {"service_level": level}, objectives={"rto_s": 100.0})
    story.timings = {"sustained_s": 80.0}
    story.window(0, 395)
    for look in looks(*bad):
        outcome = OK if look.good else FAIL
        story.observations.append(Observation(look.sent_s, look.done_s, PULSE, NEW, outcome, "127.100.5.165"))
    if unknown:
        story.observations.append(Observation(*unknown, PULSE, NEW, UNKNOWN, ""))
    return story


def finding(story: Story, *problems: str, kind: str = "aws") -> Finding:
    """The one of its first window, of a target of that kind."""
    history = story.history()
    history.header["target_kind"] = kind
    settings = settings_of(history)
    (found,) = level_finding(history, windows_of(history, settings.places)[0], problems, settings)
    return found


def test_a_run_is_measured_by_its_own_looks_at_its_own_speed() -> None:
    """Of new clients, by the pulse alone; a blind stretch counts by the gentle schedule of half a second."""
    story = told(OUTAGE)
    for probe, vantage in ((PULSE, PINNED), ("write.settle", NEW), ("write.settle", "client")):
        story.observations.append(Observation(20.25, 20.5, probe, vantage, FAIL, ""))
        story.observations.append(Observation(20.5, 20.75, probe, vantage, FAIL, ""))
    history = story.history()
    settings = settings_of(history)
    (window,) = windows_of(history, settings.places)
    found = badly_served(history, window, settings)
    assert found is not None and bounds(found) == TOLD
    assert badly_served(history, window, dataclasses.replace(settings, service_level=None)) is None
    blind = told((), (20.0, 26.0)).history()
    assert bounds(badly_served(blind, window, settings) or BadlyServed("none")) == (0.0, 6.125, 0, True)


LEVEL_DATA = ServiceLevel(success_ratio=0.8, latency_wall_s=0.3, window_s=50.0).model_dump()
WORDS = "at least 80.0% served within 0.3 s (wall), over 50 s"


def test_the_finding_is_told_whole() -> None:
    """In target seconds, with what was declared, how many stretches there were, and what to do about a doubt."""
    name, data = "service level, failover", LEVEL_DATA | {"stretches": 1, "held": True}
    passes = told(OUTAGE)
    passes.objectives["rto_s"] = 121.25
    found = finding(passes)
    interval = found.interval
    assert interval is not None and (interval.low_s, interval.high_s) == (18.75, 121.25)
    reason = f"{WORDS}: badly served for {interval.shown('s')} meets the limit of 121.25 s"
    assert found == Finding(name, Verdict.PASS, reason, 121.25, interval, "", data)
    doubted = finding(told(OUTAGE))
    assert (doubted.verdict, doubted.advice) == (
        Verdict.INCONCLUSIVE,
        "raise probing.quick_hz, or repeat the drill",
    )
    fails = told(tuple(range(10, 30)))
    failed = finding(fails)
    assert (failed.verdict, failed.data["held"]) == (Verdict.FAIL, True)
    assert failed.reason.startswith(f"{WORDS}: badly served for ") and failed.reason.endswith(
        "misses the limit of 100 s"
    )


def test_a_second_of_a_lab_is_called_so() -> None:
    """In what was declared, what was measured and what it is judged by; latency is of the wall anywhere."""
    assert finding(told(OUTAGE), kind="lab").reason == (
        "at least 80.0% served within 0.3 s (wall), over 50 lab s: "
        "badly served for the limit of 100 lab s lies inside the bounds [18.8, 121.2 lab s]"
    )


def test_a_level_that_is_not_held_again_is_said_first() -> None:
    """And that nothing bounds it."""
    found = finding(told((37, 38, 39)))
    assert found.verdict is Verdict.INCONCLUSIVE and found.data["held"] is False
    assert found.reason.startswith(f"{WORDS}: not held again in the window; badly served for the limit of 100 s lies")


def test_every_reason_why_it_proves_nothing_is_told() -> None:
    """What the judge found, what the looks lack, and an objective that is not there; the numbers stand beside it."""
    unseen = "4 quick looks in the window, 5 needed for a share"
    story = told(OUTAGE)
    story.observations = [o for o in story.observations if o.sent_s < 4]
    story.objectives.clear()
    assert finding(story, "the fault did not bite", "no load") == Finding(
        "service level, failover",
        Verdict.INVALID,
        f"proves nothing: the fault did not bite; no load; {unseen}; the target has no objective for it",
        None,
        None,
        data=LEVEL_DATA | {"stretches": 0, "held": False},
    )
    broken = finding(told(OUTAGE), "no load")
    assert (broken.verdict, broken.reason, broken.limit_s) == (Verdict.INVALID, "proves nothing: no load", 100.0)
    assert broken.interval is not None and broken.interval.low_s == 18.75
