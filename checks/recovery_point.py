"""Recovery point: what became of every acknowledged write, and how far before the onset the first lost one lies.

An acknowledged write is one whose acceptance the client saw (200 and its id). At the survivor it is, by the settle
deadline, *settled*; *refused* (the system compensated it: neither lost nor late); *lost* (absent, or still pending);
or *unknown* (could not be read: it proves nothing and nothing passes on it). It is *late* when it was not yet
terminal in the pass at recovery and settled in the later one. Balances, where the system has them, show writes that
took effect twice and effects that are missing although the record says settled.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from checks.windows import Window
from drill.ledger import Write
from drill.timeline import History, Readback
from drill.verdict import Interval

RECOVERY_PASS, SETTLED_PASS = "recovery", "settled"
TERMINAL = ("settled", "refused")
STATES = (*TERMINAL, "pending", "absent", "unknown")
MAX_SUMS = 4096
"""Distinct sums of open writes that are tried to explain one balance; beyond it the balance explains nothing."""

CENT = 1e-6
"""Balances closer than this are equal."""


@dataclass(frozen=True)
class LostWrite:
    """A named lost write. sent_s, acked_s: target seconds from the onset's latest instant (negative: before)."""

    key: str
    id: str
    write: str
    account: str
    amount: float
    state: str
    sent_s: float
    acked_s: float
    after_onset: bool

    def row(self) -> dict[str, Any]:
        """The write as a flat JSON-able row."""
        return dict(vars(self))


@dataclass(frozen=True)
class Balances:
    """What the balances of the synthetic accounts say.

    checked, unread: accounts; duplicates: writes that took effect more than once; missing, excess: amounts that no
    open write explains; rows: one per account that does not add up {account, expected, balance, duplicates,
    difference}.
    """

    checked: int = 0
    unread: int = 0
    duplicates: int = 0
    missing: float = 0.0
    excess: float = 0.0
    rows: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class RecoveryPoint:
    """What became of the writes of one window.

    interval: recovery point in target seconds (0 when nothing is lost); counts by fate; lost: by time of
    acknowledgement; lost_after_onset: those of them acknowledged after the onset's latest instant; balances: None
    when none were read.
    """

    interval: Interval
    acknowledged: int
    refused: int
    indeterminate: int
    refused_after_accept: int
    late: int
    unknown: int
    lost: tuple[LostWrite, ...] = ()
    lost_after_onset: int = 0
    balances: Balances | None = None

    def counts(self) -> dict[str, int]:
        """The counts by name, for tables."""
        return {
            "acknowledged": self.acknowledged,
            "lost": len(self.lost),
            "lost after onset": self.lost_after_onset,
            "late": self.late,
            "duplicate": 0 if self.balances is None else self.balances.duplicates,
            "indeterminate": self.indeterminate,
            "refused": self.refused,
            "refused after acceptance": self.refused_after_accept,
            "unknown": self.unknown,
        }


def recovery_point(
    history: History, window: Window, onset: Interval | None, speed: float, settle_wall_s: float = 0.0
) -> RecoveryPoint:
    """The recovery point of one window.

    onset: instants in monotonic wall seconds; None (no failure) takes the window's begin as the onset.
    settle_wall_s: how long after recovery a write is given to settle (wall seconds). A window answers for every
    write acknowledged before it recovered, those of earlier windows too: a write that arrived with the failover can
    still be lost by the failback, so what an earlier window saw settled says nothing here. What an earlier window
    lost is not lost again.
    """
    instant = onset or Interval(window.begin_s, window.begin_s, ("no failure: the window's begin",))
    writes = writes_of(history, window)
    acked = [w for w in writes if w.result == "acked"]
    spoiled = dict(spoiled_passes(history, window, settle_wall_s))
    states = {} if spoiled.keys() - {SETTLED_PASS} else final_states(history.readbacks, window.name)
    if SETTLED_PASS in spoiled:  # too early to say what will not arrive
        states = {key: state if state in TERMINAL else "unknown" for key, state in states.items()}
    early = _states(history.readbacks, window.name, RECOVERY_PASS)
    fate = {w.key: states.get(w.key, "unknown") for w in acked}
    lost = [w for w in acked if fate[w.key] in ("absent", "pending")]
    named = tuple(_lost(w, fate[w.key], instant, speed) for w in sorted(lost, key=_known_s))
    return RecoveryPoint(
        interval=_interval(lost, instant).scaled(speed),
        acknowledged=len(acked),
        refused=sum(w.result == "refused" for w in writes),
        indeterminate=sum(w.result == "indeterminate" for w in writes),
        refused_after_accept=sum(state == "refused" for state in fate.values()),
        late=sum(fate[w.key] == "settled" and early.get(w.key) in ("absent", "pending") for w in acked),
        unknown=sum(state == "unknown" for state in fate.values()),
        lost=named,
        lost_after_onset=sum(w.after_onset for w in named),
        balances=_balances(history, window, states, {w.account for w in acked}),
    )


def writes_of(history: History, window: Window) -> list[Write]:
    """The writes that a window answers for: known before it recovered, and not lost by an earlier one.

    A write without a result is counted where it was sent.
    """
    lost = {
        key
        for name in _windows_before(history, window)
        for key, state in final_states(history.readbacks, name).items()
        if state in ("absent", "pending")
    }
    return [w for w in history.writes if _known_s(w) < window.settled_by_s and w.key not in lost]


def _windows_before(history: History, window: Window) -> set[str]:
    return {r.window for r in history.readbacks if r.window != window.name and r.at_s < window.begin_s}


def _known_s(write: Write) -> float:
    return write.sent_s if write.result_s is None else write.result_s


def spoiled_passes(history: History, window: Window, settle_wall_s: float) -> Iterator[tuple[str, str]]:
    """(pass, why) of the read-backs of a window that do not say what they should.

    "where": not read from the survivor, or from nobody knows where; "settled": begun before the writes had their
    time to settle.
    """
    passes = [e for e in history.named("readback") if e.data.get("window") == window.name]
    regions = {str(e.data.get("region")) for e in passes if e.at_s >= window.begin_s} or {"nobody knows where"}
    read = any(r.window == window.name for r in history.readbacks)
    if read and regions != {window.survivor}:
        yield "where", f"writes were read back from {', '.join(sorted(regions))}, not only from {window.survivor}"
    late = [e.at_s for e in passes if e.data.get("pass_") == SETTLED_PASS]
    begun_s = min((*late, *(r.at_s for r in history.readbacks if _is_settled_pass(r, window))), default=math.inf)
    if begun_s < window.settled_by_s + settle_wall_s:
        yield (
            SETTLED_PASS,
            f"the settled pass began {begun_s - window.settled_by_s:.1f} s (wall) after recovery, "
            f"{settle_wall_s:.1f} s are due (timings.settle_s)",
        )


def _is_settled_pass(readback: Readback, window: Window) -> bool:
    return readback.window == window.name and readback.pass_ == SETTLED_PASS


def _states(readbacks: Iterable[Readback], window: str, pass_: str) -> dict[str, str]:
    """Write key -> state in one pass; two different states of one write in one pass are none."""
    found: dict[str, str] = {}
    for r in readbacks:
        if r.window == window and r.pass_ == pass_:
            found[r.key] = r.state if found.get(r.key, r.state) == r.state else "unknown"
    return found


def final_states(readbacks: Iterable[Readback], window: str) -> dict[str, str]:
    """Write key -> state at the settle deadline.

    The later pass reads only what was not terminal in the first; a write that only the first pass saw, and saw not
    terminal, is unknown: nobody looked again.
    """
    every = tuple(readbacks)
    first = _states(every, window, RECOVERY_PASS)
    closed = {key: state if state in TERMINAL else "unknown" for key, state in first.items()}
    return closed | {k: s if s in STATES else "unknown" for k, s in _states(every, window, SETTLED_PASS).items()}


def _interval(lost: Sequence[Write], onset: Interval) -> Interval:
    """[onset.low - result of the first lost, onset.high - send of the first lost], floor 0 (wall seconds)."""
    if not lost:
        return Interval(0.0, 0.0, ("no acknowledged write is lost",))
    first_known_s = min(_known_s(w) for w in lost)
    first_sent_s = min(w.sent_s for w in lost)
    low_s = max(0.0, onset.low_s - first_known_s)
    basis = (f"first lost write sent at {first_sent_s:.3f}, acknowledged by {first_known_s:.3f}",)
    return Interval(low_s, max(low_s, onset.high_s - first_sent_s), (*onset.basis, *basis))


def _lost(write: Write, state: str, onset: Interval, speed: float) -> LostWrite:
    known_s = _known_s(write)
    return LostWrite(
        key=write.key,
        id=write.id or "",
        write=write.write,
        account=write.account,
        amount=write.amount,
        state=state,
        sent_s=round((write.sent_s - onset.high_s) * speed, 3),
        acked_s=round((known_s - onset.high_s) * speed, 3),
        after_onset=known_s > onset.high_s,
    )


def _balances(history: History, window: Window, states: dict[str, str], accounts: set[str]) -> Balances | None:
    """accounts: those that had a write acknowledged; where the target has balances, each must have been read."""
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
    rows = (_balance_row(str(r["account"]), r, by_account[str(r["account"])], states) for r in readable)
    wrong = tuple(row for row in rows if row is not None)
    asked = {str(r["account"]) for r in records} | (accounts if promised else set())
    return Balances(
        checked=len(read),
        unread=len(asked - read),
        duplicates=sum(int(row["duplicates"]) for row in wrong),
        missing=sum(-row["difference"] for row in wrong if not row["duplicates"] and row["difference"] < 0),
        excess=sum(row["difference"] for row in wrong if not row["duplicates"] and row["difference"] > 0),
        rows=wrong,
    )


def _balance_row(
    account: str, record: dict[str, Any], writes: Sequence[Write], states: dict[str, str]
) -> dict[str, Any] | None:
    """None when the account adds up; the writes of unknown fate may or may not have taken effect."""
    balance, at_s = float(record["balance"]), float(record.get("at_s", math.inf))
    sent = [w for w in writes if w.sent_s <= at_s]
    settled = [w.amount for w in sent if w.result == "acked" and states.get(w.key) == "settled"]
    open_ = [w.amount for w in sent if _is_open(w, states)]
    difference = balance - sum(settled)
    left = [difference - extra for extra in sums(open_)]
    if any(abs(rest) < CENT for rest in left):
        return None
    rest = min(left, key=abs)
    return {
        "account": account,
        "expected": sum(settled),
        "balance": balance,
        "difference": round(rest, 6),
        "duplicates": min((n for n in (duplicates(r, settled) for r in left) if n), default=0),
    }


def _is_open(write: Write, states: dict[str, str]) -> bool:
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
