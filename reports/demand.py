"""The load as the report shows it: which kind it was, and what each cohort of users met.

Latency counts from when a request was due (an open loop's plan; its send in a closed loop), so a client that is
blocked hides nothing. A request that no user was free for is demand that was not served.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drill.timeline import Outcome
from reports.run import Run

UNSERVED = "unserved"
HEADER = ("users' connections", "requests due", "failed", "of them unserved", "latency p50", "p99", "slowest")
COHORTS = {
    "task": "new for each task",
    "kept": "kept",
    "aged": "of limited age",
    "fresh": "new for each request",
    "": "not recorded",
}


def said(run: Run) -> str:
    """The kind of load in one sentence; empty when the header does not say."""
    load: Mapping[str, Any] = (run.history.header.get("target") or {}).get("load") or {}
    if not load.get("users"):
        return ""
    if load.get("kind") == "open":
        return (
            f"Open loop: {load.get('arrival_rate_per_s'):g} tasks begin per wall second ({load.get('arrivals')}), "
            f"whatever became of those before; at most {load['users']} at work at once, demand beyond is unserved."
        )
    return (
        f"Closed loop: {load['users']} users, each of whom waits for its answers; in an outage the load falls, and "
        "its share of failures says little about how long users were without the system."
    )


def rows(run: Run) -> list[list[str]]:
    """One row per cohort, HEADER's columns; latencies in wall milliseconds, of what was answered or failed."""
    codes, cohorts = run.requests.coded([kind.cohort for kind in run.requests.kinds])
    return [_row(run, cohort, codes == code) for code, cohort in enumerate(cohorts)]


def _row(run: Run, cohort: str, of: NDArray[np.bool_]) -> list[str]:
    kinds, count = run.requests.kinds, int(of.sum())
    failed = int((of & run.requests.where(k.outcome is Outcome.FAIL for k in kinds)).sum())
    unserved = of & run.requests.where(k.detail == UNSERVED for k in kinds)
    taken = np.sort(run.requests.taken_ms[of & ~unserved])
    share = f"{failed} ({failed / count:.1%})"
    times = [f"{_at(taken, part):.1f} ms" for part in (0.5, 0.99, 1.0)] if len(taken) else ["-"] * 3
    return [COHORTS.get(cohort, cohort), str(count), share, str(int(unserved.sum())), *times]


def _at(ordered: NDArray[np.float64], part: float) -> float:
    return float(ordered[min(int(part * len(ordered)), len(ordered) - 1)])
