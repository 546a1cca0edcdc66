"""Step Functions: executions on moto's interpreter, with the API's answers and events as AWS gives them."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from importlib import resources
from typing import Any
from uuid import uuid4

from moto.core.config import default_user_config
from moto.core.responses import ActionResult
from moto.stepfunctions.parser import utils as parser_utils
from moto.stepfunctions.parser.backend.execution import BaseExecutionWorkerCommunication, Execution
from moto.stepfunctions.parser.models import StepFunctionsParserBackend
from moto.stepfunctions.responses import StepFunctionResponse

from lab.aws import events, interpreter
from lab.aws.interpreter import json_text
from lab.aws.patching import replace
from lab.aws.server import AwsError, AwsServer
from lab.clock import LabClock
from lab.truth import Truth

ASL_PACKAGE = "lab.core_banking"
_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
HISTORY_PAGE = 100
"""GetExecutionHistory returns 100 events a page by default, 1,000 at most."""
STOP_WALL_S = 5.0

_live: StateMachines | None = None
_start_execution = StepFunctionsParserBackend.start_execution
_start = Execution.start
_terminated = BaseExecutionWorkerCommunication.terminated


def render(name: str, **values: str) -> str:
    """The state machine definition `name` (a file in asl/, without its suffix) with `${...}` filled in.

    Returns ASL as JSON text. Raises KeyError for a placeholder without a value, ValueError for a value without a
    placeholder or when the result is not JSON, FileNotFoundError for an unknown name.
    """
    text = resources.files(ASL_PACKAGE).joinpath("asl", f"{name}.asl.json").read_text(encoding="utf-8")
    unused = set(values) - set(_PLACEHOLDER.findall(text))
    if unused:
        raise ValueError(f"{name} has no placeholder for {', '.join(sorted(unused))}")
    rendered = _PLACEHOLDER.sub(lambda found: json.dumps(values[found[1]])[1:-1], text)
    return json.dumps(json.loads(rendered))


class StateMachines:
    """Runs the executions of every Region of the server on lab time."""

    def __init__(self, server: AwsServer, clock: LabClock, truth: Truth) -> None:
        self._server = server
        self._clock = clock
        self._truth = truth

    def start(self) -> None:
        """Switch moto's interpreter on and serve Step Functions in this process from now on."""
        global _live  # noqa: PLW0603 (moto's backends are global to the process, so is who serves them)
        default_user_config["stepfunctions"] = {"execute_state_machine": True}
        interpreter.use(interpreter.Settings(self._clock, self._truth, self._server))
        _live = self
        _patch_backend()
        _patch_api()

    def stop(self) -> None:
        """Abort what still runs, so that no interpreter thread outlives the lab."""
        global _live  # noqa: PLW0603
        from moto.stepfunctions.parser.models import stepfunctions_parser_backends

        for account in list(stepfunctions_parser_backends.values()):
            for backend in list(account.values()):
                for machine in backend.state_machines:
                    for execution in machine.executions:
                        _abort(execution, None, None)
        if _live is self:
            _live = None
        interpreter.forget(self._server.url)

    def changed(self, execution: Execution, status: str) -> None:
        """Tell the world that an execution started or ended (truth, EventBridge).

        The status is given because a short execution may be over before its start is told.
        """
        self._truth.record("execution", arn=execution.exec_arn, status=status)
        event = events.ServiceEvent(
            region=execution.region_name,
            source="aws.states",
            detail_type="Step Functions Execution Status Change",
            detail=_event_detail(execution, status),
            resources=(execution.exec_arn,),
        )
        events.publish(execution.account_id, self._clock, event)


def _event_detail(execution: Execution, status: str) -> dict[str, Any]:
    """Shape: the EventBridge event reference for Step Functions; dates are epoch milliseconds."""
    output = json_text(execution.output) if status == "SUCCEEDED" else None
    return {
        "executionArn": execution.exec_arn,
        "stateMachineArn": execution.state_machine.arn,
        "name": execution.name,
        "status": status,
        "startDate": _millis(execution.start_date),
        "stopDate": None if status == "RUNNING" else _millis(execution.stop_date),
        "input": execution.execution_input,
        "inputDetails": {"included": True},
        "output": output,
        "outputDetails": {"included": True} if output is not None else None,
        "error": execution.error,
        "cause": execution.cause,
    }


def _millis(date: Any) -> int | None:
    return None if date is None else round(date.timestamp() * 1000)


# --- backend


def _patch_backend() -> None:
    replace(StepFunctionsParserBackend, "start_execution", _named_start)
    replace(Execution, "start", _reported_start)
    replace(BaseExecutionWorkerCommunication, "terminated", _reported_end)


def _named_start(
    self: Any, state_machine_arn: str, name: str | None = None, execution_input: Any = None, trace_header: Any = None
) -> Any:
    # The interpreter keeps every thread it ever started in this list.
    parser_utils.TMP_THREADS[:] = [thread for thread in parser_utils.TMP_THREADS if thread.is_alive()]
    return _start_execution(self, state_machine_arn, name or str(uuid4()), execution_input, trace_header)


def _reported_start(self: Execution) -> None:
    _start(self)
    if _live is not None:
        _live.changed(self, "RUNNING")


def _reported_end(self: BaseExecutionWorkerCommunication) -> None:
    _terminated(self)
    if _live is not None:
        _live.changed(self.execution, self.execution.status)


def _abort(execution: Any, error: str | None, cause: str | None) -> None:
    """Abort an execution if it runs and wait, bounded, until it has noted its end."""
    deadline = time.monotonic() + STOP_WALL_S
    while execution.status == "RUNNING" and time.monotonic() < deadline:
        # The environment comes up in the execution's own thread; before that there is nothing to stop.
        if execution.exec_worker.env is not None:
            execution.stop(interpreter.lab_now(), error, cause)
        time.sleep(0.01)


# --- API


def _patch_api() -> None:
    replace(StepFunctionResponse, "describe_execution", _describe_execution)
    replace(StepFunctionResponse, "list_executions", _list_executions)
    replace(StepFunctionResponse, "stop_execution", _stop_execution)
    replace(StepFunctionResponse, "get_execution_history", _get_execution_history)


def _describe_execution(self: StepFunctionResponse) -> ActionResult:
    execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
    answer = {
        **_summary(execution),
        "input": execution.execution_input,
        "inputDetails": {"included": True},
        "error": execution.error,
        "cause": execution.cause,
    }
    if execution.status == "SUCCEEDED":
        answer |= {"output": json_text(execution.output), "outputDetails": {"included": True}}
    return ActionResult({key: value for key, value in answer.items() if value is not None})


def _summary(execution: Any) -> dict[str, Any]:
    answer = {
        "executionArn": execution.execution_arn,
        "stateMachineArn": execution.state_machine_arn,
        "name": execution.name,
        "status": execution.status,
        "startDate": execution.start_date,
        "stopDate": execution.stop_date,
    }
    return {key: value for key, value in answer.items() if value is not None}


def _list_executions(self: StepFunctionResponse) -> ActionResult:
    found, token = self.stepfunction_backend.list_executions(
        self._get_param("stateMachineArn"),
        status_filter=self._get_param("statusFilter"),
        max_results=self._get_int_param("maxResults"),
        next_token=self._get_param("nextToken"),
    )
    answer: dict[str, Any] = {"executions": [_summary(execution) for execution in found]}
    return ActionResult(answer | ({"nextToken": token} if token else {}))


def _stop_execution(self: StepFunctionResponse) -> ActionResult:
    execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
    _abort(execution, self._get_param("error"), self._get_param("cause"))
    return ActionResult({"stopDate": execution.stop_date or interpreter.lab_now()})


def _get_execution_history(self: StepFunctionResponse) -> ActionResult:
    execution: Any = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
    history = list(execution.to_history_output()["events"])
    if self._get_param("reverseOrder"):
        history.reverse()
    if self._get_param("includeExecutionData") is False:
        history = [_without_data(event) for event in history]
    start = _page_start(self._get_param("nextToken"))
    end = start + min(self._get_int_param("maxResults") or HISTORY_PAGE, 1000)
    answer: dict[str, Any] = {"events": history[start:end]}
    return ActionResult(answer | ({"nextToken": f"page-{end}"} if end < len(history) else {}))


def _page_start(token: str | None) -> int:
    number = (token or "page-0").removeprefix("page-")
    if not number.isdigit():
        raise AwsError("InvalidToken", f"Invalid token: '{token}'")
    return int(number)


_DATA_KEYS = frozenset({"input", "output", "inputDetails", "outputDetails", "parameters"})


def _without_data(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event without inputs and outputs, as includeExecutionData=false asks."""
    return {
        key: {k: v for k, v in value.items() if k not in _DATA_KEYS} if isinstance(value, dict) else value
        for key, value in event.items()
    }
