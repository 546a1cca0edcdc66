"""A run folder's report from the folder alone: also of a drill that was killed before it could judge itself."""

from __future__ import annotations

from pathlib import Path

from checks.judge import judge
from commands.folders import history_of
from commands.running import report
from drill.errors import Invalid
from drill.timeline import History
from reports.page import REPORT_FILE, render
from reports.summary import VERDICT_FILE


def render_again(folder: Path, history: History | None = None) -> Path:
    """Write the page; where nobody has judged the run yet, judge it and write all that a drill leaves at its end.

    history: what the folder says, when it is known already. Invalid when it cannot be read or written.
    """
    try:
        if (folder / VERDICT_FILE).exists():
            return render(folder)
    except (OSError, ValueError) as error:
        raise Invalid(f"{folder}: no report: {error}") from error
    why = report(folder, judge(history or history_of(folder)))
    if why:
        raise Invalid(f"{folder}: {why}")
    return folder / REPORT_FILE
