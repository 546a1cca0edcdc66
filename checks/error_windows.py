"""What failed writes said, told apart: which error clients met from when to when, by the target's own names for them.

The prober writes the name of an error behind the status of a reply ("status 500: read-only transaction"). Pure: the
same history gives the same rows. One probe's failure says what its one request met, so the windows may overlap.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from checks.windows import Window
from drill.timeline import History, Outcome
from drill.verdict import Interval

NAMED = "status "
"""How a detail of the prober goes on, behind its own words, where a reply has a status: "status 500: NAME"."""


def error_named_in(detail: str) -> str:
    """The error's name in a detail of the prober; the status where the target has no name for it; "" without one."""
    _, found, said = detail.rpartition(NAMED)
    if not found:
        return ""
    status, _, name = said.partition(": ")
    return name or f"status {status}"


def error_rows(history: History, window: Window, onset: Interval | None, speed: float) -> tuple[dict[str, Any], ...]:
    """A row for each error in the order of its first: its name, how often, and from when to when.

    first_s, last_s: target seconds from the onset's latest instant, of the send of its first and the result of its
    last; wall instants behind them are the prober's own. Nothing for a window in which nothing failed.
    """
    zero_s = onset.high_s if onset else window.begin_s
    seen: dict[str, list[tuple[float, float]]] = {}
    for look in history.of(history.probe):
        if look.outcome is Outcome.FAIL and window.begin_s <= look.done_s <= window.end_s:
            name = error_named_in(look.detail) or look.detail.partition(":")[0] or "no detail"
            seen.setdefault(name, []).append((look.sent_s, look.done_s))
    spans = [(name, min(s for s, _ in of), max(d for _, d in of), len(of)) for name, of in seen.items()]
    return tuple(
        {
            "error": name,
            "count": count,
            "first_s": round((first_s - zero_s) * speed, 3),
            "last_s": round((last_s - zero_s) * speed, 3),
        }
        for name, first_s, last_s, count in sorted(spans, key=lambda span: span[1])
    )


def error_notes(window: str, rows: tuple[dict[str, Any], ...], unit: str) -> Iterator[str]:
    """One line for people; none when the errors had no names of the target's."""
    if any(not str(row["error"]).startswith("status ") for row in rows):
        told = [f"{r['error']} {round(r['first_s'])} to {round(r['last_s'])} ({r['count']})" for r in rows]
        yield f"{window}: failed writes said, in {unit} from the onset: {'; '.join(told)}"
