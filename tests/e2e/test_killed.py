"""Whole drills that are killed with no chance to end in order."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from commands.world import Options, resolve_target
from drill.aws import Aws
from drill.find import find
from drill.journal import begun, outstanding
from drill.watching import watchdog_records
from lab.launch import LabInfo, launch
from tests.e2e.drilling import drill, interrupted, killed, verb

pytestmark = pytest.mark.alone

TWIN = ("--twin", "tests/twins/core_banking.py", "-k", "rule_left_disabled")
SPEED = 10.0
RESTORED_WITHIN_S = 10.0
"""Wall seconds; it is a fraction of one on an idle machine."""


def desired(lab: LabInfo) -> int:
    """The desired count of Tokyo's Transaction service."""
    aws = Aws(lab.aws_endpoint)
    found = find(aws, resolve_target(Options()), "transaction")
    ecs = aws.client("ecs", "ap-northeast-1")
    reply = ecs.describe_services(cluster=found.extra["cluster"], services=[found.arn])
    return int(reply["services"][0]["desiredCount"])


@pytest.mark.long
def test_a_killed_drill_is_put_back_by_its_watchdog_and_without_it_by_hand(tmp_path: Path) -> None:
    """SIGKILL in force: back within seconds, nothing typed, and told. With its watchdog: refused, then typed."""
    with launch("core-banking", SPEED) as lab:
        state = tmp_path / "lab.json"
        state.write_text(json.dumps(lab.info.to_json()))
        again = (*TWIN, f"--lab-attach={state}")

        folder = killed(tmp_path, "in_force", *again)
        assert desired(lab.info) == 1
        assert {entry.state for entry in begun(folder / "journal.jsonl")} == {"restored"}
        at_s = {record["event"]: record["at_s"] for record in watchdog_records(folder)}
        assert at_s["restored"] - at_s["noticed"] < RESTORED_WITHIN_S
        code, said = verb("verify", str(folder))
        assert (code, "the drill was killed in phase in_force; restored by the watchdog" in said) == (11, True), said
        assert verb("report", str(folder))[0] == 0
        page = (folder / "report.html").read_text()
        assert "INVALID</span>" in page and "restored by the watchdog" in page
        assert "nothing outstanding" in verb("restore", str(folder))[1]

        runs = tmp_path / "second"
        folder = killed(runs, "in_force", *again, with_watchdog=True)
        assert desired(lab.info) == 0
        refused = drill(runs, *again)
        assert refused.code == 12, refused.output
        assert f"drill restore {folder}" in refused.output
        assert "aws ecs update-service" in verb("restore", str(folder), "--dry-run")[1]
        assert {entry.state for entry in outstanding(folder / "journal.jsonl")} == {"injected"}
        restored = verb("restore", str(folder))
        assert (restored[0], desired(lab.info)) == (0, 1), restored[1]
        assert outstanding(folder / "journal.jsonl") == []

        stopped = interrupted(tmp_path / "after", signal.SIGINT, "baseline", *again)
        assert (stopped.code, stopped.journal()) == (11, {})


@pytest.mark.long
def test_a_lab_of_a_killed_drill_lives_until_all_is_put_back_and_then_leaves_nothing(tmp_path: Path) -> None:
    """The drill had started it; its watchdog holds it."""
    folder = killed(tmp_path, "in_force", *TWIN, f"--lab-speed={SPEED:g}")
    assert outstanding(folder / "journal.jsonl") == []
    assert watchdog_records(folder)[-1]["outstanding"] == 0
