"""core-banking's restart, whole: an outage that it survives where it is, and what must not pass for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.drilling import COUNT, drill, widened

pytestmark = [pytest.mark.alone, pytest.mark.long]

TARGET = ("--target", "core-banking")
TWIN = ("--twin", "tests/twins/core_banking_restart.py", "-k")
NEVER = "0:-"
SHORT = ("--set=objectives.rto_s=100", "--set=objectives.failback_rto_s=100", "--set=timings.window_s=140")


def test_a_restart_is_survived_where_the_system_is(tmp_path: Path) -> None:
    """PASS: clients fail and are served again from Tokyo; no alarm rings, the armed automation is called by nobody,
    and no setting in any Region has changed."""
    drilled = drill(tmp_path, "-m", "failover", "-k", "test_tasks_stopped", *TARGET)
    assert drilled.code == 0, drilled.output
    assert drilled.journal() == {"1": "restored", "2": "reached"}
    time = drilled.finding("recovery time, outage")
    assert time["data"]["failures"] > 0
    assert time["interval"]["high_s"] < 600
    assert drilled.finding("recovery point, outage")["data"]["counts"]["acknowledged"] > 0
    for name in ("remains, outage", "stays, ap-northeast-1"):
        assert drilled.finding(name)["verdict"] == "PASS"
    assert drilled.finding("residue")["data"]["rows"] == []
    assert "ALARM" not in {*drilled.seen("aws.alarm.standby"), *drilled.seen("aws.alarm.observer")}
    assert {*drilled.seen("aws.execution.initiator"), *drilled.seen("aws.execution.failover")} == {NEVER}


def test_tasks_that_nobody_needs_are_no_outage(tmp_path: Path) -> None:
    """INVALID: they were stopped and replaced, and no client saw a failure."""
    target = widened(tmp_path, {"ap-northeast-1": "*CountFargateService*"}, COUNT)
    drilled = drill(tmp_path, *TWIN, "tasks_that_nobody_needs_stopped", f"--target={target}")
    assert drilled.code == 11, drilled.output
    assert "the fault did not bite: no client saw a failure after it" in str(drilled.verdict)
    assert drilled.journal() == {"1": "reached"}


def test_a_service_that_is_to_have_no_task_does_not_come_back(tmp_path: Path) -> None:
    """FAIL, and the service gets its tasks again."""
    drilled = drill(tmp_path, *TWIN, "tasks_not_replaced", *TARGET, *SHORT)
    assert drilled.code == 1, drilled.output
    assert "never recovered in the window" in drilled.finding("recovery time, outage")["reason"]
    assert drilled.journal() == {"1": "restored"}
