"""Cleaning up what load and probes wrote: exactly the records that a run's ledger names, and read back.

What is deleted is a record whose id and account are both this run's own. Deleting again what is gone is harmless, so
after a kill the whole is simply done again; only a drill that died says nothing of it, and the journal does: a line
"writing" before anything can be written, "cleaning" before the first record is deleted, then "cleaned" or "unclean".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from drill.client import Reply, wall_timeout_s
from drill.clock import Clock
from drill.errors import UsageError
from drill.journal import journal_records
from drill.ledger import Write
from drill.resolver import CachingClient
from drill.sql_door import THERE, SqlDoor
from drill.target import Target
from drill.write_path import CLEANED, Load
from drill.writing import client_key_of

Unit = tuple[str, str]
"""A write in one of the stores that are to hold it: (the ledger's key, store)."""
Units = Sequence[tuple[Write, str]]
"""Writes, each in one of its stores."""
Names = Sequence[Mapping[str, str]]
GONE, STILL_THERE, UNKNOWN = "absent", "settled", "unknown"
"""What a look at a unit shows; the words of a Readback."""
CLEANED_PASS = "cleaned"
"""The read-back after cleaning; it belongs to no window."""
BATCH = 200
LIMIT_WALL_S = 60.0
"""Wall seconds for all deleting and looking; what is not seen gone by then is not."""
ROUNDS = 3
"""How often a system that says no is asked again; one that does not answer is asked until time is over."""
PAUSE_WALL_S = 0.5
SAID = {
    "writing": "nobody has begun to clean it up",
    "cleaning": "cleaning it up was not seen to end",
    "unclean": "cleaning it up did not succeed",
    "cleaned": "it was cleaned up",
}
"""What the journal's states say of written data."""


class Eraser(Protocol):
    """Deletes and looks for many records of one kind of write at once. Each call is one attempt, bounded in time.

    names: "key" (the client's own name of the write) and "account" of each.
    """

    def erase(self, kind: str, names: Names) -> Reply:
        """Delete these records, and no record of another account."""

    def there(self, kind: str, names: Names, *, replica: bool) -> Reply:
        """Which of these keys have a record (in THERE), where it was written; or at the replica."""

    def close(self) -> None:
        """Drop the kept connections."""


@dataclass(frozen=True)
class Cleaned:
    """What came of it. found: units that were there before; states: what the last look at each showed (GONE,
    STILL_THERE, UNKNOWN); why: what was said to the last attempt that failed, "" when none did."""

    found: frozenset[Unit]
    states: Mapping[Unit, str]
    why: str

    @property
    def left(self) -> tuple[Unit, ...]:
        """The units that were not seen gone."""
        return tuple(unit for unit, state in self.states.items() if state != GONE)


def tag_of(prefix: str, run_id: str) -> str:
    """What every account of a run begins with; "" for a run that may not write."""
    return f"{prefix}{run_id}-" if prefix else ""


def units_to_clean(writes: Iterable[Write], load: Load, run_id: str) -> list[tuple[Write, str]]:
    """What is to be cleaned, as the target says: the run's own writes, whatever became of them.

    A refused write may be there all the same, so it is deleted too.
    """
    tag = tag_of(load.synthetic_prefix, run_id)
    if load.residue != CLEANED or not tag:
        return []
    return [(w, store) for w in writes if w.account.startswith(tag) for store in w.stores]


def open_eraser(target: Target, clock: Clock) -> Eraser:
    """How that target's records are deleted. UsageError for one that knows no way."""
    if target.writes.protocol != "sql":
        raise UsageError(f"target {target.name}: protocol {target.writes.protocol!r} has no known way to delete")
    try:
        replica = target.regional_endpoints[target.regions.standby]
    except KeyError:
        raise UsageError(f"target {target.name}: no regional endpoint for {target.regions.standby}") from None
    urls = target.url(target.endpoint), target.url(replica)
    timeout_s = wall_timeout_s(target.load.timeout_s, clock.speed)
    return SqlDoor(target.writes, CachingClient.for_target(target, clock), *urls, timeout_s, clock)


def clean(eraser: Eraser, clock: Clock, units: Units, limit_wall_s: float = LIMIT_WALL_S) -> Cleaned:
    """Delete these units and look; again what is not seen gone, within the limits."""
    deadline_s = clock.monotonic_s() + limit_wall_s
    before = _patient_look(eraser, clock, units, clock.monotonic_s() + limit_wall_s / 2)
    states: dict[Unit, str] = {}
    todo, refused = list(units), 0
    while True:
        said = _erase(eraser, todo)
        seen, replies = look(eraser, todo)
        states |= seen
        failed = [reply for reply in (*said, *replies) if not reply.ok]
        refused += not failed or not all(map(_may_pass, failed))
        todo = [(w, store) for w, store in todo if states[w.key, store] != GONE]
        if not todo or refused >= ROUNDS or clock.monotonic_s() >= deadline_s:
            found = frozenset(unit for unit, state in before.items() if state == STILL_THERE)
            return Cleaned(found, states, _said(failed) if todo else "")
        clock.sleep(PAUSE_WALL_S * clock.speed)


def look(eraser: Eraser, units: Units, replica: bool = False) -> tuple[dict[Unit, str], list[Reply]]:
    """What each unit shows now, and the replies that say so. After one that nobody answered, nobody is asked."""
    states = {(write.key, store): UNKNOWN for write, store in units}
    replies = []
    for kind, names, batch in _batches(units):
        replies.append(eraser.there(kind, names, replica=replica))
        if replies[-1].error:
            break
        found = _found(replies[-1])
        for (write, store), name in zip(batch, names, strict=True):
            state = UNKNOWN if found is None else STILL_THERE if name["key"] in found else GONE
            states[write.key, store] = state
    return states, replies


def await_replica(eraser: Eraser, clock: Clock, units: Units, limit_wall_s: float) -> list[str]:
    """What each unit shows at the replica once all are gone there, or once time is over."""
    deadline_s = clock.monotonic_s() + limit_wall_s
    while True:
        states, _ = look(eraser, units, replica=True)
        if all(state == GONE for state in states.values()) or clock.monotonic_s() >= deadline_s:
            return list(states.values())
        clock.sleep(PAUSE_WALL_S * clock.speed)


def _patient_look(eraser: Eraser, clock: Clock, units: Units, deadline_s: float) -> dict[Unit, str]:
    """A look that all answered, or the last one in that time."""
    while True:
        states, replies = look(eraser, units)
        if not any(map(_may_pass, replies)) or clock.monotonic_s() >= deadline_s:
            return states
        clock.sleep(PAUSE_WALL_S * clock.speed)


def _erase(eraser: Eraser, units: Units) -> list[Reply]:
    """The replies to deleting all of them. After one that nobody answered, nobody is asked."""
    replies = []
    for kind, names, _ in _batches(units):
        replies.append(eraser.erase(kind, names))
        if replies[-1].error:
            break
    return replies


def uncleaned(path: Path) -> str:
    """In words, what a drill wrote by its journal and nobody has cleaned as its target says; "" for nothing.

    Unreadable as drill.journal says.
    """
    records = [r for r in journal_records(path) if r.get("state") in SAID]
    if not records or records[-1]["state"] == "cleaned":
        return ""
    last = records[-1]
    said = SAID[last["state"]]
    return f"what load and probes wrote on accounts {last.get('tag', '?')}* is to be cleaned, and {said}"


def _batches(units: Units) -> Iterator[tuple[str, list[dict[str, str]], Units]]:
    """(kind, names, units) of at most BATCH units each."""
    for kind in dict.fromkeys(write.write for write, _ in units):
        mine = [unit for unit in units if unit[0].write == kind]
        for at in range(0, len(mine), BATCH):
            batch = mine[at : at + BATCH]
            yield kind, [{"key": client_key_of(w), "account": w.account} for w, _ in batch], batch


def _found(reply: Reply) -> set[str] | None:
    """The keys that a reply shows; None when it does not say."""
    if not reply.ok:
        return None
    said: Any = json.loads(reply.body)
    return set(said[THERE])


def _may_pass(reply: Reply) -> bool:
    """Whether asking again may help: nobody answered, or the server cannot now."""
    return bool(reply.error) or reply.status >= 500


def _said(failed: Sequence[Reply]) -> str:
    if not failed:
        return "deleted, and it is there still"
    return f"{failed[0].error or failed[0].status}: {failed[0].detail}"
