"""A whole drill whose lab stood still for a moment: drilled again at half the speed, and that one counts."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.e2e.drilling import LIMIT_S, assert_nothing_left, lab_folders, start, wait_for_phase

pytestmark = [pytest.mark.alone, pytest.mark.long]

STALL_S = 2.0
"""More than any lab's tolerance: 10 lab s at speed 5 or above."""


def test_a_drill_in_a_lab_that_stood_still_is_repeated_slower(tmp_path: Path) -> None:
    """As on a machine that stalls: the first is INVALID and says why, the second PASSes at half the speed and names
    the first; the session's exit code, page and words are the second's."""
    before = lab_folders()
    process = start(tmp_path, "-m", "failover and headline", "--target=remittance")
    try:
        wait_for_phase(tmp_path, "baseline", process)
        descended = psutil.Process(process.pid).children(recursive=True)
        (lab,) = (p for p in descended if p.cmdline()[1:3] == ["-m", "lab.world"])
        os.kill(lab.pid, signal.SIGSTOP)
        time.sleep(STALL_S)
        os.kill(lab.pid, signal.SIGCONT)
        output, _ = process.communicate(timeout=2 * LIMIT_S)
    finally:
        process.kill()
    assert_nothing_left(process.pid, before, tmp_path)
    assert process.returncode == 0, output
    first, second = (path.parent for path in sorted(tmp_path.glob("2*/run.json")))
    verdicts = [json.loads((folder / "verdict.json").read_text())["verdict"] for folder in (first, second)]
    assert verdicts == ["INVALID", "PASS"], output
    header = json.loads((second / "run.json").read_text())
    speed = header["target"]["lab"]["speed"]
    assert header["instead_of"] == first.name
    assert header["overrides"] == [f"--lab-speed {speed / 2:g} (the target: {speed:g})"]
    assert f"Drilled instead of {first.name}" in (second / "report.html").read_text()
    assert re.search("1 passed, .*1 rerun", output), output
    assert "drilled again, slower: this machine did not hold the lab's speed" in output
    assert "drilled again, slower" in (tmp_path / "session.html").read_text()
