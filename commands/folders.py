"""Run folders as arguments: a path, or nothing for the latest."""

from __future__ import annotations

import argparse
from pathlib import Path

from commands.world import RUNS
from drill.errors import UsageError
from drill.timeline import History, load_history


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
    """Everything the folder says. UsageError when its evidence cannot be read."""
    try:
        return load_history(folder)
    except ValueError as error:
        raise UsageError(f"evidence cannot be read: {error}") from error
