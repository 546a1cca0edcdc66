"""Health checks on an alarm: its data counts, by the settings that were kept, and the alarm's own state does not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from lab.aws.alarm_checks import AlarmChecks
from lab.aws.arc import Arc
from lab.aws.cloudwatch import AlarmEngine
from lab.aws.elb import Balancers
from lab.aws.route53 import Route53
from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.truth import Truth

TOKYO = "ap-northeast-1"
NAMESPACE, METRIC, ALARM = "AWS/Events", "IngestionToInvocationStartLatency", "HighLatencyAlarm"
GOOD_MS, BAD_MS = 500.0, 60_000.0
BEGIN_S = 1_800_000_000.0
"""A full minute well after the check's birth, so that it is not new any more."""


class World:
    """The API with an alarm and a check on it, whose data tests write and whose minutes tests call up."""

    def __init__(self, server: AwsServer, clock: LabClock, truth: Truth) -> None:
        self.server = server
        self.route53 = Route53(server, Arc(server, truth), Balancers(server), clock, truth)
        self.alarms = AlarmEngine(server, clock, truth)
        self.checks = AlarmChecks(server, self.route53, clock, truth)
        self.check = ""

    def client(self, service: str) -> Any:
        return self.server.client(service, TOKYO)

    def alarm(
        self, period: int = 60, periods: int = 5, threshold: float = 30_000, missing: str = "breaching"
    ) -> None:
        self.client("cloudwatch").put_metric_alarm(
            AlarmName=ALARM, Namespace=NAMESPACE, MetricName=METRIC, Statistic="Average", Period=period,
            EvaluationPeriods=periods, Threshold=threshold, ComparisonOperator="GreaterThanThreshold",
            TreatMissingData=missing,
        )  # fmt: skip

    def create(self, **config: Any) -> None:
        made = self.client("route53").create_health_check(
            CallerReference="one",
            HealthCheckConfig={
                "Type": "CLOUDWATCH_METRIC",
                "AlarmIdentifier": {"Region": TOKYO, "Name": ALARM},
                "InsufficientDataHealthStatus": "LastKnownStatus",
                **config,
            },
        )
        self.check = made["HealthCheck"]["Id"]

    def update(self, **config: Any) -> None:
        self.client("route53").update_health_check(HealthCheckId=self.check, **config)

    def minute(self, number: int, value: float | None) -> None:
        """The data of one minute, counted from BEGIN_S."""
        if value is not None:
            at = datetime.fromtimestamp(BEGIN_S + 60 * number + 30, UTC)
            data = [{"MetricName": METRIC, "Value": value, "Timestamp": at}]
            self.client("cloudwatch").put_metric_data(Namespace=NAMESPACE, MetricData=data)

    def seen(self, minutes: int) -> bool:
        """What Route 53 says after that many minutes."""
        found = self.checks.evaluated(BEGIN_S + 60 * minutes)
        for check, healthy in found.items():
            self.route53.observe(check, healthy)
        return self.route53.healthy(self.check)

    def first_unhealthy(self, since: int, limit: int = 60) -> int:
        """After how many minutes it is unhealthy for the first time, looked at each minute from `since` on."""
        return next(n for n in range(since, limit) if not self.seen(n))


@pytest.fixture
def world(server: AwsServer, clock: LabClock, truth: Truth) -> World:
    return World(server, clock, truth)


@pytest.mark.parametrize(
    ("period", "periods", "minutes"), [(60, 5, 5), (60, 3, 3), (60, 1, 1), (120, 5, 10), (300, 1, 5), (300, 2, 10)]
)
def test_detection_takes_as_long_as_periods_say(world: World, period: int, periods: int, minutes: int) -> None:
    """From the first whole bad period on: period x evaluation periods, whatever they are."""
    world.alarm(period, periods)
    world.create()
    for number in range(60):
        world.minute(number, GOOD_MS if number < 20 else BAD_MS)
    assert world.first_unhealthy(since=20) == 20 + minutes


def test_setting_the_alarms_state_does_not_reach_it(world: World) -> None:
    """Route 53 reads the data stream: SetAlarmState turns the alarm and nothing else."""
    world.alarm()
    world.create()
    for number in range(6):
        world.minute(number, GOOD_MS)
    cloudwatch = world.client("cloudwatch")
    cloudwatch.set_alarm_state(AlarmName=ALARM, StateValue="ALARM", StateReason="a person says so")
    assert cloudwatch.describe_alarms(AlarmNames=[ALARM])["MetricAlarms"][0]["StateValue"] == "ALARM"
    assert world.seen(6)


def test_settings_are_kept_until_the_check_is_updated(world: World) -> None:
    """A lower threshold of the alarm means nothing to the check before UpdateHealthCheck, and all after it."""
    world.alarm()
    world.create()
    for number in range(6):
        world.minute(number, GOOD_MS)
    world.alarm(threshold=100)
    assert world.seen(6)
    world.update()
    assert not world.seen(6)


def test_inverted_and_disabled(world: World) -> None:
    """Inverted turns it round at once; disabled means healthy, and unhealthy when inverted too."""
    world.alarm()
    world.create()
    for number in range(6):
        world.minute(number, BAD_MS)
    assert not world.seen(6)
    world.update(Inverted=True)
    assert world.seen(6)
    world.update(Disabled=True)
    assert not world.seen(6)
    world.update(Inverted=False)
    assert world.seen(6)


def test_an_idle_bus_is_unhealthy_where_missing_data_is_breaching(world: World) -> None:
    """No event, no data; after the evaluation range has passed the primary is given up, with nothing wrong."""
    world.alarm()
    world.create()
    for number in range(10):
        world.minute(number, GOOD_MS)
    assert world.seen(10)
    assert not world.seen(20)


@pytest.mark.parametrize(("told", "healthy"), [("Healthy", True), ("Unhealthy", False), ("LastKnownStatus", True)])
def test_too_little_data_is_what_the_check_says(world: World, told: str, healthy: bool) -> None:
    """Where missing data is only missing, InsufficientDataHealthStatus decides."""
    world.alarm(missing="missing")
    world.create(InsufficientDataHealthStatus=told)
    assert world.seen(20) is healthy


def test_a_new_check_is_healthy_until_there_can_be_data(world: World, clock: LabClock) -> None:
    """In its first evaluation periods it is healthy, with data or without."""
    world.alarm()
    world.create()
    assert world.checks.evaluated(clock.now_s() + 120) == {world.check: True}
