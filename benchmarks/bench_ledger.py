"""The ledger: 50,000 writes a second recorded, and none lost when the recorder is killed.

`python benchmarks/bench_ledger.py`. A recorder in a process of its own records intent and outcome of each write and
then counts it in shared memory; it is killed in full flight. Every write that it had counted must be readable.
"""

from __future__ import annotations

import argparse
import mmap
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from table import show, verdict

from drill.ledger import LedgerWriter, ledger_path
from drill.ledger_read import read_file

RATES = (10_000, 50_000, 0)
"""Writes per wall second; 0 is as fast as it goes."""
SECONDS, KILLS, REACH = 2.0, 3, 50_000
BATCH = 50


def record(folder: Path, rate: int) -> None:
    """In the recorder: write until killed."""
    count = memory(folder)
    ledger = LedgerWriter(ledger_path(folder, "a"))
    begin_s = time.monotonic()
    n = 0
    while True:
        for _ in range(BATCH):
            n += 1
            now_s = time.monotonic()
            ledger.intent(now_s, "deposit", f"drill-0123abcd-load-0u{n % 50}-{n // 4}", 1000.0, digest=b"d" * 32)
            ledger.outcome(n, now_s, "acked", id=f"{n:032x}", status=200, peer="127.100.5.165")
            struct.pack_into("<Q", count, 0, n)
        while rate and n / rate > time.monotonic() - begin_s:
            time.sleep(0.0002)


def memory(folder: Path) -> mmap.mmap:
    """Eight bytes that both processes see."""
    with (folder / "count").open("r+b") as file:
        return mmap.mmap(file.fileno(), 8)


def killed(rate: int) -> tuple[float, float, int, int]:
    """(writes per second, share of a core, counted by the recorder, of them missing in the file)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "count").write_bytes(bytes(8))
        count = memory(folder)
        command = [sys.executable, __file__, "--recorder", str(folder), str(rate)]
        with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}) as process:
            while struct.unpack("<Q", count)[0] < 1000:
                time.sleep(0.01)
            first, begin_s, cpu_s = struct.unpack("<Q", count)[0], time.monotonic(), used_s(process.pid)
            time.sleep(SECONDS)
            took_s, cpu_s = time.monotonic() - begin_s, used_s(process.pid) - cpu_s
            per_s = (struct.unpack("<Q", count)[0] - first) / took_s
            process.send_signal(signal.SIGKILL)
        counted = struct.unpack("<Q", count)[0]
        count.close()
        return (
            per_s,
            cpu_s / took_s,
            counted,
            counted - min(counted, len(read_file(ledger_path(folder, "a")).outcomes)),
        )


def used_s(pid: int) -> float:
    """Processor seconds of a process."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def main() -> None:
    """Print the table."""
    rows = []
    for rate in RATES:
        runs = [killed(rate) for _ in range(KILLS)]
        per_s = sorted(r[0] for r in runs)[KILLS // 2]
        lost, counted = sum(r[3] for r in runs), sum(r[2] for r in runs)
        reached = lost == 0 and (rate != REACH or per_s > REACH * 0.98)
        share = sorted(r[1] for r in runs)[KILLS // 2]
        asked = f"{rate:,}/s" if rate else "all it can"
        rows.append([asked, f"{per_s:,.0f}/s", f"{share:.0%}", KILLS, f"{counted:,}", lost, verdict(reached)])
    header = ["asked", "recorded", "of a core", "SIGKILLs", "writes counted", "lost", "reached"]
    show("Ledger: intent and outcome of each write", header, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recorder", nargs=2, metavar=("FOLDER", "RATE"))
    given = parser.parse_args()
    if given.recorder:
        record(Path(given.recorder[0]), int(given.recorder[1]))
    else:
        main()
