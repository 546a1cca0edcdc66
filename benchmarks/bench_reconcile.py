"""Reconciliation: planted writes classified right, and 0.1, 1 and 10 million of them in seconds and little memory.

`python benchmarks/bench_reconcile.py`. Each size has a process of its own, so that its peak memory is its own; the
time is that of `checks.reconcile.reconcile` alone, the memory that of the whole process, planting included.
"Through files": a million planted writes are written by the ledger, read back from its file with every checksum
verified, and reconciled from there.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from table import show, verdict

from checks.planted import Planted, plant
from checks.reconcile import ACKED, INDETERMINATE, SETTLED, Seen, Sent, reconcile
from drill.ledger import RESULTS, LedgerWriter, ledger_path
from drill.ledger_read import read_file

SIZES = (100_000, 1_000_000, 10_000_000)
MOST_S, MOST_MIB = 2.0, 512
PLANTED = 1_000_000
PIECE = 500_000


def dense(count: int) -> tuple[Sent, Iterator[Seen]]:
    """A plain ledger of four writers, of which one write in a thousand is missing at the survivor; looks in pieces.

    Cheap to make, so that the peak memory is that of reconciling and not of planting.
    """
    per = count // 4
    key = np.concatenate([(np.uint64(w) << np.uint64(48)) + np.arange(per, dtype=np.uint64) for w in range(4)])
    sent = Sent(key, np.full(count, ACKED, np.uint8), key | np.uint64(1), np.ones(count, np.uint8))

    def pieces() -> Iterator[Seen]:
        for begin in range(0, count, PIECE):
            mine = key[begin : begin + PIECE]
            state = np.where(np.arange(begin, begin + len(mine)) % 1000 == 7, 3, SETTLED).astype(np.uint8)
            ones = np.ones(len(mine), np.uint8)
            yield Seen(mine, ones, state, ones.astype(np.uint16), mine | np.uint64(1), ones)

    return sent, pieces()


def measured(count: int) -> dict[str, float]:
    """In the process of one size: seconds, peak memory, and whether it found what was missing."""
    sent, pieces = dense(count)
    begin_s = time.perf_counter()
    counts = reconcile(sent, pieces).counts()
    took_s = time.perf_counter() - begin_s
    assert counts["lost"] == count // 1000, counts
    return {"took_s": took_s, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def through_files(count: int) -> tuple[float, float, int]:
    """(seconds to record, seconds to read, verify and reconcile, classified right)."""
    planted = plant(count, 2)
    with tempfile.TemporaryDirectory() as name:
        path = ledger_path(Path(name), "a")
        begin_s = time.perf_counter()
        _record(path, planted)
        recorded_s = time.perf_counter()
        file = read_file(path)
        result = np.full(count, INDETERMINATE, np.uint8)
        result[file.outcomes["n"].astype(np.int64) - 1] = file.outcomes["result"]
        sent = replace(planted.sent, result=result)
        wrong = planted.wrong(reconcile(sent, planted.pieces()))
        return recorded_s - begin_s, time.perf_counter() - recorded_s, count - wrong


def _record(path: Path, planted: Planted) -> None:
    ledger = LedgerWriter(path)
    for n, result in enumerate(planted.sent.result.tolist(), start=1):
        ledger.intent(float(n), "deposit", "drill-1", 1.0)
        if result != INDETERMINATE:
            ledger.outcome(n, float(n), RESULTS[result])
    ledger.close()


def main() -> None:
    """Print both tables."""
    rows = []
    for count in SIZES:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, __file__, "--size", str(count)]
        found = [
            json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
            for _ in range(3)
        ]
        took_s, peak = sorted(f["took_s"] for f in found)[1], max(f["peak_mib"] for f in found)
        good = took_s < MOST_S and peak < MOST_MIB
        per = f"{took_s / count * 1e9:.0f} ns"
        rows.append([f"{count:,}", f"{took_s:.3f} s", per, f"{peak:.0f} MiB", verdict(good)])
    show("Reconciliation (median of 3)", ["writes", "time", "per write", "peak memory", "reached"], rows)
    planted = plant(PLANTED, 1)
    begin_s = time.perf_counter()
    right = PLANTED - planted.wrong(reconcile(planted.sent, planted.pieces()))
    took_s = time.perf_counter() - begin_s
    record_s, read_s, filed = through_files(PLANTED)
    rows = [
        ["in memory", f"{PLANTED:,}", f"{right:,}", "-", f"{took_s:.2f} s", verdict(right == PLANTED)],
        [
            "through files",
            f"{PLANTED:,}",
            f"{filed:,}",
            f"{record_s:.1f} s",
            f"{read_s:.2f} s",
            verdict(filed == PLANTED),
        ],
    ]
    header = ["planted writes", "planted", "classified right", "recording", "reading, reconciling", "reached"]
    show("All fates in equal shares, 2 % twice, changed, of two Regions", header, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int)
    given = parser.parse_args()
    if given.size:
        sys.stdout.write(json.dumps(measured(given.size)))
    else:
        main()
