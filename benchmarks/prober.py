"""What the quick witness costs, and how well it keeps its schedule: 50 HTTP vantages at 50 Hz, 1,000 names at 10 Hz.

    python -m benchmarks.prober [SECONDS]

Each row is one witness process (`python -m checks.pulse`) over a victim of lab/victims.py on the same machine. The
last row is a bare loop of select() and a clock, nothing else, at 1 kHz in the same minute: what a schedule can be
kept to here. Wanted: below a quarter of a core each, and a 99th percentile of lateness below 5 ms.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from tabulate import tabulate

from commands.calibrating import Job, victim
from drill.child import Child
from drill.observations import Outcome, read_logs

DEADLINE_S = 0.5
WARM_UP_S = 1.0


def http_aims(port: int, host: str, kept: bool, count: int = 50, hz: float = 50.0) -> list[dict[str, Any]]:
    """Vantages on one server."""
    where = {"kind": "http", "host": host, "port": port, "interval_s": 1 / hz, "deadline_s": DEADLINE_S, "kept": kept}
    return [{**where, "vantage": f"v{n}"} for n in range(count)]


def dns_aims(port: int, host: str, count: int = 1000, hz: float = 10.0) -> list[dict[str, Any]]:
    """Names on one server."""
    where = {"kind": "dns", "host": host, "port": port, "interval_s": 1 / hz, "deadline_s": DEADLINE_S}
    return [{**where, "vantage": "names", "name": f"n{n}.example.com"} for n in range(count)]


def measured(name: str, kind: str, aims_of: Any, seconds: float, folder: Path) -> list[str]:
    """One row: a victim, a witness over it, its CPU and its lateness."""
    job = Job({"503": 0, "dns": 5}[kind], kind, 0)
    with victim(job, folder, 0) as process:
        port = said(process)["port"]
        worker = name.replace(" ", "-")
        config = {"folder": str(folder), "worker": worker, "aims": aims_of(port, job.host), "lateness": True}
        child = Child(worker, "checks.pulse", config, folder)
        time.sleep(WARM_UP_S)
        witness = psutil.Process(child.pid)
        before, begun_s = witness.cpu_times(), time.monotonic()
        time.sleep(seconds)
        after, took_s = witness.cpu_times(), time.monotonic() - begun_s
        child.stop()
    cpu = (after.user + after.system - before.user - before.system) / took_s
    looks = read_logs([folder / f"obs-{worker}.bin"])
    lateness = json.loads((folder / f"lateness-{worker}.json").read_text())
    good = sum(o.outcome is Outcome.OK for o in looks)
    unknown = sum(o.outcome is Outcome.UNKNOWN for o in looks)
    return [
        name,
        f"{len(lateness) / (took_s + WARM_UP_S):,.0f}",
        f"{cpu:.1%}",
        *late(lateness),
        f"{good:,}",
        f"{unknown}",
    ]


def bare(seconds: float) -> list[str]:
    """The same schedule without anything to do."""
    lateness, slot_s = [], time.monotonic()
    process = psutil.Process()
    before, end_s = process.cpu_times(), slot_s + seconds
    while slot_s < end_s:
        select.select((), (), (), max(0.0, slot_s - time.monotonic()))
        lateness.append(time.monotonic() - slot_s)
        slot_s += 0.001
    after = process.cpu_times()
    cpu = (after.user + after.system - before.user - before.system) / seconds
    return ["bare loop, 1 kHz", f"{len(lateness) / seconds:,.0f}", f"{cpu:.1%}", *late(lateness), "-", "-"]


def late(lateness: list[float]) -> list[str]:
    """p50, p99 and worst in ms."""
    ordered = sorted(lateness)
    return [f"{ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000:.2f}" for share in (0.5, 0.99, 1.0)]


def said(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """The victim's first line."""
    assert process.stdout is not None
    return dict(json.loads(process.stdout.readline()))


def main(seconds: float) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        rows = [
            measured("50 vantages, new clients, 50 Hz", "503", lambda p, h: http_aims(p, h, False), seconds, folder),
            measured(
                "1 vantage, new clients, 1 kHz", "503", lambda p, h: http_aims(p, h, False, 1, 1000), seconds, folder
            ),
            measured("1,000 names, 10 Hz", "dns", dns_aims, seconds, folder),
            bare(seconds),
        ]
    header = ["witness", "looks/s", "of a core", "late p50 ms", "p99 ms", "worst ms", "good", "unknown"]
    sys.stdout.write(tabulate(rows, header, disable_numparse=True) + "\n")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)
