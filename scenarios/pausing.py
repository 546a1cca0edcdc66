"""A global table that does not replicate for a while, for the scenarios that lose a Region with what it alone has."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from drill.drill import Drill
from drill.errors import NotRecovered
from drill.target import Target
from faults.dynamodb_pause import PAUSED_AFTER_S, PauseReplication
from faults.fis_stop import StopExperiment

EXPERIMENT_S = 120.0
"""FIS has an experiment running, or stopped, within this."""


@contextlib.contextmanager
def replication_paused(drill: Drill, target: Target, table: str) -> Iterator[None]:
    """Nothing leaves the Region of the table (a key of the target) any more, or gets there, from here on.

    The experiment is stopped whether or not the system recovered. After an abort nothing more is done to it: FIS
    ends it by its own time or by its stop condition, and the table's policy shows it until then.
    """
    template = target.resource("pause_experiment")
    drill.perform(PauseReplication(template, target.resource(table), timeout_s=EXPERIMENT_S))
    drill.elapse(PAUSED_AFTER_S)
    try:
        yield
    except NotRecovered:
        drill.perform(StopExperiment(template, timeout_s=EXPERIMENT_S))
        raise
    drill.perform(StopExperiment(template, timeout_s=EXPERIMENT_S))
