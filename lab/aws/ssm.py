"""SSM Automation: the documents that moto stores, executed step by step in lab time.

Systems Manager user guide, "Automation actions reference" and "Learn about statuses returned by Automation". Played:
parameters with defaults, onFailure (Abort, Continue, step:NAME), nextStep, isEnd, isCritical, timeoutSeconds,
maxAttempts, outputs, child executions, cancellation. Not played: targets and rate control, approvals, attachments.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.ssm.models import ssm_backends
from moto.ssm.responses import SimpleSystemManagerResponse

from lab.aws import automation, events
from lab.aws.automation import CANCELLED, FAILED, IN_PROGRESS, OVER, SUCCESS, TIMED_OUT, Execution, StepRun, matches
from lab.aws.automation_steps import (
    ACTIONS,
    SCRIPT,
    START_OTHER_S,
    START_S,
    TIMEOUT_S,
    Interpreter,
    StepContext,
    StepFailed,
    StepTimedOut,
)
from lab.aws.automation_text import UnresolvedError, resolve
from lab.aws.protocol import AwsError, page
from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.truth import Truth

MAX_STEPS_RUN = 1000
"""Steps that one execution may run: a document that goes round in circles ends."""
MAX_KEPT = 1000
STOP_WALL_S = 3.0
NO_END_S = 86400.0

log = logging.getLogger(__name__)


class Automation:
    """Serves SSM for `server` and runs the executions of every Region."""

    def __init__(self, server: AwsServer, clock: LabClock, truth: Truth) -> None:
        self._server, self._clock, self._truth = server, clock, truth
        self._lock = threading.Lock()
        self._executions: dict[str, Execution] = {}
        self._threads: list[threading.Thread] = []
        server.serve_class("ssm", type("Ssm", (_Ssm,), {"world": self}))

    def start(self) -> None:
        """Nothing to begin: executions run once they are started."""

    def stop(self) -> None:
        """Cancel what still runs; bounded."""
        for execution in list(self._executions.values()):
            execution.stop.set()
        for thread in self._threads:
            thread.join(STOP_WALL_S)

    # -- the API's operations -------------------------------------------------------------------------------

    def begin(self, region: str, request: Mapping[str, Any]) -> Execution:
        """StartAutomationExecution: AwsError as it names them; a repeated ClientToken gives the same execution."""
        token = str(request.get("ClientToken") or "")
        with self._lock:
            again = next((e for e in self._executions.values() if token and e.client_token == token), None)
        if again is not None:
            return again
        tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags") or ()}
        execution = self._new(
            region, request["DocumentName"], request.get("DocumentVersion"), request.get("Parameters") or {}, tags
        )
        execution.client_token = token
        thread = threading.Thread(target=self._run, args=(execution,), name="ssm-automation", daemon=True)
        self._threads.append(thread)
        thread.start()
        return execution

    def find(self, region: str, execution_id: str) -> Execution:
        """By id, or AutomationExecutionNotFoundException."""
        found = self._executions.get(execution_id)
        if found is None or found.region != region:
            raise AwsError("AutomationExecutionNotFoundException", f"Automation execution {execution_id} not found")
        return found

    def of_region(self, region: str, filters: Sequence[Mapping[str, Any]]) -> list[Execution]:
        """The Region's executions that fit, newest first."""
        try:
            mine = [e for e in self._executions.values() if e.region == region and matches(e, filters)]
        except KeyError as error:
            raise AwsError("InvalidFilterKey", f"this lab does not play the filter {error}") from error
        return sorted(mine, key=lambda e: e.started, reverse=True)

    def cancel(self, execution: Execution) -> None:
        """StopAutomationExecution; InvalidAutomationStatusUpdateException for one that is over."""
        if execution.status in OVER:
            why = f"{execution.execution_id} is {execution.status}"
            raise AwsError("InvalidAutomationStatusUpdateException", why)
        execution.status = automation.CANCELLING
        execution.stop.set()

    # -- making one -----------------------------------------------------------------------------------------

    def _new(
        self,
        region: str,
        name: str,
        version: str | None,
        given: Mapping[str, Sequence[str]],
        tags: Mapping[str, str],
        parent: str = "",
    ) -> Execution:
        document = self._document(region, name, version)
        parameters = _parameters(document.content_json, given)
        steps = [StepRun(step) for step in document.content_json["mainSteps"]]
        content, made = document.content_json, self._clock.now()
        execution = Execution(
            region, name, document.version, content, parameters, tags, steps, made, parent, status=IN_PROGRESS
        )
        with self._lock:
            self._executions[execution.execution_id] = execution
            for old in list(self._executions)[:-MAX_KEPT]:
                del self._executions[old]
        self._changed(execution)
        return execution

    def _document(self, region: str, name: str, version: str | None) -> _Document:
        known = ssm_backends[self._server.account][region]._documents.get(name.rpartition("/")[2])
        if known is None:
            raise AwsError("AutomationDefinitionNotFoundException", f"Automation document {name} not found")
        wanted = None if version in (None, "$DEFAULT") else version
        found = known.find(document_version=wanted, strict=False)
        if found is None:
            why = f"Automation document {name} has no version {version}"
            raise AwsError("AutomationDefinitionVersionNotFoundException", why)
        content = found.content
        return _Document(found.document_version, content if isinstance(content, dict) else json.loads(content))

    # -- running one ----------------------------------------------------------------------------------------

    def _run(self, execution: Execution) -> None:
        try:
            self._walk(execution)
        except Exception as error:  # the thread's last frame: a mistake in here must not leave it InProgress
            log.exception("automation %s", execution.document)
            self._end(execution, FAILED, f"{type(error).__name__}: {error}")

    def _walk(self, execution: Execution) -> None:
        """Step after step, as each says what follows it."""
        step: StepRun | None = execution.steps[0]
        for _ in range(MAX_STEPS_RUN):
            if step is None:
                self._end(execution, *_outcome(execution))
                return
            self._run_step(execution, step)
            if execution.stop.is_set():
                self._end(execution, CANCELLED)
                return
            if step.status != SUCCESS and _aborts(step):
                self._end(execution, step.status, step.failure)
                return
            step = _next(execution, step)
        self._end(execution, FAILED, f"more than {MAX_STEPS_RUN} steps were run")

    def _run_step(self, execution: Execution, step: StepRun) -> None:
        step.status, step.started, step.failure = IN_PROGRESS, self._clock.now(), ""
        action = str(step.written["action"])
        self._truth.record("ssm.step", document=execution.document, step=step.name, status=IN_PROGRESS)
        interpreter = Interpreter(execution.region, self._server) if action == SCRIPT else None
        if self._clock.wait(execution.stop, START_S.get(action, START_OTHER_S)):
            step.status = CANCELLED
        for attempt in range(int(step.written.get("maxAttempts", 1))):
            if execution.stop.is_set():
                break
            self._attempt(execution, step, action, None if attempt else interpreter)
            if step.status == SUCCESS:
                break
        if interpreter is not None:
            interpreter.drop()
            if interpreter.start_wall_s is not None:
                self._truth.took("script start", START_S[SCRIPT], interpreter.start_wall_s * self._clock.speed)
        step.ended = self._clock.now()
        self._truth.record("ssm.step", document=execution.document, step=step.name, status=step.status)

    def _attempt(
        self, execution: Execution, step: StepRun, action: str, interpreter: Interpreter | None = None
    ) -> None:
        limit_s = float(step.written.get("timeoutSeconds") or TIMEOUT_S.get(action, NO_END_S))
        context = StepContext(
            execution.region,
            self._server,
            self._clock,
            self._clock.now_s() + limit_s,
            execution.stop,
            lambda name, version, given: self._child(execution, name, version, given),
            interpreter,
        )
        try:
            step.inputs = resolve(step.written.get("inputs") or {}, self._known(execution))
            if action == "aws:branch":
                step.outputs = {"next": _branch(step.inputs)}
            else:
                step.outputs = ACTIONS[action](step.written, step.inputs, context)
            step.status = SUCCESS
        except StepTimedOut as error:
            step.status, step.failure = TIMED_OUT, str(error)
        except (StepFailed, UnresolvedError) as error:
            step.status, step.failure = FAILED, str(error)
        except KeyError as error:
            step.status, step.failure = FAILED, str(StepFailed(f"{action}: {error} is missing or not played here"))

    def _child(
        self, parent: Execution, name: str, version: str | None, given: Mapping[str, list[str]]
    ) -> tuple[str, str, str]:
        try:
            child = self._new(parent.region, name, version, given, {}, parent.execution_id)
        except AwsError as error:
            raise StepFailed(f"An error occurred ({error.code}): {error.message}") from error
        child.stop = parent.stop
        self._run(child)
        return child.execution_id, child.status, child.failure

    def _known(self, execution: Execution) -> dict[str, Any]:
        kinds = execution.content.get("parameters") or {}
        found: dict[str, Any] = {
            name: list(values) if kinds.get(name, {}).get("type") == "StringList" else "".join(values[:1])
            for name, values in execution.parameters.items()
        }
        for step in execution.steps:
            found |= {f"{step.name}.{name}": value for name, value in step.outputs.items()}
        return found | {
            "global:REGION": execution.region,
            "global:ACCOUNT_ID": self._server.account,
            "global:DATE": self._clock.now().strftime("%Y-%m-%d"),
            "automation:EXECUTION_ID": execution.execution_id,
        }

    def _end(self, execution: Execution, status: str, why: str = "") -> None:
        execution.ended, execution.failure, execution.status = self._clock.now(), why, status
        self._changed(execution)

    def _changed(self, execution: Execution) -> None:
        """Tell the world (truth, EventBridge) of an execution's state."""
        status, account = execution.status, self._server.account
        self._truth.record("ssm.execution", document=execution.document, region=execution.region, status=status)
        arn = f"arn:aws:ssm:{execution.region}:{account}"
        detail = {
            "ExecutionId": execution.execution_id,
            "Definition": execution.document,
            "DefinitionVersion": float(execution.version),
            "Status": status,
        }
        event = events.ServiceEvent(
            region=execution.region,
            source="aws.ssm",
            detail_type="EC2 Automation Execution Status-change Notification",
            detail=detail,
            resources=(
                f"{arn}:automation-execution/{execution.execution_id}",
                f"{arn}:automation-definition/{execution.document}:{execution.version}",
            ),
        )
        events.publish(account, self._clock, event)


class _Document:
    """A version of a stored document."""

    def __init__(self, version: str, content_json: Mapping[str, Any]) -> None:
        self.version, self.content_json = version, content_json


def _parameters(content: Mapping[str, Any], given: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The document's parameters with what was given; InvalidAutomationExecutionParametersException otherwise."""
    known: Mapping[str, Any] = content.get("parameters") or {}
    if unknown := sorted(given.keys() - known.keys()):
        why = f"Document does not have the parameters {', '.join(unknown)}"
        raise AwsError("InvalidAutomationExecutionParametersException", why)
    found = {}
    for name, spec in known.items():
        value = given.get(name, spec.get("default"))
        if value is None:
            raise AwsError("InvalidAutomationExecutionParametersException", f"Parameter {name} is required")
        found[name] = [str(item) for item in value] if isinstance(value, list) else [str(value)]
    return found


def _aborts(step: StepRun) -> bool:
    """Whether a step that did not succeed ends the execution at once."""
    return str(step.written.get("onFailure", "Abort")) == "Abort"


def _outcome(execution: Execution) -> tuple[str, str]:
    """How an execution that came to its end has gone: a critical step that failed on the way fails it."""
    for step in execution.steps:
        failed = step.status not in (SUCCESS, automation.PENDING)
        critical = step.written.get("isCritical", str(step.written.get("onFailure")) != "Continue")
        if failed and critical:
            return step.status, step.failure
    return SUCCESS, ""


def _next(execution: Execution, step: StepRun) -> StepRun | None:
    """The step after this one; None at the end."""
    on_failure = str(step.written.get("onFailure", "Abort"))
    if step.status != SUCCESS and on_failure.startswith("step:"):
        return execution.step(on_failure.removeprefix("step:"))
    if step.written["action"] == "aws:branch":
        return execution.step(str(step.outputs.get("next", "")))
    if step.written.get("isEnd"):
        return None
    if name := step.written.get("nextStep"):
        return execution.step(str(name))
    at = execution.steps.index(step) + 1
    return execution.steps[at] if at < len(execution.steps) else None


def _branch(inputs: Mapping[str, Any]) -> str:
    """The name of the step that aws:branch chooses; StringEquals, Contains and their default are played."""
    for choice in inputs["Choices"]:
        value = str(choice["Variable"])
        if ("StringEquals" in choice and value == choice["StringEquals"]) or (
            "Contains" in choice and choice["Contains"] in value
        ):
            return str(choice["NextStep"])
    return str(inputs.get("Default", ""))


class _Ssm(SimpleSystemManagerResponse):
    """moto's SSM with Automation; `world` is set by Automation on a subclass of its own."""

    world: Automation

    def start_automation_execution(self) -> ActionResult:
        names = ("DocumentName", "DocumentVersion", "Parameters", "ClientToken", "Tags")
        execution = self.world.begin(self.region, {name: self._get_param(name) for name in names})
        return ActionResult({"AutomationExecutionId": execution.execution_id})

    def get_automation_execution(self) -> ActionResult:
        execution = self.world.find(self.region, self._get_param("AutomationExecutionId"))
        return ActionResult({"AutomationExecution": execution.shown()})

    def describe_automation_executions(self) -> ActionResult:
        found = self.world.of_region(self.region, self._get_param("Filters") or [])
        return self._page("AutomationExecutionMetadataList", [e.metadata() for e in found])

    def describe_automation_step_executions(self) -> ActionResult:
        execution = self.world.find(self.region, self._get_param("AutomationExecutionId"))
        steps = [step.shown() for step in execution.steps]
        return self._page("StepExecutions", steps[::-1] if self._get_param("ReverseOrder") else steps)

    def stop_automation_execution(self) -> EmptyResult:
        self.world.cancel(self.world.find(self.region, self._get_param("AutomationExecutionId")))
        return EmptyResult()

    def _page(self, key: str, shown: list[dict[str, Any]]) -> ActionResult:
        items, token = page(shown, int(self._get_param("MaxResults") or 50), self._get_param("NextToken"))
        return ActionResult({key: items, "NextToken": token} if token else {key: items})
