"""Step Functions: published semantics, lab time, and the three state machines of core-banking."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.aws.events import Events
from lab.aws.functions import FunctionContext, Functions
from lab.aws.server import AwsServer
from lab.aws.states import StateMachines, render
from lab.clock import LabClock
from lab.truth import Truth

REGION = "ap-northeast-3"
ROLE = "arn:aws:iam::111111111111:role/states"


@pytest.fixture
def functions(server: AwsServer, clock: LabClock, truth: Truth) -> Iterator[Functions]:
    engines = [Functions(server, clock), StateMachines(server, clock, truth), Events(server, clock, truth)]
    for engine in engines:
        engine.start()
    yield engines[0]  # type: ignore[misc]
    for engine in engines:
        engine.stop()


def machine(server: AwsServer, name: str, definition: str | dict[str, Any]) -> str:
    text = definition if isinstance(definition, str) else json.dumps(definition)
    client = server.client("stepfunctions", REGION)
    return str(client.create_state_machine(name=name, definition=text, roleArn=ROLE)["stateMachineArn"])


def one(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"StartAt": "Only", "States": {"Only": {"End": True, **state}}, **more}


def started(server: AwsServer, arn: str, **more: Any) -> str:
    return str(server.client("stepfunctions", REGION).start_execution(stateMachineArn=arn, **more)["executionArn"])


def finished(server: AwsServer, execution: str, wall_s: float = 15.0) -> Any:
    client, deadline = server.client("stepfunctions", REGION), time.monotonic() + wall_s
    while True:
        answer = client.describe_execution(executionArn=execution)
        if answer["status"] != "RUNNING" or time.monotonic() > deadline:
            return answer
        time.sleep(0.02)


def history(server: AwsServer, execution: str, **more: Any) -> list[Any]:
    client = server.client("stepfunctions", REGION)
    return list(client.get_execution_history(executionArn=execution, **more)["events"])


def test_a_wait_lasts_lab_seconds(server: AwsServer, functions: Functions, clock: LabClock) -> None:
    """A Wait of 50 s takes 50 lab seconds by the execution's own dates, which are lab dates."""
    arn = machine(server, "waiter", one({"Type": "Wait", "Seconds": 50}))
    before = clock.now()
    answer = finished(server, started(server, arn))
    assert answer["status"] == "SUCCEEDED"
    assert 50 <= (answer["stopDate"] - answer["startDate"]).total_seconds() < 90
    assert before <= answer["startDate"].astimezone(before.tzinfo) <= clock.now()


def test_history_is_dated_in_lab_time(server: AwsServer, functions: Functions, clock: LabClock) -> None:
    """The events of a Wait lie as far apart in the history as the Wait lasted in lab time."""
    execution = started(server, machine(server, "waiter", one({"Type": "Wait", "Seconds": 50})))
    finished(server, execution)
    at = {event["type"]: event["timestamp"] for event in history(server, execution)}
    assert (at["WaitStateExited"] - at["WaitStateEntered"]).total_seconds() == pytest.approx(55, abs=15)


def test_unnamed_executions_get_names_of_their_own(server: AwsServer, functions: Functions) -> None:
    """StartExecution without a name works any number of times."""
    arn = machine(server, "unnamed", one({"Type": "Pass"}))
    names = {finished(server, started(server, arn))["name"] for _ in range(3)}
    assert len(names) == 3


def test_a_string_result_is_json(server: AwsServer, functions: Functions) -> None:
    """Output is JSON text whatever its type."""
    arn = machine(server, "text", one({"Type": "Pass", "Result": "big"}))
    assert finished(server, started(server, arn))["output"] == '"big"'


def test_history_pages_and_reverses(server: AwsServer, functions: Functions) -> None:
    """GetExecutionHistory honours reverseOrder, maxResults and its token."""
    execution = started(server, machine(server, "paged", one({"Type": "Pass"})))
    finished(server, execution)
    ids = [event["id"] for event in history(server, execution)]
    assert ids == [1, 2, 3, 4]
    assert [event["id"] for event in history(server, execution, reverseOrder=True)] == ids[::-1]
    paginator = server.client("stepfunctions", REGION).get_paginator("get_execution_history")
    pages = list(paginator.paginate(executionArn=execution, PaginationConfig={"PageSize": 3}))
    assert [event["id"] for page in pages for event in page["events"]] == ids


def test_stopping_an_execution_aborts_it(server: AwsServer, functions: Functions) -> None:
    """StopExecution ends a Wait at once, with the given error, and the list by status follows."""
    client = server.client("stepfunctions", REGION)
    arn = machine(server, "long", one({"Type": "Wait", "Seconds": 100_000}))
    execution = started(server, arn)
    running = client.list_executions(stateMachineArn=arn, statusFilter="RUNNING")["executions"]
    assert [item["executionArn"] for item in running] == [execution]
    stopped = client.stop_execution(executionArn=execution, error="Drill", cause="enough")
    answer = finished(server, execution)
    assert (answer["status"], answer["stopDate"]) == ("ABORTED", stopped["stopDate"])
    assert client.list_executions(stateMachineArn=arn, statusFilter="RUNNING")["executions"] == []
    assert history(server, execution)[-1]["executionAbortedEventDetails"] == {"error": "Drill", "cause": "enough"}


def test_a_machine_times_out_in_lab_time(server: AwsServer, functions: Functions) -> None:
    """TimeoutSeconds of the machine ends it as TIMED_OUT with a stop date."""
    arn = machine(server, "hasty", one({"Type": "Wait", "Seconds": 100_000}, TimeoutSeconds=100))
    answer = finished(server, started(server, arn))
    assert answer["status"] == "TIMED_OUT"
    assert 100 <= (answer["stopDate"] - answer["startDate"]).total_seconds() < 160


def test_sdk_tasks_speak_aws_casing(server: AwsServer, functions: Functions) -> None:
    """An aws-sdk task takes and returns Step Functions' spelling, and dates come back as text."""
    server.client("rds", REGION).create_global_cluster(GlobalClusterIdentifier="global", Engine="aurora-postgresql")
    rds = one({"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:rds:describeGlobalClusters"})
    found = json.loads(finished(server, started(server, machine(server, "rds", rds)))["output"])
    assert found["GlobalClusters"][0]["GlobalClusterIdentifier"] == "global"
    server.client("ecs", REGION).create_cluster(clusterName="c")
    ecs = one(
        {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:ecs:describeClusters",
            "Parameters": {"Clusters": ["c"]},
        }
    )
    found = json.loads(finished(server, started(server, machine(server, "ecs", ecs)))["output"])
    assert found["Clusters"][0]["ClusterName"] == "c"
    lists = one({"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:sfn:listStateMachines"})
    found = json.loads(finished(server, started(server, machine(server, "sfn", lists)))["output"])
    assert found["StateMachines"][0]["CreationDate"].endswith("Z")


def test_an_sdk_error_carries_the_services_name(server: AwsServer, functions: Functions) -> None:
    """A failing aws-sdk call fails the execution with Service.ErrorException."""
    task = one(
        {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:dynamodb:getItem",
            "Parameters": {"TableName": "nobody", "Key": {"PK": {"S": "x"}}},
        }
    )
    answer = finished(server, started(server, machine(server, "missing", task)))
    assert (answer["status"], answer["error"]) == ("FAILED", "DynamoDb.ResourceNotFoundException")


def test_both_kinds_of_lambda_task(server: AwsServer, functions: Functions) -> None:
    """lambda:invoke wraps the result in Payload; a function's ARN as the resource returns it bare."""
    arn = functions.register(REGION, "hello", lambda event, _context: {"hello": event["name"]})
    invoked = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke"}
    invoked["Parameters"] = {"FunctionName": arn, "Payload": {"name": "you"}}  # type: ignore[assignment]
    answer = finished(server, started(server, machine(server, "wrapped", one(invoked))))
    assert json.loads(answer["output"])["Payload"] == {"hello": "you"}
    bare = machine(server, "bare", one({"Type": "Task", "Resource": arn}))
    answer = finished(server, started(server, bare, input='{"name": "me"}'))
    assert json.loads(answer["output"]) == {"hello": "me"}


def test_a_function_error_fails_the_task_by_its_type(server: AwsServer, functions: Functions) -> None:
    """An exception in a function is the error of the execution; a Lambda API that is down is ServiceException."""

    def broken(_event: dict[str, Any], _context: FunctionContext) -> None:
        raise ValueError("no")

    arn = functions.register(REGION, "broken", broken)
    task = machine(server, "broken", one({"Type": "Task", "Resource": arn}))
    assert finished(server, started(server, task))["error"] == "ValueError"
    server.unavailable(REGION, "lambda")
    assert finished(server, started(server, task))["error"] == "Lambda.ServiceException"


def test_retries_wait_in_lab_time(server: AwsServer, functions: Functions) -> None:
    """A Retry waits its interval in lab seconds and then succeeds."""
    calls: list[int] = []

    def second_time(_event: dict[str, Any], _context: FunctionContext) -> int:
        calls.append(1)
        if len(calls) == 1:
            raise OSError("not yet")
        return len(calls)

    arn = functions.register(REGION, "flaky", second_time)
    retry = [{"ErrorEquals": ["OSError"], "IntervalSeconds": 30, "MaxAttempts": 2}]
    answer = finished(
        server, started(server, machine(server, "r", one({"Type": "Task", "Resource": arn, "Retry": retry})))
    )
    assert answer["output"] == "2"
    assert (answer["stopDate"] - answer["startDate"]).total_seconds() >= 30


def test_executions_tell_eventbridge(server: AwsServer, functions: Functions) -> None:
    """A started and an ended execution are events on the default bus."""
    seen: list[Any] = []
    arn = functions.register(REGION, "listener", lambda event, _context: seen.append(event))
    rules = server.client("events", REGION)
    rules.put_rule(Name="sfn", EventPattern='{"source": ["aws.states"]}')
    rules.put_targets(Rule="sfn", Targets=[{"Id": "1", "Arn": arn}])
    execution = started(server, machine(server, "told", one({"Type": "Pass"})))
    deadline = time.monotonic() + 5
    while len(seen) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert {event["detail"]["status"] for event in seen} == {"RUNNING", "SUCCEEDED"}
    assert {event["detail"]["executionArn"] for event in seen} == {execution}


# The machines of core-banking


def arns(functions: Functions, calls: list[Any], endpoints: list[str]) -> dict[str, str]:
    def proxy(event: dict[str, Any], _context: FunctionContext) -> dict[str, Any]:
        calls.append(event)
        return {}

    return {
        "proxy_function": functions.register(REGION, "ProxyHandler", proxy, timeout_s=15),
        "arc_endpoints": ",".join(endpoints),
        "arc_regions": "us-east-1,us-west-2,eu-west-1,ap-northeast-1,ap-southeast-2",
        "control_tokyo": "arn:control/tokyo",
        "control_osaka": "arn:control/osaka",
        "param_table_tokyo": "ParamTokyo",
        "param_table_osaka": "ParamOsaka",
        "global_cluster": "core-banking-global-db",
    }


@pytest.mark.parametrize(
    ("name", "source", "destination", "db"),
    [("failover", "Tokyo", "Osaka", "db_cluster_osaka"), ("failback", "Osaka", "Tokyo", "db_cluster_tokyo")],
)
def test_failover_and_failback_run_their_steps(
    server: AwsServer, functions: Functions, name: str, source: str, destination: str, db: str
) -> None:
    """The published machine stops the source, waits 10 s, moves both controls at one endpoint, switches the
    database over, polls until it is available, and opens the destination."""
    calls: list[Any] = []
    endpoints = [f"http://127.0.0.{n}:1" for n in range(1, 6)]
    values = arns(functions, calls, endpoints) | {db: "arn:db"}
    server.client("rds", REGION).create_global_cluster(
        GlobalClusterIdentifier="core-banking-global-db", Engine="aurora-postgresql"
    )
    execution = started(server, machine(server, name, render(name, **values)))
    answer = finished(server, execution)
    assert answer["status"] == "SUCCEEDED", answer
    assert [call["action"] for call in calls] == [
        "PutItem",
        "UpdateRoutingControlStates",
        "FailoverGlobalCluster",
        "PutItem",
    ]
    assert calls[0]["parameters"]["TableName"] == f"Param{source}"
    assert calls[3]["parameters"]["TableName"] == f"Param{destination}"
    assert calls[1]["endpoint"] in endpoints
    entries = calls[1]["parameters"]["UpdateRoutingControlStateEntries"]
    moved = {entry["RoutingControlArn"]: entry["RoutingControlState"] for entry in entries}
    assert moved == {f"arn:control/{source.lower()}": "Off", f"arn:control/{destination.lower()}": "On"}
    assert calls[2]["parameters"]["TargetDbClusterIdentifier"] == "arn:db"
    entered = [
        e["stateEnteredEventDetails"]["name"] for e in history(server, execution) if "stateEnteredEventDetails" in e
    ]
    assert entered[-3:] == ["DescribeGlobalCluster", "IsClusterAvailable?", "StartDestination"]


@pytest.mark.parametrize(
    ("idle", "alarms", "status", "error"),
    [
        (True, [False, True], "SUCCEEDED", None),
        (False, [], "FAILED", "ConcurrentExecutionDetected"),
        (True, [False], "FAILED", "MaxRetriesExceeded"),
    ],
)
def test_the_initiator_decides(
    server: AwsServer, functions: Functions, idle: bool, alarms: list[bool], status: str, error: str | None
) -> None:
    """It starts the failover only when nothing runs and both alarms ring, and gives up after 11 looks in 110 s."""
    looks: list[bool] = []

    def check(_event: dict[str, Any], _context: FunctionContext) -> dict[str, bool]:
        looks.append(alarms[min(len(looks), len(alarms) - 1)])
        return {"bothInAlarm": looks[-1]}

    target = machine(server, "target", one({"Type": "Pass"}))
    definition = render(
        "initiator",
        check_running_status=functions.register(REGION, "check_running_status", lambda _e, _c: {"bothIdle": idle}),
        check_two_region_alarms=functions.register(REGION, "check_two_region_alarms", check),
        failover_state_machine=target,
    )
    answer = finished(server, started(server, machine(server, "initiator", definition), input="{}"))
    assert (answer["status"], answer.get("error")) == (status, error)
    started_ones = server.client("stepfunctions", REGION).list_executions(stateMachineArn=target)["executions"]
    assert len(started_ones) == (1 if status == "SUCCEEDED" else 0)
    if error == "MaxRetriesExceeded":
        assert len(looks) == 11
        assert (answer["stopDate"] - answer["startDate"]).total_seconds() >= 110


def test_rendering_refuses_what_does_not_fit() -> None:
    """A missing value and an unknown value are both refused."""
    with pytest.raises(KeyError):
        render("initiator")
    with pytest.raises(ValueError, match="no placeholder for nonsense"):
        render("initiator", nonsense="x")


def test_waits_that_are_kept_are_no_overruns(server: AwsServer, functions: Functions, tmp_path: Path) -> None:
    """A Wait that ends on time leaves no line in the record of overruns."""
    finished(server, started(server, machine(server, "w", one({"Type": "Wait", "Seconds": 20}))))
    assert (tmp_path / "overruns.jsonl").read_text() == ""
