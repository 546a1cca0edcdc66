"""Executions of SSM Automation documents: their states, steps and what they show, as the API names them."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from lab.aws.automation_text import text_of

PENDING, IN_PROGRESS, SUCCESS, FAILED = "Pending", "InProgress", "Success", "Failed"
TIMED_OUT, CANCELLED, CANCELLING = "TimedOut", "Cancelled", "Cancelling"
OVER = frozenset({SUCCESS, FAILED, TIMED_OUT, CANCELLED})


@dataclass
class StepRun:
    """One step of an execution; `written` is the step as the document has it, times are lab time."""

    written: Mapping[str, Any]
    step_id: str = field(default_factory=lambda: str(uuid4()))
    status: str = PENDING
    inputs: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    started: datetime | None = None
    ended: datetime | None = None
    failure: str = ""

    @property
    def name(self) -> str:
        """The step's name."""
        return str(self.written["name"])

    def shown(self) -> dict[str, Any]:
        """As StepExecution."""
        found: dict[str, Any] = {
            "StepName": self.name,
            "Action": self.written["action"],
            "OnFailure": self.written.get("onFailure", "Abort"),
            "MaxAttempts": int(self.written.get("maxAttempts", 1)),
            "StepStatus": self.status,
            "Inputs": {key: text_of(value) for key, value in self.inputs.items()},
            "Outputs": {f"{key}": [text_of(value)] for key, value in self.outputs.items()},
            "StepExecutionId": self.step_id,
            "IsEnd": bool(self.written.get("isEnd", False)),
            "IsCritical": bool(self.written.get("isCritical", True)),
        }
        times = {"ExecutionStartTime": self.started, "ExecutionEndTime": self.ended}
        words = {"FailureMessage": self.failure, "NextStep": self.written.get("nextStep")}
        timeout = {"TimeoutSeconds": self.written.get("timeoutSeconds")}
        return found | {key: value for key, value in (times | words | timeout).items() if value}


@dataclass
class Execution:
    """One execution; the thread that runs it alone changes it, `stop` asks it to end."""

    region: str
    document: str
    version: str
    content: Mapping[str, Any]
    parameters: Mapping[str, Sequence[str]]
    tags: Mapping[str, str]
    steps: list[StepRun]
    started: datetime
    parent: str = ""
    client_token: str = ""
    execution_id: str = field(default_factory=lambda: str(uuid4()))
    status: str = PENDING
    ended: datetime | None = None
    failure: str = ""
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def current(self) -> StepRun | None:
        """The step that is under way."""
        return next((step for step in self.steps if step.status == IN_PROGRESS), None)

    def step(self, name: str) -> StepRun | None:
        """The step of that name."""
        return next((step for step in self.steps if step.name == name), None)

    def metadata(self) -> dict[str, Any]:
        """As AutomationExecutionMetadata."""
        found: dict[str, Any] = {
            "AutomationExecutionId": self.execution_id,
            "DocumentName": self.document,
            "DocumentVersion": self.version,
            "AutomationExecutionStatus": self.status,
            "ExecutionStartTime": self.started,
            "ExecutedBy": "arn:aws:sts::000000000000:assumed-role/operator/drill",
            "Mode": "Auto",
            "AutomationType": "Local",
            "Outputs": self._outputs(),
            "Targets": [],
            "ResolvedTargets": {"ParameterValues": [], "Truncated": False},
        }
        current = self.current
        more = {
            "ExecutionEndTime": self.ended,
            "FailureMessage": self.failure,
            "ParentAutomationExecutionId": self.parent,
            "CurrentStepName": current.name if current else "",
            "CurrentAction": current.written["action"] if current else "",
        }
        return found | {key: value for key, value in more.items() if value}

    def shown(self) -> dict[str, Any]:
        """As AutomationExecution."""
        found = {key: value for key, value in self.metadata().items() if key != "AutomationType"}
        return found | {
            "StepExecutions": [step.shown() for step in self.steps],
            "StepExecutionsTruncated": False,
            "Parameters": {key: list(value) for key, value in self.parameters.items()},
        }

    def _outputs(self) -> dict[str, list[str]]:
        """What the document's `outputs` names, of the steps that have been."""
        found = {}
        for name in self.content.get("outputs", ()):
            step, _, output = str(name).partition(".")
            run = self.step(step)
            if run is not None and output in run.outputs:
                found[str(name)] = [text_of(run.outputs[output])]
        return found


def matches(execution: Execution, filters: Sequence[Mapping[str, Any]]) -> bool:
    """Whether an execution fits all filters of DescribeAutomationExecutions; KeyError for one not played here."""
    read = {
        "ExecutionId": lambda: [execution.execution_id],
        "ExecutionStatus": lambda: [execution.status],
        "ParentExecutionId": lambda: [execution.parent],
        "TagKey": lambda: list(execution.tags),
    }
    for wanted in filters:
        if wanted["Key"] == "DocumentNamePrefix":
            good = any(execution.document.startswith(prefix) for prefix in wanted["Values"])
        else:
            good = bool(set(read[wanted["Key"]]()) & set(wanted["Values"]))
        if not good:
            return False
    return True
