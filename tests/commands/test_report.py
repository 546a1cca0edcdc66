"""`drill report` renders a run from its folder alone, whatever has become of the drill."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands.main import main
from tests.reports.records import run_folder

END = "run.finished"


def killed(folder: Path) -> Path:
    """The folder of a drill that was killed before its end: nothing judged, nothing rendered, no seal."""
    run_folder(folder)
    for name in ("verdict.json", "missing-transactions.csv", "missing-transactions.json"):
        (folder / name).unlink(missing_ok=True)
    events = (folder / "events.jsonl").read_text().splitlines(keepends=True)
    (folder / "events.jsonl").write_text("".join(line for line in events if END not in line))
    return folder


def test_a_killed_drill_has_its_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Judged now, never PASS; with everything that a drill leaves at its end, which agrees with the evidence."""
    folder = killed(tmp_path / "run")
    assert main(["report", str(folder)]) == 0
    assert str(folder / "report.html") in capsys.readouterr().out
    page = (folder / "report.html").read_text()
    assert "✓ PASS</span>" not in page and "the drill did not come to its end" in page
    assert {"verdict.json", "drill.json", "summary.md"} <= {path.name for path in folder.iterdir()}
    assert main(["verify", str(folder)]) == 0


def test_a_verdict_of_rubbish_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback, the file, and 11."""
    folder = run_folder(tmp_path / "run")
    (folder / "verdict.json").write_text("{")
    assert main(["report", str(folder)]) == 11
    assert "verdict.json: no readable verdict" in capsys.readouterr().err
