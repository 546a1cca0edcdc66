"""Whether a window of the drill is open, for witnesses in other processes: they read the drill's own marks.

A window is begun just before its fault is injected and ends when recovery was sustained (or was given up), which is
exactly the stretch in which it is worth looking quickly.
"""

from __future__ import annotations

import json
from pathlib import Path

LOOK_S = 0.03
"""How often a witness should ask (wall seconds): less than a drill needs from its mark to its first call."""


class OpenWindow:
    """Follows `events.jsonl` of a run folder, reading only what is new."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "events.jsonl"
        self._offset = 0
        self._open = False

    def open(self) -> bool:
        """Whether the last window that was begun has not ended yet; as before while the marks cannot be read."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except OSError:
            return self._open
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            self._take_in(line)
        return self._open

    def _take_in(self, line: bytes) -> None:
        if b"window." not in line:
            return
        try:
            name = json.loads(line).get("name")
        except (ValueError, AttributeError):
            return
        if name in ("window.begin", "window.end"):
            self._open = name == "window.begin"
