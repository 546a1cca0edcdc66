"""Cleaning up after a drill, wired: what is deleted, that all that is known of it is on disk first, what is noted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checks.data_residue import BEGUN, ENDED, NOT_BEGUN
from checks.kept import evidence_units
from checks.seal import rows_of
from drill.cleaning import (
    CLEANED_PASS,
    GONE,
    LIMIT_WALL_S,
    STILL_THERE,
    UNKNOWN,
    Cleaned,
    Units,
    await_replica,
    clean,
    open_eraser,
    tag_of,
    units_to_clean,
)
from drill.clock import Clock
from drill.journal import NO_CHANGE, Journal
from drill.target import Target
from drill.timeline import History, Readback, Timeline, append_readbacks, load_history
from drill.write_path import CLEANED

REPLICA_FLOOR_WALL_S, REPLICA_LIMIT_WALL_S = 3.0, 30.0
"""How long the replica is given to follow, whatever `timings.settle_s` says."""
WRITTEN = ("ledger-*.bin", "readback.jsonl", "balances.jsonl")
"""Files of a run folder that say what is known of the records."""


def promised(target: Target) -> bool:
    """Whether anything that load and probes write into that target is to be cleaned up."""
    return not target.load.read_only and target.load.residue == CLEANED


@dataclass(frozen=True)
class Chosen:
    """What is deleted, and how many records are not because they are evidence. tag: what the accounts begin with."""

    units: Units
    kept: int
    tag: str


def chosen(history: History, target: Target, run_id: str, evidence_too: bool = False) -> Chosen:
    """By the ledger and the read-backs. evidence_too: a person has decided that nobody needs it any more."""
    units = units_to_clean(history.writes, target.load, run_id)
    kept = {} if evidence_too else evidence_units(history)
    mine = [(write, store) for write, store in units if (write.key, store) not in kept]
    return Chosen(mine, len(units) - len(mine), tag_of(target.load.synthetic_prefix, run_id))


@dataclass(frozen=True)
class CleanUp:
    """Of one drill. `run` is for its end: everything is read back, load and probes are stopped."""

    folder: Path
    timeline: Timeline
    journal: Journal
    target: Target
    clock: Clock
    run_id: str

    def announce(self) -> None:
        """On disk before anything can be written: that it is to be cleaned up."""
        if promised(self.target):
            self.journal.record(NO_CHANGE, "writing", tag=tag_of(self.target.load.synthetic_prefix, self.run_id))

    def run(self) -> None:
        """Delete what the target says, look, and note it; nothing while something is still changed.

        Whatever this raises, the judge finds that nobody saw it cleaned.
        """
        if not promised(self.target):
            return
        if self.journal.outstanding():
            why = (
                "something is not as it was, and who looks at it may need every record: first type drill restore RUN"
            )
            self.timeline.mark(NOT_BEGUN, why=why)
            return
        history = load_history(self.folder, many=False)
        self._clean(history, chosen(history, self.target, self.run_id))

    def _clean(self, history: History, what: Chosen) -> None:
        rows = rows_of(history, CLEANED_PASS)
        _sync(self.folder)
        tag = what.tag
        self.journal.record(NO_CHANGE, "cleaning", tag=tag, records=len(what.units), kept=what.kept, rows=rows)
        self.timeline.mark(BEGUN, records=len(what.units), kept=what.kept, rows=rows)
        done, replica = erased(self.target, self.clock, what.units)
        now_s = self.clock.monotonic_s()
        append_readbacks(
            self.folder,
            [Readback(now_s, "", CLEANED_PASS, key, state, store) for (key, store), state in done.states.items()],
        )
        acked = {(write.key, store) for write, store in what.units if write.result == "acked"}
        self.timeline.mark(ENDED, found=len(done.found & acked), why=done.why, replica=replica)
        self.journal.record(NO_CHANGE, "unclean" if done.left else "cleaned", tag=tag)


def erased(
    target: Target, clock: Clock, units: Units, limit_wall_s: float = LIMIT_WALL_S
) -> tuple[Cleaned, dict[str, Any]]:
    """What came of deleting these, and what the replica shows after it: {region, there, unknown, gone}."""
    with closing(open_eraser(target, clock)) as eraser:
        done = clean(eraser, clock, units, limit_wall_s)
        gone = [unit for unit in units if done.states[unit[0].key, unit[1]] == GONE]
        settle_wall_s = target.timings.settle_s / clock.speed
        wait_s = min(REPLICA_LIMIT_WALL_S, max(REPLICA_FLOOR_WALL_S, settle_wall_s))
        seen = await_replica(eraser, clock, gone, wait_s)
    counts = {"there": seen.count(STILL_THERE), "unknown": seen.count(UNKNOWN), "gone": seen.count(GONE)}
    return done, {"region": target.regions.standby, **counts}


def _sync(folder: Path) -> None:
    """What is known of the records outlives a loss of power from here on, as the records will not."""
    for path in _written(folder):
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _written(folder: Path) -> Iterator[Path]:
    for pattern in WRITTEN:
        yield from folder.glob(pattern)
