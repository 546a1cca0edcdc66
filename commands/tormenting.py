"""One blow against one victim (commands/victim.py): kill it somewhere, and see whether everything comes back."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from commands.restore import restore
from commands.victim import faults_of
from drill.aws import Aws, AwsFailed
from drill.call import Fact
from drill.child import REPOSITORY, process_state
from drill.clock import SystemClock
from drill.errors import DrillError, Refused
from drill.journal import outstanding, reach_of
from drill.target import Target
from drill.watching import watchdog_records

SIGNALS = {"KILL": signal.SIGKILL, "TERM": signal.SIGTERM, "HUP": signal.SIGHUP}
HOWS = ("KILL", "BOTH", "TERM", "STOP", "HUP", "WATCHDOG")
"""A signal to the drill; BOTH: drill and watchdog, then `drill restore`; STOP: beyond its lease, then continued;
WATCHDOG: only the watchdog."""
POINTS = (
    *(f"record:{s}:{n}" for n in (1, 2) for s in ("prepared", "injecting", "injected", "restoring", "restored")),
    *(f"{when}:{n}" for n in range(1, 7) for when in ("before", "after")),
)
RANDOM = "random"
VICTIM = "commands.victim"
HOLD_S = 0.15
SETTLE_S = 1.0
"""A third of what a drill's watchdog takes: what holds with that holds with more, and a torture is mostly waiting."""
LIMIT_S = 60.0
STEP_S = 0.05
GONE = ("", "Z", "X")


@dataclass(frozen=True)
class Blow:
    """how: one of HOWS; where: one of POINTS, or RANDOM, after that `share` of a victim's life."""

    how: str
    where: str
    share: float = 0.0

    def __str__(self) -> str:
        return f"{self.how} at {self.where}" + (f" ({self.share:.3f} of its life)" if self.where == RANDOM else "")


@dataclass(frozen=True)
class Result:
    """restored: all as before, nothing outstanding, no process left. restore_s: wall seconds from the blow until all
    was as before for good, None when nothing was broken. problem: what is wrong, "" when nothing is. dealt: whether
    there was a blow at all; one that never was proves nothing."""

    blow: Blow
    restored: bool
    restore_s: float | None
    problem: str
    dealt: bool = True


def blows(kills: int, rng: random.Random) -> Iterator[Blow]:
    """Every point in every way, in turn, with a random instant as every third."""
    places = {how: rng.sample(POINTS, len(POINTS)) for how in HOWS}
    aimed = 0
    for number in range(kills):
        if number % 3 == 2:
            yield Blow(rng.choice((*SIGNALS, "BOTH")), RANDOM, rng.random())
            continue
        how = HOWS[aimed % len(HOWS)]
        yield Blow(how, places[how][aimed // len(HOWS) % len(POINTS)])
        aimed += 1


class Victim:
    """A victim that is about to begin. module: commands/victim.py or one like it; quiet_s: see there."""

    def __init__(
        self, folder: Path, target: Target, speed: float, blow: Blow, quiet_s: float = 0.0, module: str = VICTIM
    ) -> None:
        self.folder, self.blow = folder, blow
        self.lease_s = target.safety.lease_wall_s
        config = folder.with_suffix(".json")
        values = {
            "folder": str(folder),
            "target": target.model_dump(mode="json"),
            "speed": speed,
            "quiet_wall_s": quiet_s,
            "settle_wall_s": SETTLE_S,
        }
        stop_at = [] if blow.where == RANDOM else [blow.where]
        config.write_text(json.dumps({**values, "hold_wall_s": HOLD_S, "stop_at": stop_at}))
        self._log = folder.with_suffix(".log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, str(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=REPOSITORY,
            start_new_session=True,
        )

    @property
    def journal(self) -> Path:
        """Its journal."""
        return self.folder / "journal.jsonl"

    @property
    def watchdog(self) -> int | None:
        """Process id of its watchdog, None before that has said so."""
        records = watchdog_records(self.folder)
        return int(records[0]["pid"]) if records else None

    @property
    def gone(self) -> bool:
        """Whether the victim and its watchdog have ended."""
        watchdog = self.watchdog
        return self.process.poll() is not None and (watchdog is None or process_state(watchdog) in GONE)

    def begin(self) -> None:
        """Wait until it is ready, and let it go."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdout.readline()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(b"go\n")
            self.process.stdin.flush()

    def send(self, number: signal.Signals) -> None:
        """Send a signal; one that has ended gets none."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def close(self) -> None:
        """End it, however it stands; its watchdog ends by itself."""
        self.send(signal.SIGKILL)
        self.process.wait(LIMIT_S)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        self._log.close()


class Looks:
    """Looks all the time, in a thread of its own, at what is not as before; a last time at the end of its block."""

    def __init__(self, wrong: Callable[[], str], clock: SystemClock) -> None:
        self._look, self._clock, self._over = wrong, clock, threading.Event()
        self._thread = threading.Thread(target=self._run, name="looks")
        self._bad_s: float | None = None
        self._good_s = 0.0
        self.wrong = ""

    def back_after(self, at_s: float) -> float | None:
        """Wall seconds from `at_s` until all was as before for good; None when nothing was ever broken."""
        return None if self._bad_s is None else max(0.0, self._good_s - at_s)

    def __enter__(self) -> Looks:
        self._take()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._take()

    def _run(self) -> None:
        while not self._over.wait(STEP_S):
            self._take()

    def _take(self) -> None:
        self.wrong, now_s = self._look(), self._clock.monotonic_s()
        if self.wrong:
            self._bad_s = now_s
        elif self._bad_s is not None and self._good_s < self._bad_s:
            self._good_s = now_s


class Tormentor:
    """Deals blows in one world. aws, target, speed: of that world."""

    def __init__(self, aws: Aws, target: Target, speed: float) -> None:
        self._aws, self._target, self._clock = aws, target, SystemClock(speed)
        self._wall, self._life_s = SystemClock(), 0.0
        prepared = [fault.prepare(aws, target.name, "torture") for fault in faults_of(target)]
        self.facts: tuple[Fact, ...] = tuple(fact for change in prepared for fact in change.before + change.healed)

    def measure(self, victim: Victim) -> None:
        """Let one live, to know how long that takes. Refused when it does not even live unhurt."""
        victim.begin()
        began_s = self._wall.monotonic_s()
        code = victim.process.wait(LIMIT_S)
        self._life_s = self._wall.monotonic_s() - began_s
        said = victim.folder.with_suffix(".log").read_text().strip()
        if code or self.wrong():
            raise Refused(f"nothing was tortured: a victim that nobody hurt ended with {code}, {self.wrong()} {said}")

    def strike(self, victim: Victim) -> Result:
        """Let it begin, hit it, and wait until everything of it has ended."""
        victim.begin()
        missed = self._reach(victim)
        with Looks(self.wrong, self._wall) as looks:
            at_s = self._wall.monotonic_s()
            problem = missed or self._hit(victim)
            within(LIMIT_S, lambda: victim.gone)
        problem = problem or self._aftermath(victim, looks.wrong)
        return Result(victim.blow, not problem, looks.back_after(at_s), problem)

    def wrong(self) -> str:
        """What is not as before, "" when all is."""
        try:
            return "; ".join(str(reading) for reading in self._aws.read(self.facts) if not reading.holds)
        except AwsFailed as error:
            return str(error)

    def _aftermath(self, victim: Victim, wrong: str) -> str:
        if wrong:
            return f"not as before: {wrong}"
        if not victim.gone:
            return f"still running after {LIMIT_S:g} s: {', '.join(processes_of(victim.folder))}"
        left = [entry.state for entry in outstanding(victim.journal)]
        if left:
            return f"the journal is not closed: {', '.join(left)}"
        orphans = processes_of(victim.folder)
        return f"left running: {', '.join(orphans)}" if orphans else ""

    def _reach(self, victim: Victim) -> str:
        """Wait until it is where it is to be hit; why it never got there."""
        if victim.blow.where == RANDOM:
            self._wall.sleep(victim.blow.share * self._life_s)
            return ""
        if within(LIMIT_S, lambda: process_state(victim.process.pid) in ("T", *GONE)) and not victim.gone:
            return ""
        return f"never got to {victim.blow.where} (see {victim.folder.with_suffix('.log')})"

    def _hit(self, victim: Victim) -> str:
        how = victim.blow.how
        if how in SIGNALS:
            victim.send(SIGNALS[how])
            victim.send(signal.SIGCONT)
            return ""
        if how == "STOP":
            self._outlast(victim)
            victim.send(signal.SIGCONT)
            return ""
        watchdog = victim.watchdog
        if watchdog is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(watchdog, signal.SIGKILL)
        if how == "WATCHDOG":
            victim.send(signal.SIGCONT)
            return ""
        victim.send(signal.SIGKILL)
        victim.process.wait(LIMIT_S)
        return restored_by_hand(victim.journal)

    def _outlast(self, victim: Victim) -> None:
        """Until the lease is over and the watchdog, if it had a reason to act, has acted."""
        self._wall.sleep(victim.lease_s)
        if outstanding(victim.journal):
            within(LIMIT_S, lambda: any(r.get("event") == "passed" for r in watchdog_records(victim.folder)))


def within(wall_s: float, holds: Callable[[], bool]) -> bool:
    """Whether it holds within `wall_s` wall seconds."""
    clock = SystemClock()
    until_s = clock.monotonic_s() + wall_s
    while not holds():
        if clock.monotonic_s() > until_s:
            return False
        clock.sleep(STEP_S / 10)
    return True


def restored_by_hand(journal: Path) -> str:
    """`drill restore`, by a journal that nobody else restores from; why it failed."""
    reach = reach_of(journal) if journal.exists() else None
    if reach is None:
        return ""  # it died before its journal had a claim, so before it could do anything
    try:
        restore(journal, reach, Aws(reach.endpoint_url), told=lambda outcome: None, settle_wall_s=SETTLE_S)
    except DrillError as error:
        return f"drill restore failed: {error}"
    return ""


def processes_of(folder: Path) -> list[str]:
    """Processes whose command line names that folder."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        words = " ".join(process.info["cmdline"] or [])
        if str(folder) in words and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(f"{process.pid} {words}")
    return found
