"""drill.json is what its published schema says, the same for the same evidence, and never better than it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from checks.judge import judge
from checks.seal import seal_digest
from commands.main import main
from commands.publish import publish, published
from commands.running import report
from drill.verdict import Verdict
from reports.record import DrillRecord, record_from, record_of, record_text, schema_text
from tests.checks.histories import good_failover
from tests.reports.records import record, run_folder, whole
from tests.reports.runs import history, judgement

SCHEMA = Path(__file__).parents[2] / "docs" / "schema" / "drill.schema.json"


def test_the_published_schema_is_that_of_the_code() -> None:
    """docs/schema/drill.schema.json is written by `schema_text`."""
    assert SCHEMA.read_text() == schema_text(), "write it anew with reports.record.schema_text()"


@pytest.mark.parametrize("fate", ["settled", "absent"])
def test_records_of_runs_keep_the_schema(fate: str) -> None:
    """A drill that passes, and one that loses a write."""
    lost = good_failover(fate=fate).history()
    header = whole().header | {"windows": ["failover"]}
    found = [record(), record_of(history(), judgement(lost=2, reach_s=float("inf")), "")]
    found.append(record_of(type(lost)(**(vars(lost) | {"header": header})), judge(lost), seal_digest(lost)))
    for one in found:
        jsonschema.validate(json.loads(record_text(one)), json.loads(SCHEMA.read_text()))
        assert record_from(record_text(one)) == one


def test_the_record_contains_the_judgement_as_it_is(tmp_path: Path) -> None:
    """What verdict.json says, word for word, and who was drilled; twice the same bytes."""
    folder = run_folder(tmp_path / "run")
    judged = judge(whole())
    first = record_text(publish(folder, judged))
    assert json.loads(first)["judgement"] == json.loads((folder / "verdict.json").read_text())
    assert (folder / "drill.json").read_text() == first == record_text(publish(folder, judged))
    told = published(folder)
    assert told is not None
    assert (told.verdict, told.run.release, told.target.kind) == (Verdict.PASS, "4f2c1ab", "lab")


def test_a_record_that_was_edited_is_found_by_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """drill.json and summary.md are held against the evidence like verdict.json; without them nothing is amiss."""
    folder = run_folder(tmp_path / "run")
    assert main(["verify", str(folder)]) == 0
    publish(folder, judge(whole()))
    assert main(["verify", str(folder)]) == 0
    path = folder / "drill.json"
    path.write_text(path.read_text().replace("4f2c1ab", "5a5a5a5"))
    assert main(["verify", str(folder)]) == 11
    assert "drill.json differ from what the evidence says" in capsys.readouterr().out


def test_a_record_that_cannot_be_written_costs_neither_verdict_nor_page(tmp_path: Path) -> None:
    """It is told; verdict.json and the page are there."""
    folder = run_folder(tmp_path / "run")
    (folder / "verdict.json").unlink()
    (folder / "drill.json").mkdir()
    assert "no report in" in report(folder, judge(whole()))
    assert (folder / "verdict.json").exists() and (folder / "report.html").exists()


def changed(where: tuple[str | int, ...], value: Any) -> str:
    """A record's text with one value changed."""
    raw: Any = json.loads(record_text(record()))
    inner = raw
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    return json.dumps(raw)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (changed(("format",), 2), "format 2, this version reads 1"),
        (changed(("judgement", "findings", 0, "verdict"), "FAIL"), "the verdict is PASS, its worst finding is FAIL"),
        (changed(("judgement", "findings"), []), "at least 1 item"),
        (changed(("judgement", "exit_code"), 1), "exit code 1 does not stand for PASS"),
        (changed(("run", "created"), "2026-01-01T00:00:00"), "run.created"),
        (changed(("run", "id"), ""), "run.id"),
        (changed(("target", "kind"), "staging"), "target.kind"),
        (changed(("run", "more"), 1), "run.more"),
        ("[]", "format 'list'"),
        ("{", "line 1"),
    ],
)
def test_a_record_that_is_none_is_named(text: str, words: str) -> None:
    """A newer format, a verdict better than its findings, something missing or too much."""
    with pytest.raises(ValueError, match=words):
        record_from(text)


def test_a_header_that_is_no_drills_has_no_record(tmp_path: Path) -> None:
    """Said in one sentence; and where there is no record, none is published."""
    bare = good_failover().history()
    with pytest.raises(ValueError, match=r"run.json is no drill's header: run.id"):
        record_of(bare, judge(bare), "")
    assert published(tmp_path) is None
    assert isinstance(record(), DrillRecord)
