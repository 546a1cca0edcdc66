"""Temporary folders that are gone when the verb is, however it ends: they belong to a process beside it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from drill.errors import Invalid
from lab import processes
from lab.scratch_keeper import KEEP, REMOVAL_S


@dataclass(frozen=True)
class Scratch:
    """folder: of this verb alone. Its keeper removes it at the end of the block, or when the verb is killed."""

    folder: Path
    keeper: subprocess.Popen[bytes]

    def keep(self) -> None:
        """Somebody needs what is in it: it stays. To be said last."""
        assert self.keeper.stdin is not None
        self.keeper.stdin.write(KEEP)
        self.keeper.stdin.flush()


@contextlib.contextmanager
def scratch(prefix: str) -> Iterator[Scratch]:
    """A temporary folder for the block, named `prefix` and something. Invalid when none can be made."""
    keeper = processes.spawn(processes.python("-S", "-m", "lab.scratch_keeper", prefix))
    try:
        assert keeper.stdout is not None
        said = os.fsdecode(keeper.stdout.readline().strip())
        if not said.startswith("/"):
            raise Invalid(f"no temporary folder: {said or 'its keeper has ended'}; free some room, or set TMPDIR")
        yield Scratch(Path(said), keeper)
    finally:
        processes.stop(keeper, REMOVAL_S)
