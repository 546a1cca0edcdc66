"""`drill gameday FILE`: a planned day of drills, with holds for people, a live board and a report at its end."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from commands.gameday_board import board_place, bound, served
from commands.gameday_check import problems_of, require_meant
from commands.gameday_report import (
    load_day,
    plan_changed,
    plan_digest,
    read_state,
    runs_of,
    why_cut_short,
    write_reports,
)
from commands.gameday_run import Runner, require_put_back
from commands.gameday_session import SessionOptions, is_running
from commands.importing import left_changed
from commands.say import say
from commands.world import RUNS, release_of
from drill.child import REPOSITORY
from drill.clock import SystemClock
from drill.errors import Invalid, Refused, UsageError
from drill.gameday import GameDay, plan_text, read_plan, require_plan
from drill.gameday_log import LOG_FILE, PLAN_FILE, GameDayLog
from reports.board_server import BoardServer
from reports.gameday_text import day_text

GAMEDAYS = REPOSITORY / "reports" / "gamedays"


def register(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser("gameday", help="run a planned day of drills, with holds, a live board and a report")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("file", nargs="?", type=Path, metavar="FILE", help="the plan (docs/game-day.md)")
    what.add_argument("--resume", type=Path, metavar="FOLDER", help="go on with a game day that was interrupted")
    what.add_argument("--report", type=Path, metavar="FOLDER", help="only write its report again")
    parser.add_argument("--check", action="store_true", help="only say whether the plan could be run")
    parser.add_argument("--board", metavar="HOST:PORT", help="serve the live board there, as 127.0.0.1:8080")
    parser.add_argument("--token-file", type=Path, help="who opens the board must know its content")
    parser.add_argument(
        "--role-token", action="append", default=[], metavar="ROLE=FILE", help="who has its content has that role"
    )
    parser.add_argument("--runs", type=Path, default=None, help="where run folders land (default: reports/runs)")
    parser.add_argument("--gamedays", type=Path, default=GAMEDAYS, help="where game-day folders land")
    parser.add_argument("--release", help="the build or commit that is drilled, as for pytest")
    parser.add_argument(
        "--production", action="append", default=[], metavar="NAME", help="a production target of the plan, and meant"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """The worst of its drills; UsageError, Refused and Invalid as everywhere."""
    if args.report is not None:
        return _report(args.report)
    what = args.file or _game_day(args.resume)
    text = plan_text(what if args.file else what / PLAN_FILE)
    read = read_plan(text)
    plan = require_plan(str(what), read, tuple(problems_of(read.drills)))
    require_meant(plan, args.production)
    place = board_place(args.board, args.token_file, args.role_token, [role.name for role in plan.role])
    release_of(args.release, None)
    if args.check:
        say(f"{what}: a game day of {len(plan.drills)} drill(s) and {len(plan.holds)} hold(s) that could be run")
        return 0
    runs = runs_of(read_state(what)) if args.resume else (args.runs or RUNS).resolve()
    with bound(place) as server, _opened(args, plan, text, runs) as log:
        return _run(args, Runner.of(plan, log, SessionOptions(runs, args.release, tuple(args.production))), server)


@contextlib.contextmanager
def _opened(args: argparse.Namespace, plan: GameDay, text: str, runs: Path) -> Iterator[GameDayLog]:
    """The record of a new game day, or of the one that is resumed; nothing is made when it cannot be kept."""
    clock = SystemClock()
    try:
        runs.mkdir(parents=True, exist_ok=True)
        folder = args.resume.resolve() if args.resume else _new_folder(args.gamedays.resolve(), plan.name, clock)
    except OSError as error:
        raise UsageError(f"no game day can be kept there: {error}") from error
    try:
        if args.resume is None:
            (folder / PLAN_FILE).write_text(text)
        log = GameDayLog(folder, clock)
    except OSError as error:
        if args.resume is None:
            shutil.rmtree(folder, ignore_errors=True)
        raise UsageError(f"no game day can be kept in {folder}: {error}") from error
    try:
        yield log
    finally:
        log.close()


def _new_folder(gamedays: Path, name: str, clock: SystemClock) -> Path:
    base = gamedays / f"{clock.wall():%Y%m%dT%H%M%S}Z-{name}"
    for number in range(100):
        folder = base if not number else base.with_name(f"{base.name}-{number}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise UsageError(f"{base}: exists a hundred times")


def _run(args: argparse.Namespace, runner: Runner, server: BoardServer | None) -> int:
    if args.resume:
        _require_resumable(runner)
    with runner.signals.noted(), served(runner, server):
        try:
            _begin(args, runner)
            runner.terminal.say(f"{runner.log.folder}{'; the board: ' * bool(runner.board)}{runner.board}")
            return runner.run()
        except OSError as error:
            runner.terminal.say(f"the game day cannot be recorded any more, so it is over: {error}")
            return load_day(runner.log.folder).exit_code
        finally:
            runner.terminal.show(f"\n{_reported(runner.log.folder)}\n")


def _begin(args: argparse.Namespace, runner: Runner) -> None:
    log = runner.log
    if not args.resume:
        digest = plan_digest((log.folder / PLAN_FILE).read_text())
        runs = str(runner.options.runs)
        log.add("begun", name=runner.plan.name, plan_sha256=digest, runs=runs, command_line=sys.argv[1:])
        return
    log.add("resumed")
    left = runner.state.running
    if left is not None:
        runner.note(left.drill, left.number, left.code, left.html, why_cut_short(left))


def _require_resumable(runner: Runner) -> None:
    """Refused for one that is over, too late, still running, or that has left something changed."""
    state, folder = runner.state, runner.log.folder
    if not state.ahead():
        raise Refused(f"{folder}: nothing is left of its plan; its report: drill gameday --report {folder}")
    if changed := plan_changed(folder, state):
        raise Refused(f"{folder}: {changed}; put it back, or begin another game day")
    attempt = state.running
    if attempt is not None and attempt.code is None and is_running(attempt.pid, attempt.html):
        raise Refused(f"{attempt.drill} still runs (pid {attempt.pid}); wait for it, or end it: drill stop")
    require_put_back(state, runner.options.runs, left_changed)
    if SystemClock().wall() >= runner.hard_stop:
        raise Refused(f"{folder}: its hard stop, {runner.hard_stop.isoformat()}, has passed; plan another game day")


def _game_day(folder: Path) -> Path:
    """The folder. UsageError when it is none of a game day."""
    if not (folder / LOG_FILE).is_file():
        raise UsageError(f"{folder}: no game day (no {LOG_FILE}); game days are in {GAMEDAYS}")
    return folder.resolve()


def _report(folder: Path) -> int:
    """Write the report of any game day, also one that was killed. UsageError when it is none."""
    day = load_day(_game_day(folder))
    try:
        say(f"{day_text(day)}\nThe report: {write_reports(day.folder, day)}")
    except OSError as error:
        raise Invalid(f"the report cannot be written: {error}") from error
    return day.exit_code


def _reported(folder: Path) -> str:
    """The closing text, or why there is none: neither changes what the day has shown."""
    try:
        day = load_day(folder)
        return f"{day_text(day)}\nThe report: {write_reports(folder, day)}"
    except Exception as error:  # noqa: BLE001 - what cannot be written must cost neither the exit code nor the record
        return f"no report in {folder}: {type(error).__name__}: {error}"
