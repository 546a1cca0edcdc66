"""The dry run: a drill that says what it would do. A scenario cannot tell it from the real one.

Guards that declare that they only read are run, faults are prepared against the live world (preparing is read-only),
every call is checked against botocore's model and every resource against the blast radius. Nothing is injected, so
nothing waits for an effect.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from drill.aws import AwsFailed
from drill.call import Call
from drill.change import Action, Change, Fault, Step
from drill.clock import Clock
from drill.dead_man_plan import planned_arm, planned_disarm
from drill.drill import Condition, Instrument
from drill.end_state import EndState, declaration
from drill.errors import DrillError, Invalid, Refused, UsageError
from drill.find import find, last_part
from drill.plan import Does, Plan, PlannedStep
from drill.read_only import MutationRefused, OnlyReads, ReadOnlyAws
from drill.target import Target, require_breakable

RUN_ID = "RUN-ID"
"""Stands in a plan for the id that each drill gets when it begins."""
T = TypeVar("T", Change, Action)


@dataclass
class PlanningDrill:
    """The same methods as drill.drill.Drill; see there. `steps` collects what would happen.

    problems: what the guards that ran found wrong with the system's health: the drill would be INVALID, so the walk
    goes on to show the rest. What a guard refuses ends the walk, as it would end the drill. before_touching: asked,
    with the ARNs, where the drill would be about to touch them; what it raises ends the walk. found: the ARN of each
    resource key that an earlier walk through the same world has found.
    """

    target: Target
    aws: ReadOnlyAws
    clock: Clock
    witnesses: Sequence[Instrument] = ()
    load: Sequence[Instrument] = ()
    on_tick: Callable[[], None] = lambda: None
    before_touching: Callable[[tuple[str, ...]], object] = lambda resources: None
    run_id: str = RUN_ID
    found: dict[str, str] = field(default_factory=dict)
    steps: list[PlannedStep] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    _window: str = ""
    _depth: int = 0
    _watching: bool = False
    _entries: int = 0
    _started: dict[int, Action] = field(default_factory=dict)
    _moved_by: list[int] = field(default_factory=list)
    _changed_by: dict[str, list[int]] = field(default_factory=dict)

    def plan(self, scenario: str, docstring: str, ended: str = "") -> Plan:
        """All that was walked through; what an action has started and no block ends, the sweep would."""
        for number in list(self._started):
            self._end(number, "by the sweep at the end of the drill, if it still goes on")
        return Plan(
            scenario=scenario,
            docstring=docstring,
            target=self.target.name,
            kind=self.target.kind,
            account=self.target.account,
            endpoint_url=self.aws.endpoint_url,
            steps=tuple(self.steps),
            found={} if ended else self._found(),
            problems=tuple(self.problems),
            ended=ended,
        )

    # -- looking

    def declare_end_state(self, *states: EndState) -> None:
        """Checked as in a drill, and not shown: it is a claim about the end, not a step."""
        declaration(self.target, states)

    def look(self, name: str, guard: Callable[[], Any]) -> Any:
        """Run a guard that declares to be read-only; of any other, say that it would look, and return None."""
        self.on_tick()
        if not isinstance(guard, OnlyReads):
            self._add("look", f"{name}: would look", note="not run: it does not declare that it only reads")
            return None
        began = len(self.aws.made)
        try:
            value = guard()
        except Invalid as error:
            self.problems.append(f"{name}: {error}")
            self._add("look", f"{name}: INVALID", note=str(error), reads=self._reads(began))
            return None
        except Refused as error:
            self._add("look", f"{name}: REFUSED", note=str(error), reads=self._reads(began))
            raise
        seen = tuple(str(item) for item in (value if isinstance(value, list | tuple) else [value]))
        self._add("look", name, seen=seen, reads=self._reads(began))
        return value

    def look_all(self, guards: Mapping[str, Callable[[], Any]]) -> None:
        """Look with several guards, in order."""
        for name, guard in guards.items():
            self.look(name, guard)

    def look_around(self) -> None:
        """Nothing runs that could be looked at."""

    def start_witnesses(self) -> None:
        """Say which processes would watch."""
        self._watching = True
        self._add("start", f"witnesses: {_names(self.witnesses)}")

    def start_load(self) -> None:
        """Say what would load the system."""
        if not self._watching:
            self.start_witnesses()
        load = self.target.load
        self._add("start", f"load: {_names(self.load)}: {load.users} users, {load.spawn_rate:g} more each second")

    def steady(self, for_s: float) -> None:
        """Say how long the system would have to be healthy first."""
        self._add(
            "wait", f"steady state for {for_s:g} {self.target.unit}, else INVALID", phase="baseline", at_most_s=for_s
        )

    # -- breaking and putting back

    @contextlib.contextmanager
    def applied(self, fault: Fault, held: bool = True) -> Iterator[Change]:
        """Prepare a fault and say what would be called; at the block's end, what would be put back, and how."""
        change, about = self._prepare(fault, fault.prepare, self._unknown_change(fault))
        entry = self._entry()
        if about["planned"]:
            about["reads"] += self._check(change)
            self._add("arm", **planned_arm(self.target, self.clock.wall(), entry, change))
        visible, timings = change.effect != "none", self.target.timings
        number = self._add(
            "inject",
            f"{change.kind}; clients must see: {change.effect}{'' if held else '; the system itself may move it'}",
            phase="injecting" if visible else "",
            calls=change.inject,
            facts=change.faulted + change.effective,
            resources=change.resources,
            at_most_s=change.settle_s + timings.bite_s * (2 if visible else 1),
            **about,
        )
        self._changes(number, change.resources)
        self._depth += 1
        try:
            yield change
        finally:
            self._depth -= 1
            self._changes_no_more(number)
            self._put_back(number, change, about["planned"])
            if about["planned"]:
                self._add("disarm", **planned_disarm(self.target, entry, change))

    @contextlib.contextmanager
    def performed(self, step: Step) -> Iterator[Action]:
        """The same, and say at the block's end how what it has started would be ended."""
        action = self.perform(step)
        number = len(self.steps)
        self._depth += 1
        try:
            yield action
        finally:
            self._depth -= 1
            self._end(number)

    def perform(self, step: Step) -> Action:
        """Prepare an action and say what would be called, and which end state would be waited for."""
        action, about = self._prepare(step, step.prepare, self._unknown_action(step))
        self._entry()
        if about["planned"]:
            about["reads"] += self._check(action)
        number = self._add(
            "act",
            f"{action.kind}, cannot be undone; declared effect: {action.effect}",
            phase="failback" if self._window == "failback" else "",
            calls=action.calls,
            facts=action.facts,
            resources=action.resources,
            at_most_s=action.timeout_s,
            **about,
        )
        self._moved_by.append(number)
        if action.undo is not None:
            self._started[number] = action
        return action

    def elapse(self, for_s: float) -> None:
        """Say how long nothing would be done."""
        self._add("wait", f"{for_s:g} {self.target.unit} pass", at_most_s=for_s)

    def decide(self, after_s: float) -> None:
        """Say how long the operators would take."""
        self._add("wait", f"the operators decide within {after_s:g} {self.target.unit}", at_most_s=after_s)

    def once(self, condition: Condition, timeout_s: float) -> None:
        """Say what would be waited for before the next step."""
        self._moved_by.append(self._add("wait", f"until {condition}, else INVALID", at_most_s=timeout_s))

    # -- measuring

    def stay(self, region: str, after_s: float, for_s: float) -> None:
        """Say how long it would be looked whether a Region goes on serving."""
        unit = self.target.unit
        what = f"{after_s:g} {unit} to open, then whether {region} goes on serving for {for_s:g} {unit}"
        self._moved_by.append(self._add("wait", what, at_most_s=after_s + for_s))

    @contextlib.contextmanager
    def window(self, name: str, survivor: str) -> Iterator[None]:
        """Say that an outage would be judged from here on."""
        self._add("window", f"{name} is measured from here; survivor {survivor}")
        self._window, self._depth = name, self._depth + 1
        try:
            yield
        finally:
            self._depth -= 1
            self._add("end", f"of {name}")
            self._window = ""

    def until(self, condition: Condition, timeout_s: float) -> None:
        """Say what would be waited for."""
        what = f"until {_told(condition)}, else not recovered"
        self._moved_by.append(self._add("wait", what, phase="recovering", at_most_s=timeout_s))

    def look_back(self, region: str) -> None:
        """Say that every acknowledged write would be read back while the fault is in force."""
        what = f"every acknowledged write is read back from {region}, while the fault is in force"
        self._add("wait", what, at_most_s=0.0)

    def settle(self, region: str) -> None:
        """Say that every acknowledged write would be read back."""
        what = f"every acknowledged write is read back from {region}, at once and after the wait"
        phase = "settled" if self._window == "failback" else ""
        self._add("wait", what, phase=phase, at_most_s=self.target.timings.settle_s)

    def stop(self) -> None:
        """Nothing was started."""

    # -- inside

    def _prepare(self, fault: object, prepare: Callable[..., T], unknown: T) -> tuple[T, dict[str, Any]]:
        """What prepare returns, and what is to be said of it.

        A prepare that fails ends the walk, unless an earlier step changes what it looked at: then only the drill
        itself can tell, and `unknown` stands for it.
        """
        began = len(self.aws.made)
        try:
            prepared = prepare(self.aws, self.target.name, self.run_id)
        except (DrillError, BotoCoreError, ClientError) as error:
            reads = self._reads(began)
            depends_on = self._depends_on((), reads)
            if not depends_on or isinstance(error, UsageError | MutationRefused):
                raise _refused(fault, error) from error
            note = f"cannot be prepared in the world as it is now: {error}"
            return unknown, {"reads": reads, "depends_on": depends_on, "planned": False, "note": note}
        reads = self._reads(began)
        depends_on = self._depends_on(prepared.resources, reads)
        note = _AS_IT_IS_NOW if depends_on else ""
        return prepared, {"reads": reads, "depends_on": depends_on, "planned": True, "note": note}

    def _check(self, prepared: Change | Action) -> tuple[Call, ...]:
        """What the drill checks before it injects; the reads that it takes."""
        began = len(self.aws.made)
        prepared.validate()
        for resource in prepared.resources:
            require_breakable(self.target, resource)
        self.before_touching(prepared.resources)
        return self._reads(began)

    def _put_back(self, number: int, change: Change, planned: bool) -> None:
        self._add(
            "restore",
            f"{change.kind} as before: read first, put back, read back",
            phase="restoring" if change.effect != "none" else "",
            calls=change.restore,
            facts=change.before + change.healed,
            resources=change.resources,
            at_most_s=self.target.timings.restore_timeout_s,
            restores=number,
            planned=planned,
            note="" if planned else f"known once step {number} is prepared",
        )

    def _end(self, number: int, when: str = "") -> None:
        """What an action has started and can be ended; once."""
        action = self._started.pop(number, None)
        if action is None:
            return
        self._add(
            "restore",
            f"what {action.kind} has started: look for it, end it, read back",
            facts=action.back,
            at_most_s=self.target.timings.restore_timeout_s,
            restores=number,
            note=when,
            undo=action.undo,
        )

    def _entry(self) -> int:
        """The number that the journal would give next."""
        self._entries += 1
        return self._entries

    def _unknown_change(self, fault: object) -> Change:
        return Change(_told(fault), self.target.name, self.run_id, (), "none", (), (), (), ())

    def _unknown_action(self, step: object) -> Action:
        return Action(_told(step), self.target.name, self.run_id, (), "none", (), (), 0.0)

    def _depends_on(self, resources: tuple[str, ...], reads: tuple[Call, ...]) -> tuple[int, ...]:
        """Earlier steps after which these resources may look different: the system moved, or we changed them."""
        asked = {text for call in reads for text in _texts(call.params)} | set(resources)
        ours = {n for arn, numbers in self._changed_by.items() if asked & {arn, last_part(arn)} for n in numbers}
        return tuple(sorted({*ours, *self._moved_by}))

    def _changes(self, number: int, resources: tuple[str, ...]) -> None:
        for arn in resources:
            self._changed_by.setdefault(arn, []).append(number)

    def _changes_no_more(self, number: int) -> None:
        for numbers in self._changed_by.values():
            with contextlib.suppress(ValueError):
                numbers.remove(number)

    def _reads(self, began: int) -> tuple[Call, ...]:
        return tuple(self.aws.made[began:])

    def _add(self, does: Does, what: str, **more: Any) -> int:
        number = len(self.steps) + 1
        self.steps.append(PlannedStep(number, does, what, window=self._window, depth=self._depth, **more))
        return number

    def _found(self) -> dict[str, str]:
        """What each resource key is; one that is not exactly one is left out, the guards tell why."""
        for key in sorted(self.target.resources.keys() - self.found.keys()):
            with contextlib.suppress(DrillError, BotoCoreError, ClientError):
                self.found[key] = find(self.aws, self.target, key).arn
        return dict(sorted(self.found.items()))


_AS_IT_IS_NOW = "planned from the world as it is now; prepared again when its turn comes"


def _texts(value: Any) -> Iterator[str]:
    """Every string in JSON-like data."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _told(thing: object) -> str:
    """A condition or fault in one line: its name and its plain values."""
    if not is_dataclass(thing):
        return type(thing).__name__
    values = {f.name: getattr(thing, f.name) for f in fields(thing)}
    plain = [f"{name}={value}" for name, value in values.items() if isinstance(value, str | int | float)]
    return f"{type(thing).__name__}({', '.join(plain)})"


def _refused(fault: object, error: Exception) -> DrillError:
    if isinstance(error, DrillError):
        return error
    return AwsFailed(f"{_told(fault)} could not be prepared: {error}")


def _names(instruments: Sequence[Instrument]) -> str:
    return ", ".join(instrument.name for instrument in instruments) or "none"
