"""`drill report RUN`: render a run folder's page again."""

from __future__ import annotations

import argparse
from typing import Any

from commands.folders import add_run_argument, run_folder
from commands.rendering import render_again
from commands.say import say


def register(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser("report", help="render a run's HTML report again, from its folder alone")
    add_run_argument(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write report.html and the missing transactions, and say where the page is; judge a run that nobody judged."""
    folder = run_folder(args.run_folder)
    say(str(render_again(folder)))
    return 0
