"""What repeated drills prove is held against a reference; drift is said only when the bounds allow nothing else."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from reports.proof import drift, passes_needed, reliability, statement

STALLS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A machine may stall for a second in the middle of an example."""

counts = st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@STALLS
@given(counts)
def test_the_bound_is_that_of_the_reference(tried: tuple[int, int]) -> None:
    """Clopper and Pearson's, one-sided 95 %, as scipy has it."""
    passes, tries = tried
    reference = binomtest(passes, tries, alternative="greater").proportion_ci(0.95, method="exact").low
    assert reliability(passes, tries) == pytest.approx(reference, abs=1e-9)


@STALLS
@given(st.integers(1, 500))
def test_n_of_n_is_the_closed_form_and_grows_with_n(n: int) -> None:
    """0.05 to the nth root of 1; never certain, and a failure costs."""
    assert reliability(n, n) == pytest.approx(math.exp(math.log(0.05) / n))
    assert reliability(n - 1, n) < reliability(n, n) < reliability(n + 1, n + 1) < 1


@STALLS
@given(st.floats(0.05, 0.99))
def test_so_many_passes_are_enough_and_one_less_is_not(share: float) -> None:
    """`passes_needed` is the smallest such number."""
    n = passes_needed(share)
    assert reliability(n, n) >= share - 1e-9
    assert n == 1 or reliability(n - 1, n - 1) < share


def test_the_statement_never_promises_more_than_is_proven() -> None:
    """Rounded down; nothing without a drill."""
    assert "at least 5 % of" in statement(1, 1)
    assert "29 passes in a row" in statement(1, 1)
    assert "at least 36.8 % of" in statement(3, 3)
    assert statement(0, 3) == "0 of 3 passed: nothing is proven"
    assert statement(0, 0) == "no drill counts, so nothing is proven"
    with pytest.raises(ValueError, match="3 passes of 2"):
        reliability(3, 2)


def exact(value: float) -> tuple[float, float]:
    """A measurement without width."""
    return value, value


@STALLS
@given(st.lists(st.integers(0, 1000), min_size=4, max_size=9, unique=True), st.data())
def test_p_is_the_share_of_all_orders_that_are_at_least_as_bad(values: list[int], data: st.DataObject) -> None:
    """The exact test, by counting every way in which the runs could have fallen."""
    n = data.draw(st.integers(1, len(values) - 1))
    now, earlier = values[:n], values[n:]

    def u(chosen: tuple[int, ...]) -> int:
        return sum(x > y for x in chosen for y in values if y not in chosen)

    ways = [u(chosen) for chosen in itertools.combinations(values, n)]
    share = sum(way >= u(tuple(now)) for way in ways) / len(ways)
    found = drift("x", [exact(v) for v in now], [exact(v) for v in earlier], 0.5)
    if found.p is not None:
        assert found.p == pytest.approx(share)


bounds = st.tuples(st.floats(0, 100), st.one_of(st.floats(0, 100), st.just(math.inf))).map(
    lambda pair: (pair[0], pair[0] + pair[1])
)


@STALLS
@given(st.lists(bounds, max_size=12), st.lists(bounds, max_size=12), st.floats(0, 50))
def test_wider_bounds_never_make_it_worse(
    now: list[tuple[float, float]], earlier: list[tuple[float, float]], more: float
) -> None:
    """What is not known speaks for the release; too few runs are said to be too few."""
    first = drift("x", now, earlier, 0.05)
    wider = drift(
        "x", [(max(0, low - more), high) for low, high in now], [(low, high + more) for low, high in earlier], 0.05
    )
    assert first.worse or not wider.worse
    assert (first.p is None) == (not now or not earlier or 1 / math.comb(len(now) + len(earlier), len(now)) > 0.05)


def test_a_release_that_is_slower_is_found_and_one_that_is_not_is_not() -> None:
    """Three runs of 400 s after eight of about 260 s; the same again; never recovering."""
    earlier = [(250.0 + n, 258.0 + n) for n in range(8)]
    assert drift("x", [(400.0, 408.0)] * 3, earlier, 0.0125).worse
    assert not drift("x", earlier[:3], earlier, 0.0125).worse
    assert drift("x", [(890.0, math.inf)] * 3, earlier, 0.0125).worse
    assert not drift("x", [(0.0, 0.0)] * 5, [(0.0, 0.0)] * 20, 0.05).worse
    assert "too few to tell" in str(drift("x", [(900.0, math.inf)], earlier, 0.0125))
