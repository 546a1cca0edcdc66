"""The report shows what a drill left behind."""

from __future__ import annotations

from drill.verdict import Finding, Verdict, conclude
from reports.page import page
from reports.record import record_of
from reports.residue import parts
from tests.reports.runs import history, judgement, run

COUNTS = ("cleaned", "kept", "left")

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


def test_what_was_cleaned_and_what_is_kept_stands_beside_what_was_written() -> None:
    """The report's table, and drill.json, which says the same in numbers."""
    row = WRITTEN | {"cleaned": 3, "kept": 1, "left": 0}
    kept = [{"key": "p-2", "id": "drill-r1-a-2", "store": "main", "why": "lost"}]
    data = {
        "tag": "drill-r1-",
        "policy": "cleaned",
        "acknowledged": 4,
        "indeterminate": 0,
        "rows": [row],
        "kept": kept,
    }
    judged = conclude([Finding("data residue", Verdict.PASS, "cleaned 3 of 3", data=data)])
    (part,) = parts(judged)
    assert part.header == ("why", "writer", "id", "accounts", "acknowledged", "indeterminate", "tag", *COUNTS)
    assert part.rows[0][-3:] == ("3", "1", "0")
    assert part.rows[1][:3] == ("kept as evidence: lost", "p-2", "drill-r1-a-2")
    written = record_of(history(), judged, "").written
    assert written is not None
    assert (written.policy, written.cleaned, written.kept, written.left) == ("cleaned", 3, 1, 0)


def test_what_is_left_as_the_target_says_is_left_in_the_record() -> None:
    """Where nothing is cleaned, all that may be there is left; a run without an audit says nothing."""
    data = {"tag": "drill-r1-", "policy": "left", "acknowledged": 4, "indeterminate": 0, "rows": [WRITTEN]}
    written = record_of(history(), conclude([Finding("data residue", Verdict.PASS, "left", data=data)]), "").written
    assert written is not None
    assert (written.cleaned, written.left) == (0, 4)
    assert record_of(history(), judgement(), "").written is None
