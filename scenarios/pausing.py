"""A global table that does not replicate for a while, for the scenarios that lose a Region with what it alone has."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from drill.drill import Drill
from drill.target import Target
from faults.dynamodb_pause import PAUSED_AFTER_S, PauseReplication

EXPERIMENT_S = 120.0
"""FIS has an experiment running within this."""


@contextlib.contextmanager
def replication_paused(drill: Drill, target: Target, table: str) -> Iterator[None]:
    """Nothing leaves the Region of the table (a key of the target) any more, or gets there, from here on.

    The experiment is stopped when the block ends, however it ends.
    """
    pause = PauseReplication(target.resource("pause_experiment"), target.resource(table), timeout_s=EXPERIMENT_S)
    with drill.performed(pause):
        drill.elapse(PAUSED_AFTER_S)
        yield
