"""What CloudWatch says about an alarm: state reasons, history data, EventBridge details, SNS messages.

Wordings and shapes follow CloudWatch's published event reference and the answers of DescribeAlarmHistory.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.models import Alarm

from lab.aws.alarm_rules import AlarmRule, State
from lab.clock import LabClock


def epoch(date: datetime) -> float:
    """Seconds since 1970-01-01; a naive date (moto's) is UTC."""
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def event_time(date: datetime) -> str:
    """A date as alarm events spell it: milliseconds and +0000."""
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return aware.strftime("%Y-%m-%dT%H:%M:%S.") + f"{aware.microsecond // 1000:03d}+0000"


Point = tuple[float, float | None, int]
"""Start of a period (lab seconds since the epoch), statistic, sample count."""


def state_reason(
    alarm: Alarm, rule: AlarmRule, state: State, points: list[Point], clock: LabClock
) -> tuple[str, str]:
    """StateReason and StateReasonData in CloudWatch's wording."""
    values = [value for _, value, _ in points if value is not None]
    data = {
        "version": "1.0",
        "queryDate": event_time(clock.now()),
        "statistic": alarm.statistic,
        "period": int(alarm.period),
        "recentDatapoints": values,
        "threshold": rule.threshold,
        "evaluatedDatapoints": [
            {"timestamp": _start(start_s), "sampleCount": float(count), "value": value}
            for start_s, value, count in reversed(points)
        ],
    }
    if points:
        data["startDate"] = _start(points[0][0])
    return _sentence(rule, state, points), json.dumps(data)


def _start(start_s: float) -> str:
    return event_time(datetime.fromtimestamp(start_s, UTC))


def _sentence(rule: AlarmRule, state: State, points: list[Point]) -> str:
    if state == "INSUFFICIENT_DATA":
        return f"Insufficient Data: {rule.evaluation_periods} datapoints were unknown."
    if not points:
        treated = "Breaching" if state == "ALARM" else "NonBreaching"
        periods = f"{rule.evaluation_periods} periods"
        return f"Threshold Crossed: no datapoints were received for {periods} and treated as [{treated}]."
    shown = [point for point in points if rule.breaches(point[1] or 0.0) == (state == "ALARM")] or points
    listed = ", ".join(
        f"{value} ({datetime.fromtimestamp(start_s, UTC):%d/%m/%y %H:%M:%S})" for start_s, value, _ in reversed(shown)
    )
    verb = "was" if len(shown) == 1 else "were"
    negation = "" if state == "ALARM" else " not"
    needed, way = rule.datapoints_to_alarm, "OK -> ALARM"
    if state == "OK":
        needed, way = rule.evaluation_periods - rule.datapoints_to_alarm + 1, "ALARM -> OK"
    noun = "datapoint" if needed == 1 else "datapoints"
    return (
        f"Threshold Crossed: {len(shown)} out of the last {len(points)} datapoints [{listed}] {verb}{negation} "
        f"{rule.words} the threshold ({rule.threshold}) (minimum {needed} {noun} for {way} transition)."
    )


def history_data(before: dict[str, Any], alarm: Alarm) -> str:
    """HistoryData of a StateUpdate: old and new state, JSON text."""

    def side(value: str, reason: str, data: str) -> dict[str, Any]:
        parsed = json.loads(data or "{}")
        return {"stateValue": value, "stateReason": reason} | ({"stateReasonData": parsed} if parsed else {})

    old = side(before["value"], before["reason"], before["reasonData"])
    new = side(alarm.state_value, alarm.state_reason, alarm.state_reason_data)
    return json.dumps({"version": "1.0", "oldState": old, "newState": new})


def event_detail(alarm: Alarm, before: dict[str, Any]) -> dict[str, Any]:
    """Shape: the event reference of CloudWatch for a single-metric alarm."""
    state = {
        "value": alarm.state_value,
        "reason": alarm.state_reason,
        "reasonData": alarm.state_reason_data,
        "timestamp": event_time(alarm.state_updated_timestamp),
    }
    metric = {
        "namespace": alarm.namespace,
        "name": alarm.metric_name,
        "dimensions": {dimension.name: dimension.value for dimension in alarm.dimensions},
    }
    stat = {"metric": metric, "period": int(alarm.period or 0), "stat": alarm.statistic}
    configuration: dict[str, Any] = {"metrics": [{"id": "m1", "metricStat": stat, "returnData": True}]}
    if alarm.description:
        configuration |= {"description": alarm.description}
    old = {key: value for key, value in before.items() if value and value != "{}"}
    return {"alarmName": alarm.name, "configuration": configuration, "previousState": old, "state": state}


def sns_message(alarm: Alarm, before: dict[str, Any], account: str) -> dict[str, Any]:
    """The message that an alarm action publishes to a topic."""
    return {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": account,
        "NewStateValue": alarm.state_value,
        "NewStateReason": alarm.state_reason,
        "StateChangeTime": event_time(alarm.state_updated_timestamp),
        "Region": alarm.region_name,
        "AlarmArn": alarm.alarm_arn,
        "OldStateValue": before["value"],
    }
