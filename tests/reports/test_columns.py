"""Aggregation keeps every outlier and never carries a value over a time when nobody looked."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reports.columns import Scale, Stretch, bins, blocks, nice_step, stretches

LOOKS = st.lists(st.tuples(st.floats(0, 1000), st.sampled_from("abc")), max_size=200).map(sorted)


@given(LOOKS, st.integers(1, 300))
def test_every_value_keeps_a_column(looks: list[tuple[float, str]], width: int) -> None:
    """However many looks share a pixel, each value that was seen is in some column."""
    found = blocks(stretches(looks), Scale(1000.0, width))
    assert {v for block in found for v in block.values} == {value for _, value in looks}
    assert len(found) <= width


@given(LOOKS, st.integers(1, 300))
def test_blocks_lie_in_order_inside_the_plot(looks: list[tuple[float, str]], width: int) -> None:
    """Blocks do not overlap and none leaves the plot."""
    found = blocks(stretches(looks), Scale(1000.0, width))
    assert all(0 <= block.x0 < block.x1 <= width for block in found)
    assert all(before.x1 <= after.x0 for before, after in pairwise(found))


def test_one_failure_among_many_keeps_its_column() -> None:
    """One other value among a hundred thousand is still there."""
    looks = [(n / 100, "bad" if n == 54_321 else "good") for n in range(100_000)]
    found = blocks(stretches(looks), Scale(1000.0, 880))
    assert [block.x0 for block in found if "bad" in block.values] == [int(543.21 / 1000 * 880)]


def test_value_is_not_carried_over_a_pause() -> None:
    """A value is not drawn over a long time without looks, because nobody knows what was true then."""
    looks = [(0.0, "up"), (1.0, "up"), (2.0, "up"), (50.0, "up"), (51.0, "up")]
    assert stretches(looks) == [Stretch(0.0, 2.0, "up"), Stretch(50.0, 51.0, "up")]


def test_change_begins_at_the_look_that_saw_it() -> None:
    """A stretch ends where the next look saw something else."""
    assert stretches([(0.0, "a"), (1.0, "a"), (2.0, "b"), (3.0, "b")]) == [
        Stretch(0.0, 2.0, "a"),
        Stretch(2.0, 3.0, "b"),
    ]


@given(st.lists(st.floats(0, 1000), max_size=300))
def test_bins_count_everything_once(instants: list[float]) -> None:
    """No request is lost or counted twice by binning."""
    counted = bins(np.array(instants), np.zeros(len(instants), np.int32), ["x"], Scale(1000.0, 880), 5.0)
    assert sum(cell.get("x", 0) for cell in counted.counts) == len(instants)


@given(st.floats(0.001, 1e9))
def test_steps_are_round_and_large_enough(least: float) -> None:
    """An axis step is never smaller than asked for."""
    assert nice_step(least) >= least


def test_run_without_length_has_an_axis() -> None:
    """A run of one instant does not divide by zero."""
    scale = Scale(0.0, 880)
    assert (scale.ticks(), scale.x(0.0), scale.column(3.0)) == ([0.0], 0.0, 879)
