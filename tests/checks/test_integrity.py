"""What written data shows beside losses: twice, changed, taken by two Regions, done although it was refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from checks.integrity import integrity_finding, side_by_side, strays
from checks.recovery_point import RecoveryPoint
from checks.windows import Window
from drill.ledger import Write
from drill.timeline import History, Readback
from drill.verdict import Finding, Interval, Verdict
from drill.write_path import ARCHIVE
from tests.checks.histories import OREGON, OSAKA, OSAKA_PEER, TOKYO, TOKYO_PEER

NAME = "written data, failover"
WINDOW = Window("failover", OSAKA, 0.0, 100.0, "recovered", 50.0)
POINT = RecoveryPoint(
    Interval(0.0, 0.0), acknowledged=5, refused=1, indeterminate=0, refused_after_accept=0, late=0, unknown=0
)
NOTHING: dict[str, Any] = {"shown several times": [], "changed": [], "accepted by both Regions": []}
LOOK = Readback(60.0, "failover", "settled", "p-1", "settled")
TELLS = replace(LOOK, copies=1)


def judged(point: RecoveryPoint, *looks: Readback, problems: Sequence[str] = ()) -> list[Finding]:
    """The findings of a window in which the survivor showed this."""
    return list(integrity_finding(History({}, readbacks=looks), WINDOW, point, problems))


@pytest.mark.parametrize(
    ("wrong", "said", "data"),
    [
        ({"duplicated": ("a", "b")}, "2 writes shown several times (first: a)", {"shown several times": ["a", "b"]}),
        ({"changed": ("c",)}, "1 writes changed (first: c)", {"changed": ["c"]}),
        (
            {"both": ("e", "d", "f")},
            "3 writes accepted by both Regions (first: e)",
            {"accepted by both Regions": ["e", "d", "f"]},
        ),
        ({"refused_up": 2}, "2 writes took effect although the system had refused them", {}),
        (
            {"duplicated": ("a",), "changed": ("b",), "refused_up": 1},
            "1 writes shown several times (first: a); 1 writes changed (first: b); "
            "1 writes took effect although the system had refused them",
            {"shown several times": ["a"], "changed": ["b"]},
        ),
    ],
)
def test_what_is_wrong_with_written_data_fails_on_its_own(
    wrong: dict[str, Any], said: str, data: dict[str, list[str]]
) -> None:
    """Every kind in its own words with its first write and all of their keys, whatever else does not hold."""
    for problems in ((), ("the witness prober died",)):
        found = judged(replace(POINT, **wrong), problems=problems)
        assert found == [Finding(NAME, Verdict.FAIL, said, data=NOTHING | data)]


@pytest.mark.parametrize("tells", [{"copies": 0}, {"copies": 1}, {"digest": "ab"}, {"region": OSAKA}])
def test_a_store_that_tells_more_than_that_a_write_is_there_is_judged(tells: dict[str, Any]) -> None:
    """By any look of that window; a store that tells no more is not, unless refused writes were looked for."""
    passed = Finding(NAME, Verdict.PASS, "nothing twice, nothing changed, nothing that was refused", data=NOTHING)
    told = replace(LOOK, **tells)
    assert judged(POINT, LOOK, told) == [passed]
    assert judged(POINT, LOOK, replace(told, window="failback")) == []
    assert judged(POINT, LOOK) == judged(POINT) == []
    assert judged(replace(POINT, refused_up=0), LOOK) == [passed]


@pytest.mark.parametrize(
    ("point", "problems", "why"),
    [
        (POINT, ("one", "two"), "one; two"),
        (replace(POINT, unknown=2), (), "2 of 5 acknowledged writes could not be read back"),
        (replace(POINT, unknown=2), ("one",), "one"),
        (replace(POINT, acknowledged=0), (), "0 of 0 acknowledged writes could not be read back"),
    ],
)
def test_data_in_which_nothing_is_wrong_proves_nothing_where_not_all_was_seen(
    point: RecoveryPoint, problems: tuple[str, ...], why: str
) -> None:
    """A window that does not count, a write that was not read, and nothing to read."""
    invalid = [Finding(NAME, Verdict.INVALID, f"proves nothing: {why}", data=NOTHING)]
    assert (
        judged(point, TELLS, problems=problems) == judged(replace(point, refused_up=0), problems=problems) == invalid
    )


def write(key: str, result: Any = "acked", store: str = "main") -> Write:
    """A write of the ledger."""
    return Write(key, "deposit", "a", 1.0, 1.0, 1.1, result, f"id-{key}", 200, TOKYO_PEER, store)


def strange(header: dict[str, Any], writes: Sequence[Write], *looked: tuple[str, str]) -> list[str]:
    """What is said of looks (key, store) at these writes."""
    looks = tuple(replace(LOOK, key=key, store=store) for key, store in looked)
    other = replace(LOOK, window="failback", key="x-9")
    return list(strays(History(header, writes=tuple(writes), readbacks=(*looks, other)), WINDOW))


def test_strays_are_counted_once_each_and_the_first_by_name_is_told() -> None:
    """In a store that is not to hold the write as well; other windows have their own."""
    writes = [write("p-1"), write("p-2", store="orders,carts")]
    assert strange({}, writes, ("p-1", "main"), ("p-2", "carts"), ("p-2", "orders"), ("p-1", ARCHIVE)) == []
    told = strange({}, writes, ("p-9", "main"), ("p-9", "main"), ("p-2", "main"), ("p-1", "main"))
    assert told == ["the ledger does not hold 2 writes that were read back (first: p-2)"]


def test_writes_that_were_not_acknowledged_are_looked_for_only_by_the_clients_key() -> None:
    """In a store that is asked by it, and never in an archive."""
    header = {"target": {"writes": {"read_path": "/{id}", "stores": {"carts": {"read_path": "/{key}"}}}}}
    writes = [write("p-1", "refused", "main,carts"), write("p-2", "indeterminate", "carts")]
    assert strange(header, writes, ("p-1", "carts"), ("p-2", "carts")) == []
    for looked in (("p-1", "main"), ("p-1", ARCHIVE), ("p-2", ARCHIVE)):
        assert strange(header, writes, looked) == [
            f"the ledger does not hold 1 writes that were read back (first: {looked[0]})"
        ]


def together(first_known_s: float, *others: tuple[str, float, float]) -> list[str]:
    """The note of a window from 0 to 100 in which Osaka took its first write then; others: address, sent, known."""
    places = {OSAKA_PEER: OSAKA, TOKYO_PEER: TOKYO, "oregon": OREGON}
    took = ((OSAKA_PEER, first_known_s - 1.0, first_known_s), *others)
    writes = [replace(write(f"p-{n}"), peer=peer, sent_s=s, result_s=k) for n, (peer, s, k) in enumerate(took)]
    return list(side_by_side(History({}, writes=tuple(writes)), WINDOW, places.get))


@pytest.mark.parametrize(("first_s", "told"), [(-0.1, False), (0.0, True), (100.0, False)])
def test_the_survivors_first_write_is_one_of_the_window(first_s: float, told: bool) -> None:
    """Acknowledged at its very begin it is the first; before it, it is none of this window's."""
    assert bool(together(first_s, (TOKYO_PEER, 1.0, 2.0))) is told


def test_every_other_region_that_took_writes_meanwhile_is_named() -> None:
    """In order of their names."""
    (note,) = together(10.0, (TOKYO_PEER, 11.0, 12.0), ("oregon", 11.0, 100.0), (TOKYO_PEER, 13.0, 14.0))
    assert note.startswith(f"failover: 3 writes were acknowledged by {TOKYO}, {OREGON} after {OSAKA} had begun")
