"""Interval arithmetic and the verdict algebra of the design."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drill.verdict import Finding, Interval, Verdict, conclude, judge_interval, unit_of, worst

SECONDS = st.floats(0, 1e6)


def intervals() -> st.SearchStrategy[Interval]:
    """Arbitrary intervals, some unbounded above."""
    return st.tuples(SECONDS, SECONDS | st.just(math.inf)).map(lambda p: Interval(min(p), max(p)))


@pytest.mark.parametrize(
    ("interval", "limit_s", "verdict"),
    [
        (Interval(10, 20), 20, Verdict.PASS),
        (Interval(10, 20), 19.9, Verdict.INCONCLUSIVE),
        (Interval(10, 20), 10, Verdict.INCONCLUSIVE),
        (Interval(10, 20), 9.9, Verdict.FAIL),
        (Interval(900, math.inf), 600, Verdict.FAIL),
        (Interval(500, math.inf), 600, Verdict.INCONCLUSIVE),
        (Interval(0, 0), 0, Verdict.PASS),
    ],
)
def test_the_unfavourable_bound_passes_and_the_favourable_bound_fails(
    interval: Interval, limit_s: float, verdict: Verdict
) -> None:
    """PASS only if the upper bound meets the limit, FAIL only if the lower bound misses it."""
    assert judge_interval("rto", interval, limit_s).verdict is verdict


@given(intervals(), SECONDS, SECONDS)
def test_a_stricter_limit_never_improves_a_verdict(interval: Interval, one: float, other: float) -> None:
    """Of two limits the lower one never gives the better verdict... PASS < INCONCLUSIVE < FAIL."""
    strict, loose = judge_interval("x", interval, min(one, other)), judge_interval("x", interval, max(one, other))
    assert strict.verdict.rank >= loose.verdict.rank


@given(intervals(), intervals(), st.floats(0, 1), st.floats(0, 1))
def test_a_difference_holds_every_possible_duration(later: Interval, earlier: Interval, a: float, b: float) -> None:
    """Whatever the true instants inside both intervals, the true duration (floor 0) is inside the difference."""
    high = later.high_s if math.isfinite(later.high_s) else later.low_s + 1e6
    end = later.low_s + a * (high - later.low_s)
    begin = earlier.low_s + b * (min(earlier.high_s, 1e7) - earlier.low_s)
    difference = later.minus(earlier)
    assert difference.low_s - 1e-6 <= max(0.0, end - begin) <= difference.high_s + 1e-6


def test_unordered_bounds_are_refused() -> None:
    """An interval that is none is an error, not a number."""
    for low, high in ((2, 1), (math.nan, 1), (1, math.nan)):
        with pytest.raises(ValueError, match="not ordered"):
            Interval(low, high)


def test_the_worst_finding_is_the_drills_verdict() -> None:
    """The order is PASS < INCONCLUSIVE < INVALID < FAIL < DIRTY."""
    order = [Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.INVALID, Verdict.FAIL, Verdict.DIRTY]
    for rank, verdict in enumerate(order):
        found = conclude(Finding("f", v, "because") for v in order[: rank + 1])
        assert found.verdict is verdict
    assert [v.exit_code for v in order] == [0, 10, 11, 1, 20]


def test_nothing_found_is_never_a_pass() -> None:
    """No finding at all is INVALID."""
    assert worst([]) is Verdict.INVALID
    assert conclude([]).verdict is Verdict.INVALID


@pytest.mark.parametrize("reach_s", [90.0, 110.0, math.inf])
def test_every_quantity_of_a_reason_says_its_unit(reach_s: float) -> None:
    """Lab seconds are never called seconds, open intervals included."""
    reason = judge_interval("rto", Interval(80.0, reach_s), 100.0, unit=unit_of("lab")).reason
    assert reason.count("lab s") == 2
    assert " s" not in reason.replace("lab s", "")
    assert unit_of("aws") == "s"
