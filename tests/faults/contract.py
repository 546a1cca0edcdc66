"""The contract of a fault, as functions: each raises AssertionError for a fault that breaks its part of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from moto.core.model_instances import model_data

from checks.snapshot import take_snapshot
from drill.actions import standing
from drill.aws import Aws
from drill.call import Call
from drill.change import Action, Change, action_from, change_from
from drill.clock import FakeClock
from drill.errors import DrillError, Refused
from drill.iam import need_of, resources_of
from drill.journal import Journal, interrupted
from drill.read_only import ReadOnlyAws
from drill.restore import put_back
from tests.checks.cloud import Cloud

TARGET, RUN = "core-banking", "r1"
EVERYTHING = "*"
SECOND_START = ("AlreadyExists", "InvalidGlobalClusterState")
"""How AWS's errors begin that refuse to start what has been started."""


@dataclass(frozen=True)
class Place:
    """Where a fault is tried: an account, clients as the harness makes them, and a folder for journals."""

    made: Cloud
    aws: Aws
    folder: Path
    keys: tuple[str, ...] = ()

    def around(self, keys: tuple[str, ...]) -> Place:
        """The same place, of whose configuration only those keys of the target are looked at; none: all."""
        return replace(self, keys=keys)

    def prepare(self, fault: Any) -> Any:
        """The Change or Action."""
        return fault.prepare(self.aws, TARGET, RUN)

    def configuration(self) -> Any:
        """Everything that the target names, in every Region, without what moves by itself."""
        every = self.made.target.resources
        target = self.made.target.model_copy(update={"resources": {k: every[k] for k in self.keys or every}})
        taken = take_snapshot(self.aws, target, FakeClock(), "before")
        return taken["resources"]

    def state(self) -> Any:
        """All that the stand-in stores, of every service (alarms move by themselves)."""
        return {
            f"{service} {name}": [_plain(vars(instance)) for instance in model.instances_tracked]  # type: ignore[attr-defined]
            for service, models in model_data.items()
            for name, model in models.items()
            if service != "cloudwatch"
        }

    @contextmanager
    def journal(self) -> Iterator[Journal]:
        """A journal of its own."""
        number = len(list(self.folder.iterdir()))
        journal = Journal(self.folder / f"{number}.jsonl", FakeClock())
        try:
            yield journal
        finally:
            journal.close()

    def run(self, *calls: Call) -> None:
        """Make the calls."""
        for call in calls:
            self.aws.run(call)

    def restore(self, change: Change, confirmed: bool = True) -> None:
        """Put back through a journal, as a drill does it. confirmed: whether it was seen in force."""
        with self.journal() as journal:
            number = journal.open_change(change)
            journal.record(number, "injecting")
            if confirmed:
                journal.record(number, "injected")
            put_back(self.aws, journal, number, change, FakeClock().sleep, 20.0)
            assert journal.outstanding() == []

    def holds(self, change: Change, *names: str) -> bool:
        """Whether all those facts hold now."""
        return all(reading.holds for name in names for reading in self.aws.read(getattr(change, name)))


def _plain(attributes: dict[str, Any]) -> dict[str, str]:
    """What of them is data; what a model holds besides is other models, which are tracked themselves."""
    found = {}
    for name, value in attributes.items():
        with contextlib.suppress(TypeError, ValueError):
            found[name] = json.dumps(value, sort_keys=True)
    return found


# -- for both


def prepare_changes_nothing(place: Place, fault: Any) -> None:
    """It asks only what reads, and all that the account stores is the same after it."""
    was, only_reading = place.state(), ReadOnlyAws(place.aws)
    fault.prepare(only_reading, TARGET, RUN)
    assert only_reading.made, "it did not look at anything"
    assert place.state() == was


def says_what_botocore_knows(place: Place, fault: Any) -> None:
    """Calls, facts and paths are checked against the service model, before anything runs."""
    place.prepare(fault).validate()


def survives_json(place: Place, fault: Any) -> None:
    """What is read from the journal is what was written."""
    prepared = place.prepare(fault)
    read = change_from if isinstance(prepared, Change) else action_from
    assert read(json.loads(json.dumps(prepared.to_json()))) == prepared


def names_all_that_it_touches(place: Place, fault: Any) -> None:
    """Every resource that a call can change, by IAM's own reckoning, is among its resources, in its own Region."""
    prepared = place.prepare(fault)
    calls = prepared.inject + prepared.restore if isinstance(prepared, Change) else prepared.calls
    for call in calls:
        touched = set(resources_of(need_of(call, prepared.resources), place.made.server.account))
        assert touched <= set(prepared.resources), f"{call.operation} touches {touched - set(prepared.resources)}"
        assert touched
        assert {arn.split(":")[3] for arn in touched} <= {"", call.region}


def refuses_what_is_not_one(place: Place, fault: Any) -> None:
    """No match or several: Refused, nothing touched."""
    was = place.state()
    for name, said in (("nothing-*", "found none"), (EVERYTHING, r"found \d+: ")):
        within = EVERYTHING if fault.resource.within else None
        vague = replace(fault, resource=fault.resource.model_copy(update={"name": name, "within": within}))
        with pytest.raises(Refused, match=said):
            place.prepare(vague)
    assert place.state() == was


# -- for a Change


def facts_flip_both_ways(place: Place, fault: Any) -> None:
    """Before: as before and not broken. Injected: broken, in force, not as before. Restored: as before and healed."""
    change = place.prepare(fault)
    assert place.holds(change, "before")
    assert not place.holds(change, "faulted")
    place.run(*change.inject)
    assert place.holds(change, "faulted", "effective")
    assert not place.holds(change, "before")
    place.run(*change.restore)
    assert place.holds(change, "before", "healed")
    assert not place.holds(change, "faulted")


def injecting_twice_is_injecting_once(place: Place, fault: Any) -> None:
    """A retry after a lost answer does no more than the first."""
    was, change = place.configuration(), place.prepare(fault)
    place.run(*change.inject)
    once = place.configuration()
    assert once != was, "nothing that the target names has changed"
    place.run(*change.inject)
    assert place.configuration() == once
    place.restore(change)
    assert place.configuration() == was


def restoring_twice_is_restoring_once(place: Place, fault: Any) -> None:
    """The second finds everything as before; so do the bare calls."""
    was, change = place.configuration(), place.prepare(fault)
    place.run(*change.inject)
    place.restore(change)
    assert place.configuration() == was
    place.restore(change)
    place.run(*change.restore)
    assert place.configuration() == was


def half_an_injection_is_put_back(place: Place, fault: Any) -> None:
    """After each number of its calls, the first none; and so is a restore that stopped half way."""
    was, change = place.configuration(), place.prepare(fault)
    for made in range(len(change.inject) + 1):
        place.run(*change.inject[:made])
        place.restore(change, confirmed=False)
        assert place.configuration() == was, f"after {made} of {len(change.inject)} calls"
    for made in range(len(change.restore) + 1):
        place.run(*change.inject, *change.restore[:made])
        place.restore(change)
        assert place.configuration() == was, f"after {made} of {len(change.restore)} calls to restore"


# -- for an Action


def tells_a_crash_before_from_one_after(place: Place, fault: Any, run_id: str = "crashed") -> None:
    """The journal has the same line in both cases; AWS is asked which it was."""
    action = fault.prepare(place.aws, TARGET, run_id)
    with place.journal() as journal:
        journal.open_action(action)
        (intent,) = interrupted(journal.path)
        assert standing(place.aws, intent.action).fate == "not_started"
        place.run(*action.calls)
        (intent,) = interrupted(journal.path)
        assert standing(place.aws, intent.action).fate in ("running", "reached")


def is_never_repeated(place: Place, action: Action, started: Callable[[Cloud], int]) -> None:
    """Started once, however often its calls are made: AWS refuses the second, or takes it for the first."""
    was = started(place.made)
    place.run(*action.calls)
    assert started(place.made) == was + 1
    try:
        place.run(*action.calls)
    except DrillError as error:
        assert any(word in str(error) for word in SECOND_START)
    assert started(place.made) == was + 1


CHANGE_CONTRACT = (
    prepare_changes_nothing,
    says_what_botocore_knows,
    survives_json,
    names_all_that_it_touches,
    refuses_what_is_not_one,
    facts_flip_both_ways,
    injecting_twice_is_injecting_once,
    restoring_twice_is_restoring_once,
    half_an_injection_is_put_back,
)
ACTION_CONTRACT = (
    prepare_changes_nothing,
    says_what_botocore_knows,
    survives_json,
    names_all_that_it_touches,
    refuses_what_is_not_one,
)
