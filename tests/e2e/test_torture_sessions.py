"""Whole sessions of pytest, killed in a lab of their own: a short `drill torture --session`."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest

from tests.e2e.drilling import lab_folders, verb

pytestmark = [pytest.mark.alone, pytest.mark.long]

KILLS = 3


def test_whole_sessions_that_are_killed_leave_everything_as_before() -> None:
    """Two at a state of the journal, one at random: exit 0, the figures, no process, no temporary file."""
    labs, folders = lab_folders(), set(Path("/tmp").glob("drill-torture-*"))
    code, said = verb("torture", "--session", f"--kills={KILLS}", "--seed=3", "--json")
    assert code == 0, said
    found = json.loads(said[said.index("{") :])
    assert (found["kills"], found["restored"], found["dirty"]) == (KILLS, KILLS, 0), said
    assert (found["problems"], found["residue"], found["at_random"]) == ([], [], 1)
    assert found["worst_restore_s"] >= found["median_restore_s"] > 0
    assert (lab_folders(), set(Path("/tmp").glob("drill-torture-*"))) == (labs, folders)
    assert not [p for p in psutil.process_iter(["cmdline"]) if "drill-torture-" in " ".join(p.info["cmdline"] or [])]
