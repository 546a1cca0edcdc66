"""Asking for what is missing in the end: the survivor's archive and the other Region's consumers, on real servers."""

from __future__ import annotations

from typing import Any

import pytest

from checks.archive_look import look_in_archive
from checks.archived import ARCHIVE_PASS, ELSEWHERE_PASS
from checks.written_data import read_back
from drill.ledger import Write
from drill.target import Target
from drill.write_path import ARCHIVE, ReadPath, WritePath
from tests.checks.worlds import CLOCK, OSAKA, TOKYO, two_regions
from tests.loadgen.loopback import answer

IDS = "abcd"


def write(id: str, result: Any = "acked") -> Write:
    """One line of the ledger, whose key tells its id."""
    n = IDS.index(id)
    return Write(f"p-{n}", "deposit", f"drill-r1-p{n}", 1.0, 1.0, 1.1, result, id, 200, "127.100.77.7")


def store(held: str, archived: str = "") -> Any:
    """A server whose consumers have handled some ids, and whose archive has shown some."""

    def handle(request: Any, body: bytes) -> None:
        place, _, id = request.path.rpartition("/")
        there = id in (archived if place == "/archive" else held)
        answer(request, 200 if there else 404, {"status": "status#success"} if there else {})

    return handle


def with_archive(target: Target) -> Target:
    """The target with an archive that can be asked."""
    writes = target.writes.model_copy(update={"archive": ReadPath(read_path="/archive/{id}")})
    return target.model_copy(update={"writes": writes})


def test_only_what_is_missing_is_asked_for_and_in_both_places() -> None:
    """a was there; b is archived; c was handled in Tokyo; d is nowhere. A refused write is nobody's."""
    with two_regions() as world:
        target = with_archive(world.target)
        world.osaka.handle, world.tokyo.handle = store("a", archived="abc"), store("ac")
        writes = [write(id) for id in IDS]
        already = read_back(target, CLOCK, writes, OSAKA, "failover", "settled")
        told = look_in_archive(target, CLOCK, [*writes, write("d", "refused")], OSAKA, "failover", already)
    assert {(r.key, r.state) for r in told if r.pass_ == ARCHIVE_PASS} == {
        ("p-1", "settled"),
        ("p-2", "settled"),
        ("p-3", "absent"),
    }
    assert {(r.key, r.state) for r in told if r.pass_ == ELSEWHERE_PASS} == {
        ("p-1", "absent"),
        ("p-2", "settled"),
        ("p-3", "absent"),
    }
    assert {(r.store, r.window) for r in told if r.pass_ == ARCHIVE_PASS} == {(ARCHIVE, "failover")}
    assert len(told) == 6


def test_a_region_that_does_not_answer_leaves_it_unknown() -> None:
    """Tokyo is gone: whether its consumers have it, nobody knows."""
    with two_regions() as world:
        target = with_archive(world.target)
        world.osaka.handle = store("", archived="a")
        already = read_back(target, CLOCK, [write("a")], OSAKA, "failover", "settled")
        world.tokyo.down()
        told = look_in_archive(target, CLOCK, [write("a")], OSAKA, "failover", already)
    assert {(r.pass_, r.state) for r in told} == {(ARCHIVE_PASS, "settled"), (ELSEWHERE_PASS, "unknown")}
    assert TOKYO not in {r.region for r in told}


def test_an_archive_is_no_store_that_holds_a_write() -> None:
    """What is archived has not arrived: the name is kept for it."""
    with two_regions() as world:
        fields = world.target.writes.model_dump()
    with pytest.raises(ValueError, match="'archive' is no name for a store"):
        WritePath(**{**fields, "stores": {ARCHIVE: {"read_path": "/archive/{id}"}}})
