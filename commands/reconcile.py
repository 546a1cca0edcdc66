"""`drill reconcile RUN`: the snapshot of a lossy failover beside the clients' ledger, write by write."""

from __future__ import annotations

import argparse
import collections
import sys
from pathlib import Path
from typing import Any

from checks.lossy_snapshot import SAID, agree, compare
from commands.folders import add_run_argument, judged_of, run_folder
from commands.say import say
from drill.errors import UsageError
from drill.ledger import Write
from drill.timeline import History
from drill.verdict import Judgement


def register(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser("reconcile", help="compare a lossy failover's snapshot with the writes that a run lost")
    add_run_argument(parser)
    parser.add_argument("--store", required=True, metavar="NAME", help="the data store, as the target names it")
    parser.add_argument(
        "--snapshot",
        required=True,
        type=Path,
        metavar="FILE",
        help="ids that the old writer's snapshot holds and the new writer lacks, one a line",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print one line per write that either list names, then the counts. 1 when they do not name the same."""
    history, judged = judged_of(run_folder(args.run_folder))
    lost = [row for row in _lost(judged) if row["store"] == args.store]
    compared = compare(lost, _written(history, args.store), _survived(history, args.store), _ids(args.snapshot))
    for each in compared:
        say("\t".join((each.id, each.point, each.key, each.account)))
    counts = collections.Counter(each.point for each in compared)
    for point, what in SAID.items():
        sys.stderr.write(f"{counts[point]:6} {point}: {what}\n")
    return 0 if agree(compared) else 1


def _lost(judged: Judgement) -> list[dict[str, Any]]:
    """The lost writes of every window, as the judge names them."""
    points = [f for f in judged.findings if f.name.startswith("recovery point")]
    return [dict(row) for finding in points for row in finding.data.get("lost", ())]


def _written(history: History, store: str) -> list[Write]:
    """The ledger's writes into that store. UsageError names the stores that there are."""
    stores = sorted({name for write in history.writes for name in write.stores})
    if store not in stores:
        raise UsageError(f"--store {store}: the run wrote into {', '.join(stores) or 'no store'}")
    return [write for write in history.writes if store in write.stores]


def _survived(history: History, store: str) -> set[str]:
    """The keys of the writes that a survivor showed, at recovery or at the end."""
    shown = (read for read in history.readbacks if read.window and read.store == store)
    return {read.key for read in shown if read.state == "settled"}


def _ids(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--snapshot {path}: cannot be read: {error}") from error
