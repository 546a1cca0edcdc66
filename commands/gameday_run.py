"""A game day while it runs: step by step, until its plan is done, somebody stops it, or it must stop."""

from __future__ import annotations

import shlex
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from commands.gameday_check import target_of
from commands.gameday_live import LiveDrill
from commands.gameday_outcome import Outcome, counted, exit_code, last_words, outcome_of, run_folders
from commands.gameday_session import DrillSession, SessionOptions, session_arguments
from commands.gameday_signals import Signals
from commands.gameday_terminal import Terminal
from drill.clock import Clock, SystemClock
from drill.errors import Refused, UsageError
from drill.gameday import GameDay, HoldStep, PlannedDrill
from drill.gameday_log import GameDayLog, Record
from drill.gameday_state import State, state_of
from drill.verdict import Verdict

MOST_DRAINED = 100
REMIND_WALL_S = 60.0
LONGEST = 2000
"""Characters of what one person says at once."""
TOKEN, CLAIMED = "token", "claimed"
"""By what somebody is known to have a role: its own token, or nothing but their word."""


class Runner:
    """Carries a game day on. What people say may come from any thread; steps are made by the one that calls `run`.

    board: where the live board is, "" without one; lab: whether a target is one.
    """

    def __init__(
        self, plan: GameDay, log: GameDayLog, clock: Clock, options: SessionOptions, terminal: Terminal
    ) -> None:
        self.plan, self.log, self.options, self.terminal = plan, log, options, terminal
        self._clock = clock
        self.signals = Signals()
        self.board = ""
        targets = {drill.step.target: target_of(drill.step) for drill in plan.drills}
        self.lab = any(target.kind == "lab" for target in targets.values())
        self._targets = {name: target.name for name, target in targets.items()}
        self._said = threading.Lock()
        self._hold = ""
        self._stop = ""
        self.live: LiveDrill | None = None

    @classmethod
    def of(cls, plan: GameDay, log: GameDayLog, options: SessionOptions) -> Runner:
        """At this process's own terminal. UsageError for a target that cannot be read."""
        return cls(plan, log, SystemClock(), options, Terminal(0, sys.stdout))

    @property
    def state(self) -> State:
        """How far it is."""
        return state_of(self.plan, self.log.records)

    @property
    def hard_stop(self) -> datetime:
        """When it must stop."""
        begun = (record.at for record in self.log.records if record.event == "begun")
        return self.plan.hard_stop.instant(next(begun, self._clock.wall()))

    def run(self) -> int:
        """Do what is left of the plan; the exit code of the whole game day, over all that was done before too."""
        for step in self.state.ahead():
            if self._over():
                break
            if isinstance(step, HoldStep):
                self._wait(step)
            else:
                self._drill(step)
        why = self._over()
        if why and self.state.ahead():
            self.log.add("stopping", reason=why)
            self.terminal.say(f"stopping: {why}")
        code = exit_code(self.state)
        self.log.add("closed", exit_code=code)
        return code

    @property
    def stopping(self) -> str:
        """Why nothing more is started, "" while something may be."""
        return self._stop

    def stop(self, reason: str) -> None:
        """From now on nothing more is started, and the running drill is ended in order. Any thread may ask."""
        self._stop = self._stop or reason[:LONGEST] or "asked for"

    def release(self, step: str, role: str, who: str, via: str, proof: str = CLAIMED) -> None:
        """Let the game day go on. UsageError when this hold does not wait, or not for this role.

        proof: TOKEN or CLAIMED.
        """
        with self._said:
            if not step or step != self._hold:
                raise UsageError(f"hold {step!r} does not wait" if step else "no hold waits; nothing to release")
            allowed = next(h.release for h in self.plan.holds if h.id == step)
            if not role and len(allowed) == 1:
                role = allowed[0]
            if allowed and role not in allowed:
                raise UsageError(
                    f"hold {step}: {role or 'nobody in particular'!r} may not release it; "
                    f"who may: {', '.join(allowed)}; type: go {allowed[0]}"
                )
            self.log.add("released", step=step, role=role, who=who[:LONGEST], via=via, proof=proof)
            self._hold = ""

    def observe(self, text: str, who: str, via: str, role: str = "") -> Record:
        """Keep what somebody saw, with its time. UsageError for nothing, or too much.

        role: the one whose token they have, "" for none.
        """
        words = " ".join(text.split())
        if not words or len(words) > LONGEST:
            raise UsageError(f"an observation has 1 to {LONGEST} characters; this has {len(words)}")
        with self._said:
            where = self._hold or (self.live.drill.id if self.live else "")
            proof = TOKEN if role else CLAIMED
            return self.log.add(
                "observation", text=words, who=who[:LONGEST], via=via, step=where, role=role, proof=proof
            )

    def _over(self) -> str:
        """Why nothing more may be started, "" while something may."""
        if self.signals.came:
            self.stop(f"by {self.signals.came}")
        if not self._stop and self._clock.wall() >= self.hard_stop:
            self.stop(f"the hard stop, {self.hard_stop:%Y-%m-%dT%H:%M:%S%z}, has come")
        return self._stop

    def _wait(self, step: HoldStep) -> None:
        """Wait for a person; for nobody when nobody can come."""
        waiting = self.state.waiting
        if waiting is None or waiting.step.id != step.id:
            self.log.add("hold", step=step.id)
        self._drain()
        with self._said:
            self._hold = step.id
        self.terminal.say(_asking(step, bool(self.board)))
        while self._hold and not self._over():
            if self.terminal.ended and not self.board:
                self.stop(
                    f"hold {step.id}: standard input has ended and there is no --board, so nobody can release it"
                )
                break
            self._listen()
        with self._said:
            self._hold = ""

    def _drill(self, drill: PlannedDrill) -> None:
        number = len(self.state.of(drill.id)) + 1
        html = (self.log.folder / f"{drill.id}-{number}.html").resolve()
        arguments = session_arguments(drill, html, self.options, self._targets[drill.step.target])
        self.live = LiveDrill(drill, self.options.runs, str(html))
        session = DrillSession(arguments, html.with_suffix(".log"))
        try:
            self.log.add("drill", drill=drill.id, attempt=number, pid=session.pid, html=str(html))
            self.terminal.say(f"{drill.id}: {shlex.join(['pytest', *arguments])}")
            stopped = self._watch(session)
        finally:
            session.stop()
            code = session.wait()
            self.live = None
        self.terminal.show(session.new_output())
        self.log.add("exited", drill=drill.id, attempt=number, code=code, stopped=stopped)
        outcome = self.note(drill.id, number, code, str(html), stopped)
        if outcome.verdict == Verdict.DIRTY.value:
            self.stop(f"{drill.id} is DIRTY: put it back before anything else is broken")
        elif outcome.verdict == Verdict.FAIL.value and self.plan.abort.on_fail:
            self.stop(f"{drill.id} is FAIL, and the plan stops on it (abort.on_fail)")

    def _watch(self, session: DrillSession) -> str:
        """Until it has ended; why it was told to stop, "" when it was not."""
        why, remind_s = "", 0.0
        while session.code() is None:
            if not why and (why := self._over()):
                self.terminal.say(f"the running drill is told to stop and to put everything back: {why}")
                session.stop()
                remind_s = self._clock.monotonic_s() + REMIND_WALL_S
            if why and self._clock.monotonic_s() >= remind_s:
                remind_s += REMIND_WALL_S
                self.terminal.say(f"pid {session.pid} still puts things back; it is never cut short")
            self._listen()
            self.terminal.show(session.new_output())
            if self.live:
                self.live.look(self._clock.monotonic_s())
        return why

    def note(self, drill: str, attempt: int, code: int | None, html: str, stopped: str) -> Outcome:
        """Judge an attempt that is over, and record what it counts for."""
        folders = counted(run_folders(self.options.runs, html))
        outcome = outcome_of(code, folders, stopped, last_words(Path(html).with_suffix(".log")))
        self.log.add(
            "ended",
            drill=drill,
            attempt=attempt,
            verdict=outcome.verdict,
            exit_code=outcome.exit_code,
            reason=outcome.reason,
            finished=outcome.finished,
            stopped=stopped,
            runs=[str(folder) for folder in folders],
        )
        self.terminal.say(f"{drill}: {outcome.verdict}{': ' * bool(outcome.reason)}{outcome.reason}")
        return outcome

    def _drain(self) -> None:
        """What was typed before a hold is shown does not release it: an ENTER too many is no consent."""
        for _ in range(MOST_DRAINED):
            if not self._listen():
                return

    def _listen(self) -> bool:
        """Take what was typed meanwhile; wait a moment when nothing was. Whether something was."""
        lines = self.terminal.lines()
        for line in lines:
            try:
                self._typed(line)
            except UsageError as error:
                self.terminal.say(str(error))
        return bool(lines)

    def _typed(self, line: str) -> None:
        word, _, rest = line.strip().partition(" ")
        if word in ("", "go"):
            if word or self._hold:
                role, _, who = rest.partition(",")
                self.release(self._hold, role.strip(), who.strip(), "terminal")
        elif word == "stop:" or line.strip() == "stop":
            self.stop(f"asked for at the terminal{': ' * bool(rest)}{rest}")
        else:
            self.observe(line, "", "terminal")
            self.terminal.say("noted")


def require_put_back(state: State, runs: Path, left: Callable[[Path], int | None]) -> None:
    """Refused while a run of this game day has left something changed, or nobody knows whether it has."""
    for attempt in state.attempts:
        known = tuple(map(Path, attempt.end.runs)) if attempt.end else ()
        gone = [folder for folder in known if not folder.is_dir()]
        if gone and attempt.end and attempt.end.verdict == Verdict.DIRTY.value:
            raise Refused(
                f"{attempt.drill} was DIRTY and {gone[0]} is gone: nobody knows what it left; bring it back"
            )
        for folder in run_folders(runs, attempt.html):
            if left(folder) != 0:
                raise Refused(f"{attempt.drill} left something changed ({folder}); type: drill restore {folder}")


def _asking(step: HoldStep, board: bool) -> str:
    who = f" ({' or '.join(step.release)})" if step.release else ""
    how = "ENTER or: go" if len(step.release) < 2 else "go ROLE"
    return f"HOLD {step.id}: {step.message}\n  waits for a person{who}: {how}{', or on the board' * board}"
