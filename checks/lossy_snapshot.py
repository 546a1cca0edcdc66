"""A lossy failover's snapshot beside the clients' ledger, write by write. Pure.

Aurora keeps a snapshot of the old writer when a global failover loses data, and operators reconcile from it: what it
holds and the new writer lacks. That list is the database's word; the ledger is the clients'. They must agree on what
was acknowledged; each may know of more: the ledger of writes that not even the old writer kept, the snapshot of rows
whose clients never got an answer, or that no client of the drill wrote.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-disaster-recovery.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from drill.ledger import Write

Point = Literal["recoverable", "gone", "contradicted", "not read back", "unknown to the ledger"]
SAID: Mapping[Point, str] = {
    "recoverable": "acknowledged, lost, and in the snapshot",
    "gone": "acknowledged, lost, and not in the snapshot either: nobody can bring it back from there",
    "contradicted": "the snapshot's list has it as missing, and the survivor showed it to its client",
    "not read back": "acknowledged after the recovery, so nobody asked the survivor for it",
    "unknown to the ledger": "in the snapshot's list, and no client of the drill was ever told its id",
}


@dataclass(frozen=True)
class Compared:
    """One write of the comparison. key, account: of the ledger, "" where it has none."""

    id: str
    point: Point
    key: str = ""
    account: str = ""


def compare(
    lost: Sequence[Mapping[str, Any]], writes: Iterable[Write], survived: Iterable[str], snapshot: Iterable[str]
) -> list[Compared]:
    """Every write that either list names, the ledger's first and in its order, then the others by id.

    lost: rows {id, key, account} of the writes of one store that were lost; writes: the ledger's, of that store;
    survived: keys of those that the survivor showed; snapshot: the ids that the old writer's snapshot holds and the
    survivor lacks.
    """
    missing, named, seen = set(snapshot), {str(row["id"]) for row in lost}, set(survived)
    known = {str(write.id): write for write in writes if write.id is not None and write.result == "acked"}
    found = [
        Compared(str(row["id"]), "recoverable" if str(row["id"]) in missing else "gone", row["key"], row["account"])
        for row in lost
    ]
    for number in sorted(missing - named):
        write = known.get(number)
        if write is None:
            found.append(Compared(number, "unknown to the ledger"))
        else:
            point: Point = "contradicted" if write.key in seen else "not read back"
            found.append(Compared(number, point, write.key, write.account))
    return found


def agree(compared: Iterable[Compared]) -> bool:
    """Whether both lists name the same acknowledged writes."""
    return not any(each.point in ("gone", "contradicted") for each in compared)
