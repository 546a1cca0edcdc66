"""From a game day's folder to its report: its runs are judged anew, whatever the record says of them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from commands.exit_code import session_exit_code
from commands.gameday_check import target_of
from commands.gameday_outcome import WORDS, Outcome, counted, exit_code, last_words, outcome_of, run_folders
from commands.gameday_session import is_running
from commands.importing import entry_of
from drill.errors import Invalid, UsageError
from drill.gameday import DrillStep, load_plan
from drill.gameday_log import PLAN_FILE, read_log
from drill.gameday_state import Attempt, Ended, State, state_of
from drill.verdict import REFUSED_EXIT_CODE, USAGE_EXIT_CODE, Verdict
from reports.gameday_day import Day
from reports.gameday_evidence import write_evidence
from reports.gameday_page import write_pages
from reports.history import Entry

INTERRUPTED = "the game day was interrupted"
Runs = dict[tuple[str, int], tuple[tuple[Path, Entry], ...]]


def read_state(folder: Path) -> State:
    """How far a game day is. UsageError for a wrong plan, Invalid for a record that is none or another plan's."""
    plan = load_plan(folder / PLAN_FILE)
    try:
        return state_of(plan, read_log(folder))
    except (OSError, ValueError) as error:
        raise Invalid(f"{folder}: the game day's record cannot be read: {error}") from error


def plan_changed(folder: Path, state: State) -> str:
    """That the plan is not the one that the day began with, in words; "" when it is."""
    then = next((str(r.data.get("plan_sha256", "")) for r in state.records if r.event == "begun"), "")
    changed = then and then != plan_digest((folder / PLAN_FILE).read_text())
    return f"{PLAN_FILE} is not what it was when the game day began" if changed else ""


def plan_digest(text: str) -> str:
    """sha256 of a plan (hex)."""
    return hashlib.sha256(text.encode()).hexdigest()


def load_day(folder: Path) -> Day:
    """Everything that a report shows. UsageError and Invalid as for `read_state`."""
    state = read_state(folder)
    found = {a: _folders(a, runs_of(state)) for a in state.attempts}
    gone = [path for a in state.attempts if a.end for path in a.end.runs if not Path(path).is_dir()]
    missing = [*(f"the run folder {path} is not there any more" for path in gone), plan_changed(folder, state)]
    state = replace(state, attempts=tuple(_as_of_now(a, found[a], state) for a in state.attempts))
    entries = {(a.drill, a.number): tuple((f, entry_of(f)) for f in folders) for a, folders in found.items()}
    code, told = exit_code(state), tuple(filter(None, missing))
    return Day(folder.resolve(), state, WORDS[code], code, _lab(state, entries), entries, told)


def shown(folder: Path, state: State, lab: bool) -> Day:
    """A running game day by its record alone, for the board: no run is judged for it."""
    code = exit_code(state)
    return Day(folder, state, WORDS[code], code, lab)


def write_reports(folder: Path, day: Day) -> Path:
    """Write report.html, report.md and evidence.toml; returns the page."""
    write_evidence(folder, day)
    return write_pages(folder, day)


def runs_of(state: State) -> Path:
    """Where its run folders are, by its first record."""
    return next((Path(str(r.data["runs"])) for r in state.records if r.event == "begun" and "runs" in r.data), Path())


def _lab(state: State, entries: Runs) -> bool:
    records = (entry.record for found in entries.values() for _, entry in found)
    return any(map(_is_lab, state.plan.drill_steps)) or any(r is not None and r.target.kind == "lab" for r in records)


def _is_lab(step: DrillStep) -> bool:
    try:
        return target_of(step).kind == "lab"
    except UsageError:  # a target that is there no more; its runs say what they were
        return False


def _folders(attempt: Attempt, runs: Path) -> tuple[Path, ...]:
    known = () if attempt.end is None else tuple(Path(p) for p in attempt.end.runs if Path(p).is_dir())
    return known if attempt.end is not None else counted(run_folders(runs, attempt.html))


def why_cut_short(attempt: Attempt) -> str:
    """Why an attempt whose end was not noted was cut short; "" when it came to its end by itself."""
    return INTERRUPTED if attempt.code is None else attempt.stopped


def _as_of_now(attempt: Attempt, folders: tuple[Path, ...], state: State) -> Attempt:
    """The attempt with the worse of what is on record and what its evidence says now."""
    end = attempt.end
    if end is None and is_running(attempt.pid, attempt.html):
        return attempt
    stopped = why_cut_short(attempt) if end is None else end.stopped
    now = outcome_of(attempt.code, folders, stopped, last_words(Path(attempt.html).with_suffix(".log")))
    if end is not None and _worse(end.exit_code, now.exit_code) == end.exit_code:
        return attempt
    at = state.records[-1].at if end is None else end.at
    return replace(attempt, end=_end(now, at=at, stopped=stopped, runs=tuple(map(str, folders))))


def _end(outcome: Outcome, **rest: object) -> Ended:
    said = {"verdict": outcome.verdict, "exit_code": outcome.exit_code, "reason": outcome.reason}
    return Ended(**said, finished=outcome.finished, **rest)  # type: ignore[arg-type]


def _worse(one: int, other: int) -> int:
    """The worse of two exit codes, as a session with both would end."""
    verdicts = [v for v in Verdict if v.exit_code in (one, other)]
    return session_exit_code(verdicts, [c for c in (one, other) if c in (USAGE_EXIT_CODE, REFUSED_EXIT_CODE)], 0)
