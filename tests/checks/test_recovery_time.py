"""Recovery time against histories with known answers, and against planted outages."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.recovery_time import Look, RecoveryTime, measure, recovery_time, widest_gap_s
from checks.windows import settings_of, windows_of
from tests.checks.histories import FAIL, OK, OSAKA, TOKYO, UNKNOWN, Story


def measured(story: Story) -> RecoveryTime:
    """The recovery time of the story's first window."""
    history = story.history()
    fixed = settings_of(history)
    return recovery_time(history, windows_of(history, fixed.places)[0], fixed)


def bounds(found: RecoveryTime) -> tuple[float, float]:
    """The duration's bounds, rounded for comparison (target seconds)."""
    assert found.duration is not None, found.problem
    return round(found.duration.low_s, 3), round(found.duration.high_s, 3)


def instants(story: Story, found: RecoveryTime) -> tuple[list[float], list[float]]:
    """Onset and recovery as times of the story."""
    assert found.onset is not None and found.recovery is not None
    pairs = ((i.low_s, i.high_s) for i in (found.onset, found.recovery))
    onset, recovery = ([round((at_s - story.zero_s) * story.speed, 3) for at_s in pair] for pair in pairs)
    return onset, recovery


def outage(story: Story, begin_s: float = 10, end_s: float = 100, until_s: float = 140) -> Story:
    """Probes each 2 s, half a second long: good in Tokyo, failing from begin_s, good in Osaka from end_s."""
    return story.looks(-20, begin_s).looks(begin_s, end_s, FAIL).looks(end_s, until_s, region=OSAKA)


def test_a_clean_outage_is_bounded_by_the_probes_around_it() -> None:
    """Onset between last good send and first bad result; end between last bad send and first good result."""
    story = outage(Story().window(0, 140))
    found = measured(story)
    assert instants(story, found) == ([8.0, 10.5], [98.0, 100.5])
    assert bounds(found) == (87.5, 92.5)
    assert (found.outages, found.failures, found.recovered) == (1, 45, True)


@pytest.mark.parametrize("speed", [1.0, 10.0, 60.0])
def test_durations_are_target_seconds_at_every_speed(speed: float) -> None:
    """The same story in target seconds has the same duration, whatever the speed."""
    story = outage(Story(speed=speed, timings={"probe_interval_s": 6.0}).window(0, 140))
    assert bounds(measured(story)) == (87.5, 92.5)


def test_no_failure_at_all_is_zero_to_the_widest_gap_between_good_probes() -> None:
    """Without a failure the outage, if any, fits between two good probes."""
    story = Story().window(0, 100).looks(-10, 40).looks(48, 110)
    found = measured(story)
    assert bounds(found) == (0.0, 10.5)
    assert (found.onset, found.recovery, found.outages, found.recovered) == (None, None, 0, True)


def test_never_recovered_has_no_upper_bound() -> None:
    """Failing to the end of the window is an outage of at least that long."""
    story = Story().window(0, 900, reason="timeout").looks(-20, 10).looks(10, 900, FAIL)
    found = measured(story)
    assert bounds(found) == (887.5, math.inf)
    assert not found.recovered


def test_good_probes_that_do_not_span_the_sustained_time_are_no_recovery() -> None:
    """29 good seconds at the end of the window are not 30."""
    story = outage(Story().window(0, 129), until_s=129)
    assert bounds(measured(story)) == (87.5, math.inf)


def test_flapping_does_not_end_an_outage() -> None:
    """A good stretch shorter than the sustained time belongs to the outage; the last failure counts."""
    story = Story().window(0, 200).looks(-20, 10).looks(10, 60, FAIL)
    story.looks(60, 80, region=OSAKA).looks(80, 84, FAIL).looks(84, 130, region=OSAKA)
    found = measured(story)
    assert bounds(found) == (82 - 10.5, 84.5 - 8)
    assert found.outages == 1


def test_the_longest_of_two_outages_is_judged_and_both_are_counted() -> None:
    """A short failure long before the outage neither shortens nor lengthens it."""
    story = Story().window(0, 240).looks(-20, 10, region=OSAKA).looks(10, 12, FAIL)
    story.looks(12, 60, region=OSAKA).looks(60, 160, FAIL).looks(160, 240, region=OSAKA)
    found = measured(story)
    assert bounds(found) == (158 - 60.5, 160.5 - 58)
    assert found.outages == 2
    assert found.unavailable is not None and found.unavailable.low_s == pytest.approx(97.5)


def test_a_request_that_hangs_through_the_outage_says_nothing_about_the_onset() -> None:
    """Its success came after the first failure, so its send is not the last good one."""
    story = outage(Story().window(0, 140)).look(11, 100.2, OK, OSAKA)
    assert instants(story, measured(story)) == ([8.0, 10.5], [98.0, 100.5])


def test_a_late_success_sent_before_the_onset_leaves_the_onset_to_the_probes_before() -> None:
    """A slow good probe that ended after the first failure was known is ignored for the onset."""
    story = Story().window(0, 140).looks(-20, 8).look(8, 30, OK).looks(10, 100, FAIL).looks(100, 140, region=OSAKA)
    assert instants(story, measured(story))[0] == [6.0, 10.5]


def test_probes_that_time_out_after_the_recovery_do_not_move_it() -> None:
    """A black hole: requests sent into it give up 20 s later, while new ones are served already."""
    story = Story().window(0, 160).looks(-20, 10).looks(10, 100, FAIL, took_s=20)
    story.looks(100, 160, region=OSAKA)
    assert instants(story, measured(story)) == ([8.0, 30.0], [98.0, 100.5])


def test_one_slow_failure_among_good_probes_does_not_put_the_onset_after_the_end() -> None:
    """Nobody knows where in the 20 s it lay: the instants are that wide, the duration fits between good probes."""
    story = Story().window(0, 140).looks(-20, 140, region=OSAKA).look(11, 31, FAIL)
    found = measured(story)
    assert instants(story, found) == ([10.0, 31.0], [11.0, 32.5])
    assert bounds(found) == (0.0, 2.5)


def test_good_results_after_the_window_are_no_recovery() -> None:
    """What the restore may have brought back was not recovered by the system."""
    story = Story().window(0, 100, reason="timeout").looks(-20, 10).looks(10, 100, FAIL).looks(101, 160)
    assert bounds(measured(story)) == (87.5, math.inf)


def test_a_failure_sent_in_the_window_counts_although_it_is_known_after() -> None:
    """A probe under way at the end of the window that fails later takes the recovery away."""
    story = outage(Story().window(0, 140)).look(139, 150, FAIL)
    assert bounds(measured(story))[1] == math.inf


def test_unknown_looks_are_neither_good_nor_bad() -> None:
    """A witness that could not look before the onset widens the onset, and the end likewise."""
    story = Story().window(0, 160).looks(-20, 6).looks(6, 10, UNKNOWN).looks(10, 100, FAIL)
    story.looks(100, 104, UNKNOWN).looks(104, 160, region=OSAKA)
    found = measured(story)
    assert instants(story, found) == ([4.0, 10.5], [98.0, 104.5])
    assert bounds(found) == (87.5, 104.5 - 4.0)


def test_a_silence_in_the_sustained_time_counts_against_the_upper_bound_only() -> None:
    """A failure may hide in it: the recovery may be as late as the first good probe after the silence."""
    story = Story().window(0, 170).looks(-20, 10).looks(10, 100, FAIL)
    story.looks(100, 112, region=OSAKA).looks(118, 170, region=OSAKA)
    assert bounds(measured(story)) == (87.5, 118.5 - 8)


def test_service_elsewhere_than_at_the_survivor_is_no_recovery() -> None:
    """Tokyo healing by itself does not end a failover to Osaka, by the unfavourable reading."""
    story = Story().window(0, 140).looks(-20, 10).looks(10, 50, FAIL).looks(50, 140, region=TOKYO)
    found = measured(story)
    assert bounds(found) == (37.5, math.inf)
    assert not found.recovered


def test_the_last_good_probe_may_lie_before_the_window() -> None:
    """The fault bites at once: the last good evidence is from the baseline."""
    story = Story().window(0, 140).looks(-20, 0).looks(0, 100, FAIL).looks(100, 140, region=OSAKA)
    assert instants(story, measured(story))[0] == [-2.0, 0.5]


@pytest.mark.parametrize("baseline", [[], [FAIL]])
def test_a_system_that_failed_already_has_no_onset(baseline: list[object]) -> None:
    """No good probe just before the first failure: nothing to fall from, so no duration."""
    story = Story().window(0, 140).looks(0, 100, FAIL).looks(100, 140, region=OSAKA)
    if baseline:
        story.looks(-20, -10).looks(-10, 0, FAIL)
    found = measured(story)
    assert found.duration is None and found.problem and not found.recovered


def test_no_probes_prove_nothing() -> None:
    """Missing data is unknown: no duration, and never recovered."""
    for story in (Story().window(0, 100), Story().window(0, 100).looks(-20, 0)):
        found = measured(story)
        assert found.duration is None and found.problem and not found.recovered


def test_the_widest_gap_counts_a_hang_through_which_no_probe_came() -> None:
    """Ten probes that all hang and all succeed at the end leave room for an outage as long as the hang."""
    goods = [Look(-1, -0.9, True), *(Look(s, 10.0, True) for s in range(10)), Look(11, 11.1, True)]
    assert widest_gap_s(goods, 0, 12) == 11.0


# -- planted truth


@st.composite
def planted(draw: st.DrawFn) -> tuple[list[Look], float, float]:
    """Looks at a service that is down in [onset, recovery), with arbitrary sends, latencies, hangs and failures."""
    onset_s = draw(st.floats(20, 60))
    recovery_s = onset_s + draw(st.floats(0.01, 80))
    looks = []
    for sent_s in draw(st.lists(st.floats(0, 200), min_size=3, max_size=60)):
        took_s = draw(st.floats(0.01, 30))
        touched_s = sent_s + took_s * draw(st.floats(0, 1))
        down = onset_s <= touched_s < recovery_s
        hangs = down and draw(st.booleans())
        done_s = max(sent_s + took_s, recovery_s) + 0.01 if hangs else sent_s + took_s
        looks.append(Look(sent_s, done_s, not down or hangs))
    return sorted(looks, key=lambda k: (k.sent_s, k.done_s)), onset_s, recovery_s


@settings(max_examples=150, deadline=None)
@given(planted(), st.floats(0.1, 40), st.floats(0.5, 20))
def test_the_bounds_contain_the_planted_outage(
    plant: tuple[list[Look], float, float], sustained_s: float, silence_s: float
) -> None:
    """Whatever the schedule and the latencies, onset, recovery and duration lie in their intervals."""
    looks, onset_s, recovery_s = plant
    found = measure(looks, 0.0, 1000.0, sustained_s, silence_s)
    if found.problem:
        return
    assert found.duration is not None
    assert found.duration.low_s <= recovery_s - onset_s + 1e-9
    assert found.duration.high_s >= recovery_s - onset_s - 1e-9
    if found.onset is not None and found.recovery is not None:
        assert found.onset.low_s <= onset_s <= found.onset.high_s
        assert found.recovery.low_s <= recovery_s <= found.recovery.high_s


@settings(max_examples=150, deadline=None)
@given(planted(), st.floats(0, 220), st.floats(0.01, 30), st.floats(0.1, 40))
def test_another_failure_never_shortens_a_recovery(
    plant: tuple[list[Look], float, float], sent_s: float, took_s: float, sustained_s: float
) -> None:
    """Neither bound of the duration falls when a failed probe is added to none, or to an outage that is delimited.

    (One slow failure alone says so little that a second one can make it more definite.)
    """
    looks, *_ = plant
    bads = [k for k in looks if not k.good]
    if bads and max(k.sent_s for k in bads) < min(k.done_s for k in bads):
        return
    more = sorted([*looks, Look(sent_s, sent_s + took_s, False)], key=lambda k: (k.sent_s, k.done_s))
    before, after = (measure(ks, 0.0, 1000.0, sustained_s) for ks in (looks, more))
    if before.duration is None or after.duration is None:
        return
    assert after.duration.low_s >= before.duration.low_s - 1e-9
    assert after.duration.high_s >= before.duration.high_s - 1e-9


@settings(max_examples=150, deadline=None)
@given(st.lists(st.booleans(), min_size=40, max_size=80), st.sets(st.integers(0, 79)), st.floats(2, 30))
def test_evidence_that_is_taken_away_never_lowers_the_upper_bound(
    pattern: list[bool], removed: set[int], sustained_s: float
) -> None:
    """On a regular schedule a missing look is noticed, and counts as the failure that it may have been."""
    looks = [Look(2.0 * n, 2.0 * n + 0.5, good) for n, good in enumerate([True] * 5 + pattern + [True] * 20)]
    fewer = [k for n, k in enumerate(looks) if n - 5 not in removed or n - 5 >= len(pattern)]
    end_s = looks[-1].done_s
    whole, part = (measure(ks, 9.0, end_s, sustained_s, silence_s=3.8) for ks in (looks, fewer))
    assert whole.duration is not None and part.duration is not None
    assert part.duration.high_s >= whole.duration.high_s - 1e-9
