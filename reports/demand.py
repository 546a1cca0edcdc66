"""The load as the report shows it: which kind it was, and what each cohort of users met.

Latency counts from when a request was due (an open loop's plan; its send in a closed loop), so a client that is
blocked hides nothing. A request that no user was free for is demand that was not served.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from drill.timeline import Outcome, Request
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
    found = sorted(run.history.requests, key=lambda r: r.cohort)
    return [_row(cohort, list(requests)) for cohort, requests in groupby(found, key=lambda r: r.cohort)]


def _row(cohort: str, requests: Sequence[Request]) -> list[str]:
    failed = sum(r.outcome is Outcome.FAIL for r in requests)
    unserved = sum(r.detail == UNSERVED for r in requests)
    taken = sorted((r.done_s - r.due_s) * 1000 for r in requests if r.detail != UNSERVED)
    share = f"{failed} ({failed / len(requests):.1%})"
    times = [f"{_at(taken, part):.1f} ms" for part in (0.5, 0.99, 1.0)] if taken else ["-"] * 3
    return [COHORTS.get(cohort, cohort), str(len(requests)), share, str(unserved), *times]


def _at(ordered: Sequence[float], part: float) -> float:
    return ordered[min(int(part * len(ordered)), len(ordered) - 1)]
