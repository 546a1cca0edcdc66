"""moto's Amazon States Language interpreter, made to keep lab time and AWS's manners.

The interpreter is LocalStack's, inside moto. What differs from Step Functions and is put right here:

- States.MathRandom excludes its end, as published;
- waits, timeouts, heartbeats, retry intervals and every timestamp run on the lab's clock;
- service calls go to the lab's own front door, wherever it listens;
- `aws-sdk` integrations spell parameters and results as Step Functions does (`DbClusters`, `Ttl`), know services by
  their Step Functions names, and results with dates are JSON;
- Lambda failures carry the error names of AWS (`Lambda.ServiceException` and so on).

The patches are made once per process and ask `Settings` for the clock and the server that are current.
"""

from __future__ import annotations

import datetime as real_datetime
import json
import random
import re
import threading
import time
import types
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from jsonpath_ng.ext.parser import parse as parse_jsonpath
from moto.stepfunctions.parser import models as parser_models
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.intrinsic.function.statesfunction.math_operations import math_random
from moto.stepfunctions.parser.asl.component.program import program
from moto.stepfunctions.parser.asl.component.state import state as state_module
from moto.stepfunctions.parser.asl.component.state.exec import execute_state
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.itemprocessor import map_run_record
from moto.stepfunctions.parser.asl.component.state.exec.state_parallel import branches_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service,
    state_task_service_aws_sdk,
    state_task_service_callback,
    state_task_service_lambda,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.state_task_lambda import StateTaskLambda
from moto.stepfunctions.parser.asl.component.state.wait.wait_function import timestamp, wait_function
from moto.stepfunctions.parser.asl.eval.callback import callback
from moto.stepfunctions.parser.asl.eval.event import event_manager
from moto.stepfunctions.parser.asl.utils import json_path
from moto.stepfunctions.parser.backend import activity, execution

from lab.aws.patching import replace, replace_everywhere
from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.truth import Truth

WAIT_SLICE_WALL_S = 0.25
"""moto sets and at once clears the event that ends a Wait, so a wake-up can be missed: look again this often."""
TIMEOUT_FLOOR_WALL_S = 1.0
"""A task's timeout never lasts less wall time than this: the work behind it is real."""
POLL_FLOOR_WALL_S = 0.05
READ_TIMEOUT_WALL_S = 900.0
_PARSER = "moto.stepfunctions.parser"

_SERVICES = {"sfn": "stepfunctions", "states": "stepfunctions", "eventbridge": "events", "cloudwatchlogs": "logs"}


@dataclass(frozen=True)
class Settings:
    """What the interpreter runs on: the lab's clock and truth, and its API."""

    clock: LabClock
    truth: Truth
    server: AwsServer


_settings: Settings | None = None
_moto_extract_json = json_path.extract_json
_clients: dict[tuple[str, str, str], Any] = {}
_clients_lock = threading.Lock()


def use(settings: Settings) -> None:
    """Make every execution of this process run on `settings`; patches moto on the first call."""
    global _settings
    first, _settings = _settings is None, settings
    if first:
        _patch_time()
        _patch_waiting()
        _patch_calls()


def _now() -> Settings:
    if _settings is None:
        raise RuntimeError("the interpreter was not given its settings")
    return _settings


def lab_now() -> real_datetime.datetime:
    """Lab time now, aware UTC."""
    return _now().clock.now()


# --- time


class _LabDatetime(real_datetime.datetime):
    @classmethod
    def now(cls, tz: real_datetime.tzinfo | None = None) -> Any:
        """Lab time; naive UTC without `tz`, which is what a Wait until a timestamp compares with."""
        now = _now().clock.now()
        return now.replace(tzinfo=None) if tz is None else now.astimezone(tz)


def _lab_timeout(seconds: float | None) -> float | None:
    """Wall seconds for a timeout in lab seconds; the default of 99,999,999 s stays "never"."""
    if seconds is None:
        return None
    return min(max(_now().clock.wall_s(seconds), TIMEOUT_FLOOR_WALL_S), threading.TIMEOUT_MAX)


class _LabEvent(threading.Event):
    def wait(self, timeout: float | None = None) -> bool:
        """Wait at most `timeout` lab seconds."""
        return super().wait(_lab_timeout(timeout))


class _LabThread(threading.Thread):
    def join(self, timeout: float | None = None) -> None:
        """Wait at most `timeout` lab seconds for the thread's end."""
        super().join(_lab_timeout(timeout))


def _lab_sleep(seconds: float) -> None:
    time.sleep(max(_now().clock.wall_s(seconds), POLL_FLOOR_WALL_S))


def _patch_time() -> None:
    dates = types.SimpleNamespace(
        datetime=_LabDatetime, timezone=real_datetime.timezone, timedelta=real_datetime.timedelta
    )
    stamped = (event_manager, execution, state_module, parser_models, map_run_record, branches_decl)
    for module in (*stamped, activity, timestamp):
        replace(module, "datetime", dates)
    replace(math_random, "random", types.SimpleNamespace(Random=_HalfOpenRandom))
    replace(retrier_decl, "time", types.SimpleNamespace(sleep=_lab_sleep))
    replace(state_task_service_callback, "time", types.SimpleNamespace(sleep=_lab_sleep))


class _HalfOpenRandom(random.Random):
    def randint(self, a: int, b: int) -> int:
        """States.MathRandom excludes its end; moto includes it, so that a choice by index runs off the array."""
        return self.randrange(a, max(b, a + 1))


def _patch_waiting() -> None:
    replace(execute_state, "threading", types.SimpleNamespace(Event=_LabEvent))
    replace(program, "threading", types.SimpleNamespace(Thread=_LabThread))
    replace(callback, "Event", _LabEvent)
    replace(wait_function.WaitFunction, "_wait_interval", _wait_interval)


def _wait_interval(_self: Any, env: Any, wait_seconds: float) -> None:
    clock, started_s = _now().clock, _now().clock.now_s()
    while env.is_running() and (left_s := started_s + wait_seconds - clock.now_s()) > 0:
        env.program_state_event.wait(min(clock.wall_s(left_s), WAIT_SLICE_WALL_S))
    if env.is_running():
        _now().truth.took("Step Functions Wait", float(wait_seconds), clock.now_s() - started_s)


# --- calls


def client_for(region: str, service: str, state_credentials: Any = None) -> Any:
    """The client with which a task calls `service` (Step Functions' or botocore's name) in `region`."""
    server = _now().server
    key = (_boto_name(service), region, server.url)
    with _clients_lock:
        if key not in _clients:
            _clients[key] = server.client_at(key[0], region, config=_CONFIG)
        return _clients[key]


_CONFIG = Config(parameter_validation=False, retries={"total_max_attempts": 1}, read_timeout=READ_TIMEOUT_WALL_S)
"""No retries, because a state machine declares its own; a read timeout that outlasts the longest Lambda function."""


def forget(url: str) -> None:
    """Close the clients of a server that goes away."""
    with _clients_lock:
        for key in [key for key in _clients if key[2] == url]:
            _clients.pop(key).close()


@lru_cache(maxsize=128)
def _boto_name(service: str) -> str:
    """Step Functions writes service names without dashes: route53recoverycluster."""
    if service in _SERVICES:
        return _SERVICES[service]
    known = botocore.session.get_session().get_available_services()
    return next((name for name in known if name.replace("-", "") == service.replace("-", "")), service)


def jsonable(value: Any) -> Any:
    """A boto3 result as JSON can carry it: dates as ISO 8601 with Z, sets as lists, bytes as text."""
    if isinstance(value, real_datetime.datetime):
        utc = value.astimezone(real_datetime.UTC)
        return utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, dict):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [jsonable(item) for item in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _patch_calls() -> None:
    replace_everywhere(_PARSER, "boto_client_for", client_for)
    replace_everywhere(_PARSER, "extract_json", extract_json)
    sdk = state_task_service_aws_sdk.StateTaskServiceAwsSdk
    replace(sdk, "_normalise_service_error_name", staticmethod(_sdk_error_service))
    service = state_task_service.StateTaskService
    replace(service, "_normalise_parameters", _to_boto_casing)
    replace(service, "_normalise_response", _to_states_casing)
    replace(service, "_after_eval_execution", _after_json(service._after_eval_execution))
    on_lambda = state_task_service_lambda.StateTaskServiceLambda
    replace(on_lambda, "_from_error", _lambda_error(on_lambda._from_error, "taskFailedEventDetails"))
    replace(
        StateTaskLambda, "_from_error", _lambda_error(StateTaskLambda._from_error, "lambdaFunctionFailedEventDetails")
    )


_INDEFINITE = re.compile(r"\.\.|\*|\?|\[[^\]]*[:,]")


def extract_json(path: str, data: Any) -> Any:
    """What a JSONPath selects: a definite path the value itself, an indefinite one (`*`, slices, filters) a list.

    moto wraps the value of `$.list[0].name` in a list, so that no Choice on it ever matches.
    Raises moto's NoSuchJsonPathError.
    """
    if _INDEFINITE.search(path):
        return _moto_extract_json(path, data)
    matches = _parsed(path).find(data)
    if not matches:
        raise json_path.NoSuchJsonPathError(json_path=path, data=data)
    return matches[0].value


@lru_cache(maxsize=512)
def _parsed(path: str) -> Any:
    return parse_jsonpath(path)


def _operation(task: Any, service: str | None, action: str | None) -> Any:
    """botocore's model of the call that a task makes; None when botocore has no such call."""
    client = client_for("us-east-1", task._get_boto_service_name(service))
    name = client.meta.method_to_api_mapping.get(task._get_boto_service_action(action))
    return None if name is None else client.meta.service_model.operation_model(name)


def _to_boto_casing(
    self: Any, parameters: Any, boto_service_name: str | None = None, service_action_name: str | None = None
) -> None:
    operation = _operation(self, boto_service_name, service_action_name)
    if operation is not None and operation.input_shape is not None:
        self._to_boto_request(parameters, operation.input_shape)


def _to_states_casing(
    self: Any, response: Any, boto_service_name: str | None = None, service_action_name: str | None = None
) -> None:
    operation = _operation(self, boto_service_name, service_action_name)
    if operation is not None and operation.output_shape is not None:
        self._from_boto_response(response, operation.output_shape)


def _sdk_error_service(service: str) -> str:
    """`rds` -> `Rds`, `dynamodb` -> `DynamoDb`: the service's part of an aws-sdk error name."""
    return {"dynamodb": "DynamoDb"}.get(service.lower(), service[:1].upper() + service[1:])


def _after_json(wrapped: Callable[..., None]) -> Callable[..., None]:
    def after(self: Any, env: Any, **kwargs: Any) -> None:
        env.stack[-1] = jsonable(env.stack[-1])
        wrapped(self, env=env, **kwargs)

    return after


def _lambda_error(wrapped: Callable[..., Any], details_key: str) -> Callable[..., Any]:
    """Name failed Lambda *calls* as Step Functions does; what the function itself raised keeps its own name."""

    def from_error(self: Any, env: Any, ex: Exception) -> Any:
        event = wrapped(self, env=env, ex=ex)
        if not isinstance(ex, (ClientError, BotoCoreError)):
            return event
        error = _lambda_error_name(ex)
        details: Any = {details_key: {**event.event_details[details_key], "error": error}}
        return FailureEvent(
            env=env,
            error_name=CustomErrorName(error),
            event_type=event.event_type,
            event_details=details,
        )

    return from_error


def _lambda_error_name(error: Exception) -> str:
    if not isinstance(error, ClientError):
        return "Lambda.SdkClientException"
    if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
        return "Lambda.ServiceException"
    code = error.response["Error"]["Code"]
    return f"Lambda.{code}"


def json_text(value: Any) -> str:
    """A result as the JSON text that the API returns (moto hands out strings unquoted)."""
    return json.dumps(jsonable(value), separators=(",", ":"))
