"""Writes with planted fates: every one is classified as it was planted, whatever the order of the evidence."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.planted import WAYS, plant, writes_right
from checks.reconcile import ACKED, FATES, SETTLED, Seen, Sent, reconcile

SEEDS = st.integers(0, 2**32 - 1)


def taken(seen: Seen, rows: object) -> Seen:
    """Some rows of a piece."""
    return Seen(*(getattr(seen, f.name)[rows] for f in dataclasses.fields(Seen)))


@settings(max_examples=25, deadline=None)
@given(count=st.integers(0, 2000), seed=SEEDS)
def test_every_planted_write_is_classified_right(count: int, seed: int) -> None:
    """All fates, in all the ways they show, with all marks."""
    assert writes_right(count, seed) == count


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, size=st.integers(1, 300))
def test_the_order_and_the_cutting_of_the_looks_say_nothing(seed: int, size: int) -> None:
    """The same looks in other pieces and another order give the same fates."""
    planted = plant(500, seed)
    chance = np.random.default_rng(seed)
    pieces = [taken(p, chance.permutation(len(p.key))) for p in planted.pieces(size)]
    chance.shuffle(pieces)  # type: ignore[arg-type]
    assert planted.wrong(reconcile(planted.sent, pieces)) == 0


def test_every_fate_can_be_planted() -> None:
    """Else a fate would be right by never being asked for."""
    assert set(WAYS) == set(FATES)
    assert set(plant(1000, 7).fate.tolist()) == set(range(len(FATES)))


def test_a_wrong_classification_is_counted() -> None:
    """The comparison itself can fail: with the looks of other writes hardly one is right."""
    planted = plant(1000, 3)
    other = plant(1000, 4)
    swapped = [dataclasses.replace(p, key=planted.sent.key[: len(p.key)]) for p in other.pieces()]
    assert planted.wrong(reconcile(planted.sent, swapped)) > 300


def test_counts_name_every_fate_and_mark() -> None:
    """The numbers of the fates add up to all writes."""
    planted = plant(1000, 5)
    counts = reconcile(planted.sent, planted.pieces()).counts()
    assert sum(counts[name] for name in FATES) == 1000
    assert counts["duplicated"] == planted.twice.sum() > 0
    assert counts["changed"] == planted.changed.sum() > 0
    assert counts["accepted by both Regions"] == planted.both.sum() > 0


def test_a_fate_that_nobody_met_is_counted_as_none() -> None:
    """Every fate has its number, also when there is but one write, or none."""
    only = plant(1, 2)
    counts = reconcile(only.sent, only.pieces()).counts()
    assert set(counts) == {*FATES, "duplicated", "changed", "accepted by both Regions"}
    assert sum(counts[name] for name in FATES) == 1


def test_looks_at_unknown_writes_are_strays_and_change_nothing() -> None:
    """A key that the ledger does not hold is counted."""
    planted = plant(50, 6)
    pieces = list(planted.pieces())
    strays = [dataclasses.replace(p, key=p.key + np.uint64(10**6)) for p in pieces]
    found = reconcile(planted.sent, [*pieces, *strays])
    assert found.strays == sum(len(p.key) for p in pieces)
    assert planted.wrong(found) == 0


def test_two_writes_with_one_key_are_refused() -> None:
    """Reading one back would say nothing of the other."""
    sent = plant(3, 1).sent
    twice = Sent(sent.key[[0, 1, 0]], sent.result, sent.digest, sent.region)
    with pytest.raises(ValueError, match="two writes share the key"):
        reconcile(twice, [])


def acked(*keys: int, digest: int = 0, region: int = 0) -> Sent:
    """Acknowledged writes with these keys, all with that digest and Region."""
    many = len(keys)
    columns = (np.full(many, ACKED, np.uint8), np.full(many, digest, np.uint64), np.full(many, region, np.uint8))
    return Sent(np.array(keys, np.uint64), *columns)


def shown(*keys: int, digest: int = 0, region: int = 0, copies: int = 0) -> Seen:
    """Each settled in the last pass, as a store with these columns shows it."""
    many = len(keys)
    pass_and_state = (np.full(many, 1, np.uint8), np.full(many, SETTLED, np.uint8))
    said = (np.full(many, copies, np.uint16), np.full(many, digest, np.uint64), np.full(many, region, np.uint8))
    return Seen(np.array(keys, np.uint64), *pass_and_state, *said)


@pytest.mark.parametrize("keys", [(1, 2, 2, 3), (5, 3, 9, 3, 4), (9, 8, 1, 1), (4, 4), (1, 2, 3, 4, 4)])
def test_the_key_that_two_writes_share_is_named_wherever_they_stand(keys: tuple[int, ...]) -> None:
    """In order or not, side by side or apart, first or last."""
    twice = next(key for key in keys if keys.count(key) == 2)
    with pytest.raises(ValueError, match=rf"^two writes share the key {twice}$"):
        reconcile(acked(*keys), [])


@pytest.mark.parametrize(
    ("sent", "seen", "changed"),
    [(0, 1, 0), (1, 0, 0), (0, 7, 0), (7, 0, 0), (1, 7, 1), (7, 1, 1), (7, 7, 0), (0, 0, 0)],
)
def test_a_payload_is_another_one_only_where_both_are_known(sent: int, seen: int, changed: int) -> None:
    """A digest of 0 is none; every other one is, the very smallest too."""
    found = reconcile(acked(1, digest=sent), [shown(1, digest=seen)])
    assert found.counts()["changed"] == changed


def test_a_write_costs_a_byte_for_its_fate_and_one_for_each_mark() -> None:
    """Ten million of them fit."""
    found = reconcile(acked(3, 1, 2), [shown(1, 2)])
    marks = found.marks
    sizes = [column.itemsize for column in (found.fate, found.state, marks.twice, marks.changed, marks.both)]
    assert sizes == [1] * 5
