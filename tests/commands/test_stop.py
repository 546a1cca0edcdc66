"""`drill stop` tells a drill that runs, and nobody else: not one that is over, and not one that is dead."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from commands.main import main
from drill.clock import SystemClock
from drill.journal import Journal
from drill.stop import STOP_FILE
from drill.timeline import Timeline
from tests.reports.records import run_folder
from tests.reports.runs import header


def begun(folder: Path, pid: int, host: str = "") -> Path:
    """The folder of a drill that has begun, in that process."""
    timeline = Timeline.create(folder, SystemClock(), header())
    timeline.close()
    Journal(folder / "journal.jsonl", SystemClock()).close()
    (line,) = (folder / "journal.jsonl").read_text().splitlines()
    record = json.loads(line)
    record["by"] |= {"pid": pid, "host": host or socket.gethostname()}
    (folder / "journal.jsonl").write_text(json.dumps(record) + "\n")
    return folder


def test_a_drill_that_runs_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Here, or on a machine that nobody can look into from here."""
    for folder in (begun(tmp_path / "here", os.getpid()), begun(tmp_path / "there", 1, "elsewhere")):
        assert main(["stop", str(folder), "--reason=customers call"]) == 0
        assert "told to stop" in capsys.readouterr().out
        assert (folder / STOP_FILE).read_text().startswith("customers call")


def test_a_drill_that_is_dead_or_over_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """12, what to type instead, and no word that it would put anything back."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead = begun(tmp_path / "dead", gone.pid)
    assert main(["stop", str(dead)]) == 12
    assert f"is dead (pid {gone.pid})" in (said := capsys.readouterr()).err
    assert f"drill restore {dead}" in said.err
    over = run_folder(tmp_path / "over")
    assert main(["stop", str(over)]) == 12
    assert "that drill is over" in capsys.readouterr().err
    assert not [folder for folder in (dead, over) if (folder / STOP_FILE).exists()]
