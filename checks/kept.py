"""Which written records are evidence, and stay where they are when a drill cleans up after itself.

A record is deleted only when what is known of it is known for good by the run folder. Where a read-back contradicts
what the client was told, the record itself, or its absence, is what somebody will want to look at: a lost write (its
source may have it, and nobody else), one that the system shows twice or changed, one that it refused and did, and one
that it would not tell of. Pure: from the ledger and the read-backs; not from the windows, whose judgement may have
reasons to look away.
"""

from __future__ import annotations

from collections.abc import Iterator

from checks.looks import reconciled
from checks.reconcile import LOST, NOT_KNOWN, NOT_SEEN, REFUSED_UP
from drill.cleaning import Unit
from drill.target_tables import Regions
from drill.timeline import History, Readback

WRONG = {LOST: "lost", NOT_KNOWN: "not told", REFUSED_UP: "done although refused"}
MARKS = ("shown several times", "changed", "accepted by both Regions")


def evidence_units(history: History) -> dict[Unit, str]:
    """Unit -> what is wrong with it, of those that the read-back of any window does not show as they should be."""
    kept: dict[Unit, str] = {}
    for window in dict.fromkeys(r.window for r in history.readbacks if r.window):
        looks = [r for r in history.readbacks if r.window == window]
        for unit, why in _wrong(history, looks):
            kept.setdefault(unit, why)
    return kept


def _wrong(history: History, looks: list[Readback]) -> Iterator[tuple[Unit, str]]:
    looked = {(r.key, r.store) for r in looks}
    units = [(w, store) for w in history.writes for store in w.stores if (w.key, store) in looked]
    told = any(r.region for r in looks)  # else nobody has to know which Region an address belongs to
    region_of = Regions.model_validate(history.header["target"]["regions"]).region_of if told else lambda _: None
    fates = reconciled(units, looks, region_of)
    marked = zip(fates.marks.twice, fates.marks.changed, fates.marks.both, strict=True)
    for (write, store), fate, state, marks in zip(units, fates.fate, fates.state, marked, strict=True):
        said = [word for word, is_so in zip(MARKS, marks, strict=True) if is_so]
        if state != NOT_SEEN and fate in WRONG:
            said.append(WRONG[int(fate)])
        if said:
            yield (write.key, store), ", ".join(said)
