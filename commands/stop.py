"""`drill stop`: end a running drill in order, from another terminal, as Ctrl-C in its own would."""

from __future__ import annotations

import argparse
import socket
from datetime import UTC
from pathlib import Path
from typing import Any

from checks.seal import SEAL
from commands.folders import add_run_argument, history_of, run_folder
from commands.restore import JOURNAL
from commands.say import say
from drill.clock import SystemClock
from drill.errors import Refused, UsageError
from drill.journal import claims_in
from drill.stop import STOP_FILE


def register(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser("stop", help="end a running drill in order: it puts everything back and says why")
    add_run_argument(parser)
    parser.add_argument("--reason", default="an operator asked for it", help="goes into the drill's evidence")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 when the drill will see it at its next look. Refused when the drill is over; UsageError for no run folder."""
    folder = run_folder(args.run_folder)
    if history_of(folder).named(SEAL):
        raise Refused(f"{folder}: that drill is over; nothing to stop")
    if (pid := _dead(folder / JOURNAL)) is not None:
        raise Refused(f"{folder}: that drill is dead (pid {pid}): nobody would see it; type: drill restore {folder}")
    at = SystemClock().wall().astimezone(UTC)
    try:
        (folder / STOP_FILE).write_text(f"{args.reason} ({at:%Y-%m-%dT%H:%M:%SZ})\n")
    except OSError as error:
        raise UsageError(f"{folder / STOP_FILE} cannot be written: {error}") from error
    say(f"{folder}: told to stop; it puts back what it changed and ends INVALID with this reason")
    return 0


def _dead(journal: Path) -> int | None:
    """The process id of the drill when it was of this machine and runs no more; None when it may still run."""
    try:
        drills = claims_in(journal.read_bytes())[:1]
    except OSError:
        return None
    return next((one.pid for one in drills if one.host == socket.gethostname() and not one.here), None)
