"""EventBridge that lives: rules of moto's buses deliver to their targets, asynchronously and only when enabled.

moto stores rules and matches patterns, but ignores a rule's State, lets schedule-only rules match every event,
and answers PutEvents with a 500 when a target's kind is unknown to it. Here matching stays moto's; routing and
delivery are ours.

Delivery is at least once, as EventBridge promises: `duplicate_deliveries` above 1 shows what that means for a
target. A delivery that fails is recorded in `failures`; to another bus and to an HTTP endpoint it is tried again, for
up to 24 lab hours (EventBridge's default retry policy), to other targets not: no drill waits for those.

`impair` makes a Region's buses fall behind: they take every event, and deliver it late, later with each.
"""

from __future__ import annotations

import copy
import http.client
import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError
from jsonpath_ng.ext.parser import parse as parse_jsonpath
from moto.backends import get_backend
from moto.core.exceptions import ServiceException
from moto.events.models import Rule
from moto.events.utils import EventTemplateParser
from moto.utilities.arns import parse_arn

from lab.aws import patching
from lab.aws.due import DueQueue
from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.truth import Truth

WORKERS = 4
MAX_WAITING = 10_000
"""Deliveries that may wait; beyond that a delivery counts as failed."""
KEPT_FAILURES = 1_000
DRAINED_PER_WALL_S = 120.0
"""Deliveries with which a Region that was impaired catches up, and a replay goes on (AWS publishes no rate): of wall
time, as the load's arrivals are, so that how long it takes is the same at each speed; two cores make more."""
RETRY_FIRST_S, RETRY_MOST_S, RETRY_FOR_S = 1.0, 60.0, 24 * 3600.0
"""Pauses between attempts double from the first to the most; attempts end when it is that old (lab seconds)."""
HTTP_TIMEOUT_WALL_S = 5.0
"""EventBridge gives an API destination 5 s; here wall seconds, for it measures this machine."""

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
    taken_lab_s: float
    attempt: int = 1

    @property
    def region(self) -> str:
        """The Region of the bus."""
        return str(self.rule.region_name)

    @property
    def again(self) -> bool:
        """Whether a failed attempt is followed by another."""
        return parse_arn(self.target["Arn"]).resource_type in ("event-bus", "api-destination")


@dataclass
class _Queue:
    """Deliveries one after the other, `pause_s` apart; last_s: when the last one is due, or a first pause begins."""

    last_s: float
    pause_s: float

    def due_s(self, now_s: float) -> float:
        self.last_s = max(self.last_s + self.pause_s, now_s)
        return self.last_s


Invoked = Callable[[str, float, float], None]
"""Told of each first attempt: Region, lab instant at which the bus took the event, lab seconds until the attempt."""


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
    """Delivers matched events to Step Functions, Lambda, SNS, SQS, other buses, HTTP, and what moto can deliver to.

    delivery_s: declared delay (lab seconds) between an event and its delivery.
    duplicate_deliveries: how often each target gets each event.
    """

    def __init__(self, server: AwsServer, clock: LabClock, truth: Truth, delivery_s: float = 0.5) -> None:
        self._server = server
        self._clock = clock
        self._truth = truth
        self._delivery_s = delivery_s
        self._waiting: DueQueue[_Delivery] = DueQueue(clock, MAX_WAITING)
        self._impaired: dict[str, _Queue] = {}
        self._replays: dict[tuple[str, str], _Queue] = {}
        self._impaired_lock = threading.Lock()
        self._invoked: list[Invoked] = []
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.duplicate_deliveries = 1
        self.failures: deque[FailedDelivery] = deque(maxlen=KEPT_FAILURES)

    def start(self) -> None:
        """Take over the delivery of every bus in this process."""
        global _live  # noqa: PLW0603 (moto's rules are global to the process, so is who serves them)
        _live = self
        patching.replace(Rule, "send_to_targets", _send_to_targets)
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

    def watch(self, invoked: Invoked) -> None:
        """Tell `invoked` of every first attempt at a delivery; it must be quick."""
        self._invoked.append(invoked)

    def impair(self, region: str, pause_s: float) -> None:
        """From now on the Region's buses make one delivery each `pause_s` lab seconds, in order; 0: as ever again.

        What has piled up by then is delivered in the same order, DRAINED_PER_WALL_S in a wall second.
        """
        self._truth.record("bus.impaired", region=region, pause_s=pause_s)
        with self._impaired_lock:
            now_s = self._clock.now_s()
            drained = _Queue(now_s, self._clock.speed / DRAINED_PER_WALL_S)
            if pause_s > 0:
                self._impaired[region] = _Queue(now_s, pause_s)
            elif self._impaired.pop(region, None):
                self._waiting.redate(lambda delivery: drained.due_s(now_s) if delivery.region == region else None)

    def _due_s(self, region: str, taken_s: float, replay: str) -> float:
        """When to deliver: at once, after what waits already in an impaired Region, or in the turn of its replay."""
        with self._impaired_lock:
            queue = self._impaired.get(region)
            if queue is None and replay:
                paced = _Queue(taken_s, self._clock.speed / DRAINED_PER_WALL_S)
                queue = self._replays.setdefault((region, replay), paced)
            return queue.due_s(taken_s) if queue else taken_s + self._delivery_s

    def route(self, rule: Rule, event: Mapping[str, Any]) -> None:
        """Queue `event` for the targets of `rule` if the rule is enabled and matches; never raises for a target."""
        if rule.state == "DISABLED" or not rule.event_pattern.get_pattern() or _left_out(rule, event):
            return
        message: Any = _as_delivered(event, self._clock)
        if not rule.event_pattern.matches_event(message):
            return
        self._truth.record("rule_matched", rule=rule.name, region=rule.region_name, event_id=message["id"])
        taken_s = self._clock.now_s()
        for target in list(rule.targets):
            for _ in range(self.duplicate_deliveries):
                due_s = self._due_s(str(rule.region_name), taken_s, str(message.get("replay-name", "")))
                self._enqueue(_Delivery(rule, target, message, taken_s), due_s)

    def _enqueue(self, delivery: _Delivery, due_s: float) -> None:
        if not self._waiting.put(due_s, delivery):
            self._failed(delivery, f"more than {MAX_WAITING} deliveries waiting")

    def _work(self) -> None:
        while (taken := self._waiting.take(self._stop)) is not None:
            due_s, delivery = taken
            self._deliver(delivery, due_s)

    def _deliver(self, delivery: _Delivery, due_s: float) -> None:
        now_s = self._clock.now_s()
        self._truth.took("event delivery", self._delivery_s, self._delivery_s + now_s - due_s)
        if delivery.attempt == 1:
            for invoked in self._invoked:
                invoked(delivery.region, delivery.taken_lab_s, now_s - delivery.taken_lab_s)
        try:
            _DELIVER.get(parse_arn(delivery.target["Arn"]).service, _by_moto)(self._server, delivery)
        except DELIVERY_ERRORS as error:
            self._failed(delivery, f"{type(error).__name__}: {error}")
            self._again(delivery)

    def _again(self, delivery: _Delivery) -> None:
        """Try a failed delivery once more, later each time, unless its target is none that is tried again."""
        pause_s = min(RETRY_MOST_S, RETRY_FIRST_S * 2 ** (delivery.attempt - 1))
        due_s = self._clock.now_s() + pause_s
        if delivery.again and due_s - delivery.taken_lab_s < RETRY_FOR_S:
            self._enqueue(replace(delivery, attempt=delivery.attempt + 1), due_s)

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


def _left_out(rule: Rule, event: Mapping[str, Any]) -> bool:
    """Whether the event comes from a replay whose FilterArns name other rules; moto keeps them and obeys none."""
    name = event.get("replay-name")
    replay = get_backend("events")[rule.account_id][rule.region_name].replays.get(name) if name else None
    only = (replay.destination.get("FilterArns") or []) if replay else []
    return bool(only) and rule.arn not in only


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
    """Logs and archives: moto's own way, one target at a time."""
    rule = copy.copy(delivery.rule)
    rule.targets = [dict(delivery.target)]
    stamp = datetime.fromisoformat(delivery.event["time"]).timestamp()
    event: Any = {**delivery.event, "time": stamp, "ingestion-time": stamp}
    _moto_send(rule, event)


def _to_events(server: AwsServer, delivery: _Delivery) -> None:
    kind = parse_arn(delivery.target["Arn"]).resource_type
    {"event-bus": _to_bus, "api-destination": _to_http}.get(kind or "", _by_moto)(server, delivery)


def _to_bus(server: AwsServer, delivery: _Delivery) -> None:
    """Another bus, perhaps in another Region: a copy with an id of its own, which keeps everything else.

    Raises ConnectionError while the API of that Region is unavailable.
    """
    arn = parse_arn(delivery.target["Arn"])
    if not server.is_available(arn.region, "events"):
        raise ConnectionError(f"events in {arn.region} is unavailable")
    message: Any = {**delivery.event, "id": str(uuid4())}
    bus = get_backend("events")[server.account][arn.region].describe_event_bus(arn.resource_id)
    for rule in list(bus.rules.values()):
        rule.send_to_targets(copy.deepcopy(message))


def _to_http(server: AwsServer, delivery: _Delivery) -> None:
    """An API destination: its endpoint gets the target's input. A status of 400 and more is an OSError."""
    arn = parse_arn(delivery.target["Arn"])
    backend = get_backend("events")[server.account][arn.region]
    destination = backend.destinations[arn.resource_id.split("/")[0]]
    url = urlsplit(destination.invocation_endpoint)
    connection = http.client.HTTPConnection(url.hostname or "", url.port or 80, timeout=HTTP_TIMEOUT_WALL_S)
    try:
        body = target_input(delivery.target, delivery.event)
        connection.request(destination.http_method, url.path or "/", body, {"Content-Type": "application/json"})
        status = connection.getresponse().status
    except http.client.HTTPException as error:
        raise ConnectionError(f"{destination.invocation_endpoint}: {type(error).__name__}") from error
    finally:
        connection.close()
    if status >= 400:
        raise ConnectionError(f"{destination.invocation_endpoint}: status {status}")


DELIVERY_ERRORS = (
    ClientError,
    BotoCoreError,
    ServiceException,
    LookupError,
    ValueError,
    NotImplementedError,
    OSError,
)
"""What an attempt at a delivery may meet."""
_DELIVER: dict[str, Callable[[AwsServer, _Delivery], None]] = {
    "states": _to_step_functions,
    "lambda": _to_lambda,
    "sns": _to_sns,
    "sqs": _to_sqs,
    "events": _to_events,
}
