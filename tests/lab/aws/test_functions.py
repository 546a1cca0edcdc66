"""Lambda functions run their handlers, on time, with AWS's error shapes."""

from __future__ import annotations

import json
import threading
import time
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
