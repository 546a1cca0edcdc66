"""What calibration plants is what it says: else its writes would be right because nothing was asked."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from checks.planted import NONE, ODD, WAYS, Planted, plant, writes_right
from checks.reconcile import FATES, SETTLED, Fates, Seen, Sent, reconcile

COUNT = 20_000
U8, U64 = np.uint8, np.uint64


@pytest.fixture
def planted() -> Planted:
    """Many writes of one seed."""
    return plant(COUNT, 11)


def test_writes_are_those_of_several_writers_each_with_its_own_key(planted: Planted) -> None:
    """Four of them, as a ledger numbers them; both Regions accept some, and each has a payload that can be told."""
    sent = planted.sent
    assert len(np.unique(sent.key)) == COUNT
    assert set((sent.key >> np.uint64(48)).tolist()) == {0, 1, 2, 3}
    assert (sent.key & np.uint64((1 << 48) - 1)).tolist() == list(range(COUNT))
    assert set(sent.region.tolist()) == {1, 2}
    assert len(np.unique(sent.digest)) == COUNT and sent.digest.min() > 0


def test_columns_are_as_narrow_as_those_of_a_real_ledger(planted: Planted) -> None:
    """What a calibration of millions of writes holds, and what the rules are given, is what a drill's evidence is."""
    sent = planted.sent
    assert (sent.key.dtype, sent.result.dtype, sent.digest.dtype, sent.region.dtype) == (U64, U8, U64, U8)
    assert (planted.fate.dtype, planted.looks.dtype) == (U8, np.int8)
    for seen in planted.pieces():
        columns = (seen.key, seen.pass_, seen.state, seen.copies, seen.digest, seen.region)
        assert [column.dtype for column in columns] == [U64, U8, U8, np.uint16, U64, U8]


def test_every_fate_is_planted_as_often_and_in_all_its_ways(planted: Planted) -> None:
    """In equal shares, with the client's own result, and looks of no other way than one of its own."""
    for number, name in enumerate(FATES):
        result, ways = WAYS[name]
        mine = planted.fate == number
        assert 0.9 < mine.sum() * len(FATES) / COUNT < 1.1
        assert set(planted.sent.result[mine].tolist()) == {result}
        shown, often = np.unique(planted.looks[mine], axis=0, return_counts=True)
        assert set(map(tuple, shown.tolist())) == set(ways)
        assert often.min() * len(ways) > 0.8 * mine.sum()


def test_what_is_odd_about_a_write_is_planted_where_it_can_be_seen(planted: Planted) -> None:
    """Twice, changed, by the other Region: each apart, at about its share, of writes that were seen settled only."""
    settled = (planted.looks == SETTLED).any(axis=1)
    for marks in (planted.twice, planted.changed, planted.both):
        assert not (marks & ~settled).any()
        assert 0.5 * ODD < marks.sum() / settled.sum() < 1.5 * ODD
    assert not np.array_equal(planted.twice, planted.changed) and not np.array_equal(planted.changed, planted.both)


def test_the_same_seed_plants_the_same_and_another_one_something_else(planted: Planted) -> None:
    """Whoever repeats a calibration gets its writes."""
    again, other = plant(COUNT, 11), plant(COUNT, 12)
    assert np.array_equal(planted.fate, again.fate) and np.array_equal(planted.looks, again.looks)
    assert np.array_equal(planted.sent.key, again.sent.key) and not np.array_equal(planted.fate, other.fate)


@pytest.mark.parametrize("size", [7, COUNT, 2 * COUNT])
def test_the_pieces_show_every_look_once(size: int) -> None:
    """At recovery, at settle, and at settle again; in pieces of any size; with what is odd about the write."""
    planted = plant(300, 5)
    seen = list(planted.pieces(size))
    assert len(seen) == 3 * -(-300 // size)
    shown = [
        row for s in seen for row in zip(*(getattr(s, f).tolist() for f in ("key", "pass_", "state")), strict=True)
    ]
    keys = planted.sent.key.tolist()
    told = [
        (keys[at], min(column, 1), state)
        for at, row in enumerate(planted.looks.tolist())
        for column, state in enumerate(row)
        if state != NONE
    ]
    assert sorted(shown) == sorted(told)
    where = {key: at for at, key in enumerate(keys)}
    for piece in seen:
        at = [where[key] for key in piece.key.tolist()]
        assert piece.copies.tolist() == [2 if odd else 1 for odd in planted.twice[at]]
        assert (piece.digest != planted.sent.digest[at]).tolist() == planted.changed[at].tolist()
        assert (piece.region != planted.sent.region[at]).tolist() == planted.both[at].tolist()
        assert set(piece.region.tolist()) <= {1, 2}


def test_a_million_writes_are_shown_in_one_piece() -> None:
    """So that a calibration of many does not hold all its looks twice."""
    assert len(list(plant(1000, 1).pieces())) == 3


@pytest.mark.parametrize("part", ["fate", "twice", "changed", "both"])
def test_each_write_that_is_told_otherwise_is_counted_once(part: str) -> None:
    """In its fate or any of its marks; one that is wrong in several is one."""
    planted = plant(400, 9)
    found = reconcile(planted.sent, planted.pieces())
    assert planted.wrong(found) == 0
    columns = {"fate": found.fate} | vars(found.marks)
    for at in (3, 5, 8):
        columns[part][at] = not columns[part][at]
    for column in columns.values():
        column[3] = not column[3] if column is not columns[part] else column[3]
    assert planted.wrong(found) == 3


def test_calibration_counts_those_that_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, of whatever seed; and were seven told otherwise, seven less of just those writes."""
    assert writes_right(0) == 0
    assert writes_right(250) == writes_right(250, 2) == 250
    asked: list[Sent] = []

    def mistaken(sent: Sent, pieces: Iterable[Seen]) -> Fates:
        asked.append(sent)
        found = reconcile(sent, pieces)
        found.marks.twice[:7] = ~found.marks.twice[:7]
        return found

    monkeypatch.setattr("checks.planted.reconcile", mistaken)
    assert writes_right(250, 2) == 243
    assert np.array_equal(asked[0].digest, plant(250, 2).sent.digest)
