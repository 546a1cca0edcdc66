"""`drill all`: every scenario of every system in the embedded labs, systems side by side where cores allow.

A session of pytest for each system, one at a time for each two cores: on two cores a second drill's start alone holds
up the first one's lab, which says so (INVALID; docs/decisions/0073).
"""

from __future__ import annotations

import argparse
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from commands.chosen import known_targets
from commands.exit_code import session_exit_code
from commands.gameday_session import DrillSession
from commands.say import say
from commands.scenario_names import DEFAULT, scenarios_in
from commands.world import RUNS, Options, resolve_target
from drill.clock import Clock, SystemClock
from drill.errors import UsageError
from drill.interrupt import Interrupts
from drill.verdict import REFUSED_EXIT_CODE, USAGE_EXIT_CODE, Verdict

CORES_OF_A_DRILL = 2
LOOK_WALL_S = 0.2


class Runs(Protocol):
    """A session of drills that runs; see commands.gameday_session.DrillSession."""

    def code(self) -> int | None:
        """Its exit code; None while it runs."""

    def stop(self) -> None:
        """Tell it to end in order."""

    def wait(self) -> int:
        """Its exit code, when it has ended."""

    def new_output(self) -> str:
        """The whole lines that it has printed since the last call."""


@dataclass(frozen=True)
class Ended:
    """How the session of a target ended; took_s: wall seconds."""

    target: str
    code: int
    took_s: float


def register(verbs: Any) -> None:
    """Add the verb."""
    lanes = max(1, (os.cpu_count() or 1) // CORES_OF_A_DRILL)
    lines = verbs.add_parser("all", help="every scenario of every system in the lab, side by side where cores allow")
    lines.add_argument("--headline", action="store_true", help="the headline drill of each system alone")
    lines.add_argument("--lanes", type=int, default=lanes, help=f"sessions at a time; {lanes} on this machine")
    lines.add_argument("--runs", type=Path, default=RUNS, help="where run folders, pages and logs land")
    lines.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Drill them; the exit code of the worst."""
    if args.lanes < 1:
        raise UsageError(f"--lanes {args.lanes}: at least one session runs at a time; example: --lanes 1")
    runs: Path = args.runs.resolve()
    try:
        runs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--runs {args.runs}: run folders cannot be kept there ({error})") from error
    marker = "failover and headline" if args.headline else "failover"

    def begin(target: str) -> DrillSession:
        return DrillSession(arguments(target, marker, runs), runs / f"session-{target}.log")

    interrupts = Interrupts()
    interrupts.install()
    try:
        ended = list(side_by_side(longest_first(), begin, args.lanes, SystemClock()))
    except KeyboardInterrupt:
        say("stopped: every session was told to end in order, and has")
        return Verdict.INVALID.exit_code
    finally:
        interrupts.uninstall()
    for one in ended:
        say(f"{one.target}: exit code {one.code} after {one.took_s:.0f} s; {runs / f'session-{one.target}.html'}")
    return worst_code(one.code for one in ended)


def arguments(target: str, marker: str, runs: Path) -> list[str]:
    """pytest's, for the session of one target."""
    return ["-m", marker, f"--target={target}", f"--runs={runs}", f"--html={runs / f'session-{target}.html'}"]


def longest_first() -> list[str]:
    """The targets that have a lab, the one with the most scenarios first, so that none is left alone at the end."""
    files = sorted(path for folder in DEFAULT for path in folder.glob("test_*.py"))
    many = Counter(scenario.system for path in files for scenario in scenarios_in(path))
    targets = (resolve_target(Options(target=name)) for name in known_targets())
    with_lab = {target.name: many[target.system] for target in targets if target.lab is not None}
    return sorted(with_lab, key=lambda name: (-with_lab[name], name))


def side_by_side(
    targets: Sequence[str], begin: Callable[[str], Runs], lanes: int, clock: Clock, tell: Callable[[str], None] = say
) -> Iterator[Ended]:
    """Run the sessions, `lanes` at a time, each as soon as one ends; what each printed is told in one piece.

    Whatever ends this early, KeyboardInterrupt too: those that run are told to end in order, and waited for.
    """
    todo, running = deque(targets), dict[str, tuple[Runs, float]]()
    try:
        while todo or running:
            while todo and len(running) < lanes:
                running[todo[0]] = begin(todo[0]), clock.monotonic_s()
                tell(f"{todo.popleft()}: begun")
            over = [name for name, (session, _) in running.items() if session.code() is not None]
            for name in over:
                session, began_s = running.pop(name)
                tell(session.new_output())
                yield Ended(name, session.wait(), clock.monotonic_s() - began_s)
            if not over:
                clock.sleep(LOOK_WALL_S)
    finally:
        for session, _ in running.values():
            session.stop()
        for session, _ in running.values():
            session.wait()
            tell(session.new_output())


def worst_code(codes: Iterable[int]) -> int:
    """The exit code of all sessions; one that is no verdict's (a crash, nothing drilled) is INVALID."""
    found, by_code = list(codes), {verdict.exit_code: verdict for verdict in Verdict}
    refusals = [code for code in found if code in (USAGE_EXIT_CODE, REFUSED_EXIT_CODE)]
    verdicts = [by_code.get(code, Verdict.INVALID) for code in found if code not in refusals]
    return session_exit_code(verdicts, refusals, 0)
