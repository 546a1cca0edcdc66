"""Reading acknowledged writes back from a real server whose data has planted gaps."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from checks.written_data import READS_PER_S, read_back, read_balances
from drill.errors import UsageError
from drill.ledger import Result, Write
from drill.timeline import Readback
from tests.checks.worlds import CLOCK, OSAKA, TOKYO, two_regions
from tests.loadgen.loopback import answer

STATES = {"settled": "status#success", "refused": "status#success_rollback", "pending": "status#pending"}


def write(n: int, id: str | None, result: Result = "acked") -> Write:
    """One line of the ledger."""
    return Write(f"p-{n}", "deposit", f"drill-r1-p{n}", 1000.0, 1.0, 1.1, result, id, 200, "127.100.77.7")


def store(states: dict[str, str]) -> Any:
    """A server that holds these writes, by id."""

    def handle(request: Any, body: bytes) -> None:
        state = states.get(request.path.rpartition("/")[2])
        if state is None:
            answer(request, 404, {"message": "unknown"})
        else:
            answer(request, 200, {"status": STATES[state]})

    return handle


def test_each_acknowledged_write_is_told_by_the_survivor() -> None:
    """Settled, refused, pending and absent are told apart, and only acknowledged writes are asked for."""
    with two_regions() as world:
        world.osaka.handle = store({"a": "settled", "b": "refused", "c": "pending"})
        world.tokyo.handle = store({"d": "settled"})
        writes = [write(n, id) for n, id in enumerate("abcd")]
        writes += [write(8, None, "indeterminate"), write(9, None, "refused")]
        began_s = time.monotonic()
        told = read_back(world.target, CLOCK, writes, OSAKA, "failover", "recovery")
    assert [(r.key, r.state) for r in told] == [
        ("p-0", "settled"),
        ("p-1", "refused"),
        ("p-2", "pending"),
        ("p-3", "absent"),
    ]
    assert {(r.window, r.pass_) for r in told} == {("failover", "recovery")}
    assert all(began_s < r.at_s < time.monotonic() for r in told)


def test_the_later_pass_asks_only_for_what_was_not_terminal() -> None:
    """What was settled or refused stays so; the rest is asked for again, and what arrived late is found."""
    with two_regions() as world:
        states = {"a": "settled", "b": "refused", "c": "pending"}
        world.osaka.handle = store(states)
        writes = [write(n, id) for n, id in enumerate("abcd")]
        first = read_back(world.target, CLOCK, writes, OSAKA, "failover", "recovery")
        states["d"] = "settled"
        later = read_back(world.target, CLOCK, writes, OSAKA, "failover", "settled", already=first)
        other = read_back(world.target, CLOCK, writes, OSAKA, "failback", "settled", already=first)
    assert [(r.key, r.state) for r in later] == [("p-2", "pending"), ("p-3", "settled")]
    assert len(other) == 4


def test_a_server_that_fails_now_and_then_loses_no_write() -> None:
    """A read that was not answered is repeated: a lost answer is not a lost write."""
    held = store({f"t-{n}": "settled" for n in range(30)})
    asked: Counter[str] = Counter()

    def fail_twice(request: Any, body: bytes) -> None:
        asked[request.path] += 1
        if asked[request.path] <= 2:
            answer(request, 503, {"message": "planted"})
        else:
            held(request, body)

    with two_regions() as world:
        world.osaka.handle = fail_twice
        told = read_back(world.target, CLOCK, [write(n, f"t-{n}") for n in range(30)], OSAKA, "failover", "recovery")
    assert [r.state for r in told] == ["settled"] * 30


def test_a_survivor_that_cannot_be_read_leaves_every_write_unknown() -> None:
    """No answer is no loss and no proof: unknown."""
    with two_regions() as world:
        world.osaka.down()
        told = read_back(world.target, CLOCK, [write(1, "a")], OSAKA, "failover", "settled")
    assert [r.state for r in told] == ["unknown"]


def test_time_and_rate_are_bounded() -> None:
    """A survivor that hangs costs no more than the limit; a fast one is not asked faster than the rate."""
    with two_regions() as world:
        writes = [write(n, f"t-{n}") for n in range(60)]
        began_s = time.monotonic()
        read_back(world.target, CLOCK, writes, OSAKA, "failover", "recovery")
        assert time.monotonic() - began_s > (60 - 8) / READS_PER_S * 0.9
        world.osaka.handle = lambda request, body: time.sleep(20)
        began_s = time.monotonic()
        told = read_back(world.target, CLOCK, writes, OSAKA, "failover", "settled", limit_s=0.5)
        assert time.monotonic() - began_s < 6.0
    assert [r.state for r in told] == ["unknown"] * 60


def test_a_region_without_an_endpoint_is_a_mistake_in_the_target() -> None:
    """The sentence names the Regions that have one."""
    with two_regions() as world, pytest.raises(UsageError, match=f"no regional endpoint for us-west-2.*{TOKYO}"):
        read_back(world.target, CLOCK, [write(1, "a")], "us-west-2", "failover", "recovery")


def test_balances_are_read_per_account() -> None:
    """Each account's balance as the survivor tells it, None where it cannot."""

    def handle(request: Any, body: bytes) -> None:
        if request.headers["X_ACCOUNT_ID"] == "drill-sick":
            answer(request, 400, {"message": "no"})
        else:
            answer(request, 200, {"balance": 1950, "accountId": "x"})

    with two_regions() as world:
        world.osaka.handle = handle
        told = read_balances(world.target, CLOCK, ["drill-a", "drill-sick"], OSAKA, "failover")
        writes = world.target.writes.model_copy(update={"balance_path": None})
        silent = world.target.model_copy(update={"writes": writes})
        assert read_balances(silent, CLOCK, ["drill-a"], OSAKA, "failover") == []
    assert [(r["window"], r["account"], r["balance"]) for r in told] == [
        ("failover", "drill-a", 1950.0),
        ("failover", "drill-sick", None),
    ]
    assert all(isinstance(r["at_s"], float) for r in told)


def test_nothing_acknowledged_is_nothing_to_read() -> None:
    """An empty ledger asks nobody."""
    with two_regions() as world:
        none: list[Readback] = read_back(world.target, CLOCK, [], OSAKA, "failover", "recovery")
    assert none == []
