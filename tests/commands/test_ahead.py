"""The lab of the next drill is started ahead, and only what the next drill would have started itself is used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from commands.ahead import Ahead
from commands.drill_session import Session
from commands.world import Options, plan_of, resolve_target
from drill.target import Target
from lab.launch import Lab, LabError, Opening

BANK, BUS = (resolve_target(Options(target=name)) for name in ("core-banking", "event-bus"))


@dataclass
class Begun:
    """A lab that comes up, or does not, without a process."""

    plan: tuple[Any, ...]
    comes_up: bool = True
    stopped: bool = False

    def ready(self) -> Lab:
        """Itself, in place of the lab."""
        if not self.comes_up:
            raise LabError("the lab ended before it was ready")
        return cast(Lab, self)

    def stop(self) -> None:
        """Remembered."""
        self.stopped = True


@dataclass
class Machine:
    """Where labs are begun; fails: how many of the first do not come up."""

    fails: int = 0
    begun: list[Begun] = field(default_factory=list)

    def open(self, *plan: Any) -> Opening:
        """Begin one."""
        self.begun.append(Begun(plan, comes_up=len(self.begun) >= self.fails))
        return cast(Opening, self.begun[-1])


def test_the_drill_gets_the_lab_that_was_begun_for_it() -> None:
    """One lab, used once: the drill after it has one of its own."""
    machine = Machine()
    ahead = Ahead(machine.open)
    ahead.begin(BANK, Options())
    plan = plan_of(BANK, Options())
    assert [begun.plan for begun in machine.begun] == [plan]
    assert ahead.lab(plan) is machine.begun[0]
    assert ahead.lab(plan) is machine.begun[1]
    ahead.close()
    assert [begun.stopped for begun in machine.begun] == [False, False]


def test_a_lab_of_another_plan_is_stopped_and_never_used() -> None:
    """Another system, or the same with another setting, is another world."""
    machine = Machine()
    ahead = Ahead(machine.open)
    ahead.begin(BUS, Options())
    plan = plan_of(BUS, Options(lab_settings=("misbehave=",)))
    assert ahead.lab(plan) is machine.begun[1]
    assert machine.begun[0].stopped


def test_a_lab_that_did_not_come_up_is_started_once_more() -> None:
    """What is wrong only for a moment costs no drill; what lasts is told by the second."""
    machine = Machine(fails=1)
    ahead = Ahead(machine.open)
    ahead.begin(BANK, Options())
    assert ahead.lab(plan_of(BANK, Options())) is machine.begun[1]
    lasting = Ahead(Machine(fails=2).open)
    lasting.begin(BANK, Options())
    with pytest.raises(LabError):
        lasting.lab(plan_of(BANK, Options()))


@pytest.mark.parametrize(
    ("target", "options"),
    [
        (None, Options()),
        (BANK.model_copy(update={"lab": None}), Options()),
        (BANK, Options(lab_attach=Path("state.json"))),
        (BANK, Options(lab_port=5050)),
    ],
    ids=["no next drill", "no lab", "attached", "fixed ports"],
)
def test_nothing_is_begun_that_could_not_be_used(target: Target | None, options: Options) -> None:
    """Fixed ports are still those of the drill before."""
    machine = Machine()
    Ahead(machine.open).begin(target, options)
    assert machine.begun == []


def test_a_session_that_ends_early_stops_what_nobody_used() -> None:
    """No process is left when the drill that it was for does not come."""
    machine = Machine()
    ahead = Ahead(machine.open)
    ahead.begin(BANK, Options())
    ahead.close()
    ahead.close()
    assert [begun.stopped for begun in machine.begun] == [True]


@dataclass
class Item:
    """A collected scenario: its markers, and the items around it."""

    system: str
    needs: str = ""
    fixturenames: tuple[str, ...] = ("drill", "target")
    items: list[Item] = field(default_factory=list)

    @property
    def session(self) -> Item:
        """What has the items."""
        return self

    def iter_markers(self, name: str) -> Iterator[pytest.Mark]:
        """As pytest does."""
        args = {"system": (self.system,), "needs": (self.needs, "why")}
        if args[name][0]:
            yield getattr(pytest.mark, name)(*args[name]).mark


def test_the_next_drill_is_the_next_one_that_applies() -> None:
    """Not what is left out for its target or its resources, and not a test without a drill."""
    machine = Machine()
    session = Session.__new__(Session)
    session.options, session.targets, session.repeated = Options(), {"event-bus": BUS}, []
    session.ahead = Ahead(machine.open)
    items = [Item("event-bus"), Item("core-banking"), Item("event-bus", needs="no_such"), Item("", fixturenames=())]
    items = [replace(item, items=items) for item in items]
    last = Item("event-bus", needs="impairment_parameter")
    for item in (all_ := [*items, last]):
        item.items = all_
    session.begin_next(cast(pytest.Item, items[0]))
    assert [begun.plan for begun in machine.begun] == [plan_of(BUS, Options())]
    session.begin_next(cast(pytest.Item, last))
    assert (len(machine.begun), machine.begun[0].stopped) == (1, True)
