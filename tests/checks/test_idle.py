"""A metric is silent when CloudWatch has no datum of it for longer than its alarm evaluates; and only then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from checks.idle import BEYOND_PERIODS, LOOK_WALL_S, MetricSilent
from checks.reads import reading
from drill.aws import Aws
from drill.clock import FakeClock
from drill.read_only import ReadOnlyAws
from drill.target import Target, load_target
from drill.timeline import Timeline
from lab.aws.server import AwsServer
from lab.clock import LabClock

TARGET = Path(__file__).parents[2] / "targets" / "event-bus.toml"
ALARM = {"Namespace": "AWS/Events", "MetricName": "IngestionToInvocationStartLatency"}
EVALUATED = 2


@pytest.fixture
def target() -> Target:
    """The event bus."""
    return load_target(TARGET)


def silent(aws: ReadOnlyAws, target: Target, tmp_path: Path) -> bool:
    """One look."""
    clock = FakeClock()
    timeline = Timeline(tmp_path, clock)
    return MetricSilent(aws, target, "latency_alarm", clock).reached(timeline, 0.0) is not None


def test_only_a_metric_without_data_is_silent(target: Target, tmp_path: Path) -> None:
    """A datum inside what is looked through: not silent; one before it: silent. Only declared reads are made."""
    server = AwsServer("127.0.0.1", 0, LabClock.starting_now(1.0))
    server.start()
    try:
        cloudwatch, aws = server.client("cloudwatch", "ap-northeast-1"), ReadOnlyAws(Aws(server.url))
        cloudwatch.put_metric_alarm(
            AlarmName="HighLatencyAlarm", Statistic="Average", Period=60, EvaluationPeriods=EVALUATED,
            Threshold=30000, ComparisonOperator="GreaterThanThreshold", **ALARM,
        )  # fmt: skip
        for periods, expected in ((EVALUATED + BEYOND_PERIODS + 2, True), (EVALUATED + BEYOND_PERIODS - 1, False)):
            at = datetime.now(UTC) - timedelta(minutes=periods)
            datum = {"MetricName": ALARM["MetricName"], "Value": 1.0, "Timestamp": at}
            cloudwatch.put_metric_data(Namespace=ALARM["Namespace"], MetricData=[datum])
            assert silent(aws, target, tmp_path) is expected
    finally:
        server.stop()
    allowed = {(need.service, need.operation) for need in reading(target, {})}
    assert {(call.service, call.operation) for call in aws.made} <= allowed


def test_what_cannot_be_looked_at_is_not_silent(target: Target, tmp_path: Path) -> None:
    """Nobody has seen that the bus is idle."""
    assert not silent(ReadOnlyAws(Aws("http://127.0.0.1:9")), target, tmp_path)


def test_it_looks_once_a_second(target: Target, tmp_path: Path) -> None:
    """However often it is asked: CloudWatch's own quota is everybody's."""
    aws, clock = ReadOnlyAws(Aws("http://127.0.0.1:9")), FakeClock()
    condition, timeline = MetricSilent(aws, target, "latency_alarm", clock), Timeline(tmp_path, clock)
    for _ in range(5):
        assert condition.reached(timeline, 0.0) is None
    assert len(aws.made) == 1
    clock.sleep(LOOK_WALL_S * clock.speed)
    condition.reached(timeline, 0.0)
    assert len(aws.made) == 2
