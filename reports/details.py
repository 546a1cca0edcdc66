"""The longer tables of a drill's page: what names answered, data stores, the system's own stamps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from drill.verdict import Interval
from reports.look import html_table
from reports.run import Run, place
from reports.summary import columns
from reports.table import shown

MOST_ROWS = 200
STAMPED = ("at", "source", "name", "region", "detail")


def names_table(run: Run) -> str:
    """What each DNS server answered in each window."""
    found = [(f.name.rpartition(", ")[2], row) for f in run.judgement.findings for row in f.data.get("names", ())]
    header = ("server", "answers", "moved, from the window's begin", "TTL left", "flaps", "held past its TTL")
    return html_table(header, [_name_row(window, row, run.unit) for window, row in found])


def _name_row(window: str, row: Mapping[str, Any], unit: str) -> list[str]:
    moved, ttl = row.get("moved_s"), row.get("ttl_left_s")
    return [
        f"{window}: {row.get('server')}",
        ", ".join(f"{place(name)} {share:.0%}" for name, share in (row.get("shares") or {}).items()),
        "" if not moved else f"[{moved[0]:.1f}, {moved[1]:.1f} {unit}]",
        "" if not ttl else f"{ttl[0]:g} to {ttl[1]:g}",
        str(row.get("flaps", "")),
        f"{row['held_past_ttl_s']:.1f} {unit}" if row.get("held_past_ttl_s") else "",
    ]


def stores_table(run: Run) -> str:
    """The recovery point of each data store; nothing for a system with only one."""
    found = [(f.name, row) for f in run.judgement.findings for row in f.data.get("stores", ())]
    if len({row.get("store") for _, row in found}) < 2:
        return ""
    names = ("acknowledged", "lost", "late", "unknown")
    rows = [
        [name, row.get("store", ""), _recovery_point(row, run.unit), *(row.get(n, "") for n in names)]
        for name, row in found
    ]
    return html_table(("finding", "store", "recovery point", *names), rows)


def _recovery_point(row: Mapping[str, Any], unit: str) -> str:
    low, high = row.get("low_s"), row.get("high_s")
    return "not measured" if low is None else shown(Interval(low, math.inf if high is None else high), unit)


def signals_table(run: Run) -> str:
    marks = [mark.data for mark in run.history.named("signal")]
    known = columns(marks)
    names = [*(n for n in STAMPED if n in known), *(n for n in known if n not in STAMPED)]
    shown = html_table(names, [[mark.get(name, "") for name in names] for mark in marks[:MOST_ROWS]], "tight stamps")
    more = f"<p>{len(marks) - MOST_ROWS} more in events.jsonl.</p>" if len(marks) > MOST_ROWS else ""
    head = "<p>On the clocks of the system, never compared with ours without saying so.</p>"
    return f"{head}<details><summary>{len(marks)} stamps</summary>{shown}{more}</details>" if marks else ""
