"""Undo is data, written first: what a reversible fault will call, how it is put back, and how each is recognised.

A `Change` is put back as before; an `Action` is not reversible: its end state is declared and checked, and what it
has started is ended when it carries an `Undo`.
Both are JSON: any process that has the journal can act on them without the fault's class.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

from drill.aws import Aws
from drill.call import Call, Fact, fact_from
from drill.errors import UsageError
from drill.undo import Undo, undo_from

Effect = Literal["errors", "region_moved", "none"]
"""What clients must see if a fault bites: failed writes; answers from another Region; nothing (it only arms)."""


@dataclass(frozen=True)
class Change:
    """A reversible fault, prepared.

    kind: the fault's name; target, run_id: whose; resources: what is touched; effect: what clients must see.
    inject, restore: the calls, in order. faulted, before: facts by which restore tells "still broken by us" from
    "as before" from "someone else changed it". effective: facts that hold once the fault is really in force;
    healed: facts that hold once everything runs as before. max_duration_s: target seconds until it must be back.
    settle_s: target seconds after which a read of the service shows what was written before, and a call whose answer
    was lost has taken effect if it ever will. Until then "as before" is not believed.
    blind_safe: whether its restore calls may be made at any time without looking first, whatever the state then is.
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
    settle_s: float = 10.0
    blind_safe: bool = False

    @property
    def facts(self) -> tuple[Fact, ...]:
        """Everything that is read back of it."""
        return self.faulted + self.effective + self.before + self.healed

    @property
    def back(self) -> tuple[Fact, ...]:
        """What holds once it is put back and everything runs as before."""
        return self.before + self.healed

    def lines(self, endpoint_url: str | None = None) -> tuple[str, ...]:
        """What to type to put it back."""
        return tuple(call.cli(endpoint_url) for call in self.restore)

    def validate(self) -> None:
        """UsageError when a call or fact is unknown to botocore, or the facts cannot tell broken from as before."""
        _require(self.kind, bool(self.inject and self.restore), "has no calls to inject, or none to restore")
        _require(self.kind, bool(self.resources), "names no resource")
        for call in self.inject + self.restore:
            call.validate()
        for fact in self.facts:
            fact.validate()
        broken, before = ({(str(f.call), f.path): f.equals for f in facts} for facts in (self.faulted, self.before))
        _require(self.kind, bool(before), "says nothing of how it was before: it could never be put back")
        _require(self.kind, broken.keys() == before.keys(), "reads other values as broken than as before")
        _require(self.kind, broken != before, "looks the same broken as before: restore could not tell them apart")

    def to_json(self) -> dict[str, Any]:
        """JSON form; `change_from` reads it."""
        return asdict(self)


@dataclass(frozen=True)
class Action:
    """Something that cannot be undone: journaled before, its end state checked after.

    begun: facts that hold once it has been started, by whomever: they tell a crash before the call from one after
    it. end_state: facts that hold when it is done; timeout_s: target seconds for that. given_up: any one of these
    says that it has ended and will never reach its end state. settle_s: see Change. undo: how what it has started is
    ended, None when nothing of it goes on, or nobody can end it.
    """

    kind: str
    target: str
    run_id: str
    resources: tuple[str, ...]
    effect: Effect
    calls: tuple[Call, ...]
    end_state: tuple[Fact, ...]
    timeout_s: float
    begun: tuple[Fact, ...] = ()
    given_up: tuple[Fact, ...] = ()
    settle_s: float = 10.0
    undo: Undo | None = None

    @property
    def facts(self) -> tuple[Fact, ...]:
        """Everything that is read back of it while it goes on."""
        return self.begun + self.end_state + self.given_up

    @property
    def back(self) -> tuple[Fact, ...]:
        """What holds once nothing that it has started goes on; nothing when nobody ends it."""
        return self.undo.facts if self.undo else ()

    def lines(self, endpoint_url: str | None = None) -> tuple[str, ...]:
        """What to type to end what it has started."""
        return (self.undo.line(endpoint_url),) if self.undo else ()

    def validate(self) -> None:
        """UsageError when a call or fact is unknown to botocore, or nobody could tell whether it was started."""
        for call in self.calls:
            call.validate()
        for fact in self.facts:
            fact.validate()
        _require(self.kind, bool(self.calls and self.resources), "has no calls, or names no resource")
        _require(self.kind, bool(self.begun), "has no facts that tell whether it was started")
        _require(self.kind, bool(self.end_state), "declares no end state")
        if self.undo is not None:
            self.undo.validate(self.kind)

    def to_json(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


Owed = Change | Action
"""What a restorer has to do with: a Change, or an Action that has started something."""


class Fault(Protocol):
    """A kind of fault: parameters, and a read-only `prepare` that resolves exactly one match per resource."""

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """Capture the live state. Refused unless each resource matches exactly once; changes nothing."""


class Step(Protocol):
    """A kind of action: like a Fault, but what it does is undone only by failback."""

    def prepare(self, aws: Aws, target: str, run_id: str) -> Action:
        """Look, and declare calls and end state. Refused unless each resource matches exactly once."""


def change_from(record: dict[str, Any]) -> Change:
    """A Change from its JSON form. KeyError, TypeError or ValueError when it is none."""
    return Change(**_with_types(record, ("inject", "restore"), ("faulted", "before", "effective", "healed")))


def action_from(record: dict[str, Any]) -> Action:
    """An Action from its JSON form. KeyError, TypeError or ValueError when it is none."""
    made = _with_types(record, ("calls",), ("begun", "end_state", "given_up"))
    return Action(**(made | {"undo": undo_from(record.get("undo"))}))


def _with_types(record: dict[str, Any], calls: tuple[str, ...], facts: tuple[str, ...]) -> dict[str, Any]:
    """What an older harness did not write yet is left to the defaults."""
    made: dict[str, Any] = {key: tuple(Call(**call) for call in record[key]) for key in calls if key in record}
    made |= {key: tuple(fact_from(fact) for fact in record[key]) for key in facts if key in record}
    return record | made | {"resources": tuple(record["resources"])}


def _require(kind: str, holds: bool, otherwise: str) -> None:
    if not holds:
        raise UsageError(f"{kind} {otherwise}; its prepare() is wrong")
