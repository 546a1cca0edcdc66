"""What the balances of the synthetic accounts say about writes: twice, missing, or there although nobody knew.

A balance is read once per account at the survivor, after the writes had their time to settle. It is explained by
the writes that settled and any of those whose effect nobody knows; an explanation that is the only one also tells
how many of those took effect.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from checks.windows import Window
from drill.ledger import Write
from drill.timeline import History

MAX_SUMS = 4096
"""Distinct sums of open writes that are tried to explain one balance; beyond it the balance explains nothing."""
CENT = 1e-6
"""Balances closer than this are equal."""


@dataclass(frozen=True)
class Balances:
    """What the balances of the synthetic accounts say.

    checked, unread: accounts; duplicates: writes that took effect more than once; missing, excess: amounts that no
    open write explains; rows: one per account that does not add up {account, expected, balance, duplicates,
    difference}; turned_up, stayed_out: how many indeterminate writes did and did not take effect, refused_up: how
    many that were refused did, of those accounts whose balance has one explanation only.
    """

    checked: int = 0
    unread: int = 0
    duplicates: int = 0
    missing: float = 0.0
    excess: float = 0.0
    rows: tuple[dict[str, Any], ...] = ()
    turned_up: int = 0
    stayed_out: int = 0
    refused_up: int = 0


def balances_of(history: History, window: Window, states: Mapping[str, str], accounts: set[str]) -> Balances | None:
    """The balances of one window; None when the target has none.

    states: write key -> its final state; accounts: those that had a write acknowledged; where the target has
    balances, each must have been read.
    """
    records = [r for r in history.balances if r.get("window") == window.name]
    target = history.header.get("target") or {}
    promised = (target.get("writes") or {}).get("balance_path") is not None
    if not records and not promised:
        return None
    by_account: dict[str, list[Write]] = defaultdict(list)
    for write in history.writes:
        by_account[write.account].append(write)
    readable = [r for r in records if r.get("balance") is not None]
    read = {str(r["account"]) for r in readable}
    sheets = [_Sheet.of(r, by_account[str(r["account"])], states) for r in readable]
    wrong = tuple(row for sheet in sheets if (row := sheet.row()) is not None)
    told = [sheet.took_effect() for sheet in sheets]
    asked = {str(r["account"]) for r in records} | (accounts if promised else set())
    return Balances(
        checked=len(read),
        unread=len(asked - read),
        duplicates=sum(int(row["duplicates"]) for row in wrong),
        missing=sum(-row["difference"] for row in wrong if not row["duplicates"] and row["difference"] < 0),
        excess=sum(row["difference"] for row in wrong if not row["duplicates"] and row["difference"] > 0),
        rows=wrong,
        turned_up=sum(t[0] for t in told),
        stayed_out=sum(t[1] for t in told),
        refused_up=sum(t[2] for t in told),
    )


@dataclass(frozen=True)
class _Sheet:
    """One account: its balance, the effects that settled, and the writes whose effect nobody knows."""

    account: str
    balance: float
    settled: tuple[float, ...]
    open: tuple[Write, ...]

    @classmethod
    def of(cls, record: Mapping[str, Any], writes: Sequence[Write], states: Mapping[str, str]) -> _Sheet:
        balance, at_s = float(record["balance"]), float(record.get("at_s", math.inf))
        sent = [w for w in writes if w.sent_s <= at_s]
        settled = tuple(w.amount for w in sent if w.result == "acked" and states.get(w.key) == "settled")
        return cls(str(record["account"]), balance, settled, tuple(w for w in sent if _is_open(w, states)))

    @property
    def difference(self) -> float:
        """What the settled writes do not explain."""
        return self.balance - sum(self.settled)

    def row(self) -> dict[str, Any] | None:
        """None when the account adds up; the open writes may or may not have taken effect."""
        left = [self.difference - extra for extra in sums([w.amount for w in self.open])]
        if any(abs(rest) < CENT for rest in left):
            return None
        rest = min(left, key=abs)
        return {
            "account": self.account,
            "expected": sum(self.settled),
            "balance": self.balance,
            "difference": round(rest, 6),
            "duplicates": min((n for n in (duplicates(r, self.settled) for r in left) if n), default=0),
        }

    def took_effect(self) -> tuple[int, int, int]:
        """(indeterminate that did, that did not, refused that did); zeros when the balance does not tell."""
        fits = {
            (_count(some, "indeterminate"), _count(some, "refused"), _count(some, "acked"))
            for some in _subsets(self.open)
            if abs(sum(w.amount for w in some) - self.difference) < CENT
        }
        if len(fits) != 1:
            return 0, 0, 0
        ((indeterminate, refused, _),) = fits
        return indeterminate, _count(self.open, "indeterminate") - indeterminate, refused


def _count(writes: Iterable[Write], result: str) -> int:
    return sum(w.result == result for w in writes)


def _subsets(writes: Sequence[Write]) -> Iterable[tuple[Write, ...]]:
    """All of them; none at all when there are too many to try."""
    if 2 ** len(writes) > MAX_SUMS:
        return ()
    return itertools.chain.from_iterable(itertools.combinations(writes, n) for n in range(len(writes) + 1))


def _is_open(write: Write, states: Mapping[str, str]) -> bool:
    """Whether nobody knows if the write took effect.

    No answer, or accepted without a terminal state, or refused by a gateway (5xx) that may have passed it on before.
    """
    if write.result == "acked":
        return states.get(write.key, "unknown") in ("pending", "unknown")
    return write.result == "indeterminate" or write.status >= 500


def sums(amounts: Sequence[float]) -> set[float]:
    """All sums of subsets of `amounts`, 0 included; at most MAX_SUMS of them (the writes that came first)."""
    found = {0.0}
    for amount in amounts:
        grown = found | {round(total + amount, 6) for total in found}
        if len(grown) > MAX_SUMS:
            return found
        found = grown
    return found


def duplicates(excess: float, settled: Sequence[float]) -> int:
    """How many equal settled amounts explain `excess`; 0 when none does.

    Money too much is any number of repeats of one amount. Money too little is repeats of a withdrawal only up to
    the number of withdrawals of that amount: beyond it, money is missing.
    """
    fits = [
        (round(excess / amount), same)
        for amount, same in ((a, list(group)) for a, group in itertools.groupby(sorted(settled)))
        if amount and excess / amount > 0 and abs(excess / amount - round(excess / amount)) < CENT
    ]
    return min((times for times, same in fits if times and (excess > 0 or times <= len(same))), default=0)
