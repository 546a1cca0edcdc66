"""One drill's life: run folder, witnesses, sweep, judgement, report; orderly at every ending."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

from checks.harvest import harvest
from checks.judge import judge
from checks.seal import SEAL, seal_of
from checks.snapshot import take_snapshot, write_snapshot
from commands.cleaning import CleanUp
from commands.folders import UNREADABLE
from commands.instruments import LOAD, WITNESSES
from commands.lab_watch import note_overruns, note_told
from commands.publish import publish
from commands.reading_back import read_back_into
from commands.run_folder import Scenario, folder_for, header_of, point_latest
from commands.safeguards import Safeguards
from commands.sweep import DISMISS_WALL_S, Sweep, start_watchdog
from commands.world import World
from drill.aws import anything
from drill.dead_man import DeadMan, disarm
from drill.drill import Drill
from drill.errors import DrillError, NotRecovered, Refused, RestoreFailed, chain_of
from drill.fence import Fence
from drill.interrupt import Interrupts, Stopped
from drill.journal import Entry, Journal, Unreadable
from drill.manifest import FILES, manifest_of
from drill.reach import Reach
from drill.rehearsal import Rehearsal
from drill.stamps import CLOCK
from drill.timeline import Event, Timeline, load_history, snapshot_path
from drill.verdict import Finding, Judgement, Verdict, conclude
from reports.page import render
from reports.summary import write_summary

CLOCK_DOUBT_S = 1.0
"""How far this host's date may be from AWS's, when it is kept by NTP (seconds)."""


class Run:
    """A drill on its way: `drill` is what the scenario gets; `finish` ends it, once, whatever happened.

    safeguards: asked before there is a run folder, so that Refused leaves nothing; then they watch over the drill.
    after_measuring: called once, when all evidence is there and only what is made of it is left to do; not when the
    drill was aborted.
    """

    def __init__(
        self,
        scenario: Scenario,
        world: World,
        runs: Path,
        interrupts: Interrupts,
        release: str = "",
        dead_man: DeadMan | None = None,
        watched: bool = True,
        *,
        safeguards: Safeguards | None = None,
        instead_of: str = "",
    ) -> None:
        self.world = world
        self.folder = folder_for(runs, scenario.name, world)
        self.judgement: Judgement | None = None
        self.refused: str | None = None
        self.stopped = False
        self.unreported = ""
        self.after_measuring: Callable[[], object] = lambda: None
        self._unwritten: list[Finding] = []
        run_id = secrets.token_hex(4)
        self._safeguards = safeguards
        admitted = safeguards.admit(run_id, self.folder) if safeguards else {}
        header = header_of(scenario, world, run_id, release, instead_of)
        self.timeline = Timeline.create(self.folder, world.clock, header)
        point_latest(runs, self.folder)
        self.journal = Journal(
            self.folder / "journal.jsonl", world.clock, reach=Reach.of(world.target, world.clock.speed)
        )
        self._clean_up = CleanUp(self.folder, self.timeline, self.journal, world.target, world.clock, run_id)
        self._clean_up.announce()
        self.watchdog = start_watchdog(world, self.journal) if watched else None
        lease_s = world.target.safety.lease_wall_s if watched else math.inf
        self.fence = Fence(self.journal, lease_s, self.watchdog)
        world.aws.admit = self.fence.admit
        world.aws.heard.append(self.journal.called)
        self._sweep = Sweep(world, self.journal, self.fence, self._put_back, self._not_put_back)
        self._began_s = world.clock.monotonic_s()
        self._began_at = world.clock.wall() if world.lab is None else world.lab.clock.now()
        self._guarded("taking the snapshot before", lambda: self._snapshot("before"))
        self.drill = Drill(
            target=world.target,
            aws=world.aws,
            clock=world.clock,
            timeline=self.timeline,
            journal=self.journal,
            run_id=run_id,
            witnesses=WITNESSES,
            load=LOAD,
            read_back=self._read_back,
            interrupts=interrupts,
            dead_man=dead_man,
            fence=self.fence,
        )
        for name, said in admitted.items():
            self.timeline.mark("guard", name=name, value=said)
        self._vigil = safeguards.watch_over(self.drill) if safeguards else None

    def rehearse(self, scenario: Callable[[Rehearsal], None]) -> None:
        """Walk through the scenario before it is played. Refused for what it may not touch."""
        if self._safeguards is not None and self._vigil is not None:
            self._safeguards.rehearse(self.drill, self._vigil, scenario)

    def blame(self, error: BaseException) -> None:
        """Note how the scenario ended, when it ended by an exception."""
        self.stopped |= isinstance(error, KeyboardInterrupt | Stopped)
        if isinstance(error, KeyboardInterrupt):  # it ends the session too: no drill comes after
            self.after_measuring = lambda: None
        for cause in chain_of(error):
            if isinstance(cause, RestoreFailed):
                self._mark("restore.failed", reason=str(cause))
        if isinstance(error, Refused):
            self.refused = str(error)
            self._mark("refused", reason=str(error))
        elif isinstance(error, Stopped):
            self._mark("invalid", reason=f"stopped: {error}")
        elif isinstance(error, KeyboardInterrupt):
            self._mark("invalid", reason=f"aborted: {error or 'interrupted'}")
        elif not isinstance(error, RestoreFailed | NotRecovered):
            what = str(error) if isinstance(error, DrillError) else f"{type(error).__name__}: {error}"
            self._mark("invalid", reason=what)

    def finish(self) -> Judgement:
        """Put back what is outstanding, stop, judge, render. A failed part never erases the others. Idempotent."""
        if self.judgement is None:
            with self.drill.interrupts.shielded():
                self.judgement = self._finished()
        return self.judgement

    def _finished(self) -> Judgement:
        self._guarded("sweeping the journal", self._sweep.run)
        if self.watchdog is not None:
            self.watchdog.ending()
        self._guarded("stopping load and witnesses", self.drill.stop)
        self._guarded("cleaning up what was written", self._clean_up.run)
        self._guarded("taking the snapshot after", lambda: self._snapshot("after"))
        self._guarded("reading the system's own signals", self._harvest)
        self._guarded("reading the lab's overruns", lambda: note_overruns(self.timeline, self.world, self._began_s))
        self._guarded("asking the lab what it was told", lambda: note_told(self.timeline, self.world))
        self._still_changed()
        self._guarded("giving the lock back", self._unlock)
        self._guarded("sealing the run folder", self._seal)
        self.world.aws.admit = anything  # nothing more is changed by this run
        self.world.aws.heard.remove(self.journal.called)
        self._guarded("closing the journal", self.journal.close)
        self._guarded("closing the timeline", self.timeline.close)
        self._dismiss()
        self.after_measuring()
        judgement = self._judge()
        self.unreported = report(self.folder, judgement)
        return judgement

    def _judge(self) -> Judgement:
        """The judgement of the folder, and of what could not be written into it."""
        try:
            judged = judge(load_history(self.folder))
        except UNREADABLE as error:
            why = f"the run folder cannot be read: {type(error).__name__}: {error}"
            return conclude([*self._unwritten, Finding("evidence", Verdict.INVALID, why)])
        if not self._unwritten:
            return judged
        return conclude([*judged.findings, *self._unwritten], judged.phases, judged.writes, judged.notes)

    def _guarded(self, doing: str, part: Callable[[], None]) -> None:
        try:
            part()
        except Exception as error:  # noqa: BLE001 - an ending must go on; what failed is evidence and INVALID
            self._mark("invalid", reason=f"{doing} failed: {type(error).__name__}: {error}")

    def _mark(self, event: str, **data: Any) -> None:
        """Into the timeline; what cannot be written there (a full disk) is a finding all the same."""
        try:
            self.timeline.mark(event, **data)
        except OSError as error:
            verdict = Verdict.DIRTY if event == "dirty" else Verdict.INVALID
            reason = f"{data.get('reason', event)} (not in the run folder: {error})"
            self._unwritten.append(Finding("clean-up", verdict, reason, data={"lines": data.get("lines", [])}))

    def _put_back(self, entry: Entry) -> None:
        self._mark("fault.restored", number=entry.number, kind=entry.change.kind)
        for problem in disarm(self.world.aws, entry.disarm):
            self._mark("dead_man.left", number=entry.number, reason=problem)

    def _not_put_back(self, entry: Entry, error: Exception) -> None:
        if isinstance(error, RestoreFailed):
            self._mark("restore.failed", reason=str(error))
        else:
            why = f"{type(error).__name__}: {error}"
            self._mark("invalid", reason=f"putting back {entry.change.kind} failed: {why}")

    def _dismiss(self) -> None:
        """Let the watchdog go; one that restores for us first looks a last time."""
        problem = self.watchdog and self.watchdog.done(self._sweep.limit_wall_s + DISMISS_WALL_S)
        if problem:
            self._unwritten.append(Finding("clean-up", Verdict.INVALID, problem))

    def _still_changed(self) -> None:
        """By the journal, which alone knows: what is not as before at the end of the drill makes it DIRTY."""
        try:
            left = self.journal.outstanding()
        except (OSError, Unreadable) as error:
            self._mark("dirty", reason=f"nobody knows what is still changed: {error}", lines=[])
            return
        for entry in left:
            lines = list(entry.change.lines(self.world.aws.endpoint_url))
            what = f"{entry.change.kind} on {', '.join(entry.change.resources)}"
            self._mark("dirty", reason=_why_dirty(self.timeline.events, what, lines), lines=lines)
            if entry.disarm:
                told = f"the dead-man of {entry.change.kind} stays armed: it will try to put it back, comparing first"
                self._mark("dead_man.left", number=entry.number, reason=told)

    def _unlock(self) -> None:
        """Kept, for the next to stumble over, while something is still changed."""
        if self._safeguards is not None and not self.journal.outstanding():
            self._safeguards.lock.release()

    def _seal(self) -> None:
        self.timeline.mark(SEAL, **seal_of(load_history(self.folder)), **{FILES: manifest_of(self.folder)})

    def _snapshot(self, when: Literal["before", "after"]) -> None:
        snapshot = take_snapshot(self.world.aws, self.world.target, self.world.clock, when)
        write_snapshot(snapshot_path(self.folder, when), snapshot)

    def _harvest(self) -> None:
        self._read_their_clock()
        for signal in harvest(self.world.aws, self.world.target, self._began_at):
            self.timeline.mark("signal", **signal)

    def _read_their_clock(self) -> None:
        """What the system's clock shows beside ours: the lab's exactly, AWS's as well as this host is set."""
        low_s = self.world.clock.monotonic_s()
        at = self.world.clock.wall() if self.world.lab is None else self.world.lab.clock.now()
        doubt_s = CLOCK_DOUBT_S if self.world.lab is None else 0.0
        high_s = self.world.clock.monotonic_s()
        self._mark(CLOCK, at=at.isoformat(), low_s=low_s, high_s=high_s, doubt_s=doubt_s)

    def _read_back(self, region: str, window: str, pass_: str, until_s: float) -> None:
        look = self.drill.look_around
        read_back_into(self.timeline, self.folder, self.world, look, region, window, pass_, until_s)


def report(folder: Path, judgement: Judgement) -> str:
    """Write what programs and people read of it; why that failed, "" when it did not: neither changes the verdict."""
    failed = []
    for part in (
        partial(write_summary, folder, judgement),
        partial(publish, folder, judgement),
        partial(render, folder),
    ):
        try:
            part()
        except Exception as error:  # noqa: BLE001 - what cannot be written must cost neither the verdict nor the rest
            failed.append(f"{type(error).__name__}: {error}")
    return f"no report in {folder}: {'; '.join(failed)}" if failed else ""


def _why_dirty(events: list[Event], what: str, lines: list[str]) -> str:
    """The last failed attempt's own words; without one: that it was never put back."""
    said = [str(e.data["reason"]) for e in events if e.name == "restore.failed"]
    never = f"{what} was not put back. To put it back, type:\n  " + "\n  ".join(lines)
    return next((words for words in reversed(said) if words.startswith(what)), never)
