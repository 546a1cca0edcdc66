"""A drill of another process, to be killed: it starts an experiment in the account that it is told, and waits.

`python -m tests.faults.starter CONFIG.json` (keys: folder, target, speed, run_id). Real journal, watchdog, fence and
executor; no block and no sweep of it comes to anything, for it never ends by itself.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from commands.sweep import start_watchdog
from commands.world import World
from drill.aws import Aws
from drill.child import read_config
from drill.clock import SystemClock
from drill.drill import Drill
from drill.fence import Fence
from drill.journal import Journal
from drill.reach import Reach
from drill.target import Target
from drill.timeline import Timeline
from faults.dynamodb_pause import PauseReplication
from tests.faults.experiments import TABLE, TEMPLATE

WAIT_S = 36000.0


def main(config: dict[str, Any]) -> None:
    """Start it, say so, and wait to be killed."""
    folder, target = Path(config["folder"]), Target.model_validate(config["target"])
    clock, aws = SystemClock(float(config["speed"])), Aws(target.connection.aws_endpoint)
    timeline = Timeline.create(folder, clock, {"run_id": config["run_id"], "target": config["target"]})
    journal = Journal(folder / "journal.jsonl", clock, reach=Reach.of(target, clock.speed))
    fence = Fence(journal, 60.0, start_watchdog(World(target, aws, clock, None), journal, 0.5))
    aws.admit = fence.admit
    drill = Drill(target, aws, clock, timeline, journal, str(config["run_id"]), fence=fence)
    with drill.performed(PauseReplication(TEMPLATE, TABLE, WAIT_S, at_most_s=86400.0)):
        sys.stdout.write("started\n")
        sys.stdout.flush()
        drill.elapse(WAIT_S)


if __name__ == "__main__":
    main(read_config())
