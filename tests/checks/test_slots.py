"""Whose turn is next: whatever the intervals, and however many slots are skipped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.slots import Slots, again

TENTHS = st.integers(1, 30).map(lambda n: n / 10)


@given(
    first=st.lists(st.tuples(st.integers(0, 50).map(float), TENTHS), min_size=1, max_size=8),
    skipped=st.lists(st.integers(0, 3), max_size=60),
)
def test_the_earliest_slot_is_always_next(first: list[tuple[float, float]], skipped: list[int]) -> None:
    """As if all slots were looked through each time, also when an aim skips some; nobody's is lost."""
    slots = Slots((slot_s, every_s, n) for n, (slot_s, every_s) in enumerate(first))
    due = {n: slot_s for n, (slot_s, _) in enumerate(first)}
    for skips in skipped:
        queue = slots.earliest()
        slot_s, n = queue.popleft()
        assert slot_s == due[n] == min(due.values())
        due[n] = slot_s + first[n][1] * (1 + skips)
        again(queue, due[n], n)
    assert {n: slot_s for queue in slots.queues for slot_s, n in queue} == due


def test_nobody_has_no_turn() -> None:
    """Who asks nevertheless is told so."""
    with pytest.raises(ValueError, match="empty"):
        Slots[int](()).earliest()
