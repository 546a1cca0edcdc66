"""The files for programs say what was judged, strictly, and say nothing that was not looked for."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest

from drill.verdict import Finding, Interval, Verdict, conclude
from reports.summary import read_judgement, read_verdict, summary_text, write_summary
from tests.reports.runs import judgement


def test_judgement_survives_the_file(tmp_path: Path) -> None:
    """What is written is what is read, infinities included."""
    written = judgement(rto_s=5, lost=2, reach_s=math.inf)
    write_summary(tmp_path, written)
    read = read_verdict(tmp_path)
    assert (read.verdict, read.phases, read.writes) == (written.verdict, written.phases, written.writes)
    assert [f.interval for f in read.findings] == [f.interval for f in written.findings]
    assert summary_text(read) == summary_text(written) == read_judgement(tmp_path)


def test_infinity_is_null_and_named(tmp_path: Path) -> None:
    """An unbounded interval is strict JSON: null, and said to be unbounded."""
    text = summary_text(judgement(reach_s=math.inf))
    interval = json.loads(text, parse_constant=pytest.fail)["findings"][0]["interval"]
    assert (interval["high_s"], interval["unbounded"]) == (None, True)


def test_same_judgement_gives_same_bytes() -> None:
    """The order in which details were gathered leaves no trace."""
    one, other = (
        conclude([Finding("f", Verdict.PASS, "r", data=data)]) for data in ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    )
    assert summary_text(one) == summary_text(other)


def test_lost_writes_are_named_in_csv_and_json(tmp_path: Path) -> None:
    """Each lost write is a row with its key, id and account."""
    write_summary(tmp_path, judgement(lost=3))
    with (tmp_path / "missing-transactions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["key"] for row in rows] == ["load-1-17", "load-1-18", "load-1-19"]
    named = json.loads((tmp_path / "missing-transactions.json").read_text())
    assert [row["id"] for row in named] == ["t-000017", "t-000018", "t-000019"]


def test_no_list_without_a_search(tmp_path: Path) -> None:
    """Where nobody looked for lost writes there is no list: an empty one would say that none was lost."""
    write_summary(tmp_path, conclude([Finding("baseline", Verdict.INVALID, "unhealthy")]))
    assert [path.name for path in tmp_path.iterdir()] == ["verdict.json"]


def test_searched_and_found_none_is_an_empty_list(tmp_path: Path) -> None:
    """Where they were looked for and none was found, the list is there and empty."""
    write_summary(tmp_path, judgement(lost=0))
    assert json.loads((tmp_path / "missing-transactions.json").read_text()) == []


def test_csv_cell_is_no_formula(tmp_path: Path) -> None:
    """An id that a spreadsheet would run is text in the CSV and untouched in the JSON."""
    lost = [{"key": "k", "id": "=HYPERLINK(1)", "amount": -50.0}]
    write_summary(tmp_path, conclude([Finding("recovery point, failover", Verdict.FAIL, "r", data={"lost": lost})]))
    with (tmp_path / "missing-transactions.csv").open() as file:
        row = next(csv.DictReader(file))
    assert (row["id"], row["amount"]) == ("'=HYPERLINK(1)", "-50.0")
    assert "=HYPERLINK(1)" in json.loads((tmp_path / "missing-transactions.json").read_text())[0]["id"]


@pytest.mark.parametrize("text", ["", "{}", '{"format": 99}', '["a"]'])
def test_unreadable_verdict_is_named(tmp_path: Path, text: str) -> None:
    """A verdict that cannot be read names its file and what to type."""
    (tmp_path / "verdict.json").write_text(text)
    with pytest.raises(ValueError, match=r"verdict.json: no readable verdict .*drill verify"):
        read_verdict(tmp_path)


def test_intervals_of_details_stay_numbers() -> None:
    """A finding without an interval is not an interval of zero."""
    text = summary_text(conclude([Finding("f", Verdict.INVALID, "r", 5.0, None), Finding("g", Verdict.PASS, "r")]))
    assert [f["interval"] for f in json.loads(text)["findings"]] == [None, None]
    assert Interval(0.0, 0.0).high_s == 0.0
