"""Canaries run their scripts each lab minute, and what they find is seen as in AWS."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.aws.canary_script import CanaryContext, Script
from lab.aws.cloudwatch import AlarmEngine
from lab.aws.events import Events
from lab.aws.server import AwsServer
from lab.aws.synthetics import CanaryRunner
from lab.clock import LabClock
from lab.truth import Truth

REGION = "ap-northeast-3"


@pytest.fixture
def scripts() -> dict[str, Script]:
    return {}


@pytest.fixture
def runner(server: AwsServer, clock: LabClock, truth: Truth, scripts: dict[str, Script]) -> Iterator[CanaryRunner]:
    parts = [
        Events(server, clock, truth),
        CanaryRunner(server, clock, truth, scripts),
        AlarmEngine(server, clock, truth),
    ]
    for part in parts:
        part.start()
    yield parts[1]  # type: ignore[misc]
    for part in reversed(parts):
        part.stop()


def synthetics(server: AwsServer) -> Any:
    return server.client("synthetics", REGION)


def canary(server: AwsServer, name: str = "teller", **more: Any) -> None:
    settings: dict[str, Any] = {
        "Name": name,
        "Code": {"Handler": "index.handler", "ZipFile": b"x"},
        "ArtifactS3Location": "s3://artifacts",
        "ExecutionRoleArn": "arn:aws:iam::111111111111:role/canary",
        "Schedule": {"Expression": "rate(1 minute)"},
        "RuntimeVersion": "syn-nodejs-puppeteer-7.0",
    }
    synthetics(server).create_canary(**(settings | more))


def runs(server: AwsServer, name: str = "teller") -> list[Any]:
    return list(synthetics(server).get_canary_runs(Name=name)["CanaryRuns"])


def until(true: Callable[[], bool], wall_s: float = 8.0) -> bool:
    deadline = time.monotonic() + wall_s
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()


def done(server: AwsServer, count: int = 1) -> list[Any]:
    assert until(lambda: sum(run["Status"]["State"] != "RUNNING" for run in runs(server)) >= count)
    return [run for run in runs(server) if run["Status"]["State"] != "RUNNING"]


def test_a_canary_waits_to_be_started(
    server: AwsServer, runner: CanaryRunner, scripts: dict[str, Script], clock: LabClock
) -> None:
    """A created canary is READY and does not run; its timeout is its frequency when none is given."""
    scripts["teller"] = lambda _context: None
    canary(server)
    clock.sleep(70)
    found = synthetics(server).get_canary(Name="teller")["Canary"]
    assert (found["Status"]["State"], found["RunConfig"]["TimeoutInSeconds"]) == ("READY", 60)
    assert runs(server) == []


def test_a_started_canary_runs_every_lab_minute(
    server: AwsServer, runner: CanaryRunner, scripts: dict[str, Script]
) -> None:
    """Runs begin at once and then a minute apart, at a fixed phase, newest first in GetCanaryRuns."""
    scripts["teller"] = lambda context: context.sleep(5)
    canary(server)
    synthetics(server).start_canary(Name="teller")
    assert synthetics(server).get_canary(Name="teller")["Canary"]["Status"]["State"] == "RUNNING"
    finished = done(server, 4)
    starts = [run["Timeline"]["Started"] for run in finished][::-1]
    assert {run["Status"]["State"] for run in finished} == {"PASSED"}
    assert (starts[3] - starts[0]).total_seconds() == pytest.approx(180, abs=15)
    first = finished[-1]["Timeline"]
    assert timedelta(seconds=5) <= first["Completed"] - first["Started"] < timedelta(seconds=30)


def test_a_script_that_raises_is_a_failed_run(
    server: AwsServer, runner: CanaryRunner, scripts: dict[str, Script]
) -> None:
    """An exception fails the run and is its reason; the last run of each canary can be asked for."""

    def broken(_context: CanaryContext) -> None:
        raise ValueError("503 from the counter")

    scripts["teller"] = broken
    canary(server)
    synthetics(server).start_canary(Name="teller")
    run = done(server)[-1]
    assert run["Status"] == {"State": "FAILED", "StateReason": "ValueError: 503 from the counter"}
    last = synthetics(server).describe_canaries_last_run()["CanariesLastRun"]
    assert [item["CanaryName"] for item in last] == ["teller"]


def test_a_hanging_run_fails_at_the_timeout_and_never_overlaps(
    server: AwsServer, runner: CanaryRunner, scripts: dict[str, Script], tmp_path: Path
) -> None:
    """A script that hangs fails after 60 lab seconds, or the lab admits that it took longer; runs never overlap."""
    inside: list[int] = []
    most: list[int] = []

    def hang(context: CanaryContext) -> None:
        inside.append(1)
        most.append(len(inside))
        try:
            context.sleep(10_000)
        finally:
            inside.pop()

    scripts["teller"] = hang
    canary(server)
    synthetics(server).start_canary(Name="teller")
    finished = done(server, 3)
    stalled = "canary teller" in (tmp_path / "overruns.jsonl").read_text()
    assert max(most) == 1
    for run in finished:
        lasted = run["Timeline"]["Completed"] - run["Timeline"]["Started"]
        assert lasted.total_seconds() == pytest.approx(60, abs=8) or (lasted.total_seconds() > 60 and stalled)
        assert run["Status"]["State"] == "FAILED"
    starts = [run["Timeline"]["Started"] for run in finished]
    apart_s = (starts[0] - starts[1]).total_seconds()
    assert apart_s == pytest.approx(60, abs=12) or (apart_s > 60 and stalled)


@pytest.mark.parametrize(("wall_s", "admitted"), [(0.0, False), (0.4, True)])
def test_a_script_slowed_by_the_machine_is_admitted(
    server: AwsServer,
    runner: CanaryRunner,
    scripts: dict[str, Script],
    tmp_path: Path,
    wall_s: float,
    admitted: bool,
) -> None:
    """Work of 40 lab seconds between two waits is an overrun; 30 lab seconds of waiting are none."""

    def work(context: CanaryContext) -> None:
        context.sleep(15)
        time.sleep(wall_s)
        context.sleep(15)

    scripts["teller"] = work
    canary(
        server, Schedule={"Expression": "rate(5 minutes)"}
    )  # the run comes to its end, however slow the machine is
    synthetics(server).start_canary(Name="teller")
    done(server)
    assert ("canary teller work" in (tmp_path / "overruns.jsonl").read_text()) is admitted


def test_runs_are_metrics(
    server: AwsServer, runner: CanaryRunner, scripts: dict[str, Script], clock: LabClock
) -> None:
    """Each run puts SuccessPercent, Duration and Failed under its canary's name, dated when it started."""
    scripts["teller"] = lambda _context: None
    canary(server)
    synthetics(server).start_canary(Name="teller")
    run = done(server)[-1]
    minute = run["Timeline"]["Started"].replace(second=0, microsecond=0)
    assert until(lambda: points(server, minute) == [(minute, 100.0)], 3.0)  # they come after the run


def points(server: AwsServer, minute: datetime) -> list[tuple[datetime, float]]:
    found = server.client("cloudwatch", REGION).get_metric_statistics(
        Namespace="CloudWatchSynthetics",
        MetricName="SuccessPercent",
        Dimensions=[{"Name": "CanaryName", "Value": "teller"}],
        StartTime=minute,
        EndTime=minute + timedelta(minutes=1),
        Period=60,
        Statistics=["Average"],
    )
    return [(point["Timestamp"], point["Average"]) for point in found["Datapoints"]]


def test_a_stopped_canary_runs_no_more(
    server: AwsServer, runner: CanaryRunner, scripts: dict[str, Script], clock: LabClock
) -> None:
    """StopCanary ends the schedule; stopping twice is a conflict; it can be deleted then."""
    scripts["teller"] = lambda _context: None
    canary(server)
    synthetics(server).start_canary(Name="teller")
    done(server)
    synthetics(server).stop_canary(Name="teller")
    count = len(runs(server))
    clock.sleep(130)
    assert len(runs(server)) == count
    with pytest.raises(ClientError, match="ConflictException"):
        synthetics(server).stop_canary(Name="teller")
    synthetics(server).delete_canary(Name="teller")
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        synthetics(server).get_canary(Name="teller")


def test_a_broken_service_raises_the_alarm_in_time(
    server: AwsServer, runner: CanaryRunner, scripts: dict[str, Script], clock: LabClock
) -> None:
    """Canary each minute, alarm 2 of 2: from the break to ALARM it takes 60 to 190 lab seconds."""
    healthy = [True]

    def probe(_context: CanaryContext) -> None:
        if not healthy[0]:
            raise ConnectionError("refused")

    scripts["teller"] = probe
    canary(server)
    synthetics(server).start_canary(Name="teller")
    alarms = server.client("cloudwatch", REGION)
    alarms.put_metric_alarm(
        AlarmName="canaryAlerm",
        Namespace="CloudWatchSynthetics",
        MetricName="SuccessPercent",
        Dimensions=[{"Name": "CanaryName", "Value": "teller"}],
        Statistic="Average",
        Period=60,
        EvaluationPeriods=2,
        DatapointsToAlarm=2,
        ComparisonOperator="LessThanThreshold",
        Threshold=100,
    )

    def state() -> Any:
        return alarms.describe_alarms(AlarmNames=["canaryAlerm"])["MetricAlarms"][0]

    assert until(lambda: state()["StateValue"] == "OK")
    healthy[0], broken_s = False, clock.now_s()
    assert until(lambda: state()["StateValue"] == "ALARM")
    assert 60 <= state()["StateTransitionedTimestamp"].timestamp() - broken_s <= 190


def test_a_schedule_that_is_not_played_is_refused(server: AwsServer, runner: CanaryRunner) -> None:
    """A cron schedule is refused with a sentence, not ignored."""
    with pytest.raises(ClientError, match="plays rate"):
        canary(server, Schedule={"Expression": "cron(0 * * * ? *)"})
