"""Dry sessions in a process of their own: what stays of them when `drill plan` is killed, which is nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from drill.child import process_state
from tests.checks.worlds import eventually

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 60.0
LASTS = """
import os, pathlib, time
import pytest

@pytest.mark.failover
def test_that_lasts():
    pathlib.Path({told!r}).write_text(str(os.getpid()))
    time.sleep(120)
"""
PLAN = """
import sys
from commands.planning import plan_scenarios
plan_scenarios([sys.argv[1]], ["-pconftest", "-cpyproject.toml"])
"""


def test_a_plan_that_is_killed_leaves_neither_process_nor_file(tmp_path: Path) -> None:
    """Its session ends with it, in the middle of a scenario; no temporary folder was made."""
    told, temporary = tmp_path / "pid", tmp_path / "tmp"
    temporary.mkdir()
    scenario = tmp_path / "test_lasting.py"
    scenario.write_text(LASTS.format(told=str(told)))
    command = [sys.executable, "-c", PLAN, str(scenario)]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "TMPDIR": str(temporary)}) as process:
        try:
            eventually(lambda: told.exists() and told.read_text() != "", LIMIT_S)
        finally:
            process.send_signal(signal.SIGKILL)
    session = int(told.read_text())
    eventually(lambda: process_state(session) in ("", "Z", "X"), LIMIT_S)
    assert list(temporary.iterdir()) == []
