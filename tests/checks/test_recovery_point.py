"""Recovery point and written data against histories with known answers."""

from __future__ import annotations

import pytest

from checks.balances import duplicates, sums
from checks.looks import final_states
from checks.recovery_point import RecoveryPoint, recovery_point
from checks.windows import settings_of, windows_of
from drill.verdict import Interval
from tests.checks.histories import Story


def point(story: Story, window: int = 0, onset: tuple[float, float] | None = (8.0, 10.5)) -> RecoveryPoint:
    """The recovery point of one window, with an onset in times of the story."""
    history = story.history()
    found = windows_of(history, settings_of(history).places)[window]
    instant = None if onset is None else Interval(story.at(onset[0]), story.at(onset[1]))
    return recovery_point(history, found, instant, story.speed)


def story() -> Story:
    """A failover window of 200 target seconds."""
    return Story().window(0, 200)


def bounds(found: RecoveryPoint) -> tuple[float, float]:
    """The interval in target seconds, rounded."""
    return round(found.interval.low_s, 3), round(found.interval.high_s, 3)


def test_nothing_lost_is_a_recovery_point_of_zero() -> None:
    """Every acknowledged write is settled at the survivor."""
    found = point(story().write("u-1", 1, 2).write("u-2", 5, 6).read(201, {"u-1": "settled", "u-2": "settled"}))
    assert bounds(found) == (0.0, 0.0)
    assert (found.acknowledged, found.lost, found.unknown, found.late) == (2, (), 0, 0)


@pytest.mark.parametrize("state", ["absent", "pending"])
def test_a_write_without_a_terminal_state_by_the_settle_deadline_is_lost_and_named(state: str) -> None:
    """The interval runs from the first lost write's acknowledgement and send to the onset."""
    told = story().write("u-1", 1, 2).write("u-2", 3, 3.5, account="drill-9").write("u-3", 5, 5.5)
    found = point(told.read(201, {"u-1": "settled", "u-2": state, "u-3": state}))
    assert bounds(found) == (8.0 - 3.5, 10.5 - 3.0)
    assert [w.key for w in found.lost] == ["u-2", "u-3"]
    first = found.lost[0].row()
    assert (first["id"], first["account"], first["state"]) == ("id-u-2", "drill-9", state)
    assert (first["sent_s"], first["acked_s"], first["after_onset"]) == (-7.5, -7.0, False)


def test_a_write_lost_although_acknowledged_after_the_onset_is_counted_apart() -> None:
    """It lies behind the onset, so the recovery point is 0; the loss is told all the same."""
    found = point(story().write("u-1", 20, 21).read(201, {"u-1": "absent"}))
    assert bounds(found) == (0.0, 0.0)
    assert (len(found.lost), found.lost_after_onset) == (1, 1)


def test_a_write_that_was_under_way_at_the_onset_is_counted_apart_too() -> None:
    """Sent before the onset's latest instant and acknowledged after it: it may have been accepted on either side."""
    told = story().write("u-1", 9, 12).write("u-2", 10.5, 10.6).write("u-3", 10.6, 11).write("u-4", 9, 10.5)
    found = point(told.read(201, dict.fromkeys(("u-1", "u-2", "u-3", "u-4"), "absent")))
    assert (found.lost_writes, found.lost_after_onset, found.lost_under_way) == (4, 1, 2)
    assert bounds(found) == (0.0, 1.5)


def test_a_write_absent_at_recovery_and_present_at_settle_is_late_not_lost() -> None:
    """It arrived behind the failover."""
    told = story().write("u-1", 1, 2).write("u-2", 1, 2)
    told.read(200, {"u-1": "absent", "u-2": "pending"}, "recovery").read(260, {"u-1": "settled", "u-2": "settled"})
    found = point(told)
    assert (found.late, found.lost) == (2, ())


def test_a_write_refused_after_acceptance_is_neither_lost_nor_late() -> None:
    """A compensated saga did what it promises."""
    told = story().write("u-1", 1, 2).read(200, {"u-1": "pending"}, "recovery").read(260, {"u-1": "refused"})
    found = point(told)
    assert (found.refused_after_accept, found.late, found.lost, found.unknown) == (1, 0, (), 0)


def test_refused_and_indeterminate_writes_are_not_acknowledged() -> None:
    """A refusal, a timeout and a writer killed between send and answer are told apart from acknowledged writes."""
    told = story().write("u-1", 1, 2, "refused").write("u-2", 1, 4, "indeterminate")
    found = point(told.write("u-3", 1, None, "indeterminate"))
    assert (found.acknowledged, found.refused, found.indeterminate) == (0, 1, 2)


@pytest.mark.parametrize("passes", [{}, {"recovery": "absent"}, {"settled": "unknown"}, {"settled": "nonsense"}])
def test_a_write_that_nobody_could_read_back_is_unknown(passes: dict[str, str]) -> None:
    """Not read, read only before the deadline and not there yet, or not readable: unknown, neither good nor lost."""
    told = story().write("u-1", 1, 2)
    for pass_, state in passes.items():
        told.read(201, {"u-1": state}, pass_)
    found = point(told)
    assert (found.unknown, found.lost) == (1, ())


def test_a_terminal_state_at_recovery_need_not_be_read_again() -> None:
    """The later pass reads only what was not terminal."""
    told = story().write("u-1", 1, 2).read(200, {"u-1": "settled"}, "recovery")
    assert final_states(told.history().readbacks, "failover") == {("u-1", "main"): "settled"}
    assert point(told).unknown == 0


def test_writes_acknowledged_after_the_recovery_are_not_this_windows() -> None:
    """The survivor took them itself; they are read back for the next window."""
    told = story().mark(200, "window.recovered", window="failover", first_good_s=Story().at(170))
    told.write("u-1", 1, 2).write("u-2", 180, 181).read(201, {"u-1": "settled"})
    assert point(told).acknowledged == 1


def test_a_failback_answers_for_earlier_writes_but_not_for_earlier_losses() -> None:
    """What arrived by the failover and is gone after the failback was lost by the failback."""
    told = story().window(300, 400, "failback").write("u-1", 1, 2).write("u-2", 1, 2).write("u-3", 250, 251)
    told.read(201, {"u-1": "settled", "u-2": "absent"})
    told.read(401, {"u-1": "absent", "u-2": "absent", "u-3": "settled"}, window="failback")
    found = point(told, window=1, onset=(308, 310))
    assert [w.key for w in found.lost] == ["u-1"]
    assert found.acknowledged == 2


def test_without_a_failure_the_windows_begin_stands_for_the_onset() -> None:
    """A switch without an error can lose writes too."""
    found = point(story().write("u-1", -5, -4).read(201, {"u-1": "absent"}), onset=None)
    assert bounds(found) == (4.0, 5.0)


# -- balances


def balanced(balance: float | None, **writes: tuple[str, float, str]) -> RecoveryPoint:
    """One account with writes {key: (result, amount, state)} and a balance read back."""
    told = story()
    for key, (result, amount, state) in writes.items():
        told.write(key, 1, 2, result, amount=amount)  # type: ignore[arg-type]
        if result == "acked":
            told.read(201, {key: state})
    return point(told.balance(205, "drill-1", balance))


def test_a_balance_equal_to_the_settled_writes_adds_up() -> None:
    """Lost and refused writes have no effect on it."""
    found = balanced(
        900.0, a=("acked", 1000.0, "settled"), b=("acked", -50.0, "settled"), c=("acked", -50.0, "settled"),
        d=("acked", 1000.0, "absent"), e=("acked", -50.0, "refused"), f=("refused", 1000.0, ""),
    )  # fmt: skip
    assert found.balances is not None
    assert (found.balances.checked, found.balances.rows) == (1, ())


@pytest.mark.parametrize(
    ("balance", "adds_up"), [(1000, True), (2000, True), (950, True), (1950, True), (1900, False)]
)
def test_indeterminate_writes_may_or_may_not_have_taken_effect(balance: float, adds_up: bool) -> None:
    """Any subset of them explains a balance; nothing else does."""
    found = balanced(
        balance, a=("acked", 1000.0, "settled"), b=("indeterminate", 1000.0, ""), c=("indeterminate", -50.0, "")
    )
    assert found.balances is not None
    assert (not found.balances.rows) is adds_up


@pytest.mark.parametrize(("balance", "expected"), [(2000.0, (1, 0.0)), (3000.0, (2, 0.0)), (1234.0, (0, 234.0))])
def test_an_excess_of_k_equal_amounts_is_k_duplicates(balance: float, expected: tuple[int, float]) -> None:
    """Any other excess is told as an amount."""
    found = balanced(balance, a=("acked", 1000.0, "settled")).balances
    assert found is not None
    assert (found.duplicates, found.excess) == expected
    assert found.rows[0]["account"] == "drill-1"


def test_a_deficit_is_a_missing_amount_unless_withdrawals_explain_it() -> None:
    """Settled 1000 that is not there is missing; one withdrawal taken twice is a duplicate."""
    lost = balanced(-50.0, a=("acked", 1000.0, "settled"), b=("acked", -50.0, "settled")).balances
    twice = balanced(900.0, a=("acked", 1000.0, "settled"), b=("acked", -50.0, "settled")).balances
    assert lost is not None and twice is not None
    assert (lost.duplicates, lost.missing) == (0, 1000.0)
    assert (twice.duplicates, twice.missing) == (1, 0.0)


def test_a_write_sent_after_the_balance_was_read_does_not_count() -> None:
    """The account goes on being used."""
    told = story().write("u-1", 1, 2).read(201, {"u-1": "settled"}).write("u-2", 210, 211)
    found = point(told.balance(205, "drill-1", 1000.0)).balances
    assert found is not None and not found.rows


def test_an_unread_balance_is_counted_as_unread() -> None:
    """It neither adds up nor fails to."""
    found = balanced(None, a=("acked", 1000.0, "settled")).balances
    assert found is not None
    assert (found.checked, found.unread, found.rows) == (0, 1, ())


def test_sums_of_many_open_writes_stay_bounded() -> None:
    """Forty different open amounts do not make 2^40 sums."""
    assert len(sums([1.001**n for n in range(40)])) <= 4096
    assert sums([]) == {0.0}


def test_duplicates_prefer_the_fewest_repeats() -> None:
    """2000 too much with a 1000 and a 500 settled is two repeats, not four."""
    assert duplicates(2000.0, [500.0, 1000.0]) == 2
    assert duplicates(0.0, [500.0]) == 0
