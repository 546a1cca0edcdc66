"""The actions of SSM Automation that the systems' runbooks use, each as AWS's action reference describes it.

An action gets its resolved inputs and returns its outputs; StepFailed and StepTimedOut carry the words that
GetAutomationExecution shows. Calls go over HTTP to the lab's own API, scripts run in an interpreter of their own.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import botocore.exceptions
from botocore import xform_name

from lab import processes
from lab.aws.automation_text import select, text_of
from lab.aws.server import AwsServer
from lab.clock import LabClock

POLL_S = 5.0
"""How often waitForAwsResourceProperty looks (lab seconds)."""
WAIT_TIMEOUT_S = 3600.0
SCRIPT_TIMEOUT_S = 600.0
SCRIPT_FLOOR_WALL_S = 10.0
"""A script gets at least this long (wall seconds): its interpreter does not start faster in a fast lab."""
SCRIPT_ACCESS_KEY = "AKIASCRIPTSCRIPT0000"
"""Not the lab's own: a script is part of the system, and meets what an API that misbehaves lets everybody meet."""
SCRIPT = "aws:executeScript"
TAIL = "Please refer to Automation Service Troubleshooting Guide for more diagnosis details."
RUNNER = """
import json, sys, time
from lab import processes
processes.die_with_parent(int(sys.argv[1]))
import boto3
print(time.monotonic(), flush=True)
task = json.load(sys.stdin)
real_sleep, speed = time.sleep, task["speed"]
time.sleep = lambda lab_s: real_sleep(lab_s / speed)
space = {"__name__": "script"}
exec(compile(task["script"], "script.py", "exec"), space)
result = space[task["handler"]](task["payload"], {})
sys.stdout.write("\\n" + json.dumps(result, default=str) + "\\n")
"""


class StepFailed(Exception):
    """The step failed; the message is AWS's FailureMessage."""

    def __init__(self, why: str) -> None:
        super().__init__(f"Step fails when it is Execute/Cancelling action. {why.rstrip('.')}. {TAIL}")


class StepTimedOut(Exception):
    """The step did not end within its timeoutSeconds."""


class Interpreter:
    """A Python that waits for its script: it starts while its step begins, which is what the service takes for it.

    start_wall_s: how long it took until it could begin, known at its end; None where it never could.
    """

    def __init__(self, region: str, server: AwsServer) -> None:
        self.start_wall_s: float | None = None
        self._began_s = time.monotonic()
        self._process = subprocess.Popen(
            processes.python("-c", RUNNER, str(os.getpid())),
            cwd=str(processes.ROOT),
            env=_script_environment(region, server),
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, task: Mapping[str, Any], wall_s: float) -> tuple[int, str, str]:
        """Its exit code, output and errors. StepTimedOut after wall_s wall seconds."""
        try:
            said, complaint = self._process.communicate(json.dumps(task), timeout=wall_s)
        except subprocess.TimeoutExpired:
            self.drop()
            raise StepTimedOut("Step timed out while it was executing. " + TAIL) from None
        ready_s, _, said = said.partition("\n")
        if ready_s:
            self.start_wall_s = float(ready_s) - self._began_s
        return self._process.returncode, said, complaint

    def drop(self) -> None:
        """End it, whatever it does; nothing when it has ended."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


@dataclass(frozen=True)
class StepContext:
    """What an action may use. deadline_s: lab seconds since the epoch; stop: set when the execution is cancelled;
    run_child(document, version, parameters) runs another document to its end: its id, status and failure message;
    interpreter: one that was started with the step, for a script."""

    region: str
    server: AwsServer
    clock: LabClock
    deadline_s: float
    stop: threading.Event
    run_child: Callable[[str, str | None, Mapping[str, list[str]]], tuple[str, str, str]]
    interpreter: Interpreter | None = None

    def wait(self, lab_s: float) -> None:
        """Wait, at most to the deadline (then StepTimedOut); StepFailed when cancelled."""
        left_s = self.deadline_s - self.clock.now_s()
        if self.clock.wait(self.stop, min(lab_s, left_s)):
            raise StepFailed("The execution was cancelled")
        if lab_s >= left_s:
            raise StepTimedOut("Step timed out while it was executing. " + TAIL)


Outputs = dict[str, Any]
Action = Callable[[Mapping[str, Any], Mapping[str, Any], StepContext], Outputs]
"""(the step as written, its resolved inputs, context) -> outputs."""


def _plain(value: Any) -> Any:
    """What JSON can carry."""
    return json.loads(json.dumps(value, default=lambda v: v.isoformat() if isinstance(v, datetime) else str(v)))


def _call(inputs: Mapping[str, Any], context: StepContext) -> Any:
    """The reply of the API operation that the inputs name."""
    params = {k: v for k, v in inputs.items() if k not in ("Service", "Api", "PropertySelector", "DesiredValues")}
    client = context.server.system_client(inputs["Service"], context.region)
    try:
        reply = getattr(client, xform_name(inputs["Api"]))(**params)
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
        raise StepFailed(str(error)) from error
    reply.pop("ResponseMetadata", None)
    return _plain(reply)


def execute_aws_api(step: Mapping[str, Any], inputs: Mapping[str, Any], context: StepContext) -> Outputs:
    """aws:executeAwsApi: one call; `outputs` of the step pick from the reply."""
    reply = _call(inputs, context)
    return {out["Name"]: select(out["Selector"], reply) for out in step.get("outputs", ())}


def wait_for_property(step: Mapping[str, Any], inputs: Mapping[str, Any], context: StepContext) -> Outputs:
    """aws:waitForAwsResourceProperty: look until the property has one of the desired values."""
    while text_of(select(inputs["PropertySelector"], _call(inputs, context))) not in inputs["DesiredValues"]:
        context.wait(POLL_S)
    return {}


def assert_property(step: Mapping[str, Any], inputs: Mapping[str, Any], context: StepContext) -> Outputs:
    """aws:assertAwsResourceProperty: fail unless the property has one of the desired values."""
    seen = text_of(select(inputs["PropertySelector"], _call(inputs, context)))
    if seen not in inputs["DesiredValues"]:
        raise StepFailed(f"Property value {seen} is not in the desired values {inputs['DesiredValues']}")
    return {}


def sleep(step: Mapping[str, Any], inputs: Mapping[str, Any], context: StepContext) -> Outputs:
    """aws:sleep: `Duration` in ISO 8601, of which PT<n>H, M and S are understood."""
    text, total_s, number = str(inputs["Duration"]).removeprefix("PT"), 0.0, ""
    for letter in text:
        if letter in "HMS":
            total_s += float(number) * {"H": 3600, "M": 60, "S": 1}[letter]
            number = ""
        else:
            number += letter
    context.wait(total_s)
    return {}


def invoke_lambda(step: Mapping[str, Any], inputs: Mapping[str, Any], context: StepContext) -> Outputs:
    """aws:invokeLambdaFunction: a function's own error fails the step."""
    payload = inputs.get("Payload") or inputs.get("InputPayload") or {}
    text = payload if isinstance(payload, str) else json.dumps(payload)
    client = context.server.system_client("lambda", context.region)
    try:
        reply = client.invoke(FunctionName=inputs["FunctionName"], Payload=text.encode())
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
        raise StepFailed(str(error)) from error
    said = reply["Payload"].read().decode()
    if reply.get("FunctionError"):
        raise StepFailed(f"Lambda function {inputs['FunctionName']} failed with {reply['FunctionError']}: {said}")
    answer = {"StatusCode": reply["StatusCode"], "Payload": json.loads(said or "null")}
    return answer | {out["Name"]: select(out["Selector"], answer) for out in step.get("outputs", ())}


def execute_automation(step: Mapping[str, Any], inputs: Mapping[str, Any], context: StepContext) -> Outputs:
    """aws:executeAutomation: run another document to its end; its failure is this step's."""
    parameters = {k: v if isinstance(v, list) else [v] for k, v in (inputs.get("RuntimeParameters") or {}).items()}
    made, status, why = context.run_child(inputs["DocumentName"], inputs.get("DocumentVersion"), parameters)
    if status != "Success":
        raise StepFailed(f"The child execution {made} ended as {status}: {why or 'no message'}")
    return {"ExecutionId": made, "Status": status}


def execute_script(step: Mapping[str, Any], inputs: Mapping[str, Any], context: StepContext) -> Outputs:
    """aws:executeScript: `Handler(events, context)` of an inline Python script; its result is OutputPayload.

    What it sleeps is lab time, as are the pauses of its boto3 between two attempts.
    """
    if not str(inputs["Runtime"]).lower().startswith("python"):
        raise StepFailed(f"this lab runs Python scripts, not {inputs['Runtime']}")
    task = {
        "script": inputs["Script"],
        "handler": inputs["Handler"],
        "payload": inputs.get("InputPayload", {}),
        "speed": context.clock.speed,
    }
    wall_s = max(SCRIPT_FLOOR_WALL_S, context.clock.wall_s(context.deadline_s - context.clock.now_s()))
    code, said, complaint = (context.interpreter or Interpreter(context.region, context.server)).run(task, wall_s)
    if code:
        last = (complaint.strip().splitlines() or ["no message"])[-1]
        raise StepFailed(f"Failure in the execution of the script: {last}")
    payload = json.loads(said.strip().splitlines()[-1])
    picked = {out["Name"]: select(out["Selector"], {"Payload": payload}) for out in step.get("outputs", ())}
    return {"OutputPayload": {"Payload": payload}} | picked


def _script_environment(region: str, server: AwsServer) -> dict[str, str]:
    """What a script's boto3 finds: the lab's API, and nothing of the user's own AWS settings."""
    return {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_DEFAULT_REGION": region,
        "AWS_REGION": region,
        "AWS_ACCESS_KEY_ID": SCRIPT_ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": "lab",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


ACTIONS: Mapping[str, Action] = {
    "aws:assertAwsResourceProperty": assert_property,
    "aws:executeAutomation": execute_automation,
    "aws:executeAwsApi": execute_aws_api,
    SCRIPT: execute_script,
    "aws:invokeLambdaFunction": invoke_lambda,
    "aws:sleep": sleep,
    "aws:waitForAwsResourceProperty": wait_for_property,
}
START_S: Mapping[str, float] = {SCRIPT: 15.0}
"""What the service itself takes to begin a step (lab seconds); others START_OTHER_S."""
START_OTHER_S = 2.0
TIMEOUT_S: Mapping[str, float] = {
    SCRIPT: SCRIPT_TIMEOUT_S,
    "aws:waitForAwsResourceProperty": WAIT_TIMEOUT_S,
}
"""Actions with a time-out of their own; the others have none."""
