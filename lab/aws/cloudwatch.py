"""CloudWatch that lives: alarms are evaluated each lab minute, have a history, and tell EventBridge and SNS.

moto keeps metric data and alarms; it never evaluates one. `AlarmEngine` evaluates every metric alarm by
`alarm_rules`, a declared small delay after each full minute, over whole periods aligned to the period (CloudWatch
evaluates once a minute for periods of 60 s and more). Composite and metric-math alarms are stored and left alone.
"""

from __future__ import annotations

import json
import logging
import math
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from botocore.exceptions import BotoCoreError, ClientError
from moto.backends import get_backend
from moto.cloudwatch.models import Alarm, CloudWatchBackend, Statistics
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult
from moto.utilities.arns import parse_arn

from lab.aws import events
from lab.aws.alarm_rules import AlarmRule, State, evaluate, evaluated
from lab.aws.alarm_texts import epoch, event_detail, event_time, history_data, sns_message, state_reason
from lab.aws.patching import add, replace
from lab.aws.server import AwsError, AwsServer
from lab.clock import LabClock
from lab.truth import Truth

MINUTE_S = 60.0
KEPT_HISTORY = 1_000
KEPT_DATA = 20_000
"""Metric data kept per Region, so that a lab that stays up does not grow for ever (newest stay)."""
HISTORY_PAGE = 100

log = logging.getLogger(__name__)
_live: AlarmEngine | None = None
_alarm_init = Alarm.__init__
_moto_update_state = Alarm.update_state
_put_metric_alarm = CloudWatchBackend.put_metric_alarm
_get_metric_data = CloudWatchBackend.get_metric_data


@dataclass(frozen=True)
class HistoryItem:
    """One line of an alarm's history; `data` is JSON text as DescribeAlarmHistory returns it."""

    at: datetime
    kind: str
    summary: str
    data: str


class AlarmEngine:
    """Evaluates all metric alarms of all Regions once per lab minute.

    delay_s: declared lag (lab seconds) between the end of a minute and its evaluation: metrics take time to arrive.
    """

    def __init__(self, server: AwsServer, clock: LabClock, truth: Truth, delay_s: float = 5.0) -> None:
        self._server = server
        self._clock = clock
        self._truth = truth
        self._delay_s = delay_s
        self._stop = threading.Event()
        self._lock = threading.RLock()
        self._thread = threading.Thread(target=self._run, name="alarms", daemon=True)
        self._history: dict[str, deque[HistoryItem]] = {}

    def start(self) -> None:
        """Begin to evaluate; new alarms start in INSUFFICIENT_DATA from now on."""
        global _live  # noqa: PLW0603 (moto's backends are global to the process, so is who serves them)
        _live = self
        _patch()
        self._thread.start()

    def stop(self) -> None:
        """Stop evaluating; returns when the thread has ended (at most a few wall seconds)."""
        global _live  # noqa: PLW0603
        self._stop.set()
        self._thread.join(timeout=5.0)
        if _live is self:
            _live = None

    def _run(self) -> None:
        minute_s = math.floor(self._clock.now_s() / MINUTE_S) * MINUTE_S
        while not self._stop.is_set():
            minute_s += MINUTE_S
            due_s = minute_s + self._delay_s
            if self._clock.wait(self._stop, due_s - self._clock.now_s()):
                return
            self._truth.took("alarm evaluation", self._delay_s, self._clock.now_s() - minute_s)
            self.evaluate_all(minute_s)
            # After a stall the missed minutes are skipped, not caught up with: CloudWatch looks at now.
            minute_s = max(minute_s, math.floor((self._clock.now_s() - self._delay_s) / MINUTE_S) * MINUTE_S)

    def evaluate_all(self, end_s: float) -> None:
        """Evaluate every alarm over periods that end at or before `end_s` (lab seconds since the epoch)."""
        for backend in list(get_backend("cloudwatch")[self._server.account].values()):
            del backend.metric_data[:-KEPT_DATA]
            for alarm in list(backend.alarms.values()):
                if not (alarm.metric_name and alarm.statistic and alarm.rule is None):
                    continue
                try:
                    self._evaluate(backend, alarm, end_s)
                except ValueError:
                    # moto accepts settings that CloudWatch would refuse; the other alarms must go on.
                    log.exception("alarm %s in %s cannot be evaluated", alarm.name, alarm.region_name)

    def _evaluate(self, backend: CloudWatchBackend, alarm: Alarm, end_s: float) -> None:
        rule = rule_of(alarm)
        starts = period_starts(end_s, float(alarm.period), rule.range_periods)
        stats = [statistic(backend, alarm, start_s) for start_s in starts]
        with self._lock:
            state = evaluate(rule, [value for value, _ in stats], cast(State, alarm.state_value))
            if state != alarm.state_value:
                points = evaluated(rule, [value for value, _ in stats])
                reason, data = state_reason(alarm, rule, state, [(starts[i], *stats[i]) for i in points], self._clock)
                self.set_state(alarm, state, reason, data)

    def set_state(self, alarm: Any, state: str, reason: str, data: str | None) -> None:
        """Put an alarm into `state` (evaluation or SetAlarmState); a real change is told to the world."""
        with self._lock:
            before = {"value": alarm.state_value, "reason": alarm.state_reason, "reasonData": alarm.state_reason_data}
            before["timestamp"] = event_time(alarm.state_updated_timestamp)
            now = self._clock.now().replace(tzinfo=None)
            alarm.state_value, alarm.state_reason = state, reason
            alarm.state_reason_data = data or "{}"
            alarm.state_updated_timestamp = now
            if before["value"] == state:
                return
            alarm.state_transitioned_timestamp = now
        summary = f"Alarm updated from {before['value']} to {state}"
        self.note(alarm, "StateUpdate", summary, history_data(before, alarm))
        self._truth.record("alarm", name=alarm.name, region=alarm.region_name, state=state, before=before["value"])
        self._tell(alarm, before)

    def note(self, alarm: Alarm, kind: str, summary: str, data: str) -> None:
        """Append one line to the alarm's history."""
        items = self._history.setdefault(alarm.alarm_arn, deque(maxlen=KEPT_HISTORY))
        items.append(HistoryItem(self._clock.now(), kind, summary, data))

    def history(self, backend: CloudWatchBackend, name: str | None) -> list[tuple[Alarm, HistoryItem]]:
        """All kept history of one alarm, or of all alarms of a Region, oldest first."""
        alarms = [alarm for alarm in list(backend.alarms.values()) if name in (None, alarm.name)]
        found = [(alarm, item) for alarm in alarms for item in self._history.get(alarm.alarm_arn, ())]
        return sorted(found, key=lambda pair: pair[1].at)

    def _tell(self, alarm: Alarm, before: dict[str, Any]) -> None:
        event = events.ServiceEvent(
            region=alarm.region_name,
            source="aws.cloudwatch",
            detail_type="CloudWatch Alarm State Change",
            detail=event_detail(alarm, before),
            resources=(alarm.alarm_arn,),
        )
        # The event goes out whether or not actions are enabled: ActionsEnabled is about AlarmActions only.
        events.publish(self._server.account, self._clock, event)
        if alarm.actions_enabled:
            self._act(alarm, before)

    def _act(self, alarm: Alarm, before: dict[str, Any]) -> None:
        actions = {"ALARM": alarm.alarm_actions, "OK": alarm.ok_actions}
        for arn in actions.get(alarm.state_value, alarm.insufficient_data_actions):
            if parse_arn(arn).service != "sns":
                self.note(
                    alarm, "Action", f"Failed to execute action {arn}", json.dumps({"error": "not played here"})
                )
                continue
            self._notify(alarm, before, arn)

    def _notify(self, alarm: Alarm, before: dict[str, Any], arn: str) -> None:
        message = json.dumps(sns_message(alarm, before, self._server.account))
        subject = f'{alarm.state_value}: "{alarm.name}" in {alarm.region_name}'
        try:
            client = self._server.client("sns", parse_arn(arn).region)
            client.publish(TopicArn=arn, Message=message, Subject=subject[:100])
        except (ClientError, BotoCoreError) as error:
            self.note(alarm, "Action", f"Failed to execute action {arn}", json.dumps({"error": str(error)}))
        else:
            self.note(
                alarm, "Action", f"Successfully executed action {arn}", json.dumps({"notificationResource": arn})
            )


def rule_of(alarm: Alarm) -> AlarmRule:
    """The rule of a stored alarm; DatapointsToAlarm defaults to EvaluationPeriods, as in CloudWatch."""
    periods = int(alarm.evaluation_periods)
    # CloudWatch ignores missing data of DynamoDB's metrics, whatever the alarm says.
    dynamodb = alarm.namespace == "AWS/DynamoDB"
    return AlarmRule(
        comparison=alarm.comparison_operator,
        threshold=float(alarm.threshold),
        evaluation_periods=periods,
        datapoints_to_alarm=int(alarm.datapoints_to_alarm or periods),
        treat_missing=cast(Any, "ignore" if dynamodb else alarm.treat_missing_data or "missing"),
    )


def period_starts(end_s: float, period_s: float, count: int) -> list[float]:
    """The begins of the last `count` whole periods at `end_s`, oldest first (lab seconds since the epoch)."""
    last_end = math.floor(end_s / period_s) * period_s
    return [last_end - period_s * back for back in range(count, 0, -1)]


def statistic(backend: CloudWatchBackend, alarm: Alarm, start_s: float) -> tuple[float | None, int]:
    """The alarm's statistic over the period that begins at `start_s`, and its sample count."""
    end_s = start_s + float(alarm.period)
    found = [
        datum
        for datum in backend.metric_data
        if datum.namespace == alarm.namespace
        and datum.name == alarm.metric_name
        and start_s <= epoch(datum.timestamp) < end_s
        and _same_dimensions(datum.dimensions, alarm.dimensions)
    ]
    stats = Statistics([alarm.statistic], datetime.fromtimestamp(start_s, UTC))
    stats.metric_data = found
    value = stats.get_statistics_for_type(alarm.statistic) if found else None
    return (None if value is None else float(value)), int(stats.calc_sample_count())


def _same_dimensions(one: Sequence[Any], other: Sequence[Any]) -> bool:
    key = lambda dimension: (dimension.name, dimension.value)  # noqa: E731
    return sorted(map(key, one)) == sorted(map(key, other))


# --- API


def _patch() -> None:
    replace(Alarm, "__init__", _initial_state)
    replace(Alarm, "update_state", _update_state)
    replace(CloudWatchBackend, "put_metric_alarm", _put_keeping_state)
    replace(CloudWatchBackend, "get_metric_data", _aligned_metric_data)
    replace(CloudWatchBackend, "get_metric_statistics", _aligned_statistics)
    replace(CloudWatchResponse, "describe_alarms", _describe_alarms)
    add(CloudWatchResponse, "describe_alarm_history", _describe_alarm_history)


def _initial_state(self: Any, *args: Any, **kwargs: Any) -> None:
    _alarm_init(self, *args, **kwargs)
    self.state_value = "INSUFFICIENT_DATA"
    self.state_transitioned_timestamp = self.state_updated_timestamp
    if self.datapoints_to_alarm is not None:
        self.datapoints_to_alarm = int(self.datapoints_to_alarm)


def _update_state(self: Alarm, reason: str, reason_data: str | None, state_value: str) -> None:
    if _live is None:
        _moto_update_state(self, reason, reason_data or "{}", state_value)
    else:
        _live.set_state(self, state_value, reason, reason_data)


def _put_keeping_state(self: CloudWatchBackend, name: str, *args: Any, **kwargs: Any) -> Alarm:
    """A changed alarm keeps its state until the next evaluation, as in CloudWatch."""
    old = self.alarms.get(name)
    alarm = _put_metric_alarm(self, name, *args, **kwargs)
    if old is not None:
        for field in ("value", "reason", "reason_data", "updated_timestamp", "transitioned_timestamp"):
            setattr(alarm, f"state_{field}", getattr(old, f"state_{field}"))
    if _live is not None:
        kind, verb = "ConfigurationUpdate", "updated" if old else "created"
        _live.note(alarm, kind, f'Alarm "{name}" {verb}', json.dumps({"version": "1.0", "type": verb.capitalize()}))
    return alarm


def _aligned_metric_data(self: CloudWatchBackend, queries: Any, start_time: Any, end_time: Any, **kwargs: Any) -> Any:
    """CloudWatch aligns datapoints to the period; moto begins at whatever StartTime says."""
    periods = [int(query["MetricStat"]["Period"]) for query in queries if "MetricStat" in query]
    return _get_metric_data(self, queries, _floor(start_time, min(periods, default=60)), end_time, **kwargs)


def _floor(date: datetime, period_s: int) -> datetime:
    return date - timedelta(seconds=epoch(date) % period_s)


def _aligned_statistics(
    self: CloudWatchBackend,
    namespace: str,
    metric_name: str,
    start_time: datetime,
    end_time: datetime,
    period: int,
    stats: list[str],
    dimensions: list[dict[str, str]],
    unit: str | None = None,
) -> list[Statistics]:
    """Replaces moto's GetMetricStatistics, whose periods begin at the first datum; dimensions match exactly."""
    wanted = sorted((dimension["Name"], dimension["Value"]) for dimension in dimensions)
    found: dict[datetime, Statistics] = {}
    for datum in self.get_all_metrics():
        same = datum.namespace == namespace and datum.name == metric_name and unit in (None, datum.unit)
        inside = epoch(_floor(start_time, period)) <= epoch(datum.timestamp) < epoch(end_time)
        if same and inside and sorted((d.name, d.value) for d in datum.dimensions) == wanted:
            begin = _floor(datum.timestamp, period)
            bucket = found.setdefault(begin, Statistics(stats, begin, datum.unit))
            bucket.metric_data.append(datum)
    return [found[begin] for begin in sorted(found)]


def _describe_alarms(self: CloudWatchResponse) -> ActionResult:
    """All filters of the call apply together; AlarmTypes defaults to metric alarms, as in CloudWatch."""
    names, prefix = self._get_param("AlarmNames"), self._get_param("AlarmNamePrefix")
    state, action = self._get_param("StateValue"), self._get_param("ActionPrefix")
    kinds = self._get_param("AlarmTypes") or ["MetricAlarm"]
    chosen = [
        alarm
        for alarm in sorted(self.cloudwatch_backend.describe_alarms(), key=lambda alarm: str(alarm.name))
        if (not names or alarm.name in names)
        and (not prefix or alarm.name.startswith(prefix))
        and (not state or alarm.state_value == state)
        and (not action or any(arn.startswith(action) for arn in alarm.alarm_actions))
        and ("CompositeAlarm" if alarm.rule else "MetricAlarm") in kinds
    ]
    page, token = _page(chosen, self._get_param("MaxRecords"), self._get_param("NextToken"))
    found = {"MetricAlarms": [a for a in page if not a.rule], "CompositeAlarms": [a for a in page if a.rule]}
    return ActionResult({**found, **token})


def _describe_alarm_history(self: CloudWatchResponse) -> ActionResult:
    if _live is None:
        raise NotImplementedError("DescribeAlarmHistory needs the alarm engine")
    pairs = _live.history(self.cloudwatch_backend, self._get_param("AlarmName"))
    if self._get_param("ScanBy") != "TimestampAscending":
        pairs.reverse()
    kind, start, end = (self._get_param(key) for key in ("HistoryItemType", "StartDate", "EndDate"))
    items = [
        {
            "AlarmName": alarm.name,
            "AlarmType": "CompositeAlarm" if alarm.rule else "MetricAlarm",
            "Timestamp": item.at,
            "HistoryItemType": item.kind,
            "HistorySummary": item.summary,
            "HistoryData": item.data,
        }
        for alarm, item in pairs
        if kind in (None, item.kind)
        and (start is None or epoch(start) <= item.at.timestamp())
        and (end is None or item.at.timestamp() <= epoch(end))
    ]
    page, token = _page(items, self._get_param("MaxRecords"), self._get_param("NextToken"))
    return ActionResult({"AlarmHistoryItems": page, **token})


def _page(items: Iterable[Any], size: int | None, token: str | None) -> tuple[list[Any], dict[str, str]]:
    """One page of `items` and the NextToken entry, empty on the last page."""
    number = (token or "page-0").removeprefix("page-")
    if not number.isdigit():
        raise AwsError("InvalidNextToken", f"Invalid next token: '{token}'")
    everything, start = list(items), int(number)
    end = start + (size or HISTORY_PAGE)
    return everything[start:end], {"NextToken": f"page-{end}"} if end < len(everything) else {}
