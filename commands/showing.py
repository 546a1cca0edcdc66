"""What a pytest session shows of its drills: the line while one runs, then the table, the page, JUnit, the summary.

A module of its own because it judges and reports: a session that only plans, that collects, or whose options are
wrong needs none of that, and starts sooner without (conftest.py imports it where a drill runs).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from commands.publish import STEP_SUMMARY, append_step_summary, published
from commands.running import Run
from drill.timeline import load_history
from reports.junit import properties
from reports.live import LiveLine, snapshot
from reports.page import extras, session_prefix
from reports.run import load_run
from reports.table import closing_table


def live_line(config: pytest.Config, run: Run) -> LiveLine:
    """The line that tells how the drill goes, from now on; to be closed at its end."""
    stream = sys.__stdout__ or sys.stdout
    line = LiveLine(stream, isatty=stream.isatty() and not os.environ.get("CI"))
    run.drill.on_tick = _ticking(config, run, line)
    return line


def junit_properties(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """What was measured, as a JUnit test case carries it."""
    records = [(run, published(run.folder)) for run in runs if run.judgement]
    return [p for run, record in records if record for p in properties(record, run.folder)]


def row_extras(runs: Sequence[Run], page: str | None) -> list[Any]:
    """The details of drills for their row on the pytest-html page. page: where that one lies, if anywhere."""
    beside = Path(page).resolve().parent if page else None
    told = [load_run(run.folder) for run in runs if run.judgement and not run.unreported]
    return [extra for run in told for extra in extras(run, beside)]


def page_prefix(runs: Sequence[Run], words: Callable[[list[Run]], list[str]]) -> list[str]:
    """The top of a session's page. words: what is said beside the drills that are shown."""
    told = [run for run in runs if run.judgement and not run.unreported]
    return list(session_prefix([load_run(run.folder) for run in told], words(told)))


def closing(run: Run) -> str:
    """The closing table of a drill, or what it found when it could not be reported."""
    judged = run.finish()
    if not run.unreported:
        return closing_table(load_history(run.folder), judged, run.folder)
    return "\n".join([*(f"{f.verdict.value}: {f.name}: {f.reason}" for f in judged.findings), run.unreported])


def summarised(runs: Sequence[Run]) -> str:
    """Append the drills to GitHub's job summary, where there is one; what went wrong, "" when nothing did."""
    path = os.environ.get(STEP_SUMMARY)
    return append_step_summary(path, [run.folder for run in runs]) if path and runs else ""


def _ticking(config: pytest.Config, run: Run, line: LiveLine) -> Callable[[], None]:
    capture = config.pluginmanager.getplugin("capturemanager")

    def tick() -> None:
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            line.update(snapshot(run.timeline, run.world.target))

    return tick
