"""From a game day's folder to its report: its runs are judged anew, whatever the record says of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from commands.gameday_check import target_of
from commands.gameday_outcome import WORDS, Outcome, exit_code, last_words, outcome_of, run_folders
from commands.gameday_session import is_running
from commands.importing import entry_of
from commands.running import session_exit_code
from drill.errors import Invalid, UsageError
from drill.gameday import DrillStep, GameDay, load_plan
from drill.gameday_log import PLAN_FILE, Record, read_log
from drill.gameday_state import Attempt, Ended, State, state_of
from drill.verdict import REFUSED_EXIT_CODE, USAGE_EXIT_CODE, Verdict
from reports.gameday_day import Day
from reports.gameday_page import write_pages

INTERRUPTED = "the game day was interrupted"


def read_day(folder: Path) -> tuple[GameDay, tuple[Record, ...]]:
    """The plan and the records of a folder. Invalid when they cannot be read, UsageError for the plan."""
    plan = load_plan(folder / PLAN_FILE)
    try:
        return plan, read_log(folder)
    except (OSError, ValueError) as error:
        raise Invalid(f"{folder}: the game day's record cannot be read: {error}") from error


def load_day(folder: Path) -> Day:
    """Everything that a report shows. Invalid when the record cannot be read."""
    plan, records = read_day(folder)
    try:
        state = state_of(plan, records)
    except ValueError as error:
        raise Invalid(f"{folder}: the game day's record does not fit its plan: {error}") from error
    runs = runs_of(state)
    found = {a: _folders(a, runs) for a in state.attempts}
    lost = tuple(path for a in state.attempts if a.end for path in a.end.runs if not Path(path).is_dir())
    state = replace(state, attempts=tuple(_as_of_now(a, found[a], state) for a in state.attempts))
    code = exit_code(state)
    entries = {(a.drill, a.number): tuple((f, entry_of(f)) for f in folders) for a, folders in found.items()}
    lab = any(_is_lab(step) for step in plan.step if isinstance(step, DrillStep))
    lab = lab or any(
        e.record is not None and e.record.target.kind == "lab" for found in entries.values() for _, e in found
    )
    return Day(folder.resolve(), state, WORDS[code], code, lab, entries, lost)


def shown(folder: Path, state: State, lab: bool) -> Day:
    """A running game day by its record alone, for the board: no run is judged for it."""
    code = exit_code(state)
    return Day(folder, state, WORDS[code], code, lab)


def write_reports(folder: Path, day: Day) -> Path:
    """Write report.html and report.md; returns the page."""
    return write_pages(folder, day)


def runs_of(state: State) -> Path:
    """Where its run folders are, by its first record."""
    return next((Path(str(r.data["runs"])) for r in state.records if r.event == "begun" and "runs" in r.data), Path())


def _is_lab(step: DrillStep) -> bool:
    try:
        return target_of(step).kind == "lab"
    except UsageError:  # a target that is there no more; its runs say what they were
        return False


def _folders(attempt: Attempt, runs: Path) -> tuple[Path, ...]:
    known = () if attempt.end is None else tuple(Path(p) for p in attempt.end.runs if Path(p).is_dir())
    return known if attempt.end is not None else run_folders(runs, attempt.html)


def _as_of_now(attempt: Attempt, folders: tuple[Path, ...], state: State) -> Attempt:
    """The attempt with the worse of what is on record and what its evidence says now."""
    end = attempt.end
    if end is None and is_running(attempt.pid, attempt.html):
        return attempt
    said = last_words(Path(attempt.html).with_suffix(".log"))
    now = outcome_of(attempt.code, folders, INTERRUPTED if end is None else end.stopped, said)
    if end is not None and _worse(end.exit_code, now.exit_code) == end.exit_code:
        return attempt
    at = state.records[-1].at if end is None else end.at
    stopped = INTERRUPTED if end is None else end.stopped
    return replace(attempt, end=_end(now, at=at, stopped=stopped, runs=tuple(map(str, folders))))


def _end(outcome: Outcome, **rest: object) -> Ended:
    said = {"verdict": outcome.verdict, "exit_code": outcome.exit_code, "reason": outcome.reason}
    return Ended(**said, finished=outcome.finished, **rest)  # type: ignore[arg-type]


def _worse(one: int, other: int) -> int:
    """The worse of two exit codes, as a session with both would end."""
    verdicts = [v for v in Verdict if v.exit_code in (one, other)]
    return session_exit_code(verdicts, [c for c in (one, other) if c in (USAGE_EXIT_CODE, REFUSED_EXIT_CODE)], 0)
