"""Reading acknowledged writes back from a real server whose data has planted gaps."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from checks.written_data import READS_PER_S, read_back, read_balances
from drill.doors import open_door
from drill.errors import UsageError
from drill.ledger import LedgerWriter, Result, Write, ledger_path, read_ledger
from drill.target import Target
from drill.timeline import Readback
from drill.write_path import WritePath
from drill.writing import WriteClient, canonical, digest_of
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


ORDERS = {
    "read_path": "/orders/{key}",
    "copies_field": "orders",
    "payload": {"reference": "reference", "item": "what"},
    "region_field": "region",
}
STOCK = {"read_path": "/stock/{id}", "state_field": "status", "settled": ["status#success"]}


def shop(target: Target) -> Target:
    """The target with a kind of write that two stores hold, one of them asked by the client's key."""
    order = {"path": "/orders", "body": {"reference": "{key}", "item": "book"}, "amount": 0.0}
    kinds = {"order": {**order, "stores": ["orders", "stock"]}}
    fields = target.writes.model_dump() | {"stores": {"orders": ORDERS, "stock": STOCK}, "kinds": kinds}
    return target.model_copy(update={"writes": WritePath.model_validate(fields | {"probe": "order"})})


def test_each_store_is_asked_in_its_own_way(tmp_path: Path) -> None:
    """By id only what was acknowledged; by the client's key what was refused and never answered too."""
    bodies: dict[str, dict[str, str]] = {}

    def take(request: Any, body: bytes) -> None:
        sent = json.loads(body)
        bodies[sent["reference"]] = sent
        number = len(bodies)
        answer(request, {1: 200, 2: 500, 3: 503, 4: 200}[number], {"transactionId": f"t-{number}"})

    def tell(request: Any, body: bytes) -> None:
        store, _, name = request.path.strip("/").partition("/")
        if store == "stock":
            answer(request, 200 if name == "t-1" else 404, {"status": "status#success"})
        elif name == list(bodies)[2]:
            answer(request, 404, {})
        else:
            held = {"reference": name, "what": "book" if name == next(iter(bodies)) else "pen"}
            answer(request, 200, held | {"orders": [1, 2], "region": TOKYO})

    with two_regions() as world:
        target = shop(world.target)
        world.tokyo.handle, world.osaka.handle = take, tell
        path = ledger_path(tmp_path, "p")
        ledger = LedgerWriter(path)
        client = WriteClient(target.writes, open_door(target, CLOCK, 2.0), ledger)
        results = [client.submit("order", f"drill-r1-p{n}").result for n in range(4)]
        ledger.close()
        writes = read_ledger([path])
        early = read_back(target, CLOCK, writes, OSAKA, "failover", "recovery")
        later = read_back(target, CLOCK, writes, OSAKA, "failover", "settled", already=early)
    assert results == ["acked", "indeterminate", "refused", "acked"]
    assert list(bodies) == [f"drill-r1-p{n}-{n + 1}" for n in range(4)]
    assert {(w.store, w.digest) for w in writes} == {
        ("orders,stock", digest_of(canonical(body))) for body in bodies.values()
    }
    assert [(r.key, r.store, r.state) for r in early] == [
        ("p-1", "orders", "settled"),
        ("p-1", "stock", "settled"),
        ("p-4", "orders", "settled"),
        ("p-4", "stock", "absent"),
    ]
    assert [(r.key, r.store, r.state) for r in later] == [
        ("p-2", "orders", "settled"),
        ("p-3", "orders", "absent"),
        ("p-4", "stock", "absent"),
    ]
    first, last = early[0], early[2]
    assert (first.copies, first.region, first.digest) == (2, TOKYO, writes[0].digest)
    assert last.digest not in ("", writes[3].digest)  # a pen, where a book was sent


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stores": {"orders": ORDERS}}, "names the store 'stock', which is not in stores"),
        ({"stores": {"orders": ORDERS | {"payload": {"item": "what"}}, "stock": STOCK}}, "must name every field"),
        ({"stores": {"orders": ORDERS | {"colour": "red"}, "stock": STOCK}}, "Extra inputs"),
    ],
)
def test_a_store_that_does_not_fit_is_a_mistake_in_the_target(change: dict[str, Any], words: str) -> None:
    """Named before anything is started."""
    with two_regions() as world:
        fields = shop(world.target).writes.model_dump()
    with pytest.raises(ValidationError, match=words):
        WritePath.model_validate(fields | change)
