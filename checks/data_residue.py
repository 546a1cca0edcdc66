"""The writes that load and probes have made, and what became of them once the drill was over: left, or cleaned up.

Pure: the same run folder gives the same finding. What the target promises to clean is a promise of ours, with a line
that is surely right to type: so what is not known to be gone is DIRTY, unlike a setting that somebody moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from checks.kept import evidence_units
from checks.seal import SEAL, rows_of
from drill.cleaning import CLEANED_PASS, GONE, SAID, STILL_THERE, Unit, tag_of
from drill.ledger import Write
from drill.timeline import History
from drill.verdict import Finding, Verdict
from drill.write_path import CLEANED, LEFT

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
    if not any(residue_of(load, store) == CLEANED for write in history.writes for store in write.stores):
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


def residue_of(load: Mapping[str, Any], store: str) -> str:
    """What a header's [load] says of that store."""
    said = load.get("residue", LEFT)
    return str(said.get(store, LEFT) if isinstance(said, Mapping) else said)


def data_residue(
    writes: Sequence[Write], load: Mapping[str, Any], run_id: str, cleaning: Cleaning | None = None
) -> Finding:
    """What load and probes have written into the system under test, and what became of it.

    load: the target's [load]; run_id: the tag that every account must carry behind the target's prefix; cleaning: of
    a run that may have cleaned up. A write that was not refused on any other account is DIRTY: somebody's data were
    changed and nobody can change them back. So is what was promised to be cleaned and is not known to be gone.
    """
    written = _Written(writes, load, run_id, cleaning or Cleaning())
    made, data = written.made, written.data()
    strays = [w for w in made if not written.tag or not w.account.startswith(written.tag)]
    if strays:
        return _astray(strays, written.tag, data)
    unknown = sorted({p for p in written.policies.values() if p not in (LEFT, CLEANED)})
    if unknown:
        why = f"the target says {unknown[0]!r}; known: {LEFT!r}, {CLEANED!r}"
        return Finding(NAME, Verdict.INVALID, why, data=data)
    if written.units(writes):
        return _cleaned(written, data)
    return Finding(NAME, Verdict.PASS, _left(data, bool(written.tag)), data=data)


def _astray(strays: Sequence[Write], tag: str, data: Mapping[str, Any]) -> Finding:
    accounts = sorted({w.account for w in strays})
    named = ", ".join(accounts[:MOST_NAMED])
    allowed = f"accounts that begin with {tag}" if tag else "no account: the target declares no synthetic one"
    why = f"{len(strays)} writes went to accounts that are not synthetic ({named}); allowed: {allowed}"
    return Finding(NAME, Verdict.DIRTY, why, data={**data, "strays": accounts})


@dataclass(frozen=True)
class _Written:
    """One run's writes beside what became of them."""

    writes: Sequence[Write]
    load: Mapping[str, Any]
    run_id: str
    cleaning: Cleaning

    @property
    def tag(self) -> str:
        return tag_of(str(self.load.get("synthetic_prefix", "")), self.run_id)

    @property
    def made(self) -> list[Write]:
        """What may be there."""
        return [w for w in self.writes if w.result != "refused"]

    @property
    def policies(self) -> dict[str, str]:
        """Store -> what the target says of it."""
        stores = sorted({store for w in self.writes for store in w.stores}) or ["main"]
        return {store: residue_of(self.load, store) for store in stores}

    def units(self, writes: Iterable[Write]) -> list[Unit]:
        """What of these is to be cleaned."""
        policies = self.policies
        return [(w.key, store) for w in writes for store in w.stores if policies[store] == CLEANED]

    def gone(self, unit: Unit) -> bool:
        return self.cleaning.states.get(unit) == GONE

    def data(self) -> dict[str, Any]:
        policies = sorted(set(self.policies.values()))
        return {
            "accounts": len({w.account for w in self.made}),
            "acknowledged": sum(w.result == "acked" for w in self.made),
            "indeterminate": sum(w.result == "indeterminate" for w in self.made),
            "tag": self.tag,
            "policy": policies[0] if len(policies) == 1 else self.policies,
            "rows": list(self._rows()),
        }

    def _rows(self) -> Iterator[dict[str, Any]]:
        for writer in sorted({_writer(w) for w in self.made}):
            mine = [w for w in self.made if _writer(w) == writer]
            if CLEANED not in self.policies.values():
                yield {"writer": writer, **_counts(mine), "tag": self.tag}
                continue
            for store in sorted({store for w in mine for store in w.stores}):
                held = [w for w in mine if store in w.stores]
                counts = {"writer": writer, "store": store, **_counts(held), "tag": self.tag}
                yield counts | self._became(self.units(held) if self.policies[store] == CLEANED else None, len(held))

    def _became(self, units: Sequence[Unit] | None, count: int) -> dict[str, int]:
        if units is None:
            return {"cleaned": 0, "kept": 0, "left": count}
        kept = [unit for unit in units if unit in self.cleaning.kept]
        gone = [unit for unit in units if unit not in self.cleaning.kept and self.gone(unit)]
        return {"cleaned": len(gone), "kept": len(kept), "left": count - len(kept) - len(gone)}


def _counts(writes: Sequence[Write]) -> dict[str, int]:
    return {
        "accounts": len({w.account for w in writes}),
        "acknowledged": sum(w.result == "acked" for w in writes),
        "indeterminate": sum(w.result == "indeterminate" for w in writes),
    }


def _writer(write: Write) -> str:
    return write.key.rpartition("-")[0]


def _left(data: Mapping[str, Any], may_write: bool) -> str:
    if data["rows"]:
        return f"{_described(data)} are left in the system, as the target says"
    return "nothing was written" if may_write else f"nothing was written: {READS}"


def _described(data: Mapping[str, Any]) -> str:
    unclear = f" and {data['indeterminate']} of unknown outcome" if data["indeterminate"] else ""
    return f"{data['acknowledged']} acknowledged writes{unclear} on {data['accounts']} accounts {data['tag']}*"


def _cleaned(written: _Written, data: dict[str, Any]) -> Finding:
    """The finding about what was to be cleaned. What was refused must not be there either."""
    cleaning, units = written.cleaning, written.units(written.writes)
    owed = [unit for unit in units if unit not in cleaning.kept]
    left = [unit for unit in owed if not written.gone(unit)]
    kept = [{"key": key, "store": s, "why": cleaning.kept[key, s]} for key, s in units if (key, s) in cleaning.kept]
    data |= {"asked": len(owed), "cleaned": len(owed) - len(left), "found": cleaning.found, "kept": kept}
    data["replica"] = dict(cleaning.replica)
    later = bool(left) and cleaning.later
    if left and not later:
        data |= {"left": [key for key, _ in left], "lines": [TO_TYPE]}
        return Finding(NAME, Verdict.DIRTY, _not_gone(written, data, left), advice=TO_TYPE, data=data)
    why = "" if later else _unproven(written, set(owed))
    return Finding(NAME, Verdict.INVALID if why else Verdict.PASS, why or _gone(data, later), data=data)


def _unproven(written: _Written, owed: set[Unit]) -> str:
    """Why that nothing was seen in the end proves nothing; "" when it does."""
    if owed and not written.cleaning.whole:
        return "records were deleted before all that is known of them was on record"
    acked = owed.intersection(written.units(w for w in written.writes if w.result == "acked"))
    if not acked or written.cleaning.found:
        return ""
    return (
        f"none of {len(acked)} acknowledged records was seen where it was written before it was deleted: that they "
        "are not there now proves nothing"
    )


def _not_gone(written: _Written, data: Mapping[str, Any], left: Sequence[Unit]) -> str:
    states = written.cleaning.states
    there = sum(states.get(unit) == STILL_THERE for unit in left)
    seen = f"{there} are there still, {len(left) - there} were not seen" if states else "nobody has deleted any"
    why = f"; {written.cleaning.why}" if written.cleaning.why else ""
    named = ", ".join(key for key, _ in left[:MOST_NAMED])
    return (
        f"{len(left)} of {data['asked']} records that were to be cleaned up are not known to be gone: {seen} (first: "
        f"{named}){why}{_evidence(data)}. To clean up, type:\n  {TO_TYPE}"
    )


def _gone(data: Mapping[str, Any], later: bool) -> str:
    if later:
        return f"{_described(data)}: cleaned up after the drill, by the journal{_evidence(data)}"
    before = f"{data['found']} acknowledged ones were there before"
    done = f"cleaned {data['cleaned']} of {data['asked']}, read back: gone; {before}"
    return f"{_described(data)}: {done}{_at_replica(data['replica'])}{_evidence(data)}"


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
    return f"; {len(kept)} more are kept as evidence (first: {kept[0]['key']}, {kept[0]['why']})"
