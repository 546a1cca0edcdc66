"""`drill restore RUN`: put back what a drill left changed, from its journal alone."""

from __future__ import annotations

import argparse
import json
from typing import Any

from commands.actions import list_actions, tell_actions
from commands.folders import add_run_argument, run_folder
from commands.say import say
from drill.aws import Aws
from drill.clock import Clock, SystemClock
from drill.dead_man import disarm
from drill.errors import Refused, RestoreFailed
from drill.journal import Entry, Journal, interrupted
from drill.restore import put_back
from drill.target import Target


def register(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser("restore", help="put back what an interrupted drill left changed")
    add_run_argument(parser)
    parser.add_argument("--dry-run", action="store_true", help="show the calls, touch nothing")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 when nothing is outstanding (any more). RestoreFailed, after trying all, when something stays changed."""
    folder = run_folder(args.run_folder)
    header = json.loads((folder / "run.json").read_text())
    target = Target.model_validate(header["target"])
    aws, clock = Aws(target.connection.aws_endpoint), SystemClock(float(header["speed"]))
    journal = Journal(folder / "journal.jsonl", clock)
    try:
        entries = journal.outstanding()
        if not entries and not interrupted(journal.path):
            say(f"{folder}: nothing outstanding")
            return 0
        if args.dry_run:
            for entry in entries:
                _show(entry, aws)
            list_actions(journal)
            return 0
        _require_account(aws, target)
        tell_actions(aws, journal, clock.sleep)
        return _restore_all(entries, aws, journal, clock, target)
    finally:
        journal.close()


def _show(entry: Entry, aws: Aws) -> None:
    say(f"# {entry.change.kind} on {', '.join(entry.change.resources)}: {entry.state}; would be put back by")
    for call in entry.change.restore:
        say(call.cli(aws.endpoint_url))


def _require_account(aws: Aws, target: Target) -> None:
    account = aws.client("sts", target.regions.observer).get_caller_identity()["Account"]
    if account != target.account:
        raise Refused(f"these credentials are of account {account}, the journal's target is {target.account}")


def _restore_all(entries: list[Entry], aws: Aws, journal: Journal, clock: Clock, target: Target) -> int:
    failed: list[RestoreFailed] = []
    for entry in entries:
        try:
            put_back(aws, journal, entry.number, entry.change, clock.sleep, target.timings.restore_timeout_s)
            say(f"{entry.change.kind} on {', '.join(entry.change.resources)}: as before")
            for problem in disarm(aws, entry.disarm):
                say(problem)
        except RestoreFailed as error:
            failed.append(error)
    if failed:
        lines = tuple(line for error in failed for line in error.lines)
        raise RestoreFailed("\n".join(str(error) for error in failed), lines)
    return 0
