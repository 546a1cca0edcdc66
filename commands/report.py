"""`drill report RUN`: render a run folder's page again."""

from __future__ import annotations

import argparse
from typing import Any

from checks.judge import judge
from commands.folders import add_run_argument, history_of, run_folder
from commands.rendering import render_again
from commands.say import say
from reports.summary import write_missing


def register(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser("report", help="render a run's HTML report again, from its folder alone")
    add_run_argument(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write report.html and the missing transactions, and say where the page is; judge a run that nobody judged."""
    folder = run_folder(args.run_folder)
    history = history_of(folder)
    write_missing(folder, judge(history))
    say(str(render_again(folder, history)))
    return 0
