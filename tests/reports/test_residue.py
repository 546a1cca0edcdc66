"""The report shows what a drill left behind."""

from __future__ import annotations

from drill.verdict import Finding, Verdict, conclude
from reports.page import page
from reports.residue import parts
from tests.reports.runs import run

ROW = {"setting": "control_primary/State", "before": '"Off"', "after": '"On"', "why": "as declared"}
WRITTEN = {"writer": "p", "accounts": 3, "acknowledged": 4, "indeterminate": 0, "tag": "drill-r1-"}


def test_settings_and_writes_stand_in_one_section() -> None:
    """Each difference with before, after and why; each writer with its counts; nothing twice."""
    found = [
        Finding("residue", Verdict.PASS, "490 settings compared", data={"rows": [ROW]}),
        Finding("data residue", Verdict.PASS, "4 acknowledged writes are left", data={"rows": [WRITTEN]}),
    ]
    text = page(run(judgement=conclude(found)))
    assert text.count("control_primary/State") == 1
    assert text.count("drill-r1-") == 1
    assert "PASS: residue: 490 settings compared" in text
    assert parts(conclude(found))[0].header == ("setting", "before", "after", "why")


def test_what_was_not_compared_is_shown_as_unknown() -> None:
    """A question mark, never a blank."""
    found = Finding("residue", Verdict.INVALID, "1 could not", data={"unknown": {"rule": "no answer"}})
    (part,) = parts(conclude([found]))
    assert part.rows == (("rule", "?", "?", "not compared: no answer"),)


def test_a_run_without_an_audit_has_no_such_section() -> None:
    """An old run's report claims nothing about it."""
    assert "left behind" not in page(run())
