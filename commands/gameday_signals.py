"""The signals that end a game day in order: noted, never raised, so that nothing is cut short."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

from drill.interrupt import SIGNALS


@dataclass
class Signals:
    """came: the first signal that came, "" while none has."""

    came: str = ""

    @contextlib.contextmanager
    def noted(self) -> Iterator[Signals]:
        """Note the signals in this block (main thread only)."""
        former = {number: signal.signal(number, self._note) for number in SIGNALS}
        try:
            yield self
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.came = self.came or signal.Signals(number).name
