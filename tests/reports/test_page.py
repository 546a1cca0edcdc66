"""The report is one file that opens offline and survives hostile names; pytest-html gets its heart."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from drill.timeline import Event, History, Outcome, Request
from drill.verdict import Finding, Interval, Verdict, conclude
from reports.bars import bar, reach
from reports.look import policy
from reports.page import extras, page, render, session_prefix
from reports.run import load_run
from reports.summary import write_summary
from tests.reports.runs import header, history, judgement, look, run, wall, write_folder

VOID = {"meta", "br"}


class Balanced(HTMLParser):
    """Fails on tags that do not nest, and remembers tags, attributes and texts."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(content)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_page_is_rendered_from_the_folder_alone(tmp_path: Path) -> None:
    """A judged folder gives a report with verdict, sentence, table, phases, picture and command line."""
    folder = write_folder(tmp_path / "run", history())
    write_summary(folder, judgement(rto_s=5))
    text = render(folder).read_text()
    seen = " ".join(Balanced(text).texts)
    for words in (
        "✗ FAIL",
        "misses the limit of 5 lab s",
        "LAB run",
        "detected",
        "pytest -m failover",
        "locust 2.47.0",
    ):
        assert words in seen
    assert "<svg" in text


def test_report_is_the_same_each_time(tmp_path: Path) -> None:
    """Rendering again changes nothing: the page is a function of the folder."""
    folder = write_folder(tmp_path / "run", history())
    write_summary(folder, judgement())
    assert render(folder).read_bytes() == render(folder).read_bytes()


def test_page_asks_for_nothing_outside() -> None:
    """No link, no image, no script from elsewhere: the page loads nothing, and its policy forbids it."""
    found = Balanced(page(run()))
    assert not {"link", "img", "iframe", "object", "base", "form"} & found.tags
    assert not [value for name, value in found.attributes if name in ("href", "src", "action")]
    policies = [str(value) for name, value in found.attributes if name == "content" and "default-src" in str(value)]
    assert [p.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-") for p in policies] == [
        True
    ]
    assert policies[0].endswith("base-uri 'none'; form-action 'none'")


def test_policy_names_exactly_the_scripts_of_the_page() -> None:
    """The two scripts of the page may run by their digests, and no other may."""
    text = page(run())
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    assert len(digests) == 2
    assert re.findall(r"'sha256-([^']+)'", policy()) == digests
    assert "unsafe" not in policy().replace("style-src 'unsafe-inline'", "")


def test_hostile_names_stay_text() -> None:
    """Whatever the system under test calls its writes and errors, the page shows it as text."""
    evil = "<script>alert(1)</script>\"'&\x00"
    found = Finding(evil, Verdict.FAIL, evil, 5.0, Interval(6.0, 7.0), evil, {"lost": [{"key": evil, evil: evil}]})
    text = page(run(judgement=conclude([found], ((evil, None, evil),), {evil: {evil: 1}}, (evil,))))
    assert len(re.findall("<script", text)) == len(re.findall("<script", page(run()))) == 3
    assert "\x00" not in text


def test_hostile_evidence_stays_data() -> None:
    """Names in looks, marks, requests and stamps neither end the data island nor become markup."""
    evil = "</script><script>alert(1)</script><!--<script>\u2028\x00\x1b]]>&\"'"
    looks = tuple(look(n, evil, evil, evil) for n in range(1, 600, 60))
    looks += tuple(look(n, f"aws.{evil}", evil, evil) for n in range(1, 600, 60))
    looks += tuple(look(n, "dns", f"resolver:{evil}", evil) for n in range(1, 600, 60))
    marks = (
        Event(wall(1), "phase", {"phase": evil}),
        Event(wall(2), "fault.injected", {"kind": evil, "effect": evil, "window": evil}),
        Event(wall(3), "window.begin", {"window": evil}),
        Event(wall(4), "clock", {"at": "2026-01-01T00:00:00+00:00", "low_s": wall(4), "high_s": wall(4)}),
        Event(wall(5), "signal", {"at": "2026-01-01T00:00:01+00:00", "source": evil, "name": evil, "detail": evil}),
    )
    asked = (Request(wall(6), wall(7), evil, Outcome.FAIL, 0, evil, detail=evil, cohort=evil),)
    changes = {"run_id": evil, "scenario": evil, "docstring": evil, "command_line": [evil], "versions": {evil: evil}}
    text = page(run(history=History(header(target_name=evil, **changes), marks, looks, asked)))
    assert len(re.findall("<script", text)) == 3
    data = json.loads(text.partition('id="run-data">')[2].partition("</script>")[0])
    assert [band["label"] for band in data["bands"] if band["group"] == "stamps"] == [f"{evil}: {evil}"]
    assert "\x00" not in text


def test_rows_behind_a_finding_are_shown() -> None:
    """Accounts that do not add up are listed with their balances."""
    rows = [{"account": "drill-7", "expected": 850.0, "balance": 1850.0, "duplicates": 1}]
    found = Finding("balances, failover", Verdict.FAIL, "1 account does not add up", data={"rows": rows})
    assert {"drill-7", "850.0", "1850.0"} <= set(Balanced(page(run(judgement=conclude([found])))).texts)


def test_what_else_is_wrong_is_told_beside_the_verdict() -> None:
    """A FAIL on a machine that did not hold the lab's speed says so at the top, before anyone believes it."""
    slow = Finding("lab speed", Verdict.INVALID, "this machine did not hold the lab's speed 17 times")
    failed = judgement(rto_s=5)
    top = page(run(judgement=conclude([*failed.findings, slow]))).partition("<table")[0]
    assert "INVALID: lab speed: this machine did not hold the lab&#x27;s speed 17 times" in top
    assert page(run(judgement=failed)).partition("<table")[0].count("INVALID") == 0


def test_first_lines_say_which_run_and_what_was_overridden() -> None:
    """When, where, whose account, which release; and that a run which was set otherwise counts for no gate."""
    text = page(run(history=history(overrides=["objectives.rto_s=5", "--lab-speed 20 (the target: 10)"])))
    top = text.partition("Where the time went")[0]
    assert "2026-01-01 00:00 UTC, run r20260101-01, account 111111111111" in top
    assert "ap-northeast-1 (Tokyo) to ap-northeast-3 (Osaka), release not recorded" in top
    assert "Overridden with --set: objectives.rto_s=5. The lab was set otherwise than the target says" in top
    assert "it counts for no gate" in top
    assert "counts for no gate" not in page(run())


def test_what_to_type_comes_first() -> None:
    """After a drill that left something changed, the lines that put it back stand before all figures."""
    line = "aws ecs update-service --desired-count 2 --region ap-northeast-1"
    left = Finding("residue", Verdict.DIRTY, f"ecs is not back. Type:\n  {line}", data={"lines": [line]})
    shown = page(run(judgement=conclude([*judgement().findings, left])))
    assert "! DIRTY" in shown
    assert shown.index(f">{line}</pre>") < shown.index("recovery time, failover")


def test_calls_are_shown_as_lines_to_type(tmp_path: Path) -> None:
    """What was called is listed from the journal, with the line that puts it back."""
    call = {"service": "ecs", "operation": "UpdateService", "params": {"desiredCount": 0}, "region": "ap-northeast-1"}
    change = {"kind": "EcsServiceCount", "resources": ["arn:x"], "inject": [call], "restore": [call]}
    records = [
        {"at_s": wall(80), "wall": "2026-01-01T00:00:08+00:00", "number": 1, "state": "prepared", "change": change},
        {"at_s": wall(430), "wall": "2026-01-01T00:00:43+00:00", "number": 1, "state": "restored"},
    ]
    folder = write_folder(tmp_path / "run", history())
    (folder / "journal.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    write_summary(folder, judgement())
    texts = Balanced(page(load_run(folder))).texts
    assert "aws ecs update-service --desired-count 0 --region ap-northeast-1" in texts
    assert "to put back: aws ecs update-service --desired-count 0 --region ap-northeast-1" in texts
    assert "restored" in texts


def test_folder_without_verdict_says_what_to_type(tmp_path: Path) -> None:
    """A run that was never judged is not rendered as if it had been."""
    folder = write_folder(tmp_path / "run", history())
    with pytest.raises(ValueError, match="drill verify"):
        render(folder)


def test_session_prefix_shows_every_drill_with_ids_of_its_own() -> None:
    """Two drills in one session share a page without sharing ids."""
    runs = [run(history=history(run_id=name)) for name in ("r1", "r2")]
    text = "".join(session_prefix(runs))
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert text.count("LAB run") == 2
    assert Balanced(text).tags >= {"svg", "table", "section"}


def test_session_without_drills_adds_nothing() -> None:
    """A session that ran no drill leaves pytest-html's page alone."""
    assert session_prefix([]) == []


def test_extras_carry_details_and_closing_table(tmp_path: Path) -> None:
    """Under the drill's row stand the details and the closing table."""
    shown = extras(run(folder=tmp_path / "latest"), tmp_path)
    found = {extra["format_type"]: str(extra["content"]) for extra in shown}
    assert "The split of the recovery" in found["html"]
    assert "recovery time, failover" in found["text"]
    assert found["url"] == "latest/report.html"
    assert "url" not in {extra["format_type"] for extra in extras(run())}


def test_bars_are_to_scale() -> None:
    """The limit and the interval share one axis that holds both."""
    finding = Finding("recovery time, failover", Verdict.FAIL, "r", 5.0, Interval(200.0, 400.0))
    assert reach(finding) == pytest.approx(460.0)
    assert 'd="M139.1 22h139.1v14h-139.1z"' in bar(finding, "lab s", 1)
    assert 'd="M3.5 15L3.5 43"' in bar(finding, "lab s", 1)


def test_unmeasured_objective_has_no_bar() -> None:
    """What was not measured is said, not drawn as zero."""
    assert "not measured" in bar(Finding("recovery time, failover", Verdict.INVALID, "r", 5.0, None), "s", 1)


def test_a_target_of_another_version_still_names_its_regions(tmp_path: Path) -> None:
    """What this version does not understand of a target makes no address a stranger; who made the run is said."""
    target = {k: v for k, v in header()["target"].items() if k != "writes"} | {"of_next_year": 1}
    other = header(target=target, versions={"failover-drill": "9", "failover-drill source": "0123456789ab"})
    folder = write_folder(tmp_path / "run", History(other))
    write_summary(folder, judgement())
    told = load_run(folder)
    assert list(told.roles.values()) == ["primary", "standby", "observer"]
    (primary, address) = next((r, ranges[0]) for r, ranges in target["regions"]["cidrs"].items())
    assert told.region(address.partition("/")[0]) == primary
    assert "the run was made by failover-drill 9 (source 0123456789ab)" in render(folder).read_text()
