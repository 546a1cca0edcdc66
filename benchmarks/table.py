"""What every benchmark prints: one table, and whether each figure reaches what it must."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence

from tabulate import tabulate


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print one table, with the machine that it was measured on."""
    sys.stdout.write(f"\n{title} (Python {platform.python_version()}, {platform.machine()})\n\n")
    sys.stdout.write(tabulate(rows, header, tablefmt="simple", disable_numparse=True) + "\n")


def verdict(good: bool) -> str:
    """A word for the last column."""
    return "yes" if good else "NO"
