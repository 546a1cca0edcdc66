"""Lambda functions that run: Python handlers behind moto's Lambda API.

moto keeps the functions (create, list, get, tags). Invoking one runs the handler that was registered for its name
in a thread of this process, or else the code that was uploaded, in a process of its own (lab.aws.runtime); either
with the function's timeout in lab time. Both reach AWS only as real ones do, over HTTP.

An asynchronous invocation that fails is made again twice, after one and two minutes (lab time), as AWS does.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import os
import subprocess
import tempfile
import threading
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from botocore.config import Config
from botocore.exceptions import ClientError
from moto.awslambda.models import LambdaBackend, LambdaFunction
from moto.awslambda.utils import get_backend
from moto.awslambda_simple.models import LambdaSimpleBackend
from moto.core.config import default_user_config
from moto.core.utils import iso_8601_datetime_with_milliseconds

from lab import processes
from lab.aws.patching import replace
from lab.aws.server import SYSTEM_ACCESS_KEY, AwsServer
from lab.clock import LabClock
from lab.truth import Truth

ROLE = "lab-lambda"
TIMEOUT_FLOOR_WALL_S = 1.0
"""A function always gets this much wall time, however fast lab time runs: its calls are real work."""
CODE_FLOOR_WALL_S = 30.0
"""The same for uploaded code, which begins with a process and the import of boto3."""
ASYNC_RETRIES_S = (60.0, 120.0)
"""Lab seconds before each further attempt of an asynchronous invocation that failed."""

_log = logging.getLogger(__name__)
_live: Functions | None = None


@dataclass(frozen=True)
class FunctionContext:
    """What a handler is told about its invocation (Lambda's `context`)."""

    function_name: str
    region: str
    request_id: str
    deadline_lab_s: float
    environment: Mapping[str, str]
    _functions: Functions

    def client(
        self, service: str, region: str | None = None, endpoint_url: str | None = None, attempts: int | None = None
    ) -> Any:
        """A boto3 client that goes over HTTP: by default to the lab's API in the function's own Region.

        attempts: for a client at `endpoint_url`, how often it tries; None for the lab's usual number.
        """
        return self._functions.client(service, region or self.region, endpoint_url, attempts)


Handler = Callable[[dict[str, Any], FunctionContext], Any]


@dataclass(frozen=True)
class _Registered:
    handler: Handler
    timeout_s: float
    floor_wall_s: float


@dataclass(frozen=True)
class Outcome:
    """The result of one invocation: the response payload (JSON text) and Lambda's FunctionError, if any."""

    payload: str
    function_error: str | None = None


class Functions:
    """The registry of handlers and the thing that runs them."""

    def __init__(
        self, server: AwsServer, clock: LabClock, truth: Truth | None = None, folder: Path | None = None
    ) -> None:
        """folder: where uploaded code is unpacked while it runs; None for the temporary directory."""
        self._folder = folder
        self._server = server
        self._clock = clock
        self._truth = truth
        self._handlers: dict[tuple[str, str], _Registered] = {}
        self._clients: dict[tuple[str, str, str], Any] = {}
        self._clients_lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Serve Lambda's Invoke in this process from now on."""
        global _live  # noqa: PLW0603 (moto's backends are global to the process, so is who serves them)
        _live = self
        default_user_config["lambda"] = {"use_docker": False}
        replace(LambdaSimpleBackend, "invoke", _invoke)
        replace(LambdaBackend, "send_sns_message", _from_sns)

    def stop(self) -> None:
        """Stop serving and close the clients; running handlers end by themselves, uploaded code is killed."""
        global _live  # noqa: PLW0603
        if _live is self:
            _live = None
        self._stopped.set()
        for child in list(self._running):
            processes.kill(child)
        with self._clients_lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    def register(
        self,
        region: str,
        name: str,
        handler: Handler,
        timeout_s: float = 3.0,
        floor_wall_s: float = TIMEOUT_FLOOR_WALL_S,
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """Create the function `name` in `region` and run `handler` for it; returns its ARN.

        timeout_s: lab seconds, Lambda's default is 3; floor_wall_s: wall seconds that it gets at least; environment:
        its variables, as they are until somebody updates the function's configuration. Raises botocore's ClientError
        when the name is taken.
        """
        created = self._server.client("lambda", region).create_function(
            FunctionName=name,
            Runtime="python3.12",
            Role=self._role_arn(region),
            Handler="index.handler",
            Code={"ZipFile": _empty_package()},
            Timeout=max(1, round(timeout_s)),
            Environment={"Variables": dict(environment or {})},
        )
        self._handlers[region, name] = _Registered(handler, timeout_s, floor_wall_s)
        return str(created["FunctionArn"])

    def run(self, region: str, name: str, event: Any) -> Outcome:
        """Run the handler of `name`, or its uploaded code, to its end or its timeout."""
        registered = self._handlers.get((region, name))
        if registered is None:
            return self._run_code(get_backend(self._server.account, region).get_function(name), event)
        return self._run_bounded(registered, region, name, event)

    def run_later(self, region: str, name: str, event: Any) -> None:
        """An asynchronous invocation: the same, and again when it fails."""
        for pause_s in (*ASYNC_RETRIES_S, None):
            outcome = self.run(region, name, event)
            if outcome.function_error is None or pause_s is None or self._clock.wait(self._stopped, pause_s):
                return
            _log.info("function %s failed and is tried again: %s", name, outcome.payload)

    def _run_code(self, function: LambdaFunction, event: Any) -> Outcome:
        request_id, timeout_s = str(uuid4()), float(function.timeout)
        with tempfile.TemporaryDirectory(prefix="drill-function-", dir=self._folder) as folder:
            order = {
                "package": base64.b64encode(function.code_bytes).decode(),
                "folder": folder,
                "handler": function.handler,
                "event": event,
                "context": {
                    "function_name": function.function_name,
                    "arn": function.function_arn,
                    "request_id": request_id,
                    "timeout_s": timeout_s,
                },
                "speed": self._clock.speed,
                "lab_now_s": self._clock.now_s(),
            }
            said = self._in_child(order, self._environment(function), timeout_s)
        if said is None:
            return _error("Sandbox.Timedout", f"RequestId: {request_id} Error: Task timed out or the process ended")
        return Outcome(str(said["payload"]), said["error"])

    def _in_child(self, order: dict[str, Any], environment: dict[str, str], timeout_s: float) -> Any:
        """What the runtime answers; None when it had to be killed, or ended without a word."""
        argv = processes.python("-m", "lab.aws.runtime", str(os.getpid()))
        child = processes.spawn(argv, stderr=subprocess.DEVNULL, env=environment)
        self._running.add(child)
        limit_s = max(self._clock.wall_s(timeout_s), CODE_FLOOR_WALL_S)
        killer = threading.Timer(limit_s, processes.kill, (child,))
        killer.start()
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(json.dumps(order).encode() + b"\n")
            child.stdin.flush()
            line = child.stdout.readline()
            return json.loads(line) if line else None
        except BrokenPipeError:
            return None
        finally:
            killer.cancel()
            processes.stop(child, grace_s=1.0)
            self._running.discard(child)

    def _environment(self, function: LambdaFunction) -> dict[str, str]:
        """What Lambda's runtime sets, and the lab's own address and keys: nothing of the user's reaches the code."""
        ours = {name: os.environ[name] for name in ("PATH", "LANG", "VIRTUAL_ENV") if name in os.environ}
        return {
            **ours,
            "AWS_REGION": str(function.region),
            "AWS_DEFAULT_REGION": str(function.region),
            "AWS_LAMBDA_FUNCTION_NAME": str(function.function_name),
            "AWS_ACCESS_KEY_ID": SYSTEM_ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": "lab",
            "AWS_ENDPOINT_URL": self._server.url,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            **{name: str(value) for name, value in function.environment_vars.items()},
        }

    def _run_bounded(self, registered: _Registered, region: str, name: str, event: Any) -> Outcome:
        started_s, request_id = self._clock.now_s(), str(uuid4())
        variables = get_backend(self._server.account, region).get_function(name).environment_vars
        environment = {key: str(value) for key, value in variables.items()}
        context = FunctionContext(name, region, request_id, started_s + registered.timeout_s, environment, self)
        outcomes: list[Outcome] = []
        over = threading.Event()
        target = _call_into(outcomes, registered.handler, event, context, over)
        thread = threading.Thread(target=target, name=f"lambda-{name}", daemon=True)
        thread.start()
        thread.join(max(self._clock.wall_s(registered.timeout_s), registered.floor_wall_s))
        over.set()
        if self._truth is not None:
            self._truth.took(f"lambda {name}", registered.timeout_s, self._clock.now_s() - started_s)
        if outcomes:
            return outcomes[0]
        message = f"RequestId: {request_id} Error: Task timed out after {registered.timeout_s:.2f} seconds"
        return _error("Sandbox.Timedout", message)

    def client(self, service: str, region: str, endpoint_url: str | None = None, attempts: int | None = None) -> Any:
        """A cached boto3 client for `service` in `region`; creating one costs tens of milliseconds."""
        key = (service, region, endpoint_url or "")
        with self._clients_lock:
            if key not in self._clients:
                once = None if attempts is None else Config(retries={"total_max_attempts": attempts})
                self._clients[key] = self._server.client_at(*key, config=once)
                self._clients[key].meta.events.register("before-send", _nothing_after_the_end)
            return self._clients[key]

    def _role_arn(self, region: str) -> str:
        iam = self._server.client("iam", region)
        try:
            return str(iam.get_role(RoleName=ROLE)["Role"]["Arn"])
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchEntity":
                raise
        return str(iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument="{}")["Role"]["Arn"])


class InvocationOver(Exception):
    """The function timed out: on AWS its process is gone, and calls nobody any more."""


_invocation = threading.local()


def _nothing_after_the_end(**_: Any) -> None:
    """For a function's clients: what hung until after the time-out is not tried again."""
    over = getattr(_invocation, "over", None)
    if over is not None and over.is_set():
        raise InvocationOver


def _call_into(
    outcomes: list[Outcome], handler: Handler, event: Any, context: FunctionContext, over: threading.Event
) -> Callable[[], None]:
    def call() -> None:
        _invocation.over = over
        try:
            outcomes.append(Outcome(json.dumps(handler(event, context))))
        # What a handler raises is its result, whatever it is: Lambda reports every exception to the caller.
        except Exception as error:  # noqa: BLE001
            _log.info("function %s failed: %r", context.function_name, error)
            outcomes.append(_error(type(error).__name__, str(error)))

    return call


def _error(error_type: str, message: str) -> Outcome:
    return Outcome(json.dumps({"errorMessage": message, "errorType": error_type}), "Unhandled")


def _invoke(
    backend: LambdaBackend,
    function_name: str,
    qualifier: str | None,
    body: Any,
    headers: Any,
    response_headers: Any,
) -> str | bytes | None:
    """Replaces moto's Invoke; the signature is moto's. An unknown function raises ResourceNotFoundException."""
    name = backend.get_function(function_name, qualifier).function_name
    event = json.loads(body) if body else {}
    kind = headers.get("X-Amz-Invocation-Type", "RequestResponse")
    if _live is None or kind == "DryRun":
        return b""
    if kind == "Event":
        args = (backend.region_name, name, event)
        threading.Thread(target=_live.run_later, args=args, name=f"lambda-async-{name}", daemon=True).start()
        return b""
    outcome = _live.run(backend.region_name, name, event)
    if outcome.function_error:
        response_headers["x-amz-function-error"] = outcome.function_error
    return outcome.payload.encode()


def _from_sns(
    backend: LambdaBackend, function_name: str, message: str, subject: str | None = None, qualifier: str | None = None
) -> None:
    """Replaces moto's delivery of a notification; the signature is moto's. The function is invoked asynchronously."""
    if _live is None:
        return
    notification: dict[str, Any] = {
        "Type": "Notification",
        "MessageId": str(uuid4()),
        "Subject": subject,
        "Message": message,
        "Timestamp": iso_8601_datetime_with_milliseconds(),
        "MessageAttributes": {},
    }
    event = {"Records": [{"EventVersion": "1.0", "EventSource": "aws:sns", "Sns": notification}]}
    args = (backend.region_name, backend.get_function(function_name, qualifier).function_name, event)
    threading.Thread(target=_live.run_later, args=args, name=f"lambda-sns-{function_name}", daemon=True).start()


def _empty_package() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as package:
        package.writestr("index.py", "")
    return buffer.getvalue()
