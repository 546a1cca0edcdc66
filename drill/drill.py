"""The Drill: what a scenario says, in the order in which it says it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from drill.actions import standing
from drill.aws import Aws
from drill.change import Action, Change, Fault, Step
from drill.child import Child
from drill.clients import bitten, served_since, unsteady
from drill.clock import Clock
from drill.dead_man import DeadMan, calls_to_json
from drill.end_state import DECLARED, EndState, declaration
from drill.errors import Invalid, NotRecovered, Refused
from drill.fence import Guarded, Unfenced
from drill.hold import Hold
from drill.interrupt import Interrupts
from drill.journal import Journal
from drill.perform import Performance, end_started
from drill.restore import put_back
from drill.target import Target, require_breakable
from drill.timeline import Timeline

LOOK_WALL_S = 0.25
"""How often a waiting drill looks at its timeline: a wall floor, so that looking never starves what it looks at."""
WARM_WALL_S = 10.0
"""A load begins in wall seconds, however fast the lab: its baseline waits this much longer for a served request."""
FACT_STEP_S = 2.0
DECIDED = "operator.decided"
"""The mark of the instant at which the operators began to act (data: window, after_s)."""
STAY_BEGIN, STAY_END = "stay.begin", "stay.end"
"""The marks around a look whether a Region goes on serving (data: region, for_s)."""


class Condition(Protocol):
    """Something a drill can wait for, read from the timeline."""

    def reached(self, timeline: Timeline, since_s: float) -> float | None:
        """The monotonic instant since which it holds, None while it does not."""

    def begun(self, timeline: Timeline, since_s: float) -> float | None:
        """The monotonic instant since which it seems to hold, not yet for long enough; None without any sign."""


@dataclass(frozen=True)
class Instrument:
    """A process that watches or loads the system: `python -m module`, named in the run folder."""

    name: str
    module: str


@dataclass
class Drill:
    """One scenario against one target.

    target, aws, clock, timeline, journal: see their modules. run_id: unique, tags all that is written.
    witnesses: started at once; load: started by `start_load`. on_tick: called at each look, for live progress.
    read_back: (survivor Region, window, pass, until) reads back, from the survivor, every write that was
    acknowledged before the monotonic instant `until`, into the run folder. fence: told at each look that this process
    lives, and asked before anything new is broken. dead_man: what puts Changes back when nothing else is left to do
    it; None only in a lab. vigil: called at each look, ends the drill when it must stop. before_touching: asked, with
    the ARNs, just before anything is touched; what it raises is raised instead.
    """

    target: Target
    aws: Aws
    clock: Clock
    timeline: Timeline
    journal: Journal
    run_id: str
    witnesses: Sequence[Instrument] = ()
    load: Sequence[Instrument] = ()
    on_tick: Callable[[], None] = lambda: None
    read_back: Callable[[str, str, str, float], None] = lambda region, window, pass_, until_s: None
    vigil: Callable[[], None] = lambda: None
    before_touching: Callable[[tuple[str, ...]], object] = lambda resources: None
    interrupts: Interrupts = field(default_factory=Interrupts)
    dead_man: DeadMan | None = None
    fence: Guarded = field(default_factory=Unfenced)
    _children: list[Child] = field(default_factory=list)
    _reported_dead: set[str] = field(default_factory=set)
    _window: str = ""
    _window_began_s: float = 0.0
    _injected_s: float = 0.0
    _recovered_s: float | None = None
    _recovering: bool = False
    _looked_back: bool = False

    def __post_init__(self) -> None:
        self._hold = Hold(self.aws, self.clock, self.timeline)

    # -- looking before anything is touched

    def look(self, name: str, guard: Callable[[], Any]) -> Any:
        """Run a read-only guard and note what it saw. What it raises (Refused, Invalid) ends the drill here."""
        self.timeline.mark("looking", name=name)
        self.on_tick()
        self.vigil()
        value = guard()
        self.timeline.mark("guard", name=name, value=str(value))
        return value

    def look_all(self, guards: Mapping[str, Callable[[], Any]]) -> None:
        """Run several guards, in order."""
        for name, guard in guards.items():
            self.look(name, guard)

    def declare_end_state(self, *states: EndState) -> None:
        """Say what the system itself may leave changed, and how; to be said before anything is touched.

        Everything else has to be as before when the drill is over. UsageError when the target has no such resource.
        """
        self.timeline.mark(DECLARED, **declaration(self.target, states))

    def start_witnesses(self) -> None:
        """Start the prober and the signal poller."""
        self._start(self.witnesses)

    def start_load(self) -> None:
        """Start the load processes (and the witnesses, if nobody has)."""
        if not self._children:
            self.start_witnesses()
        self._start(self.load)
        self.timeline.mark("load.started", users=self.target.load.users, spawn_rate=self.target.load.spawn_rate)

    def steady(self, for_s: float) -> None:
        """The steady-state hypothesis: `for_s` target seconds of load with every probe good at the end.

        The first half may warm up; it lasts until a load that has just begun has had a request served, WARM_WALL_S
        longer at most. Invalid when there is no probe, or one fails, or no request is served, in the second half: a
        drill on a system that is not healthy proves nothing.
        """
        self.timeline.phase("baseline")
        began_s = self.clock.monotonic_s()
        self._wait(for_s / 2)
        if self.load:
            self._warm(began_s)
        half_s = self.clock.monotonic_s()
        self._wait(for_s / 2)
        dead = sorted(self._reported_dead)
        problem = unsteady(self.timeline, half_s, dead, loaded=bool(self.load))
        self.timeline.mark("steady", ok=problem is None, since_s=half_s, began_s=began_s)
        if problem:
            raise Invalid(f"baseline unhealthy: {problem}; repair {self.target.name} before drilling it")

    # -- breaking and putting back

    @contextlib.contextmanager
    def applied(self, fault: Fault, held: bool = True) -> Iterator[Change]:
        """Inject a fault; put it back, verified, when the block ends, however it ends.

        Inside the block the fault is in force in the control plane, and (unless it only arms) its declared effect
        was seen by clients. Invalid when it did not bite within `timings.bite_s`; RestoreFailed when it could not
        be put back. held: whether it must stay in force; not what the system itself moves (docs/decisions/0079).
        """
        change = fault.prepare(self.aws, self.target.name, self.run_id)
        change.validate()
        for resource in change.resources:
            require_breakable(self.target, resource)
        self._require_unmoved(change)
        self.before_touching(change.resources)
        self.fence.may_inject()
        visible, in_force = change.effect != "none", False
        # An interrupt between arming and the block below would leave the dead-man armed: from "injecting" on the
        # sweep puts back and disarms.
        with self.interrupts.shielded():
            number = self.journal.open_change(change)
            self._arm(number, change)
            if visible:
                self._injected_s = self.timeline.phase("injecting").at_s
            self.journal.record(number, "injecting")
        try:
            self._inject(number, change)
            in_force = True
            self._hold.add(number, change, held)
            if visible:
                self._await_bite(change)
            yield change
        finally:
            self._restore(number, change, visible, in_force)

    @contextlib.contextmanager
    def performed(self, step: Step) -> Iterator[Action]:
        """As `perform`; when the block ends, however it ends, what was started is ended and read back (Action.undo).

        RestoreFailed when it could not be.
        """
        before = self.journal.numbers
        try:
            yield self.perform(step)
        finally:
            with self.interrupts.shielded():
                timeout_s = self.target.timings.restore_timeout_s
                end_started(self.aws, self.journal, self.timeline, self._wait, timeout_s, before)

    def perform(self, step: Step) -> Action:
        """Do something that cannot be undone: journal the intent, call, and wait for the declared end state.

        Returns when the end state is reached, when it never will be, or when its time is over; journal and timeline
        tell which, and the judge fails a window whose action did not reach its end. AwsFailed when it could not be
        started or looked at; Refused when somebody has started the very same before. What it started, and Action.undo
        can end, is ended at the end of the drill.
        """
        action = step.prepare(self.aws, self.target.name, self.run_id)
        action.validate()
        for resource in action.resources:
            require_breakable(self.target, resource)
        if (found := standing(self.aws, action)).fate != "not_started":
            raise Refused(f"{action.kind} {found} before this drill did it: it will not be done twice")
        self.before_touching(action.resources)
        self.fence.may_inject()
        number = self.journal.open_action(action)
        if self._window == "failback":
            self.timeline.phase("failback")
        undo = {"number": number, "undo": True} if action.undo else {}
        self.timeline.mark("action", window=self._window, kind=action.kind, effect=action.effect, **undo)
        performance = Performance(self.aws, self.journal, self.timeline, self._wait, self._window, number, action)
        try:
            performance.run()
        except BaseException as error:
            with self.interrupts.shielded():
                performance.broken_off(error)
            raise
        return action

    def elapse(self, for_s: float) -> None:
        """Let `for_s` target seconds pass, on watch."""
        self._wait(for_s)

    def decide(self, after_s: float) -> None:
        """Let the system's operators take `after_s` target seconds, from here, until they act; the end is marked.

        Recovery is measured from the onset, and shown from this instant besides.
        """
        self._wait(after_s)
        self.timeline.mark(DECIDED, window=self._window, after_s=after_s)

    def once(self, condition: Condition, timeout_s: float) -> None:
        """Wait until `condition` holds, at most `timeout_s` target seconds from here; nothing is measured by it.

        Invalid when it never did: what the scenario does next would be done to another state than it says.
        """
        since_s = self.clock.monotonic_s()
        deadline_s = since_s + timeout_s / self.clock.speed
        while condition.reached(self.timeline, since_s) is None:
            if self.clock.monotonic_s() >= deadline_s:
                raise Invalid(
                    f"{condition} was not seen within {timeout_s:g} {self.target.unit}: the scenario cannot go on "
                    "from there"
                )
            self._tick(LOOK_WALL_S)
        self.timeline.mark("once", condition=str(condition))

    # -- measuring

    def stay(self, region: str, after_s: float, for_s: float) -> None:
        """Wait `after_s` target seconds for `region` to open, then look for `for_s` whether it goes on serving."""
        self._wait(after_s)
        self.timeline.mark(STAY_BEGIN, region=region, for_s=for_s)
        self._wait(for_s)
        self.timeline.mark(STAY_END, region=region)

    @contextlib.contextmanager
    def window(self, name: str, survivor: str) -> Iterator[None]:
        """From here to recovery at the `survivor` Region is judged. name: failover | failback | outage (no move)."""
        self._window, self._recovered_s, self._recovering = name, None, False
        self._looked_back = False
        self._window_began_s = self.timeline.mark("window.begin", window=name, survivor=survivor).at_s
        try:
            yield
        finally:
            if not any(e.data.get("window") == name for e in self.timeline.events if e.name == "window.end"):
                self.timeline.mark("window.end", window=name, reason="aborted")
            self._window = ""

    def until(self, condition: Condition, timeout_s: float) -> None:
        """Wait until `condition` holds, at most `timeout_s` target seconds from the begin of the window.

        Marks the phase `recovering` at its first sign; `window.recovered` and the phase when it holds. It is looked
        at once at least, however long the window has lasted. NotRecovered, after marking the window's end, when
        time is over.
        """
        deadline_s = self._window_began_s + timeout_s / self.clock.speed
        while not self._recovered(condition):
            left_s = deadline_s - self.clock.monotonic_s()
            if left_s <= 0:
                self.timeline.mark("window.end", window=self._window, reason="timeout", window_s=timeout_s)
                within = f"{timeout_s:g} {self.target.unit}"
                raise NotRecovered(f"{self.target.name} did not recover within {within} of {self._window}")
            self._tick(min(LOOK_WALL_S, left_s))
        self.timeline.mark("window.recovered", window=self._window, first_good_s=self._recovered_s)
        self.timeline.phase("recovered")
        self.timeline.mark("window.end", window=self._window, reason="recovered")

    def look_back(self, region: str) -> None:
        """Read every write acknowledged before recovery back from `region` now, while the fault is still in force.

        What is not there is what the survivor has to do without until the other Region comes back; see `settle`.
        """
        assert self._recovered_s is not None, "look_back comes after until"
        self._pass("recovery", region, self._recovered_s)
        self._looked_back = True

    def settle(self, region: str) -> None:
        """Read every write acknowledged before recovery back from `region`: now, and `timings.settle_s` from now.

        Absent or pending now and there later is late; absent later is lost. After `look_back` "now" is done already.
        """
        assert self._recovered_s is not None, "settle comes after until"
        due_s = self.clock.monotonic_s() + self.target.timings.settle_s / self.clock.speed
        if not self._looked_back:
            self._pass("recovery", region, self._recovered_s)
        self._wait((due_s - self.clock.monotonic_s()) * self.clock.speed)
        self._pass("settled", region, self._recovered_s)
        if self._window == "failback":
            self.timeline.phase("settled")

    def stop(self) -> None:
        """Stop load and witnesses; idempotent. One that cannot be stopped does not keep the others running."""
        self._notice_the_dead()
        children, self._children = self._children, []
        with contextlib.ExitStack() as stack:
            for child in children:
                stack.callback(child.stop)
            for child in children:  # all at once: what some of them wait for would else add up
                child.tell()
        if children:
            self.timeline.mark("load.stopped")

    def look_around(self) -> None:
        """Take in what witnesses wrote, notice those that died, move the dead-man on, show the progress."""
        self.fence.look()
        self.timeline.refresh()
        self._renew()
        self._notice_the_dead()
        self.on_tick()
        self.vigil()

    @property
    def dead(self) -> frozenset[str]:
        """Names of the witnesses and loads that have ended by themselves."""
        return frozenset(self._reported_dead)

    # -- inside

    def _start(self, instruments: Sequence[Instrument]) -> None:
        for instrument in instruments:
            config = {
                "folder": str(self.timeline.folder),
                "target": self.target.model_dump(mode="json"),
                "speed": self.clock.speed,
                "run_id": self.run_id,
                "worker": instrument.name,
            }
            self._children.append(Child(instrument.name, instrument.module, config, self.timeline.folder))

    def _warm(self, began_s: float) -> None:
        """Wait until a request is served that was sent since then."""
        until_s = self.clock.monotonic_s() + WARM_WALL_S
        while not served_since(self.timeline, began_s) and self.clock.monotonic_s() < until_s:
            self._tick(LOOK_WALL_S)

    def _wait(self, target_s: float) -> None:
        """Sleep `target_s` target seconds, looking at the timeline meanwhile."""
        until_s = self.clock.monotonic_s() + target_s / self.clock.speed
        while (left_s := until_s - self.clock.monotonic_s()) > 0:
            self._tick(min(LOOK_WALL_S, left_s))

    def _tick(self, wall_s: float) -> None:
        self.clock.sleep(wall_s * self.clock.speed)
        self.look_around()
        self._hold.look()

    def _recovered(self, condition: Condition) -> bool:
        self._recovered_s = condition.reached(self.timeline, self._window_began_s)
        first_s = condition.begun(self.timeline, self._window_began_s)
        if first_s is not None and not self._recovering:
            self._recovering = True
            self.timeline.phase("recovering")
        return self._recovered_s is not None

    def _pass(self, pass_: str, region: str, until_s: float) -> None:
        self.timeline.mark("readback", window=self._window, pass_=pass_, region=region)
        self.read_back(region, self._window, pass_, until_s)

    def _notice_the_dead(self) -> None:
        for child in self._children:
            why = child.died()
            if why is not None and child.name not in self._reported_dead:
                self._reported_dead.add(child.name)
                self.timeline.mark("witness.died", name=child.name, why=why)

    def _require_unmoved(self, change: Change) -> None:
        """Refused unless it is still as it was captured once replies can no longer be old.

        Otherwise a deploy or an autoscaler of a moment ago would be put back to what was before it.
        """
        self._wait(change.settle_s)
        moved = [reading for reading in self.aws.read(change.before) if not reading.holds]
        if moved:
            seen = "; ".join(f"{reading}, {reading.fact.equals!r} before" for reading in moved)
            raise Refused(
                f"{change.kind} on {', '.join(change.resources)}: somebody has just changed it ({seen}); "
                "nothing was injected. Wait until the deploy or autoscaler is done, then drill again"
            )

    def _inject(self, number: int, change: Change) -> None:
        began_s = self.clock.monotonic_s()
        for call in change.inject:
            self.fence.may_inject()
            self.aws.run(call)
        timeout_s = self.target.timings.bite_s
        readings = self.aws.await_facts(change.faulted + change.effective, timeout_s, self._wait, FACT_STEP_S)
        seen = [str(reading) for reading in readings]
        if not all(reading.holds for reading in readings):
            after = f"{timeout_s:g} {self.target.unit}"
            raise Invalid(f"{change.kind} is not in force after {after}: observed {'; '.join(seen)}")
        self.journal.record(number, "injected")
        self.timeline.mark(
            "fault.injected",
            window=self._window,
            number=number,
            kind=change.kind,
            resources=list(change.resources),
            effect=change.effect,
            began_s=began_s,
            in_force=True,
            observed=seen,
        )

    def _await_bite(self, change: Change) -> None:
        deadline_s = self.clock.monotonic_s() + self.target.timings.bite_s / self.clock.speed
        while not bitten(self.timeline, self.target, change.effect, self._injected_s):
            if self.clock.monotonic_s() >= deadline_s:
                self.timeline.mark("window.end", window=self._window, reason="no bite")
                raise Invalid(
                    f"fault without bite: {change.kind} is in force, but clients saw no {change.effect} within "
                    f"{self.target.timings.bite_s:g} {self.target.unit}; check that {', '.join(change.resources)} is "
                    "what serves them"
                )
            self._tick(LOOK_WALL_S)
        self.timeline.phase("in_force")

    def _restore(self, number: int, change: Change, visible: bool, in_force: bool) -> None:
        with self.interrupts.shielded():
            self._hold.drop(number)
            try:
                if in_force:
                    self._hold.last_look(number, change)
                if visible:
                    self.timeline.phase("restoring")
            finally:  # evidence that cannot be written must not keep anything from being put back
                put_back(self.aws, self.journal, number, change, self._wait, self.target.timings.restore_timeout_s)
                self._disarm(number)
            self.timeline.mark("fault.restored", number=number, kind=change.kind)
            if visible:
                self.timeline.phase("restored")

    def _arm(self, number: int, change: Change) -> None:
        if self.dead_man is None:
            if self.target.kind == "aws":
                raise Refused(f"target {self.target.name} has no dead-man: drill install --target {self.target.name}")
            return
        calls = self.dead_man.arm(number, change)
        self.journal.record(number, "armed", disarm=calls_to_json(calls))
        self.timeline.mark("dead_man.armed", number=number, kind=change.kind, due=str(self.dead_man.due(number)))

    def _renew(self) -> None:
        if self.dead_man is None:
            return
        was = self.dead_man.lost
        for problem in self.dead_man.renew():
            self.timeline.mark("dead_man.not_renewed", reason=problem)
        if self.dead_man.lost != was:
            self.timeline.mark("invalid", reason=self.dead_man.lost)

    def _disarm(self, number: int) -> None:
        for problem in self.dead_man.disarm(number) if self.dead_man else ():
            self.timeline.mark("dead_man.left", number=number, reason=problem)
