"""The owner's side of a lab process that is told JSON lines on stdin and says JSON lines on stdout."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lab import processes

Event = Mapping[str, Any]


class Talker:
    """A child process spoken to in JSON lines. `on_event` runs in a thread of this object, once per line."""

    def __init__(self, argv: Sequence[str], on_event: Callable[[Event], None], name: str) -> None:
        self.name = name
        self._on_event = on_event
        self._lock = threading.Lock()
        self._child = processes.spawn(argv)
        self._thread = threading.Thread(target=self._listen, name=name, daemon=True)

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._child.pid

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def tell(self, line: str) -> None:
        """Send one line; ChildError when the process is gone."""
        assert self._child.stdin is not None
        try:
            with self._lock:
                self._child.stdin.write(line.encode() + b"\n")
                self._child.stdin.flush()
        except (OSError, ValueError) as error:
            raise processes.ChildError(f"the {self.name} process is gone: {error}") from error

    def stop(self, grace_s: float = 3.0) -> None:
        """End the process: at EOF by itself, else by force after `grace_s` wall seconds."""
        if self._child.stdin is not None:
            with self._lock:
                processes.stop(self._child, grace_s)
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)

    def _listen(self) -> None:
        assert self._child.stdout is not None
        try:
            for line in self._child.stdout:
                self._on_event(json.loads(line))
        except ValueError:
            return  # closed while reading: the owner stopped it
