"""Net 4, whole: the machine of a drill is gone, nobody types anything, and everything is as before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from commands.world import TARGETS
from drill.aws import Aws
from drill.find import find
from drill.journal import outstanding
from drill.target import load_target
from lab.launch import launch
from tests.checks.worlds import eventually
from tests.e2e.drilling import machine_lost, verb

pytestmark = [pytest.mark.alone, pytest.mark.long]

TARGET = load_target(TARGETS / "core-banking.toml")
DEAD_MAN = "safety.dead_man_s=300"
"""Lab seconds at speed 20: 15 wall seconds after the last renewal."""
LIMIT_S = 120.0


def changed(aws: Aws) -> tuple[str, int]:
    """What the drill breaks, as it is now: the rule's state and the service's desired count."""
    rule, service = find(aws, TARGET, "auto_failover_rule"), find(aws, TARGET, "transaction")
    state = aws.client("events", rule.region).describe_rule(Name=rule.name)["State"]
    ecs = aws.client("ecs", service.region)
    found = ecs.describe_services(cluster=service.extra["cluster"], services=[service.arn])["services"][0]
    return str(state), int(found["desiredCount"])


def outcomes(aws: Aws) -> dict[str, str]:
    """Kind of each stored Change -> what became of it."""
    items: list[dict[str, Any]] = aws.client("dynamodb", "us-west-2").scan(TableName="failover-drill")["Items"]
    stored = [item for item in items if "change" in item]
    return {json.loads(item["change"]["S"])["kind"]: item["outcome"]["S"] for item in stored}


def test_a_drill_whose_machine_is_lost_is_put_back_by_the_server(tmp_path: Path) -> None:
    """Drill, watchdog and all are killed at once in the middle; rule and service come back, and are left so."""
    with launch("core-banking", 20.0) as lab:
        state, aws = tmp_path / "lab.json", Aws(lab.info.aws_endpoint)
        state.write_text(json.dumps(lab.info.to_json()))
        before = changed(aws)
        assert before == ("DISABLED", 1)
        options = ("--twin", "tests/twins/core_banking.py", "-k", "broken_and_lost", "--set", DEAD_MAN)
        broken = ("ENABLED", 0)
        folder = machine_lost(tmp_path, lambda: changed(aws) == broken, *options, f"--lab-attach={state}")
        assert changed(aws) == broken
        assert outcomes(aws) == {"events.rule": "armed", "ecs.scale": "armed"}
        assert len(outstanding(folder / "journal.jsonl")) == 2
        eventually(lambda: changed(aws) == before, LIMIT_S)
        eventually(lambda: outcomes(aws)["ecs.scale"] == "restored", LIMIT_S)
        # The journal, which nobody was left to write, still says so; restoring from it finds everything as before.
        assert verb("restore", str(folder))[0] == 0
        assert changed(aws) == before
        assert outstanding(folder / "journal.jsonl") == []
