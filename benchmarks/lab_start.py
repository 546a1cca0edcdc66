"""How long the lab of each system takes to start: from the command until it serves, and until it is gone again.

`python -m benchmarks.lab_start`. Beside the wall time stands the processor's: on a machine that others keep busy the
first one is theirs, the second one is the lab's own. The first start of all makes what is kept in the virtual
environment (docs/decisions/0052) and is left out.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import time
from dataclasses import dataclass

import psutil

from benchmarks.table import show, verdict
from lab.launch import launch
from lab.world import SYSTEMS

REACH_WALL_S = 5.0
SPEED = 15.0
STARTS = 5


@dataclass(frozen=True)
class Start:
    """One start, in wall seconds; cpu_s: of the processor, all the lab's processes together."""

    up_s: float
    cpu_s: float
    down_s: float


def started(system: str) -> Start:
    """Start it once, and end it."""
    began_s = time.monotonic()
    with launch(system, SPEED) as lab:
        up_s = time.monotonic() - began_s
        cpu_s = used_s(lab.keeper_pid)
        ending_s = time.monotonic()
    return Start(up_s, cpu_s, time.monotonic() - ending_s)


def used_s(pid: int) -> float:
    """Processor seconds of a process and all below it, those that have ended too."""
    root, used = psutil.Process(pid), 0.0
    for process in (root, *root.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended meanwhile, and its parent has its seconds
            times = process.cpu_times()
            used += times.user + times.system + times.children_user + times.children_system
    return used


def row(system: str, starts: list[Start]) -> tuple[str, ...]:
    """Medians, and the longest start."""
    up_s = statistics.median(start.up_s for start in starts)
    most_s = max(start.up_s for start in starts)
    cpu_s, down_s = (statistics.median(getattr(start, name) for start in starts) for name in ("cpu_s", "down_s"))
    return (system, f"{up_s:.1f}", f"{most_s:.1f}", f"{cpu_s:.1f}", f"{down_s:.1f}", verdict(up_s < REACH_WALL_S))


def main() -> None:
    """Print the table."""
    lines = argparse.ArgumentParser(description=__doc__)
    lines.add_argument("--starts", type=int, default=STARTS, help="of each system, after a first one")
    lines.add_argument("systems", nargs="*", default=sorted(SYSTEMS))
    args = lines.parse_args()
    rows = []
    for system in args.systems:
        started(system)
        rows.append(row(system, [started(system) for _ in range(args.starts)]))
    header = ("lab", "serves after s", "at worst", "of the processor", "gone after s", f"< {REACH_WALL_S:g} s")
    show(f"Starting a lab: medians of {args.starts}, load average {os.getloadavg()[0]:.1f}", header, rows)


if __name__ == "__main__":
    main()
