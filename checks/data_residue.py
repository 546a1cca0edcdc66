"""The writes that load and probes have made, and what became of them once the drill was over: left, or cleaned up.

Pure: the same run folder gives the same finding. What the target promises to clean is a promise of ours, with a line
that is surely right to type: so what is not known to be gone is DIRTY, unlike a setting that somebody moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from checks.kept import evidence_units
from checks.seal import SEAL, rows_of
from drill.cleaning import CLEANED_PASS, GONE, SAID, STILL_THERE, Unit, tag_of
from drill.ledger import Write
from drill.timeline import History
from drill.verdict import Finding, Verdict
from drill.write_path import CLEANED, LEFT
from drill.writing import client_key_of

NAME = "data residue"
MOST_NAMED = 3
TO_TYPE = "drill clean RUN"
READS = "without a declared synthetic identity, load only reads"
BEGUN, ENDED, NOT_BEGUN = "cleaning", "cleaned", "cleaning.refused"
"""Marks of a drill that cleans up: before the first record is deleted (data: rows, the seal of what is known of
them), after the last look (found, why, replica), and instead of both (why)."""
NONSENSE = (TypeError, ValueError, KeyError, AttributeError, LookupError)
"""What reading a record of a wrong shape raises."""


@dataclass(frozen=True)
class Cleaning:
    """What a run folder says of its cleaning up.

    states: unit -> what the last look at it showed; kept: unit -> why it is evidence; found: how many acknowledged
    records were there before, None when nobody says; why: what went wrong, "" for nothing known; whole: whether what
    is known of the records was on record before the first was deleted; replica: what was seen there, {} when nobody
    looked; later: cleaned after the drill, by the journal.
    """

    states: Mapping[Unit, str] = field(default_factory=dict)
    kept: Mapping[Unit, str] = field(default_factory=dict)
    found: int | None = None
    why: str = ""
    whole: bool = False
    replica: Mapping[str, Any] = field(default_factory=dict)
    later: bool = False


def cleaning_of(history: History) -> Cleaning:
    """Never raises: of records that make no sense nothing is believed, and `why` says so."""
    try:
        return _cleaning_of(history)
    except NONSENSE as error:
        return Cleaning(why=f"the evidence makes no sense ({type(error).__name__}: {error})")


def _cleaning_of(history: History) -> Cleaning:
    load = (history.header.get("target") or {}).get("load") or {}
    if load.get("residue") != CLEANED:
        return Cleaning()
    begun, ended = history.first(BEGUN), history.first(ENDED)
    told: Mapping[str, Any] = ended.data if ended else {}
    refused = [str(event.data["why"]) for event in history.named(NOT_BEGUN)]
    found = told.get("found")
    return Cleaning(
        states={(r.key, r.store): r.state for r in history.readbacks if r.pass_ == CLEANED_PASS},
        kept=evidence_units(history),
        found=found if type(found) is int else None,
        why=str(told.get("why") or "; ".join(refused)),
        whole=begun is not None and begun.data["rows"] == rows_of(history, CLEANED_PASS),
        replica=dict(told.get("replica") or {}),
        later=not history.named(SEAL) and _cleaned_by_journal(history.journal or ()),
    )


def _cleaned_by_journal(journal: Iterable[Mapping[str, Any]]) -> bool:
    said = [record.get("state") for record in journal if record.get("state") in SAID]
    return said[-1:] == ["cleaned"]


def data_residue(
    writes: Sequence[Write], load: Mapping[str, Any], run_id: str, cleaning: Cleaning | None = None
) -> Finding:
    """What load and probes have written into the system under test, and what became of it.

    load: the target's [load]; run_id: the tag that every account must carry behind the target's prefix; cleaning: of
    a run that may have cleaned up. A write that was not refused on any other account is DIRTY: somebody's data were
    changed and nobody can change them back. So is what was promised to be cleaned and is not known to be gone.
    """
    tag, policy = tag_of(str(load.get("synthetic_prefix", "")), run_id), str(load.get("residue", LEFT))
    written = _Written(writes, tag, policy, cleaning or Cleaning())
    strays = [w for w in written.made if not tag or not w.account.startswith(tag)]
    if strays:
        return _astray(strays, tag, written.data())
    if policy not in (LEFT, CLEANED):
        why = f"the target says {policy!r}; known: {LEFT!r}, {CLEANED!r}"
        return Finding(NAME, Verdict.INVALID, why, data=written.data())
    if written.cleans and writes:
        return _cleaned(written)
    return Finding(NAME, Verdict.PASS, _left(written), data=written.data())


def _astray(strays: Sequence[Write], tag: str, data: Mapping[str, Any]) -> Finding:
    accounts = sorted({w.account for w in strays})
    named = ", ".join(accounts[:MOST_NAMED])
    allowed = f"accounts that begin with {tag}" if tag else "no account: the target declares no synthetic one"
    why = f"{len(strays)} writes went to accounts that are not synthetic ({named}); allowed: {allowed}"
    return Finding(NAME, Verdict.DIRTY, why, data={**data, "strays": accounts})


@dataclass(frozen=True)
class _Written:
    """One run's writes beside what became of them. A record is a write in one of the stores that are to hold it."""

    writes: Sequence[Write]
    tag: str
    policy: str
    cleaning: Cleaning

    @property
    def cleans(self) -> bool:
        """Whether the target says that all of it is deleted in the end."""
        return self.policy == CLEANED

    @property
    def made(self) -> list[Write]:
        """What may be there."""
        return [w for w in self.writes if w.result != "refused"]

    @property
    def said(self) -> str:
        """How much there is, in words."""
        counts = _counts(self.made)
        unclear = f" and {counts['indeterminate']} of unknown outcome" if counts["indeterminate"] else ""
        return f"{counts['acknowledged']} acknowledged writes{unclear} on {counts['accounts']} accounts {self.tag}*"

    def kept(self, writes: Iterable[Write]) -> list[dict[str, str]]:
        """The records of these that are evidence, and why."""
        why = self.cleaning.kept
        units = [(w, store) for w in writes for store in w.stores if (w.key, store) in why]
        return [{**_named(w, store), "why": why[w.key, store]} for w, store in units]

    def owed(self, writes: Iterable[Write]) -> list[tuple[Write, str]]:
        """The records of these that are to be gone. What was refused must not be there either."""
        mine = (w for w in writes if w.account.startswith(self.tag))
        return [(w, store) for w in mine for store in w.stores if (w.key, store) not in self.cleaning.kept]

    def left(self, writes: Iterable[Write]) -> list[tuple[Write, str]]:
        """Those of them that were not seen gone."""
        return [(w, store) for w, store in self.owed(writes) if self.cleaning.states.get((w.key, store)) != GONE]

    def data(self) -> dict[str, Any]:
        """For tables and programs."""
        rows = [self._row(writer) for writer in sorted({_writer(w) for w in self.made})]
        return {**_counts(self.made), "tag": self.tag, "policy": self.policy, "rows": rows}

    def _row(self, writer: str) -> dict[str, Any]:
        mine = [w for w in self.made if _writer(w) == writer]
        row: dict[str, Any] = {"writer": writer, **_counts(mine), "tag": self.tag}
        if not self.cleans:
            return row
        owed, left = len(self.owed(mine)), len(self.left(mine))
        return row | {"cleaned": owed - left, "kept": len(self.kept(mine)), "left": left}


def _counts(writes: Sequence[Write]) -> dict[str, int]:
    return {
        "accounts": len({w.account for w in writes}),
        "acknowledged": sum(w.result == "acked" for w in writes),
        "indeterminate": sum(w.result == "indeterminate" for w in writes),
    }


def _writer(write: Write) -> str:
    return write.key.rpartition("-")[0]


def _named(write: Write, store: str) -> dict[str, str]:
    """By the ledger's key, and as it is called where it was written."""
    return {"key": write.key, "id": write.id or client_key_of(write), "store": store}


def _left(written: _Written) -> str:
    if written.made:
        return f"{written.said} are left in the system, as the target says"
    return "nothing was written" if written.tag else f"nothing was written: {READS}"


def _cleaned(written: _Written) -> Finding:
    """The finding of a run that was to clean up."""
    writes, cleaning = written.writes, written.cleaning
    owed, left = written.owed(writes), written.left(writes)
    data = written.data() | {"asked": len(owed), "cleaned": len(owed) - len(left), "found": cleaning.found}
    data |= {"kept": written.kept(writes), "replica": dict(cleaning.replica)}
    if left and cleaning.later:
        why = f"{written.said}: cleaned up after the drill, by the journal{_evidence(data)}"
        return Finding(NAME, Verdict.PASS, why, data=data)
    if left:
        data |= {"left": [_named(w, store) for w, store in left], "lines": [TO_TYPE]}
        return Finding(NAME, Verdict.DIRTY, _not_gone(cleaning, data), advice=TO_TYPE, data=data)
    why = _unproven(written, owed)
    return Finding(NAME, Verdict.INVALID if why else Verdict.PASS, why or _gone(written.said, data), data=data)


def _unproven(written: _Written, owed: Sequence[tuple[Write, str]]) -> str:
    """Why that nothing was seen in the end proves nothing; "" when it does."""
    if owed and not written.cleaning.whole:
        return "records were deleted before all that is known of them was on record"
    acked = sum(write.result == "acked" for write, _ in owed)
    if not acked or written.cleaning.found:
        return ""
    return (
        f"none of {acked} acknowledged records was seen where it was written before it was deleted: that they are "
        "not there now proves nothing"
    )


def _not_gone(cleaning: Cleaning, data: Mapping[str, Any]) -> str:
    left, states = data["left"], cleaning.states
    there = sum(states.get((record["key"], record["store"])) == STILL_THERE for record in left)
    seen = f"{there} are there still, {len(left) - there} were not seen" if states else "nobody has deleted any"
    why = f"; {cleaning.why}" if cleaning.why else ""
    named = ", ".join(record["id"] for record in left[:MOST_NAMED])
    return (
        f"{len(left)} of {data['asked']} records that were to be cleaned up are not known to be gone: {seen} (first: "
        f"{named}){why}{_evidence(data)}. To clean up, type:\n  {TO_TYPE}"
    )


def _gone(said: str, data: Mapping[str, Any]) -> str:
    before = f"{data['found']} acknowledged ones were there before"
    done = f"cleaned {data['cleaned']} of {data['asked']}, read back: gone; {before}"
    return f"{said}: {done}{_at_replica(data['replica'])}{_evidence(data)}"


def _at_replica(replica: Mapping[str, Any]) -> str:
    if not replica:
        return ""
    there, unknown = replica.get("there"), replica.get("unknown")
    if not there and not unknown:
        return "; gone at the replica too"
    return f"; at the replica {there} were there still and {unknown} could not be looked for, which is not judged"


def _evidence(data: Mapping[str, Any]) -> str:
    kept = data["kept"]
    if not kept:
        return ""
    return f"; {len(kept)} more are kept as evidence (first: {kept[0]['id']}, {kept[0]['why']})"
