"""What a lab did while a drill ran that nobody sees from outside: overruns, and what it was told by hand."""

from __future__ import annotations

import json
from pathlib import Path

from commands.lab_settings import asked, told_meanwhile
from commands.world import World
from drill.timeline import Timeline
from reports.overridden import TOLD


def note_overruns(timeline: Timeline, world: World, began_s: float) -> None:
    """Those of this drill: a lab that was attached to may have had others before. OSError without the record.

    began_s: monotonic wall seconds.
    """
    if world.lab is None:
        return
    for line in Path(world.lab.overruns).read_text().splitlines():
        overrun = json.loads(line)
        if overrun["monotonic_s"] >= began_s:
            timeline.mark("lab.overrun", **overrun)


def note_told(timeline: Timeline, world: World) -> None:
    """What it was told since the drill's world was opened: the run counts for no gate. UsageError when it is gone."""
    if world.lab is None or world.said is None:
        return
    for words in told_meanwhile(world.said, asked(world.lab)):
        timeline.mark(TOLD, words=words)
