"""Undo is data, written first: what a reversible fault will call, how it is put back, and how each is recognised.

A `Change` is put back as before; an `Action` is not reversible: its end state is declared and checked.
Both are JSON: any process that has the journal can act on them without the fault's class.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

from drill.aws import Aws
from drill.call import Call, Fact

Effect = Literal["errors", "region_moved", "none"]
"""What clients must see if a fault bites: failed writes; answers from another Region; nothing (it only arms)."""


@dataclass(frozen=True)
class Change:
    """A reversible fault, prepared.

    kind: the fault's name; target, run_id: whose; resources: what is touched; effect: what clients must see.
    inject, restore: the calls, in order. faulted, before: facts by which restore tells "still broken by us" from
    "as before" from "someone else changed it". effective: facts that hold once the fault is really in force;
    healed: facts that hold once everything runs as before. max_duration_s: target seconds until it must be back.
    """

    kind: str
    target: str
    run_id: str
    resources: tuple[str, ...]
    effect: Effect
    inject: tuple[Call, ...]
    restore: tuple[Call, ...]
    faulted: tuple[Fact, ...]
    before: tuple[Fact, ...]
    effective: tuple[Fact, ...] = ()
    healed: tuple[Fact, ...] = ()
    max_duration_s: float = 3600.0

    def to_json(self) -> dict[str, Any]:
        """JSON form; `change_from` reads it."""
        return asdict(self)


@dataclass(frozen=True)
class Action:
    """Something that cannot be undone: journaled before, its end state checked after.

    end_state: facts that hold when it is done; timeout_s: target seconds for that.
    """

    kind: str
    target: str
    run_id: str
    resources: tuple[str, ...]
    effect: Effect
    calls: tuple[Call, ...]
    end_state: tuple[Fact, ...]
    timeout_s: float

    def to_json(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


class Fault(Protocol):
    """A kind of fault: parameters, and a read-only `prepare` that resolves exactly one match per resource."""

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """Capture the live state. Refused unless each resource matches exactly once; changes nothing."""


class Step(Protocol):
    """A kind of action: like a Fault, but what it does is undone only by failback."""

    def prepare(self, aws: Aws, target: str, run_id: str) -> Action:
        """Look, and declare calls and end state. Refused unless each resource matches exactly once."""


def change_from(record: dict[str, Any]) -> Change:
    """A Change from its JSON form."""
    calls = {key: tuple(Call(**c) for c in record[key]) for key in ("inject", "restore")}
    facts = {
        key: tuple(Fact(Call(**f["call"]), f["path"], f["equals"]) for f in record[key])
        for key in ("faulted", "before", "effective", "healed")
    }
    return Change(**(record | calls | facts | {"resources": tuple(record["resources"])}))
