"""The terminal of a game day: lines that a person types, lines that a person reads; it may go away at any time."""

from __future__ import annotations

import os
import select
import threading
from typing import TextIO

from reports.ink import CONTROL

MOMENT_S = 0.2
"""How long one look for typed lines waits."""
READ_BYTES = 4096
LONGEST = 65_536
"""Bytes of a line without an end that are kept."""


class Terminal:
    """fd: what is read (never by a thread that would have to be killed); stream: what is written to."""

    def __init__(self, fd: int, stream: TextIO) -> None:
        self._fd, self._stream = fd, stream
        self._rest = b""
        self._idle = threading.Event()
        self.ended = self._gone = False

    def lines(self) -> list[str]:
        """What was typed since the last look; waits a moment when nothing was."""
        if self.ended or not self._ours():
            self._idle.wait(MOMENT_S)
            return []
        try:
            ready, _, _ = select.select([self._fd], [], [], MOMENT_S)
            data = os.read(self._fd, READ_BYTES) if ready else None
        except (OSError, ValueError):
            data = b""
        if data is None:
            return []
        self.ended = not data
        *whole, rest = (self._rest + data).split(b"\n")
        self._rest = rest[-LONGEST:]
        return [line.decode(errors="replace") for line in whole]

    def say(self, text: str) -> None:
        """Show the words of the game day itself. A terminal that is gone is no reason to stop."""
        self._write("".join(f"gameday: {line}\n" for line in text.splitlines()))

    def show(self, output: str) -> None:
        """Show what a drill has printed."""
        self._write(output)

    def _ours(self) -> bool:
        """Whether it may be read: a job in the background would be stopped for it, with its drill."""
        try:
            return not os.isatty(self._fd) or os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:
            return True

    def _write(self, words: str) -> None:
        if not words or self._gone:
            return
        try:
            self._stream.write(CONTROL.sub("?", words))
            self._stream.flush()
        except (OSError, ValueError):
            self._gone = True
