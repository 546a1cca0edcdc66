"""What balances say of writes: explained, twice, missing, or there although nobody knew."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from checks.balances import MAX_SUMS, Balances, balances_of, duplicates, sums
from checks.windows import Window
from drill.ledger import Result, Write
from drill.timeline import History

WINDOW = Window("failover", "ap-northeast-3", 0.0, 100.0, "recovered", 100.0)
PROMISED = {"target": {"writes": {"balance_path": "/balance"}}}
READ_S = 200.0
FATES = ("settled", "refused", "absent", "pending", "unknown")


def write(
    key: str, amount: float, result: Result = "acked", status: int = 200, account: str = "a", sent_s: float = 1.0
) -> Write:
    """One write; the part of its key before a dash is what became of it, if that is a state."""
    return Write(key, "deposit", account, amount, sent_s, sent_s + 1, result, None, status, "")


def record(balance: float | None, account: str = "a", **more: Any) -> dict[str, Any]:
    """One balance, read after the window."""
    return {"window": "failover", "account": account, "balance": balance, "at_s": READ_S} | more


def told(
    records: list[dict[str, Any]], *writes: Write, accounts: tuple[str, ...] = (), header: Any = PROMISED
) -> Balances:
    """What they say; the states are those of the keys."""
    history = History(header, writes=writes, balances=tuple(records))
    states = {w.key: state for w in writes if (state := w.key.partition("-")[0]) in FATES}
    found = balances_of(history, WINDOW, states, set(accounts))
    assert found is not None
    return found


def test_a_target_without_balances_has_none() -> None:
    """Neither promised nor read, however little the header says; a record of another window is none of this one."""
    other = (record(1.0, window="failback"),)
    for header in ({}, {"target": None}, {"target": {}}, {"target": {"writes": None}}, {"target": {"writes": {}}}):
        for records in ((), other):
            assert balances_of(History(header, balances=records), WINDOW, {}, {"a"}) is None


def test_every_account_with_an_accepted_write_is_due_where_balances_are_promised() -> None:
    """And each that was asked for; what a target promises nothing of is due only where somebody asked."""
    assert told([], accounts=("a", "b")) == Balances(checked=0, unread=2)
    some = [record(0.0), record(None, "b")]
    assert dataclasses.astuple(told(some, accounts=("a", "c")))[:2] == (1, 2)
    assert dataclasses.astuple(told(some, accounts=("a", "c"), header={}))[:2] == (1, 1)
    assert told([record(0.0), record(0.0, "b"), record(0.0, window="failback", account="z")]).checked == 2


def test_each_account_is_explained_by_its_own_writes() -> None:
    """And what does not add up is told account by account, the amounts of several together."""
    writes = [write(f"settled-{n}", 100.0, account=account) for n, account in enumerate("abcde")]
    seen = {"a": 100.0, "b": 60.0, "c": 30.0, "d": 130.0, "e": 107.0}
    found = told([record(balance, account) for account, balance in seen.items()], *writes)
    assert (found.checked, found.unread, found.duplicates) == (5, 0, 0)
    assert (found.missing, found.excess) == (110.0, 37.0)
    assert found.rows[0] == {
        "account": "b",
        "expected": 100.0,
        "balance": 60.0,
        "difference": -40.0,
        "duplicates": 0,
    }
    assert [row["account"] for row in found.rows] == ["b", "c", "d", "e"]


def test_less_than_one_is_an_amount_too() -> None:
    """Half of it missing here, half of it too much there: neither makes up for the other."""
    writes = [write(f"settled-{account}", 100.0, account=account) for account in "ab"]
    found = told([record(99.5), record(100.25, "b")], *writes)
    assert (found.missing, found.excess, found.duplicates) == (0.5, 0.25, 0)


def test_writes_that_took_effect_more_than_once_are_counted_together_and_are_no_amount() -> None:
    """Three deposits too many in one account, a withdrawal twice in another."""
    found = told(
        [record(400.0), record(-20.0, "b")], write("settled-1", 100.0), write("settled-2", -10.0, account="b")
    )
    assert (found.duplicates, found.missing, found.excess) == (4, 0.0, 0.0)
    assert [row["duplicates"] for row in found.rows] == [3, 1]


@pytest.mark.parametrize(
    ("unknown", "explained"),
    [
        (write("pending-1", 7.0), True),
        (write("unknown-1", 7.0), True),
        (write("nobody looked", 7.0), True),
        (write("x", 7.0, "indeterminate", 0), True),
        (write("x", 7.0, "refused", 500), True),
        (write("x", 7.0, "refused", 503), True),
        (write("x", 7.0, "refused", 499), False),
        (write("settled-0", 7.0, "refused", 499), False),
        (write("refused-1", 7.0), False),
        (write("absent-1", 7.0), False),
    ],
)
def test_only_a_write_whose_effect_nobody_knows_may_explain_a_balance(unknown: Write, explained: bool) -> None:
    """No answer, no terminal state, or refused by what may have passed it on before; never one that is known."""
    for balance, fits in ((100.0, True), (107.0, explained), (93.0, False)):
        found = told([record(balance)], write("settled-1", 100.0), unknown)
        assert (not found.rows) is fits, (balance, found)


def test_of_several_explanations_the_nearest_is_told() -> None:
    """What is missing at the very least, whatever the unknown writes did."""
    found = told([record(0.0)], write("settled-1", 100.0), write("pending-1", 30.0), write("pending-2", -30.0))
    assert found.rows[0]["difference"] == -70.0 and found.missing == 70.0
    thirds = told([record(100.0 / 3)], write("settled-1", 7.0))
    assert thirds.rows[0]["difference"] == 26.333333


def test_a_repeat_may_stand_beside_a_write_that_nobody_knew() -> None:
    """300 where 100 settled and 50 are open is two repeats without the open one; 250 is one beside it twice over."""
    settled, unknown = write("settled-1", 100.0), write("pending-1", 50.0)
    assert told([record(300.0)], settled, unknown).rows[0]["duplicates"] == 2
    assert told([record(250.0)], settled, unknown).rows[0]["duplicates"] == 1
    assert told([record(220.0)], settled, unknown).rows[0]["duplicates"] == 0


def test_many_unknown_writes_of_a_few_amounts_still_explain_a_balance() -> None:
    """A long outage of time-outs, then a queue that drains: 70 of 80 deposits and 50 of 80 withdrawals came."""
    unknown = [write(f"x{n}", 1000.0 if n % 2 else -50.0, "indeterminate", 0) for n in range(160)]
    settled, came = write("settled-1", 1000.0), 1000.0 + 70 * 1000.0 - 50 * 50.0
    assert told([record(came)], settled, *unknown).rows == ()
    (off,) = told([record(came + 7)], settled, *unknown).rows
    assert (off["difference"], off["duplicates"]) == (7.0, 0)


def test_a_balance_is_of_its_own_instant() -> None:
    """A write sent by then is in it, a later one is not; one that does not say when it was read holds them all."""
    by_then, later = write("settled-1", 5.0, sent_s=READ_S), write("settled-2", 7.0, sent_s=READ_S + 0.001)
    assert told([record(5.0)], by_then, later).rows == ()
    undated = {key: value for key, value in record(12.0).items() if key != "at_s"}
    assert told([undated], by_then, later).rows == ()


def test_a_ten_millionth_is_nothing_and_a_hundred_thousandth_is_not() -> None:
    """Sums of decimals are a hair off."""
    assert told([record(0.3)], write("settled-1", 0.1), write("settled-2", 0.2)).rows == ()
    assert told([record(100.0000001)], write("settled-1", 100.0)).rows == ()
    assert told([record(100.00001)], write("settled-1", 100.0)).rows != ()


# -- what turned up


def turned(*writes: Write, balance: float) -> tuple[int, int, int]:
    """(turned up, stayed out, refused and turned up) of one account."""
    found = told([record(balance)], *writes)
    return found.turned_up, found.stayed_out, found.refused_up


def test_a_balance_that_has_one_explanation_tells_what_became_of_the_unknown_ones() -> None:
    """Those without an answer that did and did not take effect, and those refused that did all the same."""
    lost, gone = write("x1", 5.0, "indeterminate", 0), write("x2", 7.0, "indeterminate", 0)
    refused, open_ = write("x3", 11.0, "refused", 503), write("pending-1", 23.0)
    every = (write("settled-1", 100.0), lost, gone, refused, open_)
    assert turned(*every, balance=100.0) == (0, 2, 0)
    assert turned(*every, balance=105.0) == (1, 1, 0)
    assert turned(*every, balance=112.0) == (2, 0, 0)
    assert turned(*every, balance=111.0) == (0, 2, 1)
    assert turned(*every, balance=128.0) == (1, 1, 0)
    assert turned(*every, balance=100.0000001) == (0, 2, 0)
    assert turned(*every, balance=101.0) == (0, 0, 0)


def test_a_balance_with_two_explanations_tells_nothing() -> None:
    """The write without an answer or the refused one; but either of two alike is one of them. Nor is anything told
    where the accepted ones that are open can be explained in two ways."""
    lost, refused = write("x1", 5.0, "indeterminate", 0), write("x2", 5.0, "refused", 503)
    assert turned(lost, refused, balance=5.0) == (0, 0, 0)
    assert turned(lost, dataclasses.replace(lost, key="x3"), balance=5.0) == (1, 1, 0)
    five, ten = (write(f"pending-{n}", amount) for n, amount in enumerate((5.0, 10.0)))
    apart = dataclasses.replace(lost, amount=700.0)
    assert turned(apart, five, ten, balance=10.0) == (0, 1, 0)
    assert turned(apart, five, dataclasses.replace(five, key="pending-2"), ten, balance=10.0) == (0, 0, 0)


def test_what_turned_up_is_told_over_all_accounts() -> None:
    """Each account has its own explanation."""
    unknown = [write(f"x{n}", 5.0, "indeterminate", 0, account) for n, account in enumerate("aabb")]
    refused = [write(f"y{n}", 11.0, "refused", 503, account) for n, account in enumerate("ab")]
    found = told([record(16.0), record(21.0, "b")], *unknown, *refused)
    assert (found.turned_up, found.stayed_out, found.refused_up) == (3, 1, 2)


def test_too_many_unknown_writes_explain_no_one_of_them() -> None:
    """Twelve can be tried out; thirteen cannot, and are not guessed."""
    some = [write(f"x{n}", 2.0**n, "indeterminate", 0) for n in range(13)]
    assert turned(*some[:12], balance=1.0) == (1, 11, 0)
    assert turned(*some, balance=1.0) == (0, 0, 0)


def test_sums_are_of_all_subsets_up_to_their_number() -> None:
    """Beyond it those of the writes that came first; a hair's difference is none."""
    assert sums([1.0, 2.0, 2.0]) == {0.0, 1.0, 2.0, 3.0, 4.0, 5.0}
    assert sums([0.1, 0.2, -0.3]) == {0.0, 0.1, 0.2, 0.3, -0.3, -0.2, -0.1}
    assert MAX_SUMS == 4096
    assert sums([2.0**n for n in range(13)]) == {float(n) for n in range(4096)}


@pytest.mark.parametrize(
    ("excess", "settled", "times"),
    [
        (100.0, [100.0], 1),
        (300.0, [100.0], 3),
        (1.0, [0.5], 2),
        (150.0, [100.0], 0),
        (50.0, [100.0], 0),
        (-50.0, [-50.0], 1),
        (-100.0, [-50.0, -50.0], 2),
        (-150.0, [-50.0, -50.0], 0),
        (-100.0, [100.0], 0),
        (50.0, [-50.0], 0),
        (7.0, [0.0], 0),
        (200.0, [0.0, 50.0, 100.0, 30.0], 2),
        (-60.0, [-20.0, 5.0, -30.0, -30.0, -20.0], 2),
        (100.0000001, [100.0], 1),
        (99.9999999, [100.0], 1),
        (1e-8, [100.0], 0),
        (0.0, [100.0], 0),
        (100.0, [], 0),
    ],
)
def test_repeats_of_one_amount_explain_an_excess(excess: float, settled: list[float], times: int) -> None:
    """Any number of repeats of a deposit, of a withdrawal as many as there were: beyond that money is missing."""
    assert duplicates(excess, settled) == times
