"""`drill history`: what the drills showed over time; `drill history import RUN...`: keep run folders in it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from commands.importing import import_runs, run_folders
from commands.say import say
from commands.world import RUNS
from drill.verdict import Verdict
from reports.history import Entry, open_history
from reports.trend import history_text

HISTORY = RUNS.parent / "history.sqlite"


def register(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser("history", help="the trend of every target, scenario and objective; import run folders")
    parser.add_argument("--target", help="only this target")
    parser.add_argument("--scenario", help="only this scenario")
    add_db_option(parser, HISTORY)
    parser.set_defaults(run=show)
    actions = parser.add_subparsers(metavar="import RUN...")
    importing = actions.add_parser("import", help="keep run folders, judged anew; importing twice changes nothing")
    importing.add_argument("folders", nargs="+", type=Path, metavar="RUN", help="a run folder, or a folder of them")
    add_db_option(importing, argparse.SUPPRESS)
    importing.set_defaults(run=keep)


def add_db_option(parser: argparse.ArgumentParser, default: Path | str) -> None:
    """--db: where the history is."""
    parser.add_argument("--db", type=Path, default=default, help=f"the history's file (default: {HISTORY})")


def show(args: argparse.Namespace) -> int:
    """0 when the history could be read, whatever it says."""
    with open_history(args.db) as file:
        entries = [e for e in file.entries() if _wanted(e, args)]
    say(history_text(entries))
    return 0


def keep(args: argparse.Namespace) -> int:
    """0 when every run folder is in the history now; 11 when one cannot be read or believed."""
    folders = run_folders(args.folders)
    with open_history(args.db, create=True) as file:
        told = list(import_runs(file, folders))
    for entry, how in told:
        say(_told(entry, how))
    return Verdict.INVALID.exit_code if any(entry.problem for entry, _ in told) else 0


def _wanted(entry: Entry, args: argparse.Namespace) -> bool:
    if entry.record is None:
        return True
    there = (entry.record.target.name, entry.record.run.scenario)
    return all(wish in (None, is_) for wish, is_ in zip((args.target, args.scenario), there, strict=True))


def _told(entry: Entry, how: str) -> str:
    if entry.record is None:
        return f"{entry.folder}: INVALID: {entry.problem}"
    wrong = f"; not to be believed: {entry.problem}" if entry.problem else ""
    return f"{entry.folder}: {how}: {entry.record.verdict.value}{wrong}"
