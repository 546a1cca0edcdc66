"""`drill verify RUN`: judge a run folder (or a bundle of one) again from its evidence alone and compare."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from checks.judge import judge
from commands.bundle import verify_bundle
from commands.folders import add_run_argument, history_of, run_folder
from commands.publish import edited
from commands.say import say
from drill.errors import UsageError
from drill.verdict import Verdict
from reports.summary import differing_missing, read_judgement, summary_text
from reports.table import closing_table


def register(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser("verify", help="recompute a run's numbers and verdict from its evidence, offline")
    add_run_argument(parser)
    parser.add_argument(
        "--key", type=Path, metavar="PUB", help="for a bundle: PEM file of the key it must be signed by"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 when evidence and stored verdict agree, whatever the verdict says; 11 when they do not."""
    if args.run_folder.is_file():
        return verify_bundle(args.run_folder, args.key)
    if args.key:
        raise UsageError(f"--key: {args.run_folder} is no bundle, so nothing is signed; leave --key out")
    folder = run_folder(args.run_folder)
    history = history_of(folder)
    judgement = judge(history)
    say(closing_table(history, judgement, folder))
    stored = read_judgement(folder)
    if stored is None:
        say(f"{folder}: no verdict.json to compare with; the drill ended before it was judged")
        return Verdict.INVALID.exit_code
    if stored != summary_text(judgement):
        say(
            f"{folder}: verdict.json differs from what the evidence says: evidence or verdict was changed, "
            "or another version of failover-drill judged it"
        )
        return Verdict.INVALID.exit_code
    wrong = (*edited(folder, history, judgement), *differing_missing(folder, judgement))
    if wrong:
        say(f"{folder}: {', '.join(wrong)} differ from what the evidence says: edited, or by another version")
        return Verdict.INVALID.exit_code
    say(f"{folder}: verdict.json agrees with the evidence, byte for byte")
    return 0
