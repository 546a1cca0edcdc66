"""Looking on at a run folder from another process than the drill's: its newest records, and all of its marks."""

from __future__ import annotations

import json
from pathlib import Path

from drill.clock import SystemClock
from drill.target import Target
from drill.timeline import Followed, event_from

KEPT = 20_000
"""The newest looks and requests that are kept: what is older nobody asks an onlooker for."""


class Onlooker(Followed):
    """A run folder of this machine. ValueError when its header says no speed or no target that can be read."""

    def __init__(self, folder: Path) -> None:
        try:
            header = json.loads((folder / "run.json").read_text())
            speed, self.target = float(header["speed"]), Target.model_validate(header["target"])
            self.scenario = str(header.get("scenario", ""))
        except (OSError, KeyError, TypeError) as error:
            raise ValueError(f"{folder}: no header of a drill ({error})") from error
        super().__init__(folder, SystemClock(speed))

    def refresh(self) -> None:
        """Read what was appended since the last call. ValueError, KeyError or TypeError for what is no record."""
        super().refresh()
        path = self.folder / "events.jsonl"
        if path.exists():
            self.events.extend(event_from(record) for record in self._new_lines(path))
        del self.observations[:-KEPT], self.requests[:-KEPT]
