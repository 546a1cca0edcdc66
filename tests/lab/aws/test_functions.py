"""Lambda functions run their handlers, on time, with AWS's error shapes."""

from __future__ import annotations

import io
import json
import threading
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.aws.functions import FunctionContext, Functions
from lab.aws.server import AwsServer
from lab.clock import LabClock

REGION = "ap-northeast-3"


@pytest.fixture
def functions(server: AwsServer, clock: LabClock) -> Iterator[Functions]:
    engine = Functions(server, clock)
    engine.start()
    yield engine
    engine.stop()


def invoke(server: AwsServer, name: str, payload: Any, **more: Any) -> Any:
    client = server.client("lambda", REGION)
    return client.invoke(FunctionName=name, Payload=json.dumps(payload), **more)


def test_a_function_runs_and_answers(server: AwsServer, functions: Functions) -> None:
    """Invoke by name or ARN runs the handler with the payload and returns its result."""
    arn = functions.register(REGION, "double", lambda event, _context: event["n"] * 2)
    for name in ("double", arn):
        answer = invoke(server, name, {"n": 4})
        assert (answer["StatusCode"], json.load(answer["Payload"])) == (200, 8)
        assert "FunctionError" not in answer


def test_a_function_is_listed(server: AwsServer, functions: Functions) -> None:
    """A registered function is visible to ListFunctions and GetFunction with its timeout."""
    functions.register(REGION, "listed", lambda _event, _context: None, timeout_s=15)
    client = server.client("lambda", REGION)
    assert [f["FunctionName"] for f in client.list_functions()["Functions"]] == ["listed"]
    assert client.get_function(FunctionName="listed")["Configuration"]["Timeout"] == 15


def test_a_raised_exception_becomes_a_function_error(server: AwsServer, functions: Functions) -> None:
    """An exception is answered with 200, FunctionError Unhandled, and its type and message."""

    def broken(_event: dict[str, Any], _context: FunctionContext) -> None:
        raise KeyError("targetRegion")

    functions.register(REGION, "broken", broken)
    answer = invoke(server, "broken", {})
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert json.load(answer["Payload"]) == {"errorType": "KeyError", "errorMessage": "'targetRegion'"}


def test_a_function_that_takes_too_long_times_out(server: AwsServer, functions: Functions) -> None:
    """A handler that outlasts its timeout is answered for at the timeout (never before a second of wall time)."""
    free = threading.Event()
    functions.register(REGION, "slow", lambda _event, _context: free.wait(10), timeout_s=3)
    began = time.monotonic()
    answer = invoke(server, "slow", {})
    free.set()
    assert time.monotonic() - began == pytest.approx(1.0, abs=0.6)
    assert json.load(answer["Payload"])["errorType"] == "Sandbox.Timedout"


def test_what_hung_until_the_time_out_is_not_tried_again(server: AwsServer, functions: Functions) -> None:
    """On AWS the function's process is gone: a Region that answers again later is not written to by it."""
    table, over = server.client("dynamodb", REGION), threading.Event()
    keys = {"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "PK", "AttributeType": "S"}
    table.create_table(
        TableName="t", KeySchema=[keys[0]], AttributeDefinitions=[keys[1]], BillingMode="PAY_PER_REQUEST"
    )

    def write(_event: dict[str, Any], context: FunctionContext) -> None:
        client = context.client("dynamodb")
        try:
            client.put_item(TableName="t", Item={"PK": {"S": "first"}})
            over.wait(10)
            client.put_item(TableName="t", Item={"PK": {"S": "late"}})
        finally:
            ended.set()

    ended = threading.Event()
    functions.register(REGION, "writer", write, timeout_s=3)
    assert json.load(invoke(server, "writer", {})["Payload"])["errorType"] == "Sandbox.Timedout"
    over.set()
    assert ended.wait(5)
    assert [item["PK"]["S"] for item in table.scan(TableName="t")["Items"]] == ["first"]


def test_asynchronous_invocation_returns_at_once(server: AwsServer, functions: Functions) -> None:
    """InvocationType Event answers 202 and the handler runs on its own."""
    ran = threading.Event()
    functions.register(REGION, "later", lambda _event, _context: ran.set())
    assert invoke(server, "later", {}, InvocationType="Event")["StatusCode"] == 202
    assert ran.wait(5)


def test_a_dry_run_runs_nothing(server: AwsServer, functions: Functions) -> None:
    """InvocationType DryRun only checks that the function exists."""
    ran = threading.Event()
    functions.register(REGION, "dry", lambda _event, _context: ran.set())
    assert invoke(server, "dry", {}, InvocationType="DryRun")["StatusCode"] == 204
    assert not ran.is_set()


def test_an_unknown_function_is_an_error(server: AwsServer, functions: Functions) -> None:
    """Invoking a function that does not exist is ResourceNotFoundException."""
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        invoke(server, "nobody", {})


def test_a_function_without_a_handler_cannot_be_imported(server: AwsServer, functions: Functions) -> None:
    """A function created through the API alone exists but fails as one whose module is missing."""
    functions.register(REGION, "mine", lambda _event, _context: None)
    role = server.client("lambda", REGION).get_function(FunctionName="mine")["Configuration"]["Role"]
    server.client("lambda", REGION).create_function(
        FunctionName="theirs",
        Runtime="python3.12",
        Role=role,
        Handler="i.h",
        Code={"ZipFile": b"PK\x05\x06" + bytes(18)},
    )
    assert json.load(invoke(server, "theirs", {})["Payload"])["errorType"] == "Runtime.ImportModuleError"


def test_a_handler_reaches_other_regions_over_http(server: AwsServer, functions: Functions) -> None:
    """The context's client is a real client of the lab's API, in any Region."""

    def proxy(event: dict[str, Any], context: FunctionContext) -> Any:
        client = context.client("sqs", event["targetRegion"], event.get("endpoint"))
        return client.create_queue(QueueName="made-by-lambda")["QueueUrl"]

    functions.register(REGION, "proxy", proxy)
    for endpoint in ({}, {"endpoint": server.url}):
        invoke(server, "proxy", {"targetRegion": "us-west-2", **endpoint})
    assert len(server.client("sqs", "us-west-2").list_queues()["QueueUrls"]) == 1
    assert "QueueUrls" not in server.client("sqs", REGION).list_queues()


def package(code: str) -> bytes:
    """A deployment package with one module."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("index.py", code)
    return buffer.getvalue()


def upload(server: AwsServer, code: str, **more: Any) -> None:
    """Create the function `uploaded`."""
    server.client("iam", REGION).create_role(RoleName="r", AssumeRolePolicyDocument="{}")
    server.client("lambda", REGION).create_function(
        FunctionName="uploaded",
        Runtime="python3.13",
        Role="arn:aws:iam::111111111111:role/r",
        Handler="index.handler",
        Code={"ZipFile": package(code)},
        **more,
    )


def test_uploaded_code_really_runs(
    server: AwsServer, functions: Functions, monkeypatch: pytest.MonkeyPatch, clock: LabClock
) -> None:
    """In a process of its own, with Lambda's environment, lab keys, the lab's API and the lab's time; it prints in
    vain."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-users-own")
    code = """
import boto3, os, time
def handler(event, context):
    print("noise")
    began = time.time()
    time.sleep(30)
    keys = {name: os.environ.get(name) for name in ("AWS_REGION", "AWS_SECRET_ACCESS_KEY", "MINE")}
    left = context.get_remaining_time_in_millis()
    who = boto3.client("sts").get_caller_identity()["Account"]
    return {**keys, "event": event, "who": who, "slept": time.time() - began, "left": left, "now": began}
"""
    upload(server, code, Timeout=900, Environment={"Variables": {"MINE": "x"}})
    answer = invoke(server, "uploaded", {"n": 4})
    assert "FunctionError" not in answer
    said = json.load(answer["Payload"])
    assert (said["AWS_REGION"], said["AWS_SECRET_ACCESS_KEY"], said["MINE"]) == (REGION, "lab", "x")
    assert (said["event"], said["who"]) == ({"n": 4}, "111111111111")
    assert said["slept"] >= 30
    assert 0 < said["left"] <= 870_000
    assert said["now"] < clock.now_s()


def test_what_uploaded_code_raises_is_a_function_error(server: AwsServer, functions: Functions) -> None:
    """Its type and words; and so is a package without the handler."""
    upload(server, "def handler(event, context):\n    raise KeyError('key')\n")
    answer = invoke(server, "uploaded", {})
    assert (answer["FunctionError"], json.load(answer["Payload"])["errorType"]) == ("Unhandled", "KeyError")


def test_uploaded_code_is_gone_with_the_lab(server: AwsServer, clock: LabClock) -> None:
    """A function that hangs does not outlive its engine, nor leaves a folder."""
    engine = Functions(server, clock)
    engine.start()
    upload(server, "import time\nreal = time.monotonic\ndef handler(event, context):\n    while True: pass\n")
    client = server.client("lambda", REGION)
    client.invoke(FunctionName="uploaded", InvocationType="Event")
    deadline = time.monotonic() + 20
    while not engine._running:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (child,) = engine._running
    engine.stop()
    assert child.poll() is not None


def test_an_asynchronous_invocation_that_fails_is_made_again(server: AwsServer, functions: Functions) -> None:
    """Twice more, as AWS does, and then no more."""
    calls: list[int] = []

    def fails(_event: Any, _context: FunctionContext) -> None:
        calls.append(1)
        raise ValueError("no")

    functions.register(REGION, "fails", fails)
    invoke(server, "fails", {}, InvocationType="Event")
    deadline = time.monotonic() + 20
    while len(calls) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1.5)  # 150 lab seconds: longer than the longest pause between attempts
    assert len(calls) == 3
