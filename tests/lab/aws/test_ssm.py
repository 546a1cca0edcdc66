"""SSM Automation over the wire: documents run step by step in lab time, and say what AWS says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.aws import automation_steps
from lab.aws.events import Events
from lab.aws.functions import Functions
from lab.aws.server import AwsServer
from lab.aws.ssm import Automation
from lab.clock import LabClock
from lab.truth import Truth

REGION = "us-west-2"
OVER = {"Success", "Failed", "TimedOut", "Cancelled"}


@pytest.fixture
def ssm(server: AwsServer, clock: LabClock, truth: Truth) -> Iterator[Any]:
    """A client of an account with Automation, a function that echoes, and one that fails."""
    functions, automation = Functions(server, clock, truth), Automation(server, clock, truth)
    Events(server, clock, truth).start()
    functions.start()
    functions.register(REGION, "echo", lambda event, context: {"said": event["word"]})
    functions.register(REGION, "broken", lambda event, context: {"never": event["missing"]})
    yield server.client("ssm", REGION)
    automation.stop()
    functions.stop()


def store(ssm: Any, name: str, *steps: dict[str, Any], **more: Any) -> None:
    """Create a document of these steps."""
    content = {"schemaVersion": "0.3", "mainSteps": list(steps), **more}
    ssm.create_document(Name=name, Content=json.dumps(content), DocumentType="Automation", DocumentFormat="JSON")


def api(name: str, call: str, more: dict[str, Any] | None = None, **inputs: Any) -> dict[str, Any]:
    """An aws:executeAwsApi step on SSM's own parameters."""
    return {"name": name, "action": "aws:executeAwsApi", "inputs": {"Service": "ssm", "Api": call, **inputs}} | (
        more or {}
    )


def put(name: str, value: str, **more: Any) -> dict[str, Any]:
    """A step that leaves a mark."""
    return api(name, "PutParameter", more, Name=f"/{name}", Value=value, Type="String", Overwrite=True)


def run(ssm: Any, name: str, **more: Any) -> dict[str, Any]:
    """Run it to its end; the execution."""
    made = ssm.start_automation_execution(DocumentName=name, **more)["AutomationExecutionId"]
    return await_end(ssm, made)


def await_end(ssm: Any, made: str) -> dict[str, Any]:
    """The execution once it is over."""
    shown: dict[str, Any] = {}

    def over() -> bool:
        nonlocal shown
        shown = ssm.get_automation_execution(AutomationExecutionId=made)["AutomationExecution"]
        return shown["AutomationExecutionStatus"] in OVER

    assert within(20.0, over), shown
    return shown


def within(wall_s: float, check: Callable[[], bool]) -> bool:
    """Whether `check` comes true in time."""
    end_s = time.monotonic() + wall_s
    while time.monotonic() < end_s and not check():
        time.sleep(0.02)
    return check()


def marks(ssm: Any) -> dict[str, str]:
    """What the steps left."""
    found = ssm.get_parameters_by_path(Path="/")["Parameters"]
    return {p["Name"].lstrip("/"): p["Value"] for p in found}


def statuses(shown: dict[str, Any]) -> list[tuple[str, str]]:
    """Each step and how it went."""
    return [(step["StepName"], step["StepStatus"]) for step in shown["StepExecutions"]]


def test_outputs_of_one_step_are_inputs_of_the_next(ssm: Any) -> None:
    """Parameters, references and selectors; the history has a start and an end for each step, in order."""
    ssm.put_parameter(Name="/source", Value="planted", Type="String")
    read = {"outputs": [{"Name": "Value", "Selector": "$.Parameter.Value", "Type": "String"}]}
    store(
        ssm,
        "chain",
        api("Read", "GetParameter", read, Name="{{ From }}"),
        put("Write", "{{ Read.Value }} in {{ global:REGION }}"),
        parameters={"From": {"type": "String", "default": "/source"}},
        outputs=["Read.Value"],
    )
    shown = run(ssm, "chain")
    assert shown["AutomationExecutionStatus"] == "Success", shown
    assert marks(ssm)["Write"] == "planted in us-west-2"
    assert shown["Outputs"] == {"Read.Value": ["planted"]}
    times = [t for s in shown["StepExecutions"] for t in (s["ExecutionStartTime"], s["ExecutionEndTime"])]
    assert times == sorted(times)


def test_a_failed_step_aborts_with_the_words_of_aws(ssm: Any) -> None:
    """The error's code and operation are in the messages of step and execution; later steps stay Pending."""
    store(ssm, "fails", api("Read", "GetParameter", Name="/nothing"), put("Never", "x"))
    shown = run(ssm, "fails")
    assert statuses(shown) == [("Read", "Failed"), ("Never", "Pending")]
    assert shown["AutomationExecutionStatus"] == "Failed"
    assert "Step fails when it is Execute/Cancelling action" in shown["FailureMessage"]
    assert "(ParameterNotFound) when calling the GetParameter operation" in shown["FailureMessage"]


@pytest.mark.parametrize(
    ("more", "status", "ran"),
    [
        ({"onFailure": "Continue"}, "Success", {"Next", "Last"}),
        ({"onFailure": "step:Last"}, "Failed", {"Last"}),
        ({"onFailure": "step:Last", "isCritical": False}, "Success", {"Last"}),
    ],
)
def test_what_follows_a_failure_is_what_the_step_says(
    ssm: Any, more: dict[str, Any], status: str, ran: set[str]
) -> None:
    """Continue, or go on elsewhere; a critical failure shows in the end all the same."""
    store(ssm, "goes-on", api("Read", "GetParameter", more, Name="/nothing"), put("Next", "x"), put("Last", "x"))
    assert run(ssm, "goes-on")["AutomationExecutionStatus"] == status
    assert marks(ssm).keys() == ran


def test_a_branch_goes_one_way(ssm: Any) -> None:
    """aws:branch chooses by a value, and isEnd ends."""
    choices = [{"Variable": "{{ Way }}", "StringEquals": "left", "NextStep": "Left"}]
    branch = {"name": "Choose", "action": "aws:branch", "inputs": {"Choices": choices, "Default": "Right"}}
    parameters = {"Way": {"type": "String"}}
    store(ssm, "forks", branch, put("Left", "x", isEnd=True), put("Right", "x"), parameters=parameters)
    run(ssm, "forks", Parameters={"Way": ["left"]})
    assert marks(ssm).keys() == {"Left"}


def test_waiting_lasts_until_the_property_is_there_or_the_time_is_over(ssm: Any) -> None:
    """aws:waitForAwsResourceProperty looks again and again; without it, TimedOut."""
    inputs = {"Service": "ssm", "Api": "GetParameter", "Name": "/state", "PropertySelector": "$.Parameter.Value"}
    wait = {
        "name": "Wait",
        "action": "aws:waitForAwsResourceProperty",
        "timeoutSeconds": 200,
        "inputs": {**inputs, "DesiredValues": ["ready"]},
    }
    store(ssm, "waits", wait)
    ssm.put_parameter(Name="/state", Value="busy", Type="String")
    assert run(ssm, "waits")["AutomationExecutionStatus"] == "TimedOut"
    made = ssm.start_automation_execution(DocumentName="waits")["AutomationExecutionId"]
    ssm.put_parameter(Name="/state", Value="ready", Type="String", Overwrite=True)
    assert await_end(ssm, made)["AutomationExecutionStatus"] == "Success"


def test_a_script_runs_with_boto3_and_gives_its_result_back(ssm: Any) -> None:
    """aws:executeScript: its own interpreter, the lab's API, OutputPayload; an exception is the step's failure."""
    script = """
import boto3
def handler(events, context):
    if events["fail"]:
        raise ValueError("planted")
    boto3.client("ssm").put_parameter(Name="/script", Value=events["word"], Type="String")
    return {"length": len(events["word"])}
"""
    inputs = {"Runtime": "python3.11", "Handler": "handler", "Script": script}
    payload = {"word": "{{ Word }}", "fail": "{{ Fail }}"}
    step = {
        "name": "Script",
        "action": "aws:executeScript",
        "inputs": {**inputs, "InputPayload": payload},
        "outputs": [{"Name": "Length", "Selector": "$.Payload.length", "Type": "Integer"}],
    }
    parameters = {"Word": {"type": "String"}, "Fail": {"type": "String", "default": ""}}
    store(ssm, "scripted", step, parameters=parameters, outputs=["Script.Length"])
    assert run(ssm, "scripted", Parameters={"Word": ["four"]})["Outputs"] == {"Script.Length": ["4"]}
    assert marks(ssm)["script"] == "four"
    failed = run(ssm, "scripted", Parameters={"Word": ["x"], "Fail": ["yes"]})
    assert "ValueError: planted" in failed["FailureMessage"]


def test_a_script_whose_interpreter_starts_late_is_admitted(
    ssm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the service takes to begin a script is declared; a machine that takes longer for it says so, or a runbook
    of five scripts would be slow by itself."""
    monkeypatch.setattr(automation_steps, "RUNNER", f"import time\ntime.sleep(0.4)\n{automation_steps.RUNNER}")
    inputs = {"Runtime": "python3.11", "Handler": "handler", "Script": "def handler(events, context): return 1"}
    store(ssm, "late", {"name": "Script", "action": "aws:executeScript", "inputs": inputs})
    assert run(ssm, "late")["AutomationExecutionStatus"] == "Success"
    (admitted,) = map(json.loads, (tmp_path / "overruns.jsonl").read_text().splitlines())
    assert (admitted["what"], admitted["declared_s"]) == ("script start", 15.0)
    assert admitted["took_s"] > 40.0


def test_a_function_is_invoked_and_its_error_fails_the_step(ssm: Any) -> None:
    """aws:invokeLambdaFunction: outputs by selector; FunctionError is a failure."""
    step = {
        "name": "Call",
        "action": "aws:invokeLambdaFunction",
        "inputs": {"FunctionName": "echo", "Payload": '{"word": "{{ Word }}"}'},
        "outputs": [{"Name": "Said", "Selector": "$.Payload.said", "Type": "String"}],
    }
    parameters = {"Word": {"type": "String"}}
    store(ssm, "calls", step, parameters=parameters, outputs=["Call.Said"])
    assert run(ssm, "calls", Parameters={"Word": ["hello"]})["Outputs"] == {"Call.Said": ["hello"]}
    broken = {**step, "inputs": {"FunctionName": "broken", "Payload": "{}"}}
    store(ssm, "breaks", broken)
    assert "failed with Unhandled" in run(ssm, "breaks")["FailureMessage"]


def test_a_child_runs_to_its_end_and_its_failure_is_the_parents(ssm: Any) -> None:
    """aws:executeAutomation: the child is an execution of its own that names its parent."""
    child = {"name": "Child", "action": "aws:executeAutomation", "inputs": {"DocumentName": "inner"}}
    store(ssm, "inner", put("Inner", "x"))
    store(ssm, "outer", child, put("Outer", "x"))
    shown = run(ssm, "outer")
    assert marks(ssm).keys() == {"Inner", "Outer"}
    made = shown["StepExecutions"][0]["Outputs"]["ExecutionId"][0]
    inner = ssm.get_automation_execution(AutomationExecutionId=made)["AutomationExecution"]
    assert inner["ParentAutomationExecutionId"] == shown["AutomationExecutionId"]
    missing = {**child, "inputs": {"DocumentName": "gone"}}
    store(ssm, "orphan", missing)
    assert "AutomationDefinitionNotFoundException" in run(ssm, "orphan")["FailureMessage"]


def test_a_client_token_starts_one_execution_only(ssm: Any) -> None:
    """The same token gives the same execution; a tag finds it among others."""
    store(ssm, "once", put("Once", "x"))
    token = "00000000-0000-4000-8000-000000000001"
    tags = [{"Key": "mine", "Value": "yes"}]
    started = [ssm.start_automation_execution(DocumentName="once", ClientToken=token, Tags=tags) for _ in range(2)]
    run(ssm, "once")
    assert len({s["AutomationExecutionId"] for s in started}) == 1
    listed = ssm.describe_automation_executions(Filters=[{"Key": "TagKey", "Values": ["mine"]}])
    (found,) = listed["AutomationExecutionMetadataList"]
    assert found["AutomationExecutionId"] == started[0]["AutomationExecutionId"]
    everything = ssm.describe_automation_executions(Filters=[{"Key": "DocumentNamePrefix", "Values": ["onc"]}])
    assert len(everything["AutomationExecutionMetadataList"]) == 2


def test_an_execution_can_be_stopped(ssm: Any) -> None:
    """StopAutomationExecution: Cancelled, and what had not begun never does; one that is over cannot be."""
    store(ssm, "sleeps", {"name": "Sleep", "action": "aws:sleep", "inputs": {"Duration": "PT1H"}}, put("Never", "x"))
    made = ssm.start_automation_execution(DocumentName="sleeps")["AutomationExecutionId"]
    ssm.stop_automation_execution(AutomationExecutionId=made, Type="Cancel")
    assert await_end(ssm, made)["AutomationExecutionStatus"] == "Cancelled"
    assert marks(ssm) == {}
    with pytest.raises(ClientError, match="InvalidAutomationStatusUpdateException"):
        ssm.stop_automation_execution(AutomationExecutionId=made)


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"DocumentName": "nothing"}, "AutomationDefinitionNotFoundException"),
        ({"DocumentName": "strict", "DocumentVersion": "7"}, "AutomationDefinitionVersionNotFoundException"),
        ({"DocumentName": "strict"}, "InvalidAutomationExecutionParametersException"),
        (
            {"DocumentName": "strict", "Parameters": {"Needed": ["x"], "Other": ["x"]}},
            "InvalidAutomationExecutionParametersException",
        ),
    ],
)
def test_what_cannot_be_started_is_refused_by_name(ssm: Any, asked: dict[str, Any], error: str) -> None:
    """Unknown document, version or parameter; a parameter that is missing."""
    store(ssm, "strict", put("Never", "x"), parameters={"Needed": {"type": "String"}})
    with pytest.raises(ClientError, match=error):
        ssm.start_automation_execution(**asked)
