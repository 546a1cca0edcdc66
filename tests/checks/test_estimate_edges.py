"""The estimate of an outage's edges, look by look: which of them it rests on, worked out by hand."""

from __future__ import annotations

import math

import pytest

from checks.estimate import WAITED_S, edges
from checks.recovery_time import Look, RecoveryTime
from drill.verdict import Interval

BOUNDS = RecoveryTime("", Interval(2.0, 5.0), Interval(6.0, 9.0))
GOOD = [Look(0.0, 1.0, True), Look(2.0, 3.0, True)]
BAD = [Look(4.0, 5.0, False), Look(6.0, 7.0, False)]
BACK = [Look(8.0, 9.0, True), Look(10.0, 11.0, True)]
HUNG = [Look(4.0, 5.0, False, silent=True), Look(6.0, 7.0, False, silent=True)]


def told(*looks: Look, found: RecoveryTime = BOUNDS) -> tuple[float, float] | None:
    """The edges by these looks."""
    return edges(sorted(looks, key=lambda k: (k.sent_s, k.done_s)), found)


def test_an_edge_lies_in_the_middle_of_the_last_answer_and_the_next() -> None:
    """Between the good result at 3 and the bad one at 5; between that at 7 and the good one at 9."""
    assert told(*GOOD, *BAD, *BACK) == (4.0, 8.0)


def test_of_a_look_that_nobody_answered_its_send_counts() -> None:
    """4 instead of 5, and 6 instead of 7."""
    assert told(*GOOD, *HUNG, *BACK) == (3.5, 7.5)


def test_failures_of_another_outage_say_nothing_of_this_one() -> None:
    """Known before its onset, or sent after its recovery began; exactly at the bounds they are its own."""
    other = Look(0.5, 4.9, False), Look(6.1, 8.9, False)
    assert told(*GOOD, other[0], *BAD, *BACK) == told(*GOOD, *BAD, other[1], *BACK) == (4.0, 8.0)


def test_an_answer_at_the_onsets_very_instant_is_not_before_it() -> None:
    """Known at 5, as the first failure is; a little sooner it is the last good one."""
    assert told(*GOOD, Look(4.5, 5.0, True), *BAD, *BACK) == (4.0, 8.0)
    assert told(*GOOD, Look(4.5, 4.8, True), *BAD, *BACK) == (pytest.approx(4.9), 8.0)


def test_an_answer_after_the_first_send_that_nobody_answered_dates_the_onset() -> None:
    """The service was up until then: 4.8, and not the middle of it and the send at 4."""
    assert told(*GOOD, Look(4.5, 4.8, True), *HUNG, *BACK) == (4.8, 7.5)


def test_a_look_sent_with_the_last_failure_may_be_the_first_that_was_served() -> None:
    """Sent at 6, when the last failure was, and answered at 8: the recovery is sooner than by the one at 9."""
    assert told(*GOOD, *BAD, Look(6.0, 8.0, True), *BACK) == (4.0, 7.5)
    assert told(*GOOD, *BAD, Look(5.9, 8.0, True), *BACK) == (4.0, 8.0)


def test_an_answer_before_the_last_failure_is_known_is_the_recovery_at_the_latest() -> None:
    """Served at 6.5 while the failure was known at 7."""
    assert told(*GOOD, *BAD, Look(6.2, 6.5, True), *BACK) == (4.0, 6.5)


def test_an_estimate_stays_within_its_bounds() -> None:
    """Whatever single looks say."""
    narrow = RecoveryTime("", Interval(2.0, 3.2), Interval(6.0, 6.4))
    assert told(*GOOD, *BAD, *BACK, found=narrow) == (3.2, 6.4)


@pytest.mark.parametrize(
    ("onset", "recovery"),
    [(None, BOUNDS.recovery), (BOUNDS.onset, None), (None, None), (BOUNDS.onset, Interval(6.0, math.inf))],
)
def test_there_is_no_estimate_without_both_edges(onset: Interval | None, recovery: Interval | None) -> None:
    """An onset without an end, an end without an onset, or an end that nobody saw."""
    assert told(*GOOD, *BAD, *BACK, found=RecoveryTime("", onset, recovery)) is None


@pytest.mark.parametrize(
    "looks", [[*BAD, *BACK], [*GOOD, *BACK], [*GOOD, *BAD], []], ids=["before", "bad", "after", "all"]
)
def test_there_is_no_estimate_where_looks_of_a_kind_are_missing(looks: list[Look]) -> None:
    """None before, none that failed, none after, none at all."""
    assert told(*looks) is None


QUICK = [Look(n / 100, n / 100 + 0.001, True) for n in range(100)]
"""Good until 0.991, a thousandth each."""
PAUSED = [Look(1.0, 1.25, False, silent=True), Look(1.01, 1.26, False, silent=True)]
PAUSE = RecoveryTime("", Interval(0.99, 1.25), Interval(1.01, 1.3))
AFTER = [Look(1.3, 1.301, True), Look(1.31, 1.311, True)]


@pytest.mark.parametrize(
    ("sent_s", "done_s", "recovery_s"),
    [
        (1.005, 1.275, 1.275),
        (1.275 - WAITED_S - 1e-6, 1.275, 1.275),
        (1.275 - WAITED_S + 1e-6, 1.275, (1.01 + 1.275) / 2),
        (0.98, 1.01, 1.01),
        (0.98, 1.009, None),
        (1.005, 1.3 + WAITED_S, 1.3),
        (1.005, 1.3 + WAITED_S + 1e-6, None),
    ],
    ids=[
        "waited",
        "just long enough",
        "too quick to have waited",
        "at the last send",
        "before it",
        "late",
        "too late",
    ],
)
def test_requests_that_waited_and_are_answered_date_the_end_of_a_pause(
    sent_s: float, done_s: float, recovery_s: float | None
) -> None:
    """The first answer that took longer than any usual one, between the last unanswered send and the recovery."""
    found = told(*QUICK, *PAUSED, Look(sent_s, done_s, True), *AFTER, found=PAUSE)
    assert found is not None
    usual = (1.01 + 1.301) / 2  # the middle of the last unanswered send and the first good result
    assert found[1] == pytest.approx(usual if recovery_s is None else recovery_s)


def test_what_usually_takes_long_has_not_waited() -> None:
    """Ten times the usual is not enough, a little more is; whoever failed for an answer waited for nothing."""
    slow = [Look(n / 8, n / 8 + 0.0078125, True) for n in range(8)]
    for waited_s, recovery_s in ((0.078125, (1.01 + 1.28125) / 2), (0.0791015625, 1.28125)):
        waiting = Look(1.28125 - waited_s, 1.28125, True)
        found = told(*slow, *PAUSED, waiting, *AFTER, found=PAUSE)
        assert found is not None and found[1] == pytest.approx(recovery_s)
    answered = [Look(1.0, 1.02, False), Look(1.01, 1.03, False)]
    known = RecoveryTime("", Interval(0.99, 1.02), PAUSE.recovery)
    refused = told(*slow, *answered, Look(1.005, 1.275, True), *AFTER, found=known)
    assert refused is not None and refused[1] == pytest.approx((1.03 + 1.301) / 2)
