"""One account for all tests of a file that only look at it, and one of its own for each that changes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from drill.read_only import ReadOnlyAws
from tests.checks.cloud import Cloud, cloud


class KeptCloud:
    """What a process can have one of at a time, since moto's state is the process's: looked at again, or made anew.

    folder: for the kept one. `close` ends it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._stack = folder, ExitStack()
        self._kept: tuple[Cloud, ReadOnlyAws] | None = None

    def to_look_at(self) -> tuple[Cloud, ReadOnlyAws]:
        """The kept account, and clients that refuse to change anything in it."""
        if self._kept is None:
            self._folder.mkdir(exist_ok=True)
            made = self._stack.enter_context(cloud(self._folder))
            self._kept = made, ReadOnlyAws(made.aws)
        return self._kept

    @contextmanager
    def own(self, folder: Path, **how: Any) -> Iterator[Cloud]:
        """A fresh account, after which the kept one is made anew too."""
        self.close()
        with cloud(folder, **how) as made:
            yield made

    def close(self) -> None:
        """End the kept account, if there is one."""
        self._kept = None
        self._stack.close()
