"""A test item of pytest as a scenario that can be walked through, and what a session may show of it."""

from __future__ import annotations

import pytest

from drill.redact import redact
from drill.rehearsal import Rehearsal


def walk(item: pytest.Item, drill: Rehearsal) -> None:
    """Play the item with a drill that only walks, and with everything else as it is."""
    assert isinstance(item, pytest.Function)
    given = {name: item.funcargs[name] for name in item._fixtureinfo.argnames}
    item.obj(**(given | ({"drill": drill} if "drill" in given else {})))


def hide_secrets(report: pytest.TestReport) -> None:
    """In what a session shows and keeps of a test: its traceback, and what was printed and logged meanwhile."""
    report.sections = [(name, redact(text)) for name, text in report.sections]
    if redact(report.longreprtext) != report.longreprtext:
        report.longrepr = redact(report.longreprtext)
