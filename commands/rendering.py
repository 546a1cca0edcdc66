"""A run folder's report from the folder alone: also of a drill that was killed before it could judge itself."""

from __future__ import annotations

from pathlib import Path

from commands.folders import UNREADABLE, judged_of
from commands.importing import verdicts_in
from commands.running import report
from drill.errors import Invalid
from drill.harness import made_by_another
from drill.timeline import History
from drill.verdict import Judgement
from reports.page import REPORT_FILE, render
from reports.summary import VERDICT_FILE, read_judgement, read_verdict, summary_text, write_missing


def render_again(folder: Path) -> Path:
    """Write the page and the missing transactions; where nobody has judged the run yet, judge it and write all that a
    drill leaves at its end.

    Invalid, and nothing rendered, when the folder cannot be read or written, and when its verdict is not what its
    evidence says.
    """
    told, judged = judged_of(folder)
    try:
        stored = read_judgement(folder)
        if stored is not None:
            read_verdict(folder)  # what is no verdict at all is said so
            _require_as_judged(folder, told, judged, stored)
            write_missing(folder, judged)
            return render(folder)
    except UNREADABLE as error:
        raise Invalid(f"{folder}: no report: {error}") from error
    why = report(folder, judged)
    if why:
        raise Invalid(f"{folder}: {why}")
    return folder / REPORT_FILE


def _require_as_judged(folder: Path, history: History, judged: Judgement, stored: str) -> None:
    """A page of an edited verdict would be believed. Another version's words are let pass, not its verdicts."""
    if stored == summary_text(judged):
        return
    said, now = verdicts_in(stored), verdicts_in(summary_text(judged))
    if said == now and made_by_another(history.header):
        return
    told = "in words or figures" if said == now else f"it says {said.get('', 'nothing')}"
    raise Invalid(
        f"{folder}: no report: {VERDICT_FILE} differs from what the evidence says ({judged.verdict.value}): {told}; "
        f"see: drill verify {folder}"
    )
