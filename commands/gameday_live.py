"""What is true of the running drill of a game day, read from its run folder as everybody could."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict
from pathlib import Path
from typing import Any

from commands.gameday_outcome import run_folders
from drill.gameday import PlannedDrill
from drill.onlooker import Onlooker
from reports.live import dns_regions, http_regions, snapshot

EVERY_WALL_S = 1.0
KEPT = 300
"""Looks that the board's curve shows: five minutes."""


class LiveDrill:
    """The newest look at a drill. `now` is replaced whole, so that any thread may read it at any time.

    To be made before the drill is started: what is there by then is not its.
    """

    def __init__(self, drill: PlannedDrill, runs: Path, html: str) -> None:
        self.drill = drill
        self._runs, self._html = runs, html
        self._due_s = 0.0
        self._onlooker: Onlooker | None = None
        self._known = {header.parent for header in runs.glob("*/run.json")}
        self._curve: deque[tuple[float, float, float]] = deque(maxlen=KEPT)
        self.now: dict[str, Any] = {}

    def look(self, now_s: float) -> None:
        """Look again, if it is time to. What cannot be read is said, and never the end of a game day."""
        if now_s < self._due_s:
            return
        self._due_s = now_s + EVERY_WALL_S
        try:
            self._find()
            if self._onlooker is not None:
                self.now = self._look(self._onlooker)
        except (OSError, ValueError, KeyError, TypeError) as error:
            self.now = {"problem": f"its run folder cannot be read just now: {error}"}

    def _find(self) -> None:
        """A scenario with parameters has several runs, one after the other: the newest one is looked at."""
        new = run_folders(self._runs, self._html, but=self._known)
        if new:
            self._known.update(new)
            self._curve.clear()
            self._onlooker = Onlooker(new[-1])

    def _look(self, on: Onlooker) -> dict[str, Any]:
        on.refresh()
        seen = snapshot(on, on.target)
        self._curve.append((seen.at_s, seen.requests_per_s, seen.errors_per_s))
        return {
            **asdict(seen),
            "run": on.folder.name,
            "lab": on.target.kind == "lab",
            "unit": on.target.unit,
            "rto_s": _limit_s(on),
            "dns": dns_regions(on, on.target),
            "http": http_regions(on, on.target),
            "curve": [(round(at - seen.at_s, 1), rate, errors) for at, rate, errors in self._curve],
        }


def _limit_s(on: Onlooker) -> float:
    """The recovery objective of the newest window, in target seconds."""
    window = next((e.data.get("window") for e in reversed(on.events) if e.name == "window.begin"), "")
    objectives = on.target.objectives
    return objectives.failback_rto_s if window == "failback" else objectives.rto_s
