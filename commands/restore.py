"""`drill restore RUN`: put back what a drill left changed, from its journal alone, here or on another machine."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from commands.actions import list_actions, tell_actions
from commands.say import say
from commands.signals import held_back
from commands.world import RUNS
from drill.aws import Aws, AwsFailed
from drill.call import Call
from drill.cleaning import uncleaned
from drill.clock import SystemClock
from drill.errors import Refused, RestoreFailed, UsageError
from drill.journal import Entry, Journal, interrupted, last_claim, outstanding, reach_of
from drill.reach import Reach
from drill.restorer import SETTLE_WALL_S, Outcome, Restorer
from drill.target import Target

JOURNAL = "journal.jsonl"


def register(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser("restore", help="put back what an interrupted drill left changed")
    parser.add_argument(
        "journal",
        nargs="?",
        type=Path,
        default=RUNS / "latest",
        metavar="RUN|JOURNAL",
        help="a run folder, or a journal.jsonl wherever it lies (default: latest)",
    )
    parser.add_argument("--dry-run", action="store_true", help="show the calls, touch nothing")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 when nothing is outstanding (any more). RestoreFailed, after trying all, when something stays changed.

    Fenced when another process has taken over meanwhile.
    """
    path = journal_path(args.journal)
    entries = outstanding(path)
    _tell_uncleaned(path)
    if not entries and not interrupted(path):
        say(f"{path.parent}: nothing outstanding")
        return 0
    reach = _reach(path)
    aws = Aws.reaching(reach)
    if args.dry_run:
        for entry in entries:
            _show(entry, aws)
        list_actions(path)
        return 0
    _require_account(aws, reach, entries)
    _tell_who_is_fenced(path)
    return restore(path, reach, aws, _told)


def restore(
    path: Path, reach: Reach, aws: Aws, told: Callable[[Outcome], None], settle_wall_s: float = SETTLE_WALL_S
) -> int:
    """Claim the journal, put back all that is outstanding; told of each. See `run` and Restorer.

    No signal cuts it off: what it takes is bounded.
    """
    clock = SystemClock(reach.speed)
    journal = Journal(path, clock, "drill restore", restoring=True)
    try:
        restorer = Restorer(journal, reach, clock, aws, told, settle_wall_s)
        with held_back(say):
            restorer.restore()
            restorer.settle()
            tell_actions(aws, journal, clock.sleep)
    finally:
        journal.close()
    if restorer.problems:
        lines = tuple(line for error in restorer.problems for line in error.lines)
        raise RestoreFailed("\n".join(str(error) for error in restorer.problems), lines)
    return 0


def journal_path(path: Path) -> Path:
    """The journal that a person names by its run folder or by itself. UsageError when there is none."""
    found = path.resolve()
    found = found / JOURNAL if found.is_dir() else found
    if not found.is_file():
        raise UsageError(f"{path}: no run folder and no journal; runs are in {RUNS}, the newest is {RUNS / 'latest'}")
    return found


def _reach(path: Path) -> Reach:
    """By the journal itself; by the run's header beside it for a journal of an older version."""
    try:
        reach = reach_of(path)
        if reach is not None:
            return reach
        header = json.loads((path.parent / "run.json").read_text())
        return Reach.of(Target.model_validate(header["target"]), float(header["speed"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path} does not say how the system is reached ({type(error).__name__}: {error}); put the run.json of "
            "its run folder beside it"
        ) from error


def _tell_uncleaned(path: Path) -> None:
    """What this verb does not do: records in the system under test are deleted by the run folder, not the journal."""
    said = uncleaned(path)
    if said:
        say(f"{said}; once all is put back, type: drill clean {path.parent}")


def _show(entry: Entry, aws: Aws) -> None:
    say(f"# {entry.change.kind} on {', '.join(entry.change.resources)}: {entry.state}; would be put back by")
    for line in entry.change.lines(aws.endpoint_url):
        say(line)


def _require_account(aws: Aws, reach: Reach, entries: list[Entry]) -> None:
    """Refused for the credentials of another account. RestoreFailed, with the lines to type, when AWS is silent."""
    try:
        account = aws.run(Call("sts", "GetCallerIdentity", {}, reach.region))["Account"]
    except AwsFailed as error:
        lines = tuple(line for entry in entries for line in entry.change.lines(aws.endpoint_url))
        why = f"nothing was put back, because nobody can tell whose credentials these are: {error}"
        raise RestoreFailed(f"{why}. To put it back, type:\n  " + "\n  ".join(lines), lines) from error
    if account != reach.account:
        raise Refused(f"these credentials are of account {account}, the journal's target is {reach.account}")


def _tell_who_is_fenced(path: Path) -> None:
    claim = last_claim(path)
    if claim is not None and claim.here:
        say(
            f"{claim} still runs: it is fenced from now on. One call that it had under way may still come when it "
            f"wakes; look at the system once it is gone (kill {claim.pid})"
        )


def _told(outcome: Outcome) -> None:
    if outcome.problem is None:
        say(f"{outcome.what}: as before")
    for problem in outcome.armed:
        say(problem)
