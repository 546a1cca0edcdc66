"""What the control plane has set and the data plane obeys, as one small file that is replaced whole.

The world process writes it when an API call has changed something; task processes read it when it has changed.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class KnobsWriter:
    """Keeps the file; for several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._values: dict[str, Any] = {}
        self._write()

    def set(self, name: str, value: Any) -> None:
        """From now on `name` is `value` (JSON)."""
        with self._lock:
            self._values[name] = value
            self._write()

    def _write(self) -> None:
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self._values))
        new.replace(self.path)


class KnobsReader:
    """Reads the file when it is another one than the last time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._values: dict[str, Any] = {}

    def values(self) -> Mapping[str, Any]:
        """What is set now."""
        found = self._path.stat()
        seen = (found.st_ino, found.st_mtime_ns)
        if seen != self._seen:
            self._values, self._seen = json.loads(self._path.read_text()), seen
        return self._values
