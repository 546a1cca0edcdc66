"""`drill calibrate`, whole: victims, probers and a load as processes, few outages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psutil
import pytest

from commands import calibrate
from commands.main import main
from drill import calibration
from lab.victims import KINDS


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this calibration is kept, instead of where runs look for it."""
    path = tmp_path / "calibration.json"
    monkeypatch.setattr(calibrate, "CALIBRATION", path)
    return path


def test_planted_outages_of_every_kind_lie_within_the_bounds(
    stored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """JSON with the agreed keys; every interval contains its truth, every write is called what it is."""
    before = {p.pid for p in psutil.process_iter()}
    code = main(["calibrate", "--outages", str(len(KINDS)), "--load", "50", "--json"])
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert code == 0, result["not_covered"]
    assert (result["outages"], result["covered"]) == (len(KINDS), len(KINDS))
    assert result["by_kind"].keys() == set(KINDS)
    assert result["writes"] == result["writes_right"] == 2 * len(KINDS)
    error = result["error_s"]
    assert 0 <= error["median"] <= error["p95"] <= error["worst"]
    assert error["median"] < 0.25  # the shortest outage lasts 0.3 s: a rough check, benchmarks state the figures
    assert set(result["by_rate"]) == {"1000", "100", "50", "10"}
    known = calibration.stored(stored)
    assert known is not None and known["error_s"] == error
    assert calibration.line(known).startswith("calibrated on this machine on 20")
    left = [p for p in psutil.process_iter(["cmdline"]) if p.pid not in before and "lab.victims" in str(p.info)]
    assert not left


def test_a_calibration_of_another_machine_is_none(stored: Path) -> None:
    """Only this machine's counts, and a report without one says what to type."""
    assert calibration.stored(stored) is None
    calibration.store(stored, {"machine": "another", "created": "2026-01-01"})
    assert calibration.stored(stored) is None
    stored.write_text("[]")
    assert calibration.stored(stored) is None
    for nothing in (None, {}, {"created": "2026", "error_s": {"median": None}}):
        assert "drill calibrate" in calibration.line(nothing)


@pytest.mark.parametrize("words", [["--outages", "0"], ["--rate", "5000"], ["--parallel", "0"], ["--load", "nan"]])
def test_impossible_wishes_are_refused_before_anything_starts(
    words: list[str], stored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The option, what it may be, and exit code 4."""
    assert main(["calibrate", *words]) == 4
    assert f"{words[0]} " in capsys.readouterr().err and not stored.exists()
