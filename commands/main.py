"""`drill`: one verb a file. Exit codes are those of the design."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from commands.safeguards import hide_environment
from commands.signals import as_interrupts
from drill.errors import DrillError, Fenced, Invalid, Refused, RestoreFailed
from drill.redact import redact
from drill.verdict import REFUSED_EXIT_CODE, USAGE_EXIT_CODE, Verdict

VERBS = (
    "all",
    "bundle",
    "calibrate",
    "clean",
    "faults",
    "gameday",
    "gate",
    "history",
    "install",
    "lab",
    "plan",
    "policy",
    "reconcile",
    "report",
    "restore",
    "stop",
    "unlock",
    "torture",
    "verify",
    "writes",
)
"""Each is a module of this folder, with `register(verbs)`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code: 4 for bad usage, 12 refused, 20 dirty, 11 interrupted."""
    words = sys.argv[1:] if argv is None else list(argv)
    args = command_line(words[0] if words else "").parse_args(words)
    hide_environment()
    try:
        with as_interrupts():
            return int(args.run(args))
    except RestoreFailed as error:
        return _complain(error, Verdict.DIRTY.exit_code)
    except Refused as error:
        return _complain(error, REFUSED_EXIT_CODE)
    except (Invalid, Fenced) as error:
        return _complain(error, Verdict.INVALID.exit_code)
    except DrillError as error:
        return _complain(error, USAGE_EXIT_CODE)
    except BrokenPipeError:
        return 1


def command_line(verb: str = "") -> argparse.ArgumentParser:
    """The parser of the command line; of one verb alone, if it is one, since the others take a second to load."""
    parser = _Parser(
        prog="drill",
        description="Failover drills: the lab, restoring, verifying, reports, history, gate. Drills run by pytest.",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name in (verb,) if verb in VERBS else VERBS:
        importlib.import_module(f"commands.{name}").register(verbs)
    return parser


class _Parser(argparse.ArgumentParser):
    """argparse, but usage errors exit with the harness's own usage code (4, as pytest's)."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.print_usage(sys.stderr)
        self.exit(USAGE_EXIT_CODE, f"drill: {message}\n")


def _complain(error: DrillError, code: int) -> int:
    sys.stderr.write(f"drill: {redact(str(error))}\n")
    return code
