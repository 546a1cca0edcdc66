"""SIGINT, SIGTERM and SIGHUP end a drill in order: KeyboardInterrupt once, never in the middle of a restore."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """A stop condition ended the drill: in the same way as a signal does, with its reason."""


class Interrupts:
    """Signal handling of one drill process.

    The first signal raises KeyboardInterrupt in the main thread; later ones are only noted, so that a second
    Ctrl-C cannot cut the restore short. Inside `shielded()` even the first is only noted, and raised after.
    """

    def __init__(self) -> None:
        self.noted: list[str] = []
        self._shields = 0
        self._raised = False
        self._reason = ""
        self._former: dict[signal.Signals, Any] = {}

    def install(self) -> None:
        """Take over the three signals (main thread only, else ValueError). Idempotent until `uninstall`."""
        for number in SIGNALS:
            if number not in self._former:
                self._former[number] = signal.signal(number, self._handle)

    def uninstall(self) -> None:
        """Give the signals back to who had them."""
        for number, former in self._former.items():
            signal.signal(number, former)
        self._former.clear()

    @property
    def shielding(self) -> bool:
        """Whether something is being put back just now."""
        return self._shields > 0

    def stop(self, reason: str) -> None:
        """End the drill as a signal does, for a reason of its own: Stopped, once; inside `shielded()`, after it."""
        self._reason = self._reason or reason
        self.noted.append(reason)
        if not self._shields and not self._raised:
            self._raise()

    @contextlib.contextmanager
    def shielded(self) -> Iterator[None]:
        """No signal interrupts this block; one that came meanwhile raises KeyboardInterrupt at its end."""
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
        if (
            self.noted
            and not self._shields
            and not self._raised
            and threading.current_thread() is threading.main_thread()
        ):
            self._raise()

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.noted.append(signal.Signals(number).name)
        if not self._shields and not self._raised:
            self._raise()

    def _raise(self) -> None:
        self._raised = True
        if self._reason:
            raise Stopped(self._reason)
        raise KeyboardInterrupt(f"stopped by {', '.join(self.noted)}")
