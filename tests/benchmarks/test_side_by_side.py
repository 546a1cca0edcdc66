"""The comparison with other tools: what they say is read as they write it, and who is missing is named."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from benchmarks.side_by_side import errors, gathered, k6, k6_samples, not_on_path, outages, told
from checks.accuracy import Planted
from drill.verdict import Interval

LINES = """
{"type":"Metric","data":{"name":"http_req_failed","type":"rate","contains":"default"},"metric":"http_req_failed"}
{"type":"Point","data":{"time":"2026-05-09T14:34:45.625742514+02:00","value":0,"tags":{"status":"200"}},"metric":"http_req_failed"}
{"type":"Point","data":{"time":"2026-05-09T14:34:46.625742514+02:00","value":459.8,"tags":{}},"metric":"http_req_duration"}
{"type":"Point","data":{"time":"2026-05-09T12:34:46.625742514Z","value":1,"tags":{"status":"503"}},"metric":"http_req_failed"}
{"type":"Point","data":{"time":"2026-05-09T14:34:47.625742514+02:00","value":1,"tags":{"status":"0"}},"metric":"http_req_failed"}
{"type":"Point","data":{"time":"2026-05-09T14:34:48.625742514+02:00","value":0,"tags":{"status":"200"}},"metric":"http_req_failed"}
""".strip().splitlines()
FIRST_S = 1778330085.625742


def test_k6s_own_output_is_read_as_it_is_written() -> None:
    """Points of failed requests only, nanoseconds and time zones included, on our clock."""
    found = k6_samples(LINES, -FIRST_S)
    assert [(round(at_s, 3), good) for at_s, good in found] == [(0.0, True), (1.0, False), (2.0, False), (3.0, True)]
    assert outages(found) == [(pytest.approx(1.0, abs=1e-3), pytest.approx(3.0, abs=1e-3))]


def test_the_error_of_a_tool_is_of_its_own_outage_within_the_planted_one() -> None:
    """First failed sample to first good one, against the truth; an outage without a failed sample is missed."""
    truth = [Planted("503", Interval(a, a), Interval(b, b)) for a, b in ((0.5, 2.0), (10.0, 11.0))]
    samples = [(0.0, True), (1.0, False), (2.0, False), (3.0, True)]
    assert errors(samples, truth) == [pytest.approx(2.0 - 1.5), None]
    assert told("k6", "", errors(samples, truth)) == ["k6", "1 of 2", "500.0", "500.0", "500.0", "500.0"]


def test_a_tool_that_is_not_there_has_a_row_that_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Never silently less: which program, and where it was looked for."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert told("k6", not_on_path("k6"), []) == ["k6", "not run here: k6 is not on PATH", "-", "-", "-", "-"]
    program = tmp_path / "k6"
    program.write_text("#!/bin/sh\nexit 99\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    assert not_on_path("k6") == ""


def test_a_tool_that_breaks_or_says_nothing_has_no_figures(tmp_path: Path) -> None:
    """Its exit code is its reason, and so is an output that is none: not "seen 0"."""
    broken = gathered([], lambda: k6("/bin/false", "127.0.0.1", 1, 1.0, tmp_path))
    assert "returned non-zero exit status 1" in broken
    assert gathered([], lambda: k6("/bin/true", "127.0.0.1", 1, 1.0, tmp_path)).startswith("FileNotFoundError")
    (tmp_path / "k6.json").write_text("not JSON\n")
    assert gathered([], lambda: k6("/bin/true", "127.0.0.1", 1, 1.0, tmp_path)).startswith("JSONDecodeError")
    (tmp_path / "k6.json").write_text(LINES[0] + "\n")
    assert gathered([], lambda: k6("/bin/true", "127.0.0.1", 1, 1.0, tmp_path)) == "it has told nothing"
