"""Words for a person."""

from __future__ import annotations

import sys


def say(text: str) -> None:
    """Print a line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
