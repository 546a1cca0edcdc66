"""The closing table says what was promised, what was measured and what is to be done, in a CI log's width."""

from __future__ import annotations

import math

from drill.timeline import History
from drill.verdict import Finding, Interval, Verdict, conclude
from reports.table import WIDTH, closing_table, sentence, table
from tests.reports.runs import header, history, judgement, run


def test_objective_limit_interval_and_verdict_stand_in_one_row() -> None:
    """Each objective has a row with its limit, the measured interval and the verdict."""
    rows = [" ".join(line.split()) for line in table(run()).splitlines()]
    assert "recovery time, failover 600 lab s [238.0, 243.0 lab s] PASS" in rows
    assert "recovery point, failover 0 lab s [0.0, 0.0 lab s] PASS" in rows


def test_never_recovered_is_an_open_interval() -> None:
    """A drill without recovery shows no upper bound and FAIL."""
    text = table(run(judgement=judgement(rto_s=5, reach_s=math.inf)))
    assert "[238.0 lab s, infinity)" in text
    assert "FAIL: recovery time, failover: [238.0 lab s, infinity) misses the limit of 5 lab s." in text


def test_lab_run_says_so_and_names_its_time() -> None:
    """A lab run says LAB, its speed, and which quantities are lab time."""
    text = " ".join(table(run()).split())
    assert "LAB run: it proves the harness, nobody's system. Time runs 10 times faster" in text
    assert "1 wall second is 10 lab s" in text
    assert "Time runs at its real pace: objectives" in " ".join(table(run(history=history(speed=1.0))).split())


def test_run_against_aws_does_not_say_lab() -> None:
    """A run against AWS speaks of seconds, not of lab seconds."""
    assert "lab" not in table(run(history=history(target_kind="aws", speed=1.0))).lower()


def test_phase_split_names_its_clock() -> None:
    """Each step of the split names its source clock; an unseen step is not measured."""
    text = " ".join(table(run()).split())
    assert "detected [70.0, 75.0 lab s] harness clock, poll of cloudwatch" in text
    assert "decided not measured" in text


def test_lost_writes_are_named_up_to_twenty() -> None:
    """The first twenty lost writes are named; the rest is counted and its file is named."""
    text = table(run(judgement=judgement(lost=23)))
    assert "load-1-36" in text
    assert "load-1-37" not in text
    assert "+ 3 more in missing-transactions.csv" in text


def test_writes_are_counted_by_fate() -> None:
    """Acknowledged, lost, late, duplicate and indeterminate writes have a row each."""
    rows = [line.split() for line in table(run(judgement=judgement(lost=4))).splitlines()]
    counts = [["acknowledged", "812"], ["lost", "4"], ["late", "2"], ["duplicate", "0"], ["indeterminate", "9"]]
    assert [row for row in rows if row in [["writes", "failover"], *counts]] == [["writes", "failover"], *counts]


def test_nothing_judged_is_invalid() -> None:
    """A judgement without findings proves nothing and says so."""
    assert sentence(conclude([])) == "INVALID: nothing was judged, so nothing is proven."


def test_dirty_carries_the_lines_to_type_unbroken() -> None:
    """A drill that left something changed prints the lines to type, whole, however long."""
    line = "aws ecs update-service --cluster " + "c" * 120 + " --desired-count 2"
    dirty = conclude([Finding("restore", Verdict.DIRTY, "not back", data={"lines": [line]})])
    assert f"    {line}" in closing_table(history(), dirty, run().folder).splitlines()


def test_lines_that_the_reason_carries_stand_once() -> None:
    """Where the reason already ends with the lines to type, they are not repeated, and the sentence is one line."""
    line = "aws events disable-rule --name r"
    why = f"EnableRule on r is still on. To put it back, type:\n  {line}"
    dirty = conclude([Finding("clean-up", Verdict.DIRTY, why, advice=line, data={"lines": [line]})])
    assert table(run(judgement=dirty)).count(line) == 1
    assert sentence(dirty) == "DIRTY: clean-up: EnableRule on r is still on. To put it back, type:"


def test_every_finding_that_is_not_pass_is_explained() -> None:
    """Beside the worst finding, each other one that is not PASS gives its reason and advice."""
    found = [Finding("load", Verdict.INVALID, "no request", advice="start the load"), Finding("x", Verdict.FAIL, "y")]
    text = table(run(judgement=conclude(found)))
    assert "INVALID  load: no request. start the load." in text
    assert text.count("FAIL") == 2


def test_lines_fit_a_log() -> None:
    """No line is wider than a CI log shows, whatever the names are."""
    name = "recovery time of " + "a very long window " * 8
    found = Finding(name, Verdict.FAIL, "because " * 60, 600.0, Interval(1234567.0, math.inf))
    long = conclude([found], ((name, Interval(1e6, 2e6), "a clock " * 20),), {"failover": {"lost": 10**9}})
    assert max(map(len, closing_table(history(), long, run().folder).splitlines())) <= WIDTH


def test_no_escape_sequence_reaches_the_terminal() -> None:
    """Names from the system under test cannot steer the terminal."""
    evil = conclude([Finding("load\x1b[2J", Verdict.FAIL, "\x9b31m\x07", 1.0, None)])
    assert not {"\x1b", "\x9b", "\x07"} & set(table(run(judgement=evil)))


def test_overrides_are_shown() -> None:
    """A run with --set options says which."""
    assert "--set: objectives.rto_s=5; it counts" in table(run(history=history(overrides=["objectives.rto_s=5"])))
    lab = table(run(history=history(overrides=["--lab-speed 20 (the target: 10)"])))
    assert "The lab was set otherwise than the target says: --lab-speed 20 (the target: 10); it counts" in lab


def test_empty_run_has_a_table() -> None:
    """A drill that ended before anything was seen still closes with a verdict."""
    text = closing_table(History(header()), conclude([Finding("guard", Verdict.INVALID, "refused")]), run().folder)
    assert "INVALID: guard: refused." in text
