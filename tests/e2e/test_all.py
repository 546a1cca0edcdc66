"""The headline drills of all systems, two at a time: side by side they hold what they hold alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from commands.chosen import known_targets
from tests.e2e.drilling import lab_folders, verb

pytestmark = [pytest.mark.alone, pytest.mark.long]
ATTEMPTS = 2


def test_five_systems_pass_side_by_side(tmp_path: Path) -> None:
    """Exit code 0, a page and a PASS for each, and no lab left; once more when a lab was too slow for its speed."""
    before = lab_folders()
    for number in range(ATTEMPTS):
        runs = tmp_path / f"{number}"
        code, said = verb("all", "--headline", f"--runs={runs}")
        found = [json.loads(path.read_text()) for path in runs.glob("*/verdict.json") if not path.parent.is_symlink()]
        blamed = {f["name"] for verdict in found for f in verdict["findings"] if f["verdict"] != "PASS"}
        if blamed != {"lab speed"}:
            break
    assert code == 0, said
    assert [verdict["verdict"] for verdict in found] == ["PASS"] * 5
    assert all((runs / f"session-{target}.html").exists() for target in known_targets())
    assert lab_folders() <= before
