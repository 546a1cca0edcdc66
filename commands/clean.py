"""`drill clean RUN`: delete what load and probes of a run wrote, when its drill could not, or left it as evidence."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from checks.data_residue import MOST_NAMED
from commands.cleaning import Chosen, chosen, erased, promised
from commands.folders import add_run_argument, history_of, run_folder
from commands.restore import JOURNAL
from commands.say import say
from drill.cleaning import Cleaned
from drill.clock import Clock, SystemClock
from drill.errors import Refused, UsageError
from drill.journal import NO_CHANGE, Journal, last_claim, outstanding
from drill.target import Target
from drill.timeline import History
from drill.verdict import Verdict


def register(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser("clean", help="delete what load and probes of a run wrote, as its target says")
    add_run_argument(parser)
    parser.add_argument("--dry-run", action="store_true", help="say what would be deleted, touch nothing")
    parser.add_argument(
        "--evidence",
        action="store_true",
        help="delete too what contradicts what clients were told (lost, changed ...)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 when all of it was read back as gone, 20 when not. The run's own evidence and verdict stay as they are.

    Refused while its drill runs, or while something that it changed is not back.
    """
    folder = run_folder(args.run_folder)
    history = history_of(folder)
    target, run_id = _target(history), str(history.header.get("run_id", ""))
    if not promised(target):
        raise UsageError(f"{folder}: target {target.name} says that what is written is left; nothing was deleted")
    what = chosen(history, target, run_id, args.evidence)
    mine = f"records on accounts {what.tag}*"
    if what.kept:
        say(f"{what.kept} {mine} are kept as evidence; --evidence deletes them too")
    if args.dry_run:
        say(f"{len(what.units)} {mine} would be deleted")
        return 0
    _require_over(folder / JOURNAL)
    done, replica = _cleaned(folder / JOURNAL, SystemClock(history.speed), target, what)
    say(
        f"cleaned {len(what.units) - len(done.left)} of {len(what.units)} {mine}; {len(done.found)} were there before"
    )
    if replica["there"] or replica["unknown"]:
        say(f"at the replica {replica['there']} are there still, {replica['unknown']} could not be looked for")
    if done.left:
        _tell_left(done, target, folder)
    return Verdict.DIRTY.exit_code if done.left else 0


def _cleaned(path: Path, clock: Clock, target: Target, what: Chosen) -> tuple[Cleaned, dict[str, Any]]:
    """What came of it; the journal says that it was begun, and how it ended."""
    journal = Journal(path, clock, "drill clean")
    try:
        journal.record(NO_CHANGE, "cleaning", tag=what.tag, records=len(what.units), kept=what.kept)
        done, replica = erased(target, clock, what.units)
        journal.record(NO_CHANGE, "unclean" if done.left else "cleaned", tag=what.tag)
    finally:
        journal.close()
    return done, replica


def _tell_left(done: Cleaned, target: Target, folder: Path) -> None:
    first = ", ".join(key for key, _ in done.left[:MOST_NAMED])
    lab = " (a lab that has ended took its data with it)" if target.kind == "lab" else ""
    say(f"{len(done.left)} are not known to be gone (first: {first}): {done.why}{lab}; again: drill clean {folder}")


def _target(history: History) -> Target:
    try:
        return Target.model_validate(history.header["target"])
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"run.json does not say which target was drilled ({type(error).__name__})") from error


def _require_over(path: Path) -> None:
    holder = last_claim(path)
    if holder is not None and holder.here:
        raise Refused(f"{holder} still runs and cleans up by itself at its end; nothing was deleted")
    if outstanding(path):
        raise Refused(
            "something that the drill changed is not back, and who looks at it may need every record: nothing was "
            f"deleted. First type: drill restore {path.parent}"
        )
