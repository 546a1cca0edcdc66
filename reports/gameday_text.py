"""The closing text of a game day, for a terminal and for a CI log: plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from tabulate import tabulate

from reports import gameday_day as rows
from reports.gameday_day import Day
from reports.ink import CONTROL
from reports.table import WIDTH

WIDEST = 48
"""Columns of a table's widest cell."""


def day_text(day: Day) -> str:
    """Drills with their verdicts, what was measured, deviations, and the verdict of the whole in one sentence."""
    parts = [
        rows.LAB if day.lab else "",
        *(textwrap.fill(words, WIDTH) for words in day.overrides),
        _table(rows.DRILLS, rows.drill_rows(day)),
        _table(rows.MEASURED, rows.measured_rows(day)),
        "\n".join(textwrap.fill(f"- {words}", WIDTH, subsequent_indent="  ") for words in day.departures),
        textwrap.fill(f"{day.verdict}: {day.sentence}", WIDTH),
    ]
    return "\n\n".join(CONTROL.sub("?", part) for part in parts if part)


def _table(header: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    found = [list(row) for row in body]
    return tabulate(found, header, tablefmt="simple", disable_numparse=True, maxcolwidths=WIDEST) if found else ""
