"""Recovery point: what became of every acknowledged write, and how far before the onset the first lost one lies.

An acknowledged write is one whose acceptance the client saw (200 and its id). At the survivor it is, by the settle
deadline, *settled*; *refused* (the system compensated it: neither lost nor late); *lost* (absent, or still pending,
in any store that is to hold it); or *unknown* (could not be read: it proves nothing and nothing passes on it). It is
*late* when it was not yet terminal in the pass at recovery and settled in the later one. The rules are in
checks/reconcile.py; here they meet the windows of a drill.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from checks.archived import Archived, archived_of
from checks.balances import Balances, balances_of
from checks.looks import RegionOf, believed, final_states, reconciled, state_of
from checks.reconcile import COMPENSATED, LATE, LOST, NOT_KNOWN, REFUSED_UP, STAYED_OUT, TURNED_UP
from checks.windows import Window
from drill.ledger import Write
from drill.timeline import History
from drill.verdict import Interval


@dataclass(frozen=True)
class LostWrite:
    """A named lost write of one store.

    sent_s, acked_s: target seconds from the onset's latest instant (negative: before); the *_monotonic_s are the
    ledger's own stamps (wall seconds), the *_at the same by the wall clock (ISO 8601, UTC); region: that of the
    address which acknowledged it, "" unknown; lost_again: an earlier window had seen it settled.
    """

    key: str
    id: str
    write: str
    account: str
    amount: float
    store: str
    state: str
    sent_s: float
    acked_s: float
    after_onset: bool
    sent_at: str
    acked_at: str
    sent_monotonic_s: float
    acked_monotonic_s: float
    payload_sha256: str
    region: str
    lost_again: bool

    def row(self) -> dict[str, Any]:
        """The write as a flat JSON-able row."""
        return dict(vars(self))


@dataclass(frozen=True)
class StorePoint:
    """One data store: its recovery point in target seconds, and how many acknowledged writes it was to hold."""

    name: str
    interval: Interval
    acknowledged: int
    lost: int
    late: int
    unknown: int

    def row(self) -> dict[str, Any]:
        """The store as a flat JSON-able row."""
        bounds = {"low_s": round(self.interval.low_s, 3), "high_s": round(self.interval.high_s, 3)}
        counts = {name: getattr(self, name) for name in ("acknowledged", "lost", "late", "unknown")}
        return {"store": self.name, **bounds, **counts}


@dataclass(frozen=True)
class RecoveryPoint:
    """What became of the writes of one window.

    interval: recovery point in target seconds (0 when nothing is lost), of the worst store; counts of writes by
    fate; lost: by time of acknowledgement, a row for each store that misses it; lost_after_onset: those of them
    sent after the onset's latest instant; lost_again: those that an earlier window had seen settled;
    turned_up, stayed_out, refused_up: None when nobody could look; balances: None when none were read.
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
    lost_under_way: int = 0
    """Lost, sent before the onset's latest instant and acknowledged after it: nobody knows on which side of the onset
    the system accepted them."""
    balances: Balances | None = None
    lost_again: int = 0
    turned_up: int | None = None
    stayed_out: int | None = None
    refused_up: int | None = None
    duplicated: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    both: tuple[str, ...] = ()
    """Keys of the writes of which a store shows several, another payload, or acceptance by another Region."""
    stores: tuple[StorePoint, ...] = ()
    archived: Archived | None = None
    """Where the lost ones are; None when nobody looked into an archive."""

    @property
    def lost_writes(self) -> int:
        """How many writes are lost, in whichever store."""
        return len({w.key for w in self.lost})

    def counts(self) -> dict[str, int]:
        """The counts by name, for tables; what nobody could look for is left out."""
        duplicate = 0 if self.balances is None else self.balances.duplicates
        looked = {
            "indeterminate, turned up": self.turned_up,
            "indeterminate, did not": self.stayed_out,
            "refused, turned up": self.refused_up,
            "archived only": None if self.archived is None else self.archived.only,
        }
        return {
            "acknowledged": self.acknowledged,
            "lost": self.lost_writes,
            "lost after onset": self.lost_after_onset,
            "lost again": self.lost_again,
            "late": self.late,
            "duplicate": max(duplicate, len(self.duplicated)),
            "changed": len(self.changed),
            "accepted by both Regions": len(self.both),
            "indeterminate": self.indeterminate,
            "refused": self.refused,
            "refused after acceptance": self.refused_after_accept,
            "unknown": self.unknown,
        } | {name: count for name, count in looked.items() if count is not None}


@dataclass(frozen=True)
class _Row:
    """One write in one store, with what became of it there."""

    write: Write
    store: str
    fate: int
    state: str


def recovery_point(
    history: History,
    window: Window,
    onset: Interval | None,
    speed: float,
    settle_wall_s: float = 0.0,
    region_of: RegionOf = lambda _: None,
) -> RecoveryPoint:
    """The recovery point of one window.

    onset: instants in monotonic wall seconds; None (no failure) takes the window's begin as the onset.
    settle_wall_s: how long after recovery a write is given to settle (wall seconds). region_of: address -> Region.
    A window answers for every write acknowledged before it recovered, those of earlier windows too: a write that
    arrived with the failover can still be lost by the failback, so what an earlier window saw settled says nothing
    here. What an earlier window lost is not lost again.
    """
    instant = onset or Interval(window.begin_s, window.begin_s, ("no failure: the window's begin",))
    writes = writes_of(history, window)
    looks = believed(history, window, settle_wall_s)
    units = [(w, store) for w in writes for store in w.stores]
    fates = reconciled(units, looks, region_of)
    rows = [_Row(w, s, int(f), state_of(n)) for (w, s), f, n in zip(units, fates.fate, fates.state, strict=True)]
    before = settled_before(history, window)
    lost = sorted((r for r in rows if r.fate == LOST), key=lambda r: r.write.known_s)
    named = tuple(_lost(r, instant, speed, region_of, before) for r in lost)
    firsts = {r.write.key: r.state for r in rows if r.state and r.store == r.write.stores[0]}
    acked = [w for w in writes if w.result == "acked"]
    balances = balances_of(history, window, firsts, {w.account for w in acked})
    turned_up, stayed_out, refused_up = _open_ends(rows, balances)
    return RecoveryPoint(
        interval=_interval([r.write for r in lost], instant).scaled(speed),
        acknowledged=len(acked),
        refused=sum(w.result == "refused" for w in writes),
        indeterminate=sum(w.result == "indeterminate" for w in writes),
        refused_after_accept=_writes(rows, COMPENSATED),
        late=_writes(rows, LATE),
        unknown=_writes(rows, NOT_KNOWN),
        lost=named,
        lost_after_onset=len({w.key for w in named if w.after_onset}),
        lost_under_way=len({w.key for w in named if not w.after_onset and w.acked_monotonic_s > instant.high_s}),
        balances=balances,
        lost_again=len({w.key for w in named if w.lost_again}),
        turned_up=turned_up,
        stayed_out=stayed_out,
        refused_up=refused_up,
        duplicated=_marked(units, fates.marks.twice),
        changed=_marked(units, fates.marks.changed),
        both=_marked(units, fates.marks.both),
        archived=archived_of(history, window, {w.key for w in named}),
        stores=tuple(_store(name, rows, instant, speed) for name in sorted({store for _, store in units})),
    )


def _writes(rows: Iterable[_Row], fate: int) -> int:
    return len({r.write.key for r in rows if r.fate == fate})


def _marked(units: Sequence[tuple[Write, str]], marks: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(units[at][0].key for at in np.flatnonzero(marks).tolist()))


def _open_ends(rows: Sequence[_Row], balances: Balances | None) -> tuple[int | None, int | None, int | None]:
    """(turned up, did not, refused and turned up) of the writes that were not acknowledged.

    By looking them up, else by the balances; Nones when neither was possible.
    """
    if any(r.state for r in rows if r.write.result != "acked"):
        return _writes(rows, TURNED_UP), _writes(rows, STAYED_OUT), _writes(rows, REFUSED_UP)
    if balances is not None and balances.checked:
        return balances.turned_up, balances.stayed_out, balances.refused_up
    return None, None, None


def _store(name: str, rows: Sequence[_Row], onset: Interval, speed: float) -> StorePoint:
    mine = [r for r in rows if r.store == name]
    lost = [r.write for r in mine if r.fate == LOST]
    acked = sum(r.write.result == "acked" for r in mine)
    return StorePoint(
        name, _interval(lost, onset).scaled(speed), acked, len(lost), _writes(mine, LATE), _writes(mine, NOT_KNOWN)
    )


def writes_of(history: History, window: Window) -> list[Write]:
    """The writes that a window answers for: known before it recovered, and not lost by an earlier one.

    A write without a result is counted where it was sent.
    """
    lost = {
        key
        for name in _windows_before(history, window)
        for (key, _), state in final_states(history.readbacks, name).items()
        if state in ("absent", "pending")
    }
    acked = {w.key for w in history.writes if w.result == "acked"}
    return [w for w in history.writes if w.known_s < window.settled_by_s and w.key not in lost & acked]


def settled_before(history: History, window: Window) -> set[tuple[str, str]]:
    """(key, store) of what an earlier window saw settled at its own survivor."""
    return {
        unit
        for name in _windows_before(history, window)
        for unit, state in final_states(history.readbacks, name).items()
        if state == "settled"
    }


def _windows_before(history: History, window: Window) -> set[str]:
    return {r.window for r in history.readbacks if r.window != window.name and r.at_s < window.begin_s}


def _interval(lost: Sequence[Write], onset: Interval) -> Interval:
    """[onset.low - result of the first lost, onset.high - send of the first lost], floor 0 (wall seconds)."""
    if not lost:
        return Interval(0.0, 0.0, ("no acknowledged write is lost",))
    first_known_s = min(w.known_s for w in lost)
    first_sent_s = min(w.sent_s for w in lost)
    low_s = max(0.0, onset.low_s - first_known_s)
    basis = (f"first lost write sent at {first_sent_s:.3f}, acknowledged by {first_known_s:.3f}",)
    return Interval(low_s, max(low_s, onset.high_s - first_sent_s), (*onset.basis, *basis))


def _lost(row: _Row, onset: Interval, speed: float, region_of: RegionOf, before: set[tuple[str, str]]) -> LostWrite:
    write = row.write
    return LostWrite(
        key=write.key,
        id=write.id or "",
        write=write.write,
        account=write.account,
        amount=write.amount,
        store=row.store,
        state=row.state,
        sent_s=round((write.sent_s - onset.high_s) * speed, 3),
        acked_s=round((write.known_s - onset.high_s) * speed, 3),
        after_onset=write.sent_s > onset.high_s,
        sent_at=_wall(write.sent_s + write.wall_offset_s),
        acked_at=_wall(write.known_s + write.wall_offset_s),
        sent_monotonic_s=write.sent_s,
        acked_monotonic_s=write.known_s,
        payload_sha256=write.digest,
        region=region_of(write.peer) or "",
        lost_again=(write.key, row.store) in before,
    )


def _wall(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds")
