"""The report of a game day: whole, escaped, in HTML and Markdown, and what it says for auditors."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drill.evidence import load_evidence
from drill.gameday import read_plan, require_plan
from drill.gameday_log import Record
from drill.gameday_state import state_of
from reports.gameday_day import Day, lasted
from reports.gameday_evidence import evidence_of, evidence_text, write_evidence
from reports.gameday_page import day_markdown, day_page, write_pages
from reports.gameday_text import day_text
from reports.history import Entry
from tests.reports.records import record

EVIL = "<script>alert(1)</script>|[x](http://evil.example)\x7f"
PLAN = """
format = 1
name = "spring"
summary = '<script>alert(2)</script>'
[hard_stop]
after_s = 3600
[evidence]
why_plausible = 'It was "seen" before'
objectives_approved_on = 2026-01-15
[[evidence.follow_up]]
finding = "recovery time, failover"
owner = "SRE"
[[role]]
name = "lead"
people = ["<name>", "A. Person"]
[[role]]
name = "observer"
people = ["<name>"]
[[step]]
kind = "hold"
id = "ready"
message = "Ready?"
release = ["lead"]
[[step]]
kind = "drill"
id = "loss"
target = "core-banking"
scenarios = ["scenarios/a.py::test_a"]
"""
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def at(minute: int, event: str, **data: object) -> Record:
    """A record, that many minutes after the begin."""
    return Record(BEGAN + timedelta(minutes=minute), event, data)


@pytest.fixture
def day(tmp_path: Path) -> Day:
    """A day with a hold, a drill that passed, and observations that mean no good."""
    run = tmp_path / "runs" / "r1"
    run.mkdir(parents=True)
    (run / "report.html").write_text("its page")
    html = tmp_path / "loss-1.html"
    html.write_text("its session")
    said = {"verdict": "PASS", "exit_code": 0, "reason": "", "finished": True, "stopped": ""}
    records = [
        at(0, "begun", name="spring"),
        at(0, "hold", step="ready"),
        at(5, "released", step="ready", role="lead", who=EVIL, via="board"),
        at(5, "drill", drill="loss", attempt=1, pid=1, html=str(html)),
        at(6, "observation", text=EVIL, who=EVIL, via="terminal", step="loss"),
        at(65, "exited", drill="loss", attempt=1, code=0, stopped=""),
        at(66, "ended", drill="loss", attempt=1, runs=[str(run)], **said),
        at(66, "closed", exit_code=0),
    ]
    state = state_of(require_plan("p", read_plan(PLAN)), records)
    entry = Entry("r1", "r1", record())
    return Day(tmp_path, state, "PASS", 0, True, {("loss", 1): ((run, entry),)})


def test_the_report_says_what_was_drilled_measured_held_and_seen(day: Day) -> None:
    """In both forms: verdicts, intervals, holds with times and who, observations, total time, roles, links."""
    for text in (day_page(day), day_markdown(day)):
        for words in ("PASS", "LAB", "1 h 6 min", "recovery time, failover", "lab s", "00:05:00Z", "A. Person"):
            assert words in text, words
        assert "MISSING: nobody is named" in text  # a placeholder is nobody
        assert "runs/r1/report.html" in text
        assert "loss-1.html" in text
    assert "## Deviations from the plan\n\nnone" in day_markdown(day)


def test_a_pass_with_objectives_that_were_set_otherwise_says_so(day: Day) -> None:
    """In every form, by the run's own header; without it nothing is said."""
    (run, entry) = day.runs["loss", 1][0]
    loosened = replace(entry, record=record(overrides=["objectives.rto_s=9999"]))
    told = replace(day, runs={("loss", 1): ((run, loosened),)})
    for form in (day_page, day_markdown, day_text):
        words = "loss, attempt 1: Overridden with --set: objectives.rto"
        assert words in form(told).replace("\\", ""), form
        assert "Overridden" not in form(day)


def test_the_closing_text_says_the_same_on_a_terminal(day: Day) -> None:
    """Plain text that fits; nothing in it moves the cursor."""
    text = day_text(day)
    for words in (
        "LAB",
        "loss",
        "PASS",
        "recovery time, failover",
        "Every drill of the plan met all its objectives.",
    ):
        assert words in text, words
    assert all(character.isprintable() or character == "\n" for character in text)
    assert max(map(len, text.splitlines())) <= 130


def test_nothing_that_people_say_becomes_markup(day: Day) -> None:
    """Neither in the page nor in the Markdown; the page loads nothing and runs nothing."""
    page, markdown = day_page(day), day_markdown(day)
    assert "<script" not in page + markdown
    assert re.findall(r"(?<!\\)\]\(http", markdown) == []
    assert "default-src 'none'" in page
    assert re.findall(r'(?:src|href)="(?!runs/|loss-1)[^"]*"', page) == []


def test_the_first_sentence_names_who_is_to_blame_and_what_was_left_out(day: Day) -> None:
    """A pass says so; otherwise the drill with that verdict, and how many were not done."""
    assert "Every drill of the plan met all its objectives." in day_page(day)
    (attempt,) = day.state.attempts
    assert attempt.end is not None
    failed = replace(attempt, end=replace(attempt.end, verdict="FAIL", reason="too late"))
    state = replace(day.state, attempts=(failed,))
    assert replace(day, state=state, verdict="FAIL").sentence == "loss: too late."
    assert (
        replace(day, state=replace(state, attempts=()), verdict="INVALID").sentence == "1 of 1 drills were not done."
    )


def test_evidence_that_is_gone_or_changed_is_a_deviation(day: Day) -> None:
    """It is told beside what was stopped and skipped."""
    assert "the run folder x is not there" in day_page(replace(day, missing=("the run folder x is not there",)))


def test_what_auditors_ask_for_comes_from_the_plan_and_the_record(day: Day, tmp_path: Path) -> None:
    """As a file that `drill bundle --evidence` reads; a place that nobody has filled in is no participant."""
    evidence = load_evidence(write_evidence(tmp_path, day))
    assert evidence == evidence_of(day)
    assert [(p.name, p.role) for p in evidence.participants] == [("A. Person", "lead")]
    assert (evidence.deviations, evidence.why_plausible) == ("none", 'It was "seen" before')
    assert evidence.business_function == ""
    odd = evidence.model_copy(update={"third_parties": 'a\x7fb\n"\\\t\u2028'})
    assert tomllib.loads(evidence_text(odd))["third_parties"] == odd.third_parties


def test_the_pages_are_written_beside_the_record(day: Day, tmp_path: Path) -> None:
    """HTML and Markdown."""
    assert write_pages(tmp_path, day) == tmp_path / "report.html"
    assert (tmp_path / "report.md").read_text() == day_markdown(day)


@pytest.mark.parametrize(("seconds", "words"), [(-1, "0 s"), (59.4, "59 s"), (61, "1 min 1 s"), (7260, "2 h 1 min")])
def test_durations_are_as_people_say_them(seconds: float, words: str) -> None:
    """Never negative: the machine's date may step."""
    assert lasted(timedelta(seconds=seconds)) == words
