"""Blows against whole drill sessions: pytest plays a real scenario in a lab of its own, and is killed somewhere.

What a small victim (commands/victim.py) cannot show: load and witnesses that run, guards and the lock, the dead-man,
an action under way, the sweep, the judge and the reports. After each blow all that the drill's Changes touched must
be as before, by the live lab and not by the journal alone, and no process and no temporary file may be left.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from checks.judge import judge
from checks.residue import residue_findings
from checks.snapshot import take_snapshot
from commands.tormenting import RANDOM, SIGNALS, Blow, Looks, Result, processes_of, restored_by_hand, within
from commands.world import Options, World, open_world
from drill.aws import AwsFailed
from drill.child import REPOSITORY, process_state
from drill.clock import SystemClock
from drill.errors import Refused
from drill.journal import begun, journal_records, outstanding
from drill.target import Target
from drill.timeline import load_history
from drill.verdict import Verdict
from drill.watching import watchdog_records
from reports.summary import read_judgement, summary_text

SPEED = 20.0
"""Lab seconds per wall second: nothing is measured here, and a night has an end."""
SCENARIO = "failover and headline"
PATIENCE_WALL_S = {"baseline_s": 8.0, "probe_timeout_s": 8.0, "bite_s": 30.0}
"""Timings in wall seconds, whatever the speed: a busy machine must get to where it is to be hit."""
ATTEMPTS = 3
"""A session that ends by itself before it is hit (INVALID: the machine was too busy) proves nothing: another one."""
ORDERLY = {
    **{name: (number,) for name, number in SIGNALS.items() if name != "KILL"},
    "INT": (signal.SIGINT,),
    "MIXED": (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTERM, signal.SIGINT),
}
"""What ends a session in order, and the signals that are sent for it, one after the other."""
HOWS = ("KILL", "TERM", "BOTH", "INT", "HUP", "MIXED")
"""BOTH: session and watchdog are killed, then `drill restore`."""
BETWEEN_S = 0.1
"""Wall seconds between two signals of one blow."""
LIMIT_S = 300.0
END_LIMIT_S = 120.0


def blows(kills: int, points: Sequence[str], rng: random.Random) -> Iterator[Blow]:
    """Each point before any twice, the ways in turn and another at each round; every third at a random instant."""
    places, aimed = rng.sample(list(points), len(points)), 0
    for number in range(kills):
        if number % 3 == 2:
            yield Blow(HOWS[number // 3 % len(HOWS)], RANDOM, rng.random())
            continue
        turn, place = divmod(aimed, len(places))
        yield Blow(HOWS[(place + turn) % len(HOWS)], places[place])
        aimed += 1


def points_of(journal: Path) -> tuple[str, ...]:
    """Every state that a session's journal went through, in order."""
    states = (f"record:{r['state']}:{r['number']}" for r in journal_records(journal) if r["number"])
    return tuple(dict.fromkeys(states))


class Session:
    """A pytest session that drills in a lab that somebody else holds. folder: for everything that it writes."""

    def __init__(self, folder: Path, target: str, world: World) -> None:
        assert world.lab is not None
        self.folder, self.temporary = folder, folder / "tmp"
        self._run: Path | None = None
        self.temporary.mkdir(parents=True)
        state = folder / "lab.json"
        state.write_text(json.dumps(world.lab.to_json()))
        words = ["-m", SCENARIO, f"--target={target}", f"--runs={folder / 'runs'}", f"--lab-attach={state}"]
        for name, wall_s in PATIENCE_WALL_S.items():
            words += ["--set", f"timings.{name}={wall_s * world.lab.speed:g}"]
        with (folder / "log.txt").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pytest", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=REPOSITORY,
                env={**os.environ, "TMPDIR": str(self.temporary), "CI": "1"},
                start_new_session=True,
            )

    @property
    def run(self) -> Path | None:
        """Its run folder, None before there is one."""
        self._run = self._run or next((path.parent for path in self.folder.glob("runs/2*/run.json")), None)
        return self._run

    @property
    def journal(self) -> Path:
        """Its journal, which may not exist yet."""
        return (self.run or self.folder) / "journal.jsonl"

    @property
    def left(self) -> list[str]:
        """Processes of it that run."""
        ours = (p for p in psutil.process_iter(["pid"]) if _session_of(p.pid) == self.process.pid)
        own = [f"{p.pid}" for p in ours if process_state(p.pid) not in ("", "Z", "X")]
        return [*own, *processes_of(self.folder)]

    def was_at(self, point: str) -> bool:
        """Whether its journal has that state. By its bytes: this is asked hundreds of times a second."""
        _, state, number = point.split(":")
        words = f'"number": {number}, "state": "{state}"'.encode()
        return self.journal.exists() and words in self.journal.read_bytes()

    @property
    def finishing(self) -> bool:
        """Whether the scenario is over: from here on it is judged and told."""
        events = (self.run or self.folder) / "events.jsonl"
        return events.exists() and '"load.stopped"' in events.read_text()

    def send(self, number: signal.Signals) -> None:
        """Send a signal; one that has ended gets none."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def close(self) -> None:
        """End it, however it stands; its watchdog ends by itself."""
        self.send(signal.SIGKILL)
        self.process.wait(END_LIMIT_S)


def _session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return 0


@dataclass(frozen=True)
class Unhurt:
    """A session that nobody hurt. life_s: wall seconds that it took; points: its journal's states."""

    life_s: float
    points: tuple[str, ...]


class Siege:
    """Deals blows against sessions of one target, each in a fresh lab."""

    def __init__(self, target: Target, options: Options, folder: Path) -> None:
        self._target, self._folder = target, folder
        self._options = replace(options, lab_speed=options.lab_speed or SPEED)
        self._wall = SystemClock()

    def measure(self) -> Unhurt:
        """Let one live. Refused when it does not come to its end, or leave everything as before, even then."""
        said = ""
        for attempt in range(1, ATTEMPTS + 1):
            with self._session(f"unhurt-{attempt}") as (session, world):
                began_s = self._wall.monotonic_s()
                within(LIMIT_S, lambda: session.process.poll() is not None)
                life_s = self._wall.monotonic_s() - began_s
                within(END_LIMIT_S, lambda: not session.left)
                problem = _not_back(session, world) or _aborted(session)
                if not problem:
                    return Unhurt(life_s, points_of(session.journal))
                said = f"{problem}: {(session.folder / 'log.txt').read_text()[-2000:]}"
        raise Refused(f"nothing was tortured: a session that nobody hurt: {said}")

    def strike(self, name: str, blow: Blow, life_s: float) -> Result:
        """Start a session, hit it, and wait until everything of it has ended; another when that one got nowhere."""
        results = (self._struck(f"{name}-{attempt}", blow, life_s) for attempt in range(1, ATTEMPTS + 1))
        result = next(results)
        while not result.dealt and (another := next(results, None)) is not None:
            result = another
        return result

    def _struck(self, name: str, blow: Blow, life_s: float) -> Result:
        with self._session(name) as (session, world):
            before = take_snapshot(world.aws, world.target, world.clock, "before")
            missed = self._reach(session, blow, life_s)
            with Looks(lambda: _not_back(session, world), self._wall) as looks:
                at_s = self._wall.monotonic_s()
                finishing = session.finishing
                problem = "" if missed else self._hit(session, blow)
                within(END_LIMIT_S, lambda: session.process.poll() is not None and not session.left)
            after = take_snapshot(world.aws, world.target, world.clock, "after")
            problem = problem or looks.wrong or _aftermath(session, before, after)
            problem = problem or missed or _ending(session, blow, finishing)
            return Result(blow, not problem, looks.back_after(at_s), problem, dealt=problem != missed or not missed)

    @contextlib.contextmanager
    def _session(self, name: str) -> Iterator[tuple[Session, World]]:
        with open_world(self._target, self._options) as world:
            session = Session(self._folder / name, self._options.target, world)
            try:
                yield session, world
            finally:
                session.close()

    def _reach(self, session: Session, blow: Blow, life_s: float) -> str:
        """Wait until it is where it is to be hit; why it never got there."""
        if blow.where == RANDOM:
            within(blow.share * life_s, lambda: session.process.poll() is not None)
            return ""
        within(LIMIT_S, lambda: session.was_at(blow.where) or session.process.poll() is not None)
        if session.was_at(blow.where) and session.process.poll() is None:
            return ""
        return f"never got to {blow.where} (see {session.folder / 'log.txt'})"

    def _hit(self, session: Session, blow: Blow) -> str:
        if blow.how in ORDERLY:
            for number in ORDERLY[blow.how]:
                session.send(number)
                self._wall.sleep(BETWEEN_S)
            return ""
        if blow.how == "BOTH" and session.run is not None:
            for record in watchdog_records(session.run)[:1]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(record["pid"]), signal.SIGKILL)
        session.send(signal.SIGKILL)
        session.process.wait(END_LIMIT_S)
        return restored_by_hand(session.journal) if blow.how == "BOTH" else ""


def _aborted(session: Session) -> str:
    """Why a session that nobody hurt did not play its scenario to its end, "" when it did."""
    if session.process.returncode is None or session.run is None:
        return f"it took more than {LIMIT_S:g} s" if session.run else "it did not begin"
    marks = load_history(session.run).named("invalid", "refused")
    return str(marks[0].data.get("reason")) if marks else "" if begun(session.journal) else "it broke nothing"


def _not_back(session: Session, world: World) -> str:
    """What of the Changes that were begun is not as before in the live lab, "" when all is."""
    try:
        entries = begun(session.journal)
        readings = world.aws.read(fact for e in entries for fact in e.change.back)
    except (AwsFailed, ValueError) as error:
        return str(error)
    wrong = [str(reading) for reading in readings if not reading.holds]
    return f"not as before: {'; '.join(wrong)}" if wrong else ""


def _aftermath(session: Session, before: dict[str, Any], after: dict[str, Any]) -> str:
    """What is left of it: processes, temporary files, an open journal, settings that a Change touched."""
    if left := session.left:
        return f"left running: {', '.join(left)}"
    if files := sorted(path.name for path in session.temporary.iterdir()):
        return f"temporary files are left: {', '.join(files)}"
    if not session.journal.exists():
        return ""
    if entries := outstanding(session.journal):
        return f"the journal is not closed: {', '.join(entry.state for entry in entries)}"
    found = residue_findings(before, after, journal_records(session.journal))
    return next((f"residue: {f.reason}" for f in found if f.verdict is Verdict.DIRTY), "")


def _ending(session: Session, blow: Blow, finishing: bool) -> str:
    """What is wrong with what it says of itself: evidence, verdict and exit code."""
    code = session.process.returncode
    if session.run is None:
        return "" if code else "it was hit before it had proven anything, and exited 0"
    judged = judge(load_history(session.run))
    if not finishing and judged.verdict in (Verdict.PASS, Verdict.INCONCLUSIVE):
        return f"it was hit before its end, and its evidence says {judged.verdict.value}"
    if finishing or blow.how not in ORDERLY:
        return ""
    if read_judgement(session.run) != summary_text(judged):
        return "its verdict.json is not what its evidence says"
    said = {judged.verdict.exit_code, Verdict.INVALID.exit_code}
    return "" if code in said else f"it exited {code}, its verdict is {judged.verdict.value}"
