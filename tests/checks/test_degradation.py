"""Badly served over a sliding window, to the look."""

from __future__ import annotations

import pytest

from checks.degradation import LEAST_LOOKS, Degradation, degradation
from checks.recovery_time import Look

WINDOW_S, SHARE, SLOW_S = 5.0, 0.8, 0.3


def seen(*bad: int, to_s: int = 40, slow: tuple[int, ...] = ()) -> Degradation:
    """Of a look each second, six to a window: which of them failed, which took too long."""
    looks = [Look(float(s), s + (0.31 if s in slow else 0.1), s not in bad) for s in range(to_s)]
    return degradation(looks, WINDOW_S, SHARE, SLOW_S)


def test_a_stretch_is_told_from_its_first_window_to_its_last() -> None:
    """Two of six are below four fifths: from the window that ends with the second failure to the last with two."""
    found = seen(10, 11, 12)
    assert (found.stretches, found.lowest, found.served) == (((6.0, 16.0),), 0.5, 37 / 40)
    assert found.total_s == 10.0
    assert seen(10, slow=(11, 12)) == found
    assert seen(10) == Degradation((), 5 / 6, 39 / 40)


@pytest.mark.parametrize(
    ("bad", "stretches"),
    [
        ((20, 21), ((6.0, 25.0),)),
        ((21, 22), ((6.0, 16.0), (17.0, 26.0))),
        ((38, 39), ((6.0, 16.0), (34.0, 39.0))),
    ],
)
def test_stretches_that_meet_are_one(bad: tuple[int, ...], stretches: tuple[tuple[float, float], ...]) -> None:
    """One that begins where the one before it ended, not a second later."""
    found = seen(10, 11, 12, *bad)
    assert found.stretches == stretches
    assert found.total_s == sum(end_s - begin_s for begin_s, end_s in stretches)
    assert found.lowest == 0.5


def test_bounds_are_met_by_equality() -> None:
    """A share of exactly the least one is enough, and so is a look of exactly the longest time."""
    ten = [Look(float(s), s + 0.5, s % 5 != 0) for s in range(30)]
    assert degradation(ten, 4.0, 0.8, 0.5) == Degradation((), 0.8, 0.8)
    assert degradation(ten, 4.0, 0.81, 0.5).stretches == ((0.0, 29.0),)
    assert degradation(ten, 4.0, 0.8, 0.49).served == 0.0


def test_too_few_looks_are_no_share_of_a_window() -> None:
    """Four say nothing, also in a long run of looks that are rare; what was served of all of them is told anyway."""
    assert LEAST_LOOKS == 5
    assert seen(0, 1, 2, 3, to_s=4) == Degradation((), None, 0.0)
    assert seen(0, 1, 2, 3, to_s=5) == Degradation(((0.0, 4.0),), 0.2, 0.2)
    rare = [Look(s * 2.0, s * 2.0 + 0.1, False) for s in range(20)]
    assert degradation(rare, WINDOW_S, SHARE, SLOW_S) == Degradation((), None, 0.0)
    assert degradation([], WINDOW_S, SHARE, SLOW_S) == Degradation()


def test_the_lowest_share_is_of_any_window() -> None:
    """Not of the last one, nor of the first."""
    assert seen(10, 20, 21, 22, 30).lowest == 0.5
    assert seen().lowest == 1.0
