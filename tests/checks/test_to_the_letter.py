"""What measuring and judging say, to the last field: whole results against ones that were worked out by hand.

These hold what a test of one number lets pass: the other fields of the same result, the instants that are exactly on
a bound, and the words by which people and programs find them. Most were found by planted mistakes (`make mutants`).
"""

from __future__ import annotations

import dataclasses
import math

import pytest

from checks.recovery_point import recovery_point
from checks.recovery_time import Look, RecoveryTime, looks_of, measure, outages, recovery_time, widest_gap_s
from checks.windows import settings_of, windows_of
from drill.probes import NEW, PINNED, PULSE
from drill.timeline import Observation
from drill.verdict import Finding, Interval, Verdict, judge_interval
from tests.checks.histories import FAIL, OK, TOKYO, UNKNOWN, Story

GOOD_BEFORE = [Look(float(n), n + 0.5, True) for n in range(-3, 3)]
BAD = [Look(float(n), n + 0.5, False) for n in (3, 4, 5)]
GOOD_AFTER = [Look(float(n), n + 0.5, True) for n in range(6, 15)]


def told(looks: list[Look], end_s: float = 14.5, silence_s: float = math.inf) -> RecoveryTime:
    """The window from 0 on; 5 s are sustained."""
    return measure(sorted(looks, key=lambda k: (k.sent_s, k.done_s)), 0.0, end_s, 5.0, silence_s)


# -- recovery time


def test_an_outage_is_told_whole() -> None:
    """Onset after the good send at 2, by the result at 3.5; recovery after the send at 5, by the result at 6.5."""
    onset = ("last good probe sent at 2.000", "first failure known at 3.500")
    recovery = ("last failure sent at 5.000", "first sustained good result at 6.500")
    assert told(GOOD_BEFORE + BAD + GOOD_AFTER) == RecoveryTime(
        "",
        Interval(2.0, 3.5, onset),
        Interval(5.0, 6.5, recovery),
        Interval(1.5, 4.5, onset + recovery),
        widest_gap_s=4.5,
        outages=1,
        unavailable=Interval(1.5, 4.5),
        failures=3,
        successes=12,
    )


def test_an_outage_without_an_end_is_told_whole() -> None:
    """The same, never served again."""
    found = told(GOOD_BEFORE + BAD, end_s=5.5)
    assert found.recovery == Interval(5.0, math.inf, ("last failure sent at 5.000", "no sustained recovery"))
    assert (found.failures, found.successes, found.recovered) == (3, 3, False)


def test_no_failure_is_told_whole() -> None:
    """Zero to the widest gap, and nothing unavailable."""
    gap = ("no failure; widest gap between good probes 4.500 s wall",)
    assert told(GOOD_BEFORE + GOOD_AFTER) == RecoveryTime(
        "",
        duration=Interval(0.0, 4.5, gap),
        widest_gap_s=4.5,
        unavailable=Interval(0.0, 0.0),
        successes=12,
    )


@pytest.mark.parametrize(
    ("looks", "problem", "failures", "successes"),
    [
        (
            BAD,
            "no probe succeeded before the end of the window, so there is no healthy baseline to fall from",
            3,
            0,
        ),
        (GOOD_BEFORE[:2], "no probe has a result in the window", 0, 0),
        (
            [*GOOD_BEFORE[:1], Look(-2.0, -1.9, False), *BAD, *GOOD_AFTER],
            "no probe succeeded just before the first failure: the system was not healthy when the window began",
            3,
            9,
        ),
        (
            [Look(-9.0, -8.0, True), Look(-9.5, 1.0, False), Look(-9.4, 7.0, False), *GOOD_AFTER],
            "the first probe to fail was sent before any that succeeded was answered: no baseline to fall from",
            2,
            9,
        ),
    ],
)
def test_what_keeps_a_number_from_being_one_is_said_with_the_counts(
    looks: list[Look], problem: str, failures: int, successes: int
) -> None:
    """No baseline, no looks, not healthy before: the sentence, and how many looks there were."""
    found = told(looks)
    assert found == RecoveryTime(problem, failures=failures, successes=successes)


def test_instants_on_the_edge_of_the_window_belong_to_it() -> None:
    """A result exactly at its begin, and a failure sent exactly at its end, are of the window."""
    at_begin = told([*GOOD_BEFORE, Look(-0.5, 0.0, False), *GOOD_AFTER])
    assert at_begin.failures == 1
    assert told([Look(-1.0, 0.0, True), Look(-2.0, -1.0, True)]).successes == 1
    at_end = told([*GOOD_BEFORE, *GOOD_AFTER, Look(14.5, 15.0, False)])
    assert (at_end.failures, at_end.recovered) == (1, False)
    assert told([*GOOD_BEFORE, *GOOD_AFTER, Look(14.6, 15.0, False)]).failures == 0


def test_a_pause_is_one_only_beyond_the_silence() -> None:
    """Exactly as long as allowed is no pause; a little longer is; at the end of the window it counts too."""
    paused = [*GOOD_BEFORE, *GOOD_AFTER]  # 4 s between the sends at 2 and 6
    assert told(paused, silence_s=4.0).duration == told(paused).duration
    assert told(paused, silence_s=3.9).duration is not None
    last = [*GOOD_BEFORE, Look(6.0, 6.2, True), Look(14.5, 14.5, True)]
    hidden = told(last, silence_s=3.9).duration
    assert hidden is not None and (hidden.low_s, hidden.high_s) == (0.0, math.inf)


def test_a_pause_of_exactly_the_silence_does_not_undo_a_recovery_and_a_longer_one_does() -> None:
    """Good from 6.5 on with a pause of 4 s in it; the ground names both readings."""
    after = [Look(s, s + 0.5, True) for s in (6.0, 7.0, 8.0, 12.0, 13.0, 14.0)]
    assert told(GOOD_BEFORE + BAD + after, silence_s=4.0).recovered
    broken = told(GOOD_BEFORE + BAD + after, silence_s=3.9)
    grounds = ("last failure sent at 5.000", "first sustained good result at 6.500", "no sustained recovery")
    assert broken.recovery == Interval(5.0, math.inf, grounds)


def test_a_pause_that_ends_as_the_window_begins_is_none_of_it() -> None:
    """The look at the very begin was answered: what was hidden before it belongs to nobody."""
    looks = [Look(-3.0, -2.5, True), Look(0.0, 0.5, True), Look(1.0, 1.5, True), Look(2.0, 2.5, True)]
    found = told([*looks, *BAD, *GOOD_AFTER], silence_s=2.5).duration
    assert found is not None and found.high_s == 4.5
    later = [dataclasses.replace(k, sent_s=k.sent_s + 0.1) if k.sent_s == 0 else k for k in looks]
    longer = told([*later, *BAD, *GOOD_AFTER], silence_s=2.5).duration
    assert longer is not None and longer.high_s > 4.5


def test_a_good_look_elsewhere_sent_at_the_very_first_failure_is_still_of_the_time_before() -> None:
    """Served from the old Region: health if it was sent by the first bad result, no recovery if sent after it."""
    at_it, after_it = (Look(sent_s, 3.9, True, landed=False) for sent_s in (3.5, 3.6))
    one = told([*GOOD_BEFORE, BAD[0], at_it, *GOOD_AFTER]).duration
    other = told([*GOOD_BEFORE, BAD[0], after_it, *GOOD_AFTER]).duration
    assert one is not None and one.high_s == 6.5 - 3.5
    assert other is not None and other.high_s == 6.5 - 2.0


def test_a_look_that_nobody_answered_is_silent() -> None:
    """Only the detail of a timeout says so; UNKNOWN is no look at all."""
    made = [Observation(1.0, 2.0, PULSE, NEW, FAIL, "", said) for said in ("timeout", "503")]
    made += [Observation(0.0, 2.0, PULSE, NEW, UNKNOWN), Observation(0.5, 0.6, PULSE, NEW, OK, "127.0.0.1")]
    assert looks_of(made, lambda peer: peer == "127.0.0.1") == [
        Look(0.5, 0.6, True),
        Look(1.0, 2.0, False, landed=False, silent=True),
        Look(1.0, 2.0, False, landed=False),
    ]


def test_the_recovery_is_sustained_by_a_result_exactly_at_its_time() -> None:
    """Good from 6.5 on, 5 s are sustained: a result at 11.5 is enough, and a failure sent then is not too early."""
    until = [Look(float(n), n + 0.5, True) for n in range(6, 12)]
    assert told(GOOD_BEFORE + BAD + until, end_s=11.5).recovered
    assert not told(GOOD_BEFORE + BAD + until[:-1], end_s=11.5).recovered
    assert told([*GOOD_BEFORE, *BAD, *GOOD_AFTER, Look(11.5, 11.6, False)]).outages == 1
    assert told([*GOOD_BEFORE, *BAD, *GOOD_AFTER, Look(11.6, 11.7, False)]).outages == 2


def test_good_evidence_of_the_onset_has_to_be_known_before_the_first_failure() -> None:
    """A good result at the very instant of the first bad one says nothing; one that came before it does."""
    same = told([*GOOD_BEFORE, Look(2.6, 3.5, True), *BAD, *GOOD_AFTER])
    before = told([*GOOD_BEFORE, Look(2.6, 3.4, True), *BAD, *GOOD_AFTER])
    assert same.onset is not None and same.onset.low_s == 2.0
    assert before.onset is not None and before.onset.low_s == 2.6
    inside = told([*GOOD_BEFORE, Look(3.1, 3.2, True), *BAD, *GOOD_AFTER])
    assert inside.onset is not None and inside.onset.low_s == 3.1


def test_a_failure_that_hung_does_not_hide_a_later_one() -> None:
    """Sent first, known last: recovery is counted from the later send, the sustained time from the later result."""
    hung = [*GOOD_BEFORE, Look(3.0, 9.0, False), Look(3.5, 3.6, False), Look(5.0, 5.1, False), *GOOD_AFTER]
    found = told(hung)
    assert found.onset is not None and (found.onset.low_s, found.onset.high_s) == (2.0, 3.6)
    assert found.recovery is not None and found.recovery.low_s == 5.0
    assert found.recovered
    assert not told([k for k in hung if k.sent_s < 13.0]).recovered  # 9.0 and 5 s sustained: 14.0


def test_only_the_looks_of_new_clients_are_failures_of_the_service() -> None:
    """A pinned client that fails is behind, and says nothing about whoever writes."""
    story = Story().window(0, 140).looks(-20, 10).looks(10, 100, FAIL).looks(100, 140, region=TOKYO)
    story.observations.append(Observation(story.at(110), story.at(110.5), PULSE, PINNED, FAIL, "", "503"))
    history = story.history()
    fixed = settings_of(history)
    window = windows_of(history, fixed.places)[0]
    assert recovery_time(history, window, fixed).failures == 45
    of_new = dataclasses.replace(history.observations[-1], vantage=NEW)
    more = dataclasses.replace(history, observations=(*history.observations, of_new))
    assert recovery_time(more, window, fixed).failures == 46


def test_target_seconds_are_told_of_every_field() -> None:
    """At speed 10 all durations are ten times the wall's; counts and instants are not."""
    story = Story().window(0, 140).looks(-20, 10).looks(10, 100, FAIL).looks(100, 140, OK, "ap-northeast-3")
    history = story.history()
    fixed = settings_of(history)
    found = recovery_time(history, windows_of(history, fixed.places)[0], fixed)
    assert (found.widest_gap_s, found.failures, found.successes) == (pytest.approx(92.5), 45, 25)
    assert found.unavailable is not None
    assert (found.unavailable.low_s, found.unavailable.high_s) == pytest.approx((87.5, 92.5))


def test_two_outages_are_told_apart_each_with_its_own_bounds() -> None:
    """Three failures, a long good stretch, two failures: each failure belongs to the spell that it lies in."""
    bads = [*BAD, Look(20.0, 20.5, False), Look(21.0, 21.5, False)]
    goods = [Look(float(n), n + 0.5, True) for n in (*range(-3, 3), *range(6, 20), *range(22, 40))]
    found = [(o.onset.low_s, o.onset.high_s, o.recovery.low_s, o.recovery.high_s) for o in outages(goods, bads, 5.0)]
    assert found == [(2.0, 3.5, 5.0, 6.5), (19.0, 20.5, 21.0, 22.5)]


@pytest.mark.parametrize(
    ("looks", "gap_s"),
    [
        ([Look(1.0, 1.5, True), Look(5.0, 5.5, True)], 4.5),
        ([Look(-20.0, -19.5, True), Look(-1.0, -0.5, True), Look(1.0, 1.5, True), Look(5.9, 6.0, True)], 5.0),
        ([Look(-5.0, -4.5, True), Look(-1.0, 0.0, True), Look(0.5, 1.0, True), Look(2.0, 6.0, True)], 5.5),
        ([Look(-5.0, -4.5, True), Look(-1.0, 0.0, True), Look(0.5, 0.6, True), Look(4.0, 4.1, True)], 3.6),
        ([Look(-3.0, -2.9, True), Look(7.0, 7.1, True)], 9.0),
    ],
)
def test_the_widest_gap_touches_the_window_and_lies_between_good_looks(looks: list[Look], gap_s: float) -> None:
    """From a send to the next result, or to the end; what lies before the window, or only meets its begin, is not."""
    assert widest_gap_s(looks, 0.0, 6.0) == pytest.approx(gap_s)


# -- recovery point


def test_a_recovery_point_is_told_whole() -> None:
    """Counts by their names, each store with its own, and a lost write with all that is known of it."""
    story = Story().window(0, 200).write("u-1", 1, 2).write("u-2", 3, 3.5, amount=7.0).write("u-3", 4, 4.5)
    story.write("u-4", 5, None, "indeterminate").write("u-5", 5, 6, "refused").write("u-6", 6, 6.5).write("u-7", 7, 8)
    story.read(150, {"u-1": "absent", "u-3": "settled"}, pass_="recovery")
    story.read(201, {"u-1": "settled", "u-2": "absent", "u-3": "settled", "u-6": "unknown", "u-7": "refused"})
    history = story.history()
    window = windows_of(history, settings_of(history).places)[0]
    onset = Interval(story.at(8.0), story.at(10.5))
    found = recovery_point(history, window, onset, story.speed, region_of=lambda peer: None)
    assert found.counts() == {
        "acknowledged": 5,
        "lost": 1,
        "lost after onset": 0,
        "lost again": 0,
        "late": 1,
        "duplicate": 0,
        "changed": 0,
        "accepted by both Regions": 0,
        "indeterminate": 1,
        "refused": 1,
        "refused after acceptance": 1,
        "unknown": 1,
    }
    (store,) = found.stores
    assert store.row() == {
        "store": "main",
        "low_s": 4.5,
        "high_s": 7.5,
        "acknowledged": 5,
        "lost": 1,
        "late": 1,
        "unknown": 1,
    }
    (row,) = [w.row() for w in found.lost]
    assert row | {"payload_sha256": ""} == {
        "key": "u-2",
        "id": "id-u-2",
        "write": "deposit",
        "account": "drill-1",
        "amount": 7.0,
        "store": "main",
        "state": "absent",
        "sent_s": -7.5,
        "acked_s": -7.0,
        "after_onset": False,
        "sent_at": "1970-01-01T01:23:20.300+00:00",
        "acked_at": "1970-01-01T01:23:20.350+00:00",
        "sent_monotonic_s": story.at(3),
        "acked_monotonic_s": story.at(3.5),
        "payload_sha256": "",
        "region": "",
        "lost_again": False,
    }
    none = recovery_point(history, window, None, story.speed, region_of=lambda peer: None)
    assert none.interval.basis[0] == "no failure: the window's begin"
    clean = recovery_point(Story().window(0, 200).history(), window, onset, 10.0)
    assert clean.interval == Interval(0.0, 0.0, ("no acknowledged write is lost",))


# -- verdicts


def test_a_judged_interval_is_told_whole() -> None:
    """Name, sentence, limit, interval and advice; an own advice wins over the usual one."""
    ten = Interval(10.0, 20.0)
    assert judge_interval("x", ten, 20) == Finding(
        "x", Verdict.PASS, "[10.0, 20.0 s] meets the limit of 20 s", 20, ten
    )
    assert judge_interval("x", ten, 9) == Finding("x", Verdict.FAIL, "[10.0, 20.0 s] misses the limit of 9 s", 9, ten)
    inside = "the limit of 15 s lies inside the bounds [10.0, 20.0 s]"
    usual = "raise the probe rate (timings.probe_interval_s) or repeat the drill"
    assert judge_interval("x", ten, 15) == Finding("x", Verdict.INCONCLUSIVE, inside, 15, ten, usual)
    assert judge_interval("x", ten, 15, "wait").advice == "wait"


def test_an_interval_keeps_what_it_rests_on() -> None:
    """A difference has the grounds of both, another unit the same ones; an open end is said in words."""
    earlier, later = Interval(1.0, 2.0, ("a",)), Interval(5.0, math.inf, ("b",))
    assert later.minus(earlier) == Interval(3.0, math.inf, ("a", "b"))
    assert earlier.scaled(10) == Interval(10.0, 20.0, ("a",))
    assert (str(later), str(earlier)) == ("[5.0 s, infinity)", "[1.0, 2.0 s]")
