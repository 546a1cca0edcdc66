"""summary.md and JUnit properties say what was measured, and nothing from elsewhere becomes markup."""

from __future__ import annotations

import math
import re
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commands.publish import append_step_summary
from drill.verdict import Finding, Verdict, conclude
from reports.junit import properties
from reports.markdown import escaped, summary_markdown, write_markdown
from reports.record import record_of
from tests.reports.records import record, whole
from tests.reports.runs import history, judgement

STALLS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A machine may stall for a second in the middle of an example."""


def test_the_summary_says_verdict_objective_and_measured() -> None:
    """LAB on it, the interval beside its limit, the release and the run."""
    text, measured = summary_markdown(record()), record().measured[0].interval
    assert measured is not None
    assert text.startswith("### ✅ PASS: service-loss-and-return on core-banking\n")
    assert "**LAB run**" in text
    assert f"| 600 lab s | \\[{measured.low:.1f}, {measured.high:.1f} lab s\\] | PASS |" in text
    assert "release 4f2c1ab" in text


def test_a_drill_that_failed_says_why_first() -> None:
    """The worst finding's reason, never recovered as infinity, and the overrides."""
    failed = record_of(history(overrides=["objectives.rto_s=5"]), judgement(rto_s=5, reach_s=math.inf), "")
    text = summary_markdown(failed)
    assert "❌ FAIL" in text
    assert "recovery time, failover: \\[238.0 lab s, infinity) misses the limit of 5 lab s" in text
    assert "it counts for no gate" in text


HOSTILE = "<script>x</script> | @all [a](http://b) `c` **d** ![e](f)\n# g"


def test_names_from_the_system_under_test_stay_text() -> None:
    """No tag, link, mention, code, heading or cell of theirs."""
    judged = conclude([Finding(HOSTILE, Verdict.FAIL, HOSTILE)])
    text = summary_markdown(record_of(whole(), judged, ""))
    assert "<script>" not in text
    assert "@all" not in text
    assert "://" not in text
    assert not re.search(r"(?<!\\)\]\(|(?<!\\)`|^# g", text, re.MULTILINE)
    assert max(line.count("|") - line.count("\\|") for line in text.splitlines()) <= 5  # the objectives' four columns


@STALLS
@given(st.text())
def test_escaped_text_is_one_line_without_live_markup(words: str) -> None:
    """Whatever it is."""
    found = escaped(words)
    assert len(found.splitlines()) <= 1
    assert not re.search(r"(?<!\\)(\\\\)*[`*_\[\]#|<>]", found)


def test_properties_are_numbers_a_program_can_read() -> None:
    """Bounds in target seconds; an open one says so; one that was not measured is no zero."""
    told, measured = dict(properties(record(), Path("reports/runs/x"))), record().measured[0].interval
    assert measured is not None
    assert told["drill.recovery_time.failover.low_s"] == f"{measured.low:.3f}"
    assert told["drill.recovery_point.failback.limit_s"] == "0"
    assert (told["drill.verdict"], told["drill.seconds"], told["drill.run"]) == ("PASS", "lab", "r1")
    open_ended = record_of(history(), judgement(reach_s=math.inf), "")
    assert dict(properties(open_ended, Path("x")))["drill.recovery_time.failover.high_s"] == "unbounded"
    assert "drill.overrides" not in told
    other = record(overrides=["--lab-speed 20 (the target: 10)", "objectives.rto_s=5"])
    said = dict(properties(other, Path("x")))["drill.overrides"]
    assert said == "--lab-speed 20 (the target: 10); objectives.rto_s=5"
    nothing = record_of(history(), conclude([Finding("recovery time, failover", Verdict.INVALID, "", 5.0)]), "")
    assert dict(properties(nothing, Path("x")))["drill.recovery_time.failover.high_s"] == "not measured"


def test_the_job_summary_grows_and_its_failure_is_told(tmp_path: Path) -> None:
    """Appended, as GitHub wants it; a disk that is full is a sentence and no exception."""
    path = write_markdown(tmp_path, record())
    (tmp_path / "job.md").write_text("before\n")
    assert append_step_summary(str(tmp_path / "job.md"), [tmp_path, tmp_path / "none"]) == ""
    assert (tmp_path / "job.md").read_text() == f"before\n{path.read_text()}\n"
    assert "no job summary in /dev/full" in append_step_summary("/dev/full", [tmp_path])
