"""`drill faults`: what can be broken and what can be done, with calls, effects and rights."""

from __future__ import annotations

import argparse
from typing import Any

from commands.say import say
from drill.child import REPOSITORY
from drill.errors import UsageError

PAGE = REPOSITORY / "docs" / "faults.md"


def register(verbs: Any) -> None:
    """Add the verb."""
    verbs.add_parser("faults", help="what can be broken, how it is put back, and which rights it needs").set_defaults(
        run=run
    )


def run(_args: argparse.Namespace) -> int:
    """Print the page; it is made from the faults themselves, and a test holds it up to date."""
    try:
        say(PAGE.read_text().rstrip())
    except OSError as error:
        raise UsageError(f"{PAGE}: {error.strerror}; it is part of the repository: run this from a clone") from error
    return 0
