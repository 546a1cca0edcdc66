"""A drill in a lab whose speed this machine did not hold is drilled once more, in a lab of half the speed.

What such a drill measured is the machine, and it says so (INVALID, "lab speed"). The second one stands for it, and
its header names the first; both keep their run folders. On AWS nothing is ever repeated, nor in a lab at the speed
that a person asked for, nor what a person stopped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest
from _pytest.runner import runtestprotocol

from drill.verdict import Finding, Judgement, Verdict

if TYPE_CHECKING:  # a session that only plans starts sooner without it
    from commands.running import Run

AGAIN = "rerun"
"""The outcome of a test report whose drill was repeated, neither passed nor failed; what pytest-html knows it by."""
HALF = 0.5
TOO_OFTEN = 2
"""So many drills of a session repeated: then its later labs are slower from the start."""


class Repeats(Protocol):
    """A session that knows whether the drill that has just ended is to be repeated."""

    runs: list[Run]

    def again(self, since: int) -> bool:
        """Whether the last run, if one began after the first `since`, is; its lab is then slower."""

    def go_on(self) -> None:
        """The repeated one is over."""


def too_fast(run: Run) -> bool:
    """Whether all that a drill proved is that its lab was too fast for this machine."""
    judged = run.judgement
    if judged is None or judged.verdict is not Verdict.INVALID or run.refused or run.stopped:
        return False
    return _too_slow(judged) is not None


def told(run: Run) -> str:
    """What a session says of a run that was repeated, in a sentence."""
    found = _too_slow(run.finish())
    return f"drilled again, slower: {found.reason if found else ''}; what was left of the first: {run.folder}"


def _too_slow(judged: Judgement) -> Finding | None:
    from checks.lab_speed import LAB_SPEED

    return next((f for f in judged.findings if f.name == LAB_SPEED), None)


def protocol(item: pytest.Item, nextitem: pytest.Item | None, session: Repeats) -> None:
    """pytest's own protocol of a test, played a second time when its drill is to be repeated."""
    began = len(session.runs)
    where = {"nodeid": item.nodeid, "location": item.location}
    item.ihook.pytest_runtest_logstart(**where)
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    if session.again(began):
        _log(item, [_repeated(report) for report in reports if report.when != "teardown" or report.failed])
        item.user_properties.clear()
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        session.go_on()
    _log(item, reports)
    item.ihook.pytest_runtest_logfinish(**where)


def status(report: pytest.TestReport) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """What pytest's terminal shows of a drill that was repeated; None of every other report."""
    return (AGAIN, "A", ("AGAIN", {"yellow": True})) if report.outcome == AGAIN else None


def _repeated(report: pytest.TestReport) -> pytest.TestReport:
    if report.when == "call":
        report.outcome = AGAIN  # type: ignore[assignment]
    return report


def _log(item: pytest.Item, reports: list[pytest.TestReport]) -> None:
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
