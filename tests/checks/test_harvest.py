"""What AWS itself stamped, gathered from a real API at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from checks.harvest import harvest
from checks.reads import reading
from checks.server_lag import SOURCE
from drill.target import LagMetric
from tests.checks.cloud import GLOBAL, Cloud, cloud, start_canaries
from tests.checks.worlds import OSAKA, eventually


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Cloud]:
    """The account with everything in place."""
    with cloud(tmp_path) as account:
        yield account


def test_every_clock_is_read_and_named(made: Cloud) -> None:
    """Alarm history, execution history, database events and canary runs are stamped with their own clock's name."""
    began = made.server.clock.now()
    start_canaries(made)
    made.start_execution("FailbackStateMachineE5", "one")
    made.client("rds", OSAKA).failover_global_cluster(
        GlobalClusterIdentifier=GLOBAL, TargetDbClusterIdentifier=made.writers[OSAKA]
    )
    wanted = {
        "cloudwatch alarm history": "to OK",
        "states execution history": "ExecutionSucceeded",
        "rds events": "",
        "synthetics canary runs": "PASSED",
    }

    def everything() -> list[dict[str, Any]]:
        stamps = harvest(made.aws, made.target, began)
        found = {s for s, text in wanted.items() if any(x["source"] == s and text in x["detail"] for x in stamps)}
        return stamps if found == set(wanted) else []

    stamps = eventually(everything, 30.0)
    assert all(datetime.fromisoformat(s["at"]) >= began for s in stamps)
    assert stamps == sorted(stamps, key=lambda s: s["at"])
    assert "PassStateEntered P" in {s["detail"] for s in stamps}
    json.dumps(stamps)
    assert harvest(made.aws, made.target, made.server.clock.now() + timedelta(hours=1)) == []


def test_why_a_machine_gave_up_is_told(made: Cloud) -> None:
    """Error and cause of an execution that was stopped stand behind the event."""
    began, states = made.server.clock.now(), made.client("stepfunctions", OSAKA)
    made.start_execution("FailoverStateMachineD4", "two")
    arn = made.machines["FailoverStateMachineD4"].replace(":stateMachine:", ":execution:")
    states.stop_execution(executionArn=f"{arn}:two", error="E", cause="why")
    eventually(lambda: "ExecutionAborted E: why" in {s["detail"] for s in harvest(made.aws, made.target, began)})


def test_a_source_that_cannot_be_read_is_told_and_hides_no_other(made: Cloud) -> None:
    """One Region without its API costs its own stamps only."""
    began = made.server.clock.now()
    start_canaries(made)
    made.server.unavailable(OSAKA)
    stamps = eventually(lambda: _both(harvest(made.aws, made.target, began)), 30.0)
    unread = [s for s in stamps if s["at"] is None]
    assert {s["name"] for s in unread} >= {"failover_machine", "standby_alarm", OSAKA}
    assert all("unavailable" in s["detail"] for s in unread)


def test_an_instant_without_a_zone_is_refused(made: Cloud) -> None:
    """AWS's stamps carry a zone; comparing them with one that does not would guess."""
    with pytest.raises(ValueError, match="time zone"):
        harvest(made.aws, made.target, datetime(2026, 1, 1))  # noqa: DTZ001


def _both(stamps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return stamps if any(s["at"] for s in stamps) and any(s["at"] is None for s in stamps) else []


def test_the_stores_own_lag_is_read_beside(made: Cloud) -> None:
    """Each minute of a declared lag metric is a stamp of CloudWatch's clock; a minute without data is none."""
    began = made.server.clock.now()
    dimensions = {"DBClusterIdentifier": "orders"}
    made.client("cloudwatch", OSAKA).put_metric_data(
        Namespace="AWS/RDS",
        MetricData=[
            {
                "MetricName": "AuroraGlobalDBRPOLag",
                "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
                "Timestamp": began + timedelta(seconds=60 * minute + 30),
                "Value": value,
                "Unit": "Milliseconds",
            }
            for minute, value in ((1, 40.0), (1, 80.0), (3, 812.0))
        ],
    )
    metric = LagMetric(region=OSAKA, namespace="AWS/RDS", metric="AuroraGlobalDBRPOLag", dimensions=dimensions)
    target = made.target.model_copy(update={"lag_metrics": {"orders": metric}})
    stamps = [s for s in harvest(made.aws, target, began) if s["source"] == SOURCE]
    assert [(s["name"], s["region"], s["detail"]) for s in stamps] == [
        ("orders", OSAKA, "AuroraGlobalDBRPOLag: average 60, maximum 80 milliseconds"),
        ("orders", OSAKA, "AuroraGlobalDBRPOLag: average 812, maximum 812 milliseconds"),
    ]
    needs = [need.action for need in reading(target, {}) if need.action == "cloudwatch:GetMetricStatistics"]
    assert needs == ["cloudwatch:GetMetricStatistics"]
