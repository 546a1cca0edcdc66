"""Alarms live: they are evaluated each lab minute, keep a history and tell EventBridge."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lab.aws.cloudwatch import AlarmEngine
from lab.aws.events import Events
from lab.aws.functions import Functions
from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.truth import Truth

REGION = "us-west-2"
DIMENSIONS = [{"Name": "CanaryName", "Value": "teller"}]


@pytest.fixture
def engine(server: AwsServer, clock: LabClock, truth: Truth) -> Iterator[AlarmEngine]:
    events = Events(server, clock, truth)
    alarms = AlarmEngine(server, clock, truth)
    for part in (events, alarms):
        part.start()
    yield alarms
    for part in (alarms, events):
        part.stop()


def cloudwatch(server: AwsServer) -> Any:
    return server.client("cloudwatch", REGION)


def put_alarm(server: AwsServer, **more: Any) -> None:
    settings: dict[str, Any] = {
        "AlarmName": "canary",
        "Namespace": "CloudWatchSynthetics",
        "MetricName": "SuccessPercent",
        "Dimensions": DIMENSIONS,
        "Statistic": "Average",
        "Period": 60,
        "EvaluationPeriods": 2,
        "DatapointsToAlarm": 2,
        "ComparisonOperator": "LessThanThreshold",
        "Threshold": 100,
        "TreatMissingData": "missing",
    }
    cloudwatch(server).put_metric_alarm(**(settings | more))


def put(server: AwsServer, value: float, at: datetime, **more: Any) -> None:
    datum = {"MetricName": "SuccessPercent", "Dimensions": DIMENSIONS, "Timestamp": at, "Value": value, **more}
    cloudwatch(server).put_metric_data(Namespace="CloudWatchSynthetics", MetricData=[datum])


def alarm(server: AwsServer) -> Any:
    return cloudwatch(server).describe_alarms(AlarmNames=["canary"])["MetricAlarms"][0]


def until(true: Callable[[], bool], wall_s: float = 8.0) -> bool:
    deadline = time.monotonic() + wall_s
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()


def feed(server: AwsServer, clock: LabClock, value: float, state: str) -> None:
    """Put one datum per lab minute until the alarm shows `state`."""

    def step() -> bool:
        put(server, value, clock.now())
        return bool(alarm(server)["StateValue"] == state)

    assert until(step)


def updates(server: AwsServer, **more: Any) -> list[Any]:
    answer = cloudwatch(server).describe_alarm_history(AlarmName="canary", HistoryItemType="StateUpdate", **more)
    return list(answer["AlarmHistoryItems"])


def test_a_new_alarm_has_insufficient_data(server: AwsServer, engine: AlarmEngine, clock: LabClock) -> None:
    """An alarm begins in INSUFFICIENT_DATA, dated in lab time."""
    put_alarm(server)
    found = alarm(server)
    assert (found["StateValue"], found["StateReason"]) == ("INSUFFICIENT_DATA", "Unchecked: Initial alarm creation")
    assert abs((found["StateUpdatedTimestamp"] - clock.now()).total_seconds()) < 60


def test_an_alarm_follows_its_metric(server: AwsServer, engine: AlarmEngine, clock: LabClock) -> None:
    """Good data makes it OK; two bad minutes make it ALARM, not one; the reason names the datapoints."""
    put_alarm(server)
    feed(server, clock, 100.0, "OK")
    broken = clock.now_s()
    feed(server, clock, 0.0, "ALARM")
    found = alarm(server)
    changed = found["StateTransitionedTimestamp"].timestamp()
    # Average: a minute with one bad datum is below 100. Two whole minutes plus the evaluation's delay.
    assert 60 <= changed - broken <= 200
    assert found["StateReason"].startswith("Threshold Crossed: 2 out of the last 2 datapoints [")
    data = json.loads(found["StateReasonData"])
    assert len(data["recentDatapoints"]) == 2
    assert all(value < 100 for value in data["recentDatapoints"])


def test_an_alarm_runs_out_of_data(server: AwsServer, engine: AlarmEngine, clock: LabClock) -> None:
    """With missing data treated as missing, an alarm whose metric stops ends in INSUFFICIENT_DATA."""
    put_alarm(server)
    feed(server, clock, 100.0, "OK")
    assert until(lambda: alarm(server)["StateValue"] == "INSUFFICIENT_DATA")


def test_history_lists_state_updates(server: AwsServer, engine: AlarmEngine, clock: LabClock) -> None:
    """DescribeAlarmHistory returns the changes, newest first, with old and new state, and pages."""
    put_alarm(server)
    feed(server, clock, 100.0, "OK")
    feed(server, clock, 0.0, "ALARM")
    newest, oldest = updates(server)
    assert oldest["HistorySummary"] == "Alarm updated from INSUFFICIENT_DATA to OK"
    data = json.loads(newest["HistoryData"])
    assert (data["oldState"]["stateValue"], data["newState"]["stateValue"]) == ("OK", "ALARM")
    assert data["newState"]["stateReasonData"]["threshold"] == 100
    assert newest["Timestamp"] - alarm(server)["StateTransitionedTimestamp"] < timedelta(seconds=5)
    paginator = cloudwatch(server).get_paginator("describe_alarm_history")
    pages = paginator.paginate(AlarmName="canary", PaginationConfig={"PageSize": 1})
    kinds = [item["HistoryItemType"] for page in pages for item in page["AlarmHistoryItems"]]
    assert kinds == ["StateUpdate", "StateUpdate", "ConfigurationUpdate"]
    assert updates(server, ScanBy="TimestampAscending")[0]["HistorySummary"] == oldest["HistorySummary"]


def test_a_change_of_state_is_an_event(server: AwsServer, engine: AlarmEngine, clock: LabClock) -> None:
    """OK -> ALARM reaches a rule that asks for exactly that, even with actions disabled; other changes do not."""
    functions = Functions(server, clock)
    functions.start()
    seen: list[Any] = []
    arn = functions.register(REGION, "listener", lambda event, _context: seen.append(event))
    pattern = {
        "source": ["aws.cloudwatch"],
        "detail-type": ["CloudWatch Alarm State Change"],
        "detail": {"state": {"value": ["ALARM"]}, "previousState": {"value": ["OK"]}, "alarmName": ["canary"]},
    }
    rules = server.client("events", REGION)
    rules.put_rule(Name="failover", EventPattern=json.dumps(pattern))
    rules.put_targets(Rule="failover", Targets=[{"Id": "1", "Arn": arn}])
    put_alarm(server, ActionsEnabled=False)
    feed(server, clock, 100.0, "OK")
    feed(server, clock, 0.0, "ALARM")
    assert until(lambda: bool(seen))
    (event,) = seen
    assert event["resources"] == [f"arn:aws:cloudwatch:{REGION}:{server.account}:alarm:canary"]
    stat = event["detail"]["configuration"]["metrics"][0]["metricStat"]
    assert stat["metric"]["dimensions"] == {"CanaryName": "teller"}
    functions.stop()


def test_set_alarm_state_lasts_until_the_next_evaluation(
    server: AwsServer, engine: AlarmEngine, clock: LabClock
) -> None:
    """SetAlarmState changes the state at once, is in the history, and the next evaluation puts it right."""
    put_alarm(server)
    feed(server, clock, 100.0, "OK")
    cloudwatch(server).set_alarm_state(AlarmName="canary", StateValue="ALARM", StateReason="drill")
    assert updates(server)[0]["HistorySummary"] == "Alarm updated from OK to ALARM"
    feed(server, clock, 100.0, "OK")


def test_a_changed_alarm_keeps_its_state(server: AwsServer, engine: AlarmEngine) -> None:
    """PutMetricAlarm on an existing alarm changes its settings, not its state."""
    put_alarm(server, TreatMissingData="ignore")
    cloudwatch(server).set_alarm_state(AlarmName="canary", StateValue="OK", StateReason="test")
    put_alarm(server, Threshold=50, TreatMissingData="ignore")
    assert (alarm(server)["StateValue"], alarm(server)["Threshold"]) == ("OK", 50)


def test_describe_alarms_filters_by_name_and_state_together(server: AwsServer, engine: AlarmEngine) -> None:
    """AlarmNames and StateValue both apply, as the initiator's check relies on."""
    put_alarm(server)
    put_alarm(server, AlarmName="other")
    cloudwatch(server).set_alarm_state(AlarmName="other", StateValue="ALARM", StateReason="test")
    ask = cloudwatch(server).describe_alarms
    assert ask(AlarmNames=["canary"], StateValue="ALARM")["MetricAlarms"] == []
    assert len(ask(AlarmNames=["other"], StateValue="ALARM")["MetricAlarms"]) == 1
    assert len(ask(MaxRecords=1)["MetricAlarms"]) == 1
    assert [
        a["AlarmName"]
        for page in cloudwatch(server).get_paginator("describe_alarms").paginate(PaginationConfig={"PageSize": 1})
        for a in page["MetricAlarms"]
    ] == ["canary", "other"]


def test_an_alarm_action_reaches_sns(server: AwsServer, engine: AlarmEngine) -> None:
    """An enabled SNS action delivers the alarm's message."""
    sns, sqs = server.client("sns", REGION), server.client("sqs", REGION)
    topic = sns.create_topic(Name="ops")["TopicArn"]
    url = sqs.create_queue(QueueName="ops")["QueueUrl"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:{server.account}:ops")
    put_alarm(server, AlarmActions=[topic])
    cloudwatch(server).set_alarm_state(AlarmName="canary", StateValue="ALARM", StateReason="test")
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert json.loads(json.loads(message["Body"])["Message"])["NewStateValue"] == "ALARM"


def test_metric_data_is_aligned_to_the_period(server: AwsServer, engine: AlarmEngine) -> None:
    """GetMetricData and GetMetricStatistics return whole minutes, whatever StartTime says."""
    noon = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
    for second, value in ((10, 0.0), (50, 100.0), (70, 100.0)):
        put(server, value, noon + timedelta(seconds=second))
    window = {"StartTime": noon + timedelta(seconds=5), "EndTime": noon + timedelta(minutes=3)}
    metric = {"Namespace": "CloudWatchSynthetics", "MetricName": "SuccessPercent", "Dimensions": DIMENSIONS}
    stats = cloudwatch(server).get_metric_statistics(**metric, **window, Period=60, Statistics=["Average"])
    points = sorted((point["Timestamp"], point["Average"]) for point in stats["Datapoints"])
    assert points == [(noon, 50.0), (noon + timedelta(minutes=1), 100.0)]
    query = {"Id": "m", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Average"}}
    data = cloudwatch(server).get_metric_data(MetricDataQueries=[query], **window, ScanBy="TimestampAscending")
    (series,) = data["MetricDataResults"]
    assert list(zip(series["Timestamps"], series["Values"], strict=True)) == points


def test_a_datum_without_a_timestamp_is_dated_in_lab_time(
    server: AwsServer, engine: AlarmEngine, clock: LabClock
) -> None:
    """PutMetricData without a Timestamp counts for the lab minute in which it arrives."""
    before = clock.now()
    cloudwatch(server).put_metric_data(Namespace="n", MetricData=[{"MetricName": "m", "Value": 7}])
    window = {"StartTime": before - timedelta(minutes=1), "EndTime": clock.now() + timedelta(minutes=1)}
    query = {"Id": "m", "MetricStat": {"Metric": {"Namespace": "n", "MetricName": "m"}, "Period": 60, "Stat": "Sum"}}
    series = cloudwatch(server).get_metric_data(MetricDataQueries=[query], **window)["MetricDataResults"][0]
    assert series["Values"] == [7]
    assert before - timedelta(minutes=1) <= series["Timestamps"][0] <= clock.now()
