"""Run folders as arguments: a path, or nothing for the latest."""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from commands.world import RUNS
from drill.errors import Invalid, UsageError
from drill.harness import NAME, SOURCE, made_by_another
from drill.timeline import FORMAT, History, load_history
from drill.verdict import Judgement

UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError)
"""What a run folder with a record of a wrong shape raises when it is read or judged."""


def add_run_argument(parser: argparse.ArgumentParser) -> None:
    """The positional RUN of a verb."""
    parser.add_argument(
        "run_folder", nargs="?", type=Path, default=RUNS / "latest", metavar="RUN", help="default: latest"
    )


def run_folder(path: Path) -> Path:
    """The folder itself (`latest` resolved). UsageError when it is no run folder."""
    folder = path.resolve()
    if not (folder / "run.json").exists():
        raise UsageError(f"{path}: no run folder (no run.json); runs are in {RUNS}, the newest is {RUNS / 'latest'}")
    return folder


def history_of(folder: Path) -> History:
    """Everything the folder says. Invalid when its evidence cannot be read: it proves nothing."""
    try:
        return load_history(folder)
    except UNREADABLE as error:
        other = _made_by(folder)
        raise Invalid(f"evidence cannot be read: {error}{f'; it was {other}' if other else ''}") from error


def judged_of(folder: Path) -> tuple[History, Judgement]:
    """The folder and what its evidence says. Invalid when that cannot be read, or has a shape no drill writes."""
    from checks.judge import judge  # late: who begins a drill asks this module only what cannot be read

    history = history_of(folder)
    with as_evidence(folder):
        return history, judge(history)


@contextlib.contextmanager
def as_evidence(folder: Path) -> Iterator[None]:
    """While the records of a folder are made something of: what their shape makes fail is said, as Invalid."""
    try:
        yield
    except UNREADABLE as error:
        what = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise Invalid(f"{folder}: {what}; such a record no drill writes, so it proves nothing") from error


def _made_by(folder: Path) -> str:
    """Which other version made the folder; "" when it was this one, or its header cannot be read either."""
    try:
        header = json.loads((folder / "run.json").read_text())
    except (OSError, ValueError):
        return ""
    if not isinstance(header, dict):
        return ""
    newer = isinstance(header.get("format"), int) and header["format"] > FORMAT
    if newer and SOURCE not in str(header.get("versions")):
        return f"made by a newer version of {NAME}, which did not write down which"
    return made_by_another(header)
