"""EventBridge that lives: rules of moto's buses deliver to their targets, asynchronously and only when enabled.

moto stores rules and matches patterns, but ignores a rule's State, lets schedule-only rules match every event,
and answers PutEvents with a 500 when a target's kind is unknown to it. Here matching stays moto's; routing and
delivery are ours.

Delivery is at least once, as EventBridge promises: `duplicate_deliveries` above 1 shows what that means for a
target. A delivery that fails is recorded in `failures` and not tried again (AWS retries for up to 24 hours; no
drill waits for that).
"""

from __future__ import annotations

import copy
import json
import queue
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError
from jsonpath_ng.ext.parser import parse as parse_jsonpath
from moto.backends import get_backend
from moto.core.exceptions import ServiceException
from moto.events.models import Rule
from moto.events.utils import EventTemplateParser
from moto.utilities.arns import parse_arn

from lab.aws.patching import replace
from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.truth import Truth

WORKERS = 4
MAX_WAITING = 10_000
"""Deliveries that may wait; beyond that a delivery counts as failed."""
KEPT_FAILURES = 1_000

_moto_send = Rule.send_to_targets
_live: Events | None = None


@dataclass(frozen=True)
class ServiceEvent:
    """An event that an AWS service itself puts on the default bus of a Region."""

    region: str
    source: str
    detail_type: str
    detail: Mapping[str, object]
    resources: tuple[str, ...] = ()


@dataclass(frozen=True)
class FailedDelivery:
    """One delivery that did not succeed; `at_lab_s` is lab seconds since the epoch."""

    rule: str
    target_arn: str
    event_id: str
    error: str
    at_lab_s: float


@dataclass(frozen=True)
class _Delivery:
    rule: Rule
    target: Mapping[str, Any]
    event: dict[str, Any] = field(repr=False)
    due_lab_s: float


def iso(lab_s: float) -> str:
    """A lab instant (seconds since the epoch) as an event's `time`: whole seconds, Z."""
    return datetime.fromtimestamp(lab_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def publish(account: str, clock: LabClock, event: ServiceEvent) -> str:
    """Put a service's own event on the default bus of its Region; returns the event's id.

    Goes beside PutEvents, as real services do: PutEvents refuses sources that begin with "aws.".
    """
    event_id = str(uuid4())
    message: Any = {
        "version": "0",
        "id": event_id,
        "detail-type": event.detail_type,
        "source": event.source,
        "account": account,
        "time": iso(clock.now_s()),
        "region": event.region,
        "resources": list(event.resources),
        "detail": json.loads(json.dumps(event.detail)),
    }
    bus = get_backend("events")[account][event.region].describe_event_bus("default")
    for rule in list(bus.rules.values()):
        rule.send_to_targets(copy.deepcopy(message))
    return event_id


class Events:
    """Delivers matched events to Step Functions, Lambda, SNS, SQS and whatever moto itself can deliver to.

    delivery_s: declared delay (lab seconds) between an event and its delivery.
    duplicate_deliveries: how often each target gets each event.
    """

    def __init__(self, server: AwsServer, clock: LabClock, truth: Truth, delivery_s: float = 0.5) -> None:
        self._server = server
        self._clock = clock
        self._truth = truth
        self._delivery_s = delivery_s
        self._waiting: queue.Queue[_Delivery | None] = queue.Queue(MAX_WAITING)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.duplicate_deliveries = 1
        self.failures: deque[FailedDelivery] = deque(maxlen=KEPT_FAILURES)

    def start(self) -> None:
        """Take over the delivery of every bus in this process."""
        global _live  # noqa: PLW0603 (moto's rules are global to the process, so is who serves them)
        _live = self
        replace(Rule, "send_to_targets", _send_to_targets)
        for number in range(WORKERS):
            thread = threading.Thread(target=self._work, name=f"events-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Stop delivering; what still waits is dropped."""
        global _live  # noqa: PLW0603
        if _live is self:
            _live = None
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=2.0)

    def route(self, rule: Rule, event: Mapping[str, Any]) -> None:
        """Queue `event` for the targets of `rule` if the rule is enabled and matches; never raises for a target."""
        if rule.state == "DISABLED" or not rule.event_pattern.get_pattern():
            return
        message: Any = _as_delivered(event, self._clock)
        if not rule.event_pattern.matches_event(message):
            return
        self._truth.record("rule_matched", rule=rule.name, region=rule.region_name, event_id=message["id"])
        due = self._clock.now_s() + self._delivery_s
        for target in list(rule.targets):
            for _ in range(self.duplicate_deliveries):
                self._enqueue(_Delivery(rule, target, message, due))

    def _enqueue(self, delivery: _Delivery) -> None:
        try:
            self._waiting.put_nowait(delivery)
        except queue.Full:
            self._failed(delivery, f"more than {MAX_WAITING} deliveries waiting")

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                delivery = self._waiting.get(timeout=0.5)
            except queue.Empty:
                continue
            if delivery is not None:
                self._deliver(delivery)

    def _deliver(self, delivery: _Delivery) -> None:
        if self._clock.wait(self._stop, delivery.due_lab_s - self._clock.now_s()):
            return
        late_s = self._clock.now_s() - delivery.due_lab_s
        self._truth.took("event delivery", self._delivery_s, self._delivery_s + late_s)
        try:
            _DELIVER.get(parse_arn(delivery.target["Arn"]).service, _by_moto)(self._server, delivery)
        except (ClientError, BotoCoreError, ServiceException, LookupError, ValueError, NotImplementedError) as error:
            self._failed(delivery, f"{type(error).__name__}: {error}")

    def _failed(self, delivery: _Delivery, error: str) -> None:
        arn = delivery.target["Arn"]
        failed = FailedDelivery(delivery.rule.name, arn, delivery.event["id"], error, self._clock.now_s())
        self.failures.append(failed)
        self._truth.record("event_delivery_failed", rule=failed.rule, target=arn, error=error)


def _send_to_targets(rule: Rule, original_event: Any, transform_input: bool = True) -> None:
    if _live is None:
        _moto_send(rule, original_event, transform_input)
    else:
        _live.route(rule, original_event)


def _as_delivered(event: Mapping[str, Any], clock: LabClock) -> dict[str, Any]:
    """The event as a target sees it: moto carries `time` as a number and an ingestion time of its own."""
    message = {key: value for key, value in event.items() if key != "ingestion-time"}
    if not isinstance(message.get("time"), str):
        message["time"] = iso(float(message.get("time") or clock.now_s()))
    return message


def target_input(target: Mapping[str, Any], event: Mapping[str, Any]) -> str:
    """The JSON text that a target receives: Input, InputPath, InputTransformer, or the whole event.

    Raises LookupError when InputPath selects nothing.
    """
    if target.get("Input"):
        return str(target["Input"])
    if target.get("InputPath"):
        found = parse_jsonpath(target["InputPath"]).find(event)
        if not found:
            raise LookupError(f"InputPath {target['InputPath']} selects nothing in the event")
        return json.dumps(found[0].value)
    transformer = target.get("InputTransformer")
    if transformer:
        stamped: Any = {**event, "ingestion-time": event["time"]}
        paths = transformer.get("InputPathsMap", {})
        return json.dumps(EventTemplateParser.parse(transformer["InputTemplate"], paths, stamped))
    return json.dumps(event)


def _to_step_functions(server: AwsServer, delivery: _Delivery) -> None:
    arn = delivery.target["Arn"]
    # EventBridge names the execution after the event and one id of its own per delivery, so a duplicate
    # delivery starts a second execution.
    server.client("stepfunctions", parse_arn(arn).region).start_execution(
        stateMachineArn=arn,
        name=f"{delivery.event['id']}_{uuid4()}",
        input=target_input(delivery.target, delivery.event),
    )


def _to_lambda(server: AwsServer, delivery: _Delivery) -> None:
    arn = delivery.target["Arn"]
    server.client("lambda", parse_arn(arn).region).invoke(
        FunctionName=arn, InvocationType="Event", Payload=target_input(delivery.target, delivery.event)
    )


def _to_sns(server: AwsServer, delivery: _Delivery) -> None:
    arn = delivery.target["Arn"]
    client = server.client("sns", parse_arn(arn).region)
    client.publish(TopicArn=arn, Message=target_input(delivery.target, delivery.event))


def _to_sqs(server: AwsServer, delivery: _Delivery) -> None:
    arn = parse_arn(delivery.target["Arn"])
    client = server.client("sqs", arn.region)
    url = client.get_queue_url(QueueName=arn.resource_id)["QueueUrl"]
    group = delivery.target.get("SqsParameters", {}).get("MessageGroupId")
    fifo = {"MessageGroupId": group, "MessageDeduplicationId": delivery.event["id"]} if group else {}
    client.send_message(QueueUrl=url, MessageBody=target_input(delivery.target, delivery.event), **fifo)


def _by_moto(_server: AwsServer, delivery: _Delivery) -> None:
    """Logs, archives, other buses, API destinations: moto's own way, one target at a time."""
    rule = copy.copy(delivery.rule)
    rule.targets = [dict(delivery.target)]
    stamp = datetime.fromisoformat(delivery.event["time"]).timestamp()
    event: Any = {**delivery.event, "time": stamp, "ingestion-time": stamp}
    _moto_send(rule, event)


_DELIVER: dict[str, Callable[[AwsServer, _Delivery], None]] = {
    "states": _to_step_functions,
    "lambda": _to_lambda,
    "sns": _to_sns,
    "sqs": _to_sqs,
}
