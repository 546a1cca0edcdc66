"""The unfavourable and the favourable reading of looks that hang, go missing or stand on an edge.

Each case is one where another reading, only a little simpler, would promise more than the looks prove. Most were
found by planted mistakes (`make mutants`). Wall seconds; 5 s are sustained.
"""

from __future__ import annotations

import math

import pytest

from checks.recovery_time import Look, RecoveryTime, measure, outages, recovery_time
from checks.windows import settings_of, windows_of
from drill.probes import NEW, PULSE
from drill.timeline import Observation
from drill.verdict import Interval
from tests.checks.histories import FAIL, TARGET, Story

BEFORE = [Look(float(n), n + 0.5, True) for n in range(-3, 3)]
BAD = [Look(float(n), n + 0.5, False) for n in (3, 4, 5)]
AFTER = [Look(float(n), n + 0.5, True) for n in range(6, 15)]


def told(looks: list[Look], silence_s: float = math.inf) -> RecoveryTime:
    """The window from 0 to the last result."""
    end_s = max(k.done_s for k in looks)
    return measure(sorted(looks, key=lambda k: (k.sent_s, k.done_s)), 0.0, end_s, 5.0, silence_s)


def good(*sends_s: float) -> list[Look]:
    """Good looks, half a second long each."""
    return [Look(sent_s, sent_s + 0.5, True) for sent_s in sends_s]


def bounds(interval: Interval | None) -> tuple[float, float]:
    """Rounded, for comparison."""
    assert interval is not None
    return round(interval.low_s, 6), round(interval.high_s, 6)


def test_a_slow_failure_may_have_begun_as_it_was_sent_though_others_were_served_meanwhile() -> None:
    """Sent at 3, known at 9; served at 3.5, failed at 5 and 6: the outage may be as old as the good send at 2."""
    quick = [Look(5.0, 5.1, False), Look(6.0, 6.1, False)]
    found = told([*BEFORE, Look(3.0, 9.0, False), *good(3.5), *quick, *good(*range(7, 20))])
    assert bounds(found.onset) == (3.5, 5.1)
    assert bounds(found.duration) == (0.9, 7.5 - 2.0)


def test_a_pause_beside_a_slow_failure_does_not_say_when_it_lay() -> None:
    """Sent at 1, known at 20, nobody looked from 5 to 12: it may have lain after the pause as well as before."""
    found = told([*good(-3, -2, -1, 0, 1.1, 2, 3, 4, 5, *range(12, 40)), Look(1.0, 20.0, False)], silence_s=3.0)
    assert bounds(found.onset) == (0.0, 20.0)
    assert bounds(found.recovery) == (1.0, 20.5)
    assert bounds(found.duration) == (0.0, 12.5 - 5.0)


def test_a_good_look_sent_as_a_slow_failure_became_known_ends_it() -> None:
    """Sent at 1, known at 9: the send at 9 was surely after the onset, the one at 8 was not."""
    found = told([*good(*range(-3, 30)), Look(1.5, 9.0, False)])
    assert bounds(found.recovery) == (1.5, 9.5)


def test_a_pause_between_two_failures_may_have_been_a_recovery() -> None:
    """Nobody looked from 5 to 14: by the favourable reading they are two outages, and neither was long."""
    looks = [*BEFORE, *BAD, Look(14.0, 14.5, False), Look(15.0, 15.5, False), *good(*range(16, 30))]
    assert bounds(told(looks, silence_s=3.0).duration) == (15.0 - 14.5 + 1.0, 16.5 - 2.0)
    assert bounds(told(looks).duration) == (15.0 - 3.5, 16.5 - 2.0)


def test_a_pause_that_follows_an_old_failure_reaches_back_to_the_last_look_that_was_surely_before() -> None:
    """Failed at -4 beside a look that hung from -5 to -2, then nobody looked until 8: a second outage lies there, and
    may be older than the hung look was. The long one from 30 to 50 is judged; in all both are unavailable."""
    old = [Look(-10.0, -9.9, True), Look(-5.0, -2.0, True), Look(-4.0, -3.0, False)]
    out = [Look(float(n), n + 0.5, False) for n in range(30, 51)]
    found = told([*old, *good(*range(8, 30)), *out, *good(*range(51, 70))], silence_s=8.0)
    assert (found.outages, bounds(found.duration)) == (1, (50.0 - 30.5, 51.5 - 29.0))
    assert found.unavailable is not None
    assert found.unavailable.high_s == pytest.approx((51.5 - 29.0) + (8.5 - -10.0))


def test_a_failure_known_as_the_window_begins_is_its_own_and_not_one_from_before() -> None:
    """Its baseline is what came before it: a good look that was answered in time."""
    found = told([*good(-3, -2), Look(-0.5, 0.0, False), *good(*range(1, 14))])
    assert found.problem == ""
    assert (bounds(found.onset), found.failures) == ((-2.0, 0.0), 1)


@pytest.mark.parametrize(
    ("last_good", "healthy"),
    [
        (Look(-1.0, 3.4, True), True),
        (Look(-1.0, 3.5, True), False),
        (Look(-2.0, -1.0, True), False),
        (Look(-1.9, -1.0, True), True),
    ],
)
def test_the_baseline_after_an_old_failure_is_a_good_look_sent_after_it_and_answered_before_the_next(
    last_good: Look, healthy: bool
) -> None:
    """Failed at -2, next failure known at 3.5: what was sent with the one or answered with the other is no health."""
    found = told([*good(-5, -4), Look(-2.0, -1.9, False), last_good, *BAD, *AFTER])
    assert (found.problem == "") is healthy


def test_a_look_served_elsewhere_that_was_sent_as_the_first_failure_became_known_still_counts() -> None:
    """By then nobody had been told to go elsewhere; sent a moment later it is no recovery."""
    at_it, after_it = (Look(sent_s, 3.9, True, landed=False) for sent_s in (3.5, 3.6))
    one, other = (told([*BEFORE, BAD[0], stray, *AFTER]) for stray in (at_it, after_it))
    assert (bounds(one.recovery), bounds(one.unavailable)) == ((3.0, 3.9), (0.0, 3.9 - 2.0))
    assert (bounds(other.recovery), bounds(other.unavailable)) == ((3.0, 6.5), (0.0, 6.5 - 2.0))


def test_quick_looks_fail_for_writes_only_where_writes_need_what_they_look_at() -> None:
    """A target that says they do not is measured by its writes alone."""
    story = Story().window(0, 140).looks(-20, 140, region="ap-northeast-3")
    story.observations.append(Observation(story.at(50), story.at(50.1), PULSE, NEW, FAIL, "", "503"))
    for probing, failures in (({}, 1), ({"needed_by_writes": False}, 0)):
        story.target = TARGET | {"probing": probing}
        history = story.history()
        fixed = settings_of(history)
        found = recovery_time(history, windows_of(history, fixed.places)[0], fixed)
        assert (found.failures, found.outages) == (failures, failures)


def test_nothing_lies_between_two_failures_that_were_sent_together() -> None:
    """And so no recovery: they are one outage, and the first good look after both ends it."""
    bads = [*BAD, Look(5.0, 7.5, False)]
    (found,) = outages([*BEFORE, *good(*range(8, 16))], bads, 0.0)
    assert (bounds(found.onset), bounds(found.recovery)) == ((2.0, 3.5), (5.0, 8.5))
