"""EventBridge: enabled rules deliver, disabled rules do not, and a bad target harms nobody."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.aws import events as events_module
from lab.aws.events import Events, ServiceEvent, publish
from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.truth import Truth

REGION = "ap-northeast-3"
PATTERN = json.dumps({"source": ["shop"], "detail": {"state": ["OPEN"]}})


@pytest.fixture
def events(server: AwsServer, clock: LabClock, truth: Truth) -> Iterator[Events]:
    engine = Events(server, clock, truth)
    engine.start()
    yield engine
    engine.stop()


def put(server: AwsServer, state: str = "OPEN") -> Any:
    entry = {"Source": "shop", "DetailType": "Door", "Detail": json.dumps({"state": state})}
    return server.client("events", REGION).put_events(Entries=[entry])


def queue_rule(server: AwsServer, rule: str, state: str = "ENABLED", **target: Any) -> Callable[[], list[Any]]:
    """A rule with an SQS target; returns what reads the bodies that arrived until now."""
    sqs, rules = server.client("sqs", REGION), server.client("events", REGION)
    url = sqs.create_queue(QueueName=rule)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    rules.put_rule(Name=rule, EventPattern=PATTERN, State=state)
    rules.put_targets(Rule=rule, Targets=[{"Id": "1", "Arn": arn, **target}])

    def read() -> list[Any]:
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(message["Body"]) for message in messages]

    return read


def eventually(read: Callable[[], list[Any]], count: int = 1) -> list[Any]:
    found: list[Any] = []
    deadline = time.monotonic() + 5
    while len(found) < count and time.monotonic() < deadline:
        found += read()
        time.sleep(0.02)
    return found


def test_an_enabled_rule_delivers_the_whole_event(server: AwsServer, events: Events, clock: LabClock) -> None:
    """A matching event reaches the target whole, dated in lab time."""
    read = queue_rule(server, "open-door")
    assert put(server)["FailedEntryCount"] == 0
    (event,) = eventually(read)
    assert (event["detail-type"], event["region"], event["detail"]) == ("Door", REGION, {"state": "OPEN"})
    assert event["account"] == server.account
    assert event["time"] <= events_module.iso(clock.now_s())


def test_a_disabled_rule_stays_silent_until_it_is_enabled(server: AwsServer, events: Events) -> None:
    """A DISABLED rule delivers nothing; after EnableRule the next event arrives."""
    read = queue_rule(server, "off", state="DISABLED")
    witness = queue_rule(server, "on")
    put(server)
    assert len(eventually(witness)) == 1
    assert read() == []
    server.client("events", REGION).enable_rule(Name="off")
    put(server)
    assert len(eventually(read)) == 1


def test_an_event_that_does_not_match_is_not_delivered(server: AwsServer, events: Events) -> None:
    """Only events that match the pattern are delivered."""
    read = queue_rule(server, "only-open")
    put(server, state="SHUT")
    put(server, state="OPEN")
    assert [event["detail"]["state"] for event in eventually(read)] == ["OPEN"]
    assert read() == []


def test_target_input_is_chosen_as_declared(server: AwsServer, events: Events) -> None:
    """Input replaces the event, InputPath selects from it, InputTransformer rewrites it."""
    constant = queue_rule(server, "constant", Input='{"a": 1}')
    part = queue_rule(server, "part", InputPath="$.detail")
    transformer = {"InputPathsMap": {"s": "$.detail.state"}, "InputTemplate": '{"door": "<s>"}'}
    rewritten = queue_rule(server, "rewritten", InputTransformer=transformer)
    put(server)
    assert eventually(constant) == [{"a": 1}]
    assert eventually(part) == [{"state": "OPEN"}]
    assert eventually(rewritten) == [{"door": "OPEN"}]


def test_duplicates_when_asked_for(server: AwsServer, events: Events) -> None:
    """At-least-once delivery can be shown: each target gets the event as often as asked, with one id."""
    events.duplicate_deliveries = 2
    read = queue_rule(server, "twice")
    put(server)
    first, second = eventually(read, 2)
    assert first["id"] == second["id"]


def test_a_rule_without_targets_matches_and_calls_nobody(server: AwsServer, events: Events, tmp_path: Path) -> None:
    """RemoveTargets takes the delivery and not the match; PutTargets brings it back for what comes after."""
    read, rules = queue_rule(server, "emptied"), server.client("events", REGION)
    targets = rules.list_targets_by_rule(Rule="emptied")["Targets"]
    rules.remove_targets(Rule="emptied", Ids=[target["Id"] for target in targets])
    unheard = put(server)["Entries"][0]["EventId"]
    assert unheard in (tmp_path / "truth.jsonl").read_text()
    rules.put_targets(Rule="emptied", Targets=targets)
    heard = put(server)["Entries"][0]["EventId"]
    assert [event["id"] for event in eventually(read)] == [heard]


def test_a_target_that_fails_is_recorded_and_put_events_succeeds(server: AwsServer, events: Events) -> None:
    """A missing state machine and an unknown kind of target fail alone: PutEvents succeeds, others are served."""
    rules = server.client("events", REGION)
    rules.put_rule(Name="broken", EventPattern=PATTERN)
    missing = f"arn:aws:states:{REGION}:{server.account}:stateMachine:nobody"
    strange = f"arn:aws:kinesis:{REGION}:{server.account}:stream/nobody"
    rules.put_targets(Rule="broken", Targets=[{"Id": "1", "Arn": missing}, {"Id": "2", "Arn": strange}])
    read = queue_rule(server, "healthy")
    assert put(server)["FailedEntryCount"] == 0
    assert len(eventually(read)) == 1
    assert len(eventually(lambda: [events.failures.popleft()] if events.failures else [], 2)) == 2


def test_services_publish_to_the_default_bus(server: AwsServer, events: Events, clock: LabClock) -> None:
    """An AWS service's own event reaches rules like any other."""
    read = queue_rule(server, "service")
    event_id = publish(server.account, clock, ServiceEvent(REGION, "shop", "Door", {"state": "OPEN"}, ("arn:x",)))
    (event,) = eventually(read)
    assert (event["id"], event["resources"]) == (event_id, ["arn:x"])


def test_a_lambda_target_gets_the_event(server: AwsServer, events: Events, clock: LabClock) -> None:
    """A rule can invoke a function."""
    from lab.aws.functions import Functions

    functions = Functions(server, clock)
    functions.start()
    seen: list[Any] = []
    arn = functions.register(REGION, "catcher", lambda event, _context: seen.append(event))
    rules = server.client("events", REGION)
    rules.put_rule(Name="to-lambda", EventPattern=PATTERN)
    rules.put_targets(Rule="to-lambda", Targets=[{"Id": "1", "Arn": arn}])
    put(server)
    assert len(eventually(lambda: [seen.pop()] if seen else [])) == 1
    functions.stop()
