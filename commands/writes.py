"""`drill writes RUN`: the ledger of a run, and what each survivor said of it, as CSV."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from commands.folders import add_run_argument, as_evidence, history_of, run_folder
from reports.writes_csv import writes_csv


def register(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser("writes", help="print every write of a run and what became of it, as CSV")
    add_run_argument(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print one line per write, by send time."""
    folder = run_folder(args.run_folder)
    with as_evidence(folder):
        lines = [*writes_csv(history_of(folder))]
    sys.stdout.writelines(lines)
    return 0
