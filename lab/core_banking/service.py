"""What the four core-banking services share: configuration, DynamoDB over raw HTTP, the stop flag, time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lab import web
from lab.clock import LabClock

PAUSE_FLOOR_S = 0.05
"""No loop pauses for less than this (wall seconds): at a high speed it would eat the machine."""
FLAG_TTL_S = 10.0
"""How long a service believes the stop flag it read (lab seconds; the sample application's own number)."""
CALL_TIMEOUT_S = 5.0
"""A call to DynamoDB may take this long (wall seconds: it measures this machine)."""


@dataclass(frozen=True)
class ServiceConfig:
    """What every task is told at its start. `conninfo` is the Region's own database endpoint,
    `worker_pause_s` the worker's pause between two rounds (lab seconds), `truth_dir` the lab's state folder."""

    region: str
    task: str
    host: str
    clock: LabClock
    aws_host: str
    aws_port: int
    table: str
    param_table: str
    api_host: str
    api_port: int
    conninfo: str
    worker_pause_s: float
    truth_dir: str

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> ServiceConfig:
        """From the JSON that a task gets."""
        return cls(**{**config, "clock": LabClock(**config["clock"])})


class DynamoDbError(Exception):
    """DynamoDB refused a call. `kind` is the exception's short name, `reasons` those of a cancelled transaction."""

    def __init__(self, kind: str, message: str, reasons: list[str]) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind, self.reasons = kind, reasons


class DynamoDb:
    """One Region's DynamoDB endpoint, spoken to in its JSON 1.0 protocol over a keep-alive connection."""

    def __init__(self, host: str, port: int, region: str) -> None:
        self._client = web.Client(host, port)
        self._headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Date": "20260101T000000Z",
            # The lab checks no signature; the scope says which Region and service are meant.
            "Authorization": f"AWS4-HMAC-SHA256 Credential=LAB/20260101/{region}/dynamodb/aws4_request, "
            "SignedHeaders=host;x-amz-date, Signature=0",
        }

    async def call(self, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """The response; DynamoDbError when it is refused, OSError or TimeoutError when there is none."""
        headers = {**self._headers, "X-Amz-Target": f"DynamoDB_20120810.{operation}"}
        request = web.Request("POST", "/", headers, json.dumps(params).encode())
        response = await self._client.request(request, CALL_TIMEOUT_S)
        body = response.json() if response.body else {}
        if response.status == 200:
            return dict(body)
        raise _refusal(response.status, body)


def _refusal(status: int, body: Mapping[str, Any]) -> DynamoDbError:
    kind = str(body.get("__type", f"HTTP{status}")).rpartition("#")[2]
    reasons = [str(reason.get("Code", "None")) for reason in body.get("CancellationReasons", [])]
    return DynamoDbError(kind, str(body.get("message") or body.get("Message") or ""), reasons)


UNREACHABLE = (DynamoDbError, OSError, TimeoutError, web.HttpError)
"""What a call to DynamoDB raises when it brings no answer."""


class StopFlag:
    """The Region's stop flag, believed for 10 s and read eventually consistent, as the sample application does.

    default: what is assumed while DynamoDB does not answer: False fails open (the API), True stops (the worker).
    """

    def __init__(self, dynamodb: DynamoDb, table: str, clock: LabClock, default: bool) -> None:
        self._dynamodb, self._table, self._clock, self._default = dynamodb, table, clock, default
        self._value, self._read_s = default, float("-inf")

    async def is_set(self) -> bool:
        """Whether the service is to stop."""
        if self._clock.now_s() - self._read_s >= FLAG_TTL_S:
            self._value, self._read_s = await self._read(), self._clock.now_s()
        return self._value

    async def _read(self) -> bool:
        key = {"TableName": self._table, "Key": {"PK": {"S": "stopFlag"}}, "ConsistentRead": False}
        try:
            item = (await self._dynamodb.call("GetItem", key)).get("Item")
        except UNREACHABLE:
            return self._default
        return self._default if item is None else item["value"]["S"] == "true"


async def pause(clock: LabClock, lab_s: float) -> None:
    """Sleep for `lab_s` lab seconds, at least the wall floor."""
    await asyncio.sleep(max(PAUSE_FLOOR_S, clock.wall_s(lab_s)))


async def serve(config: ServiceConfig, handler: web.Handler, listening: Callable[[int], None]) -> None:
    """Serve `handler` and /health until cancelled."""

    async def with_health(request: web.Request) -> web.Response:
        if request.path == "/health":
            return web.json_response(200, {"status": "ok"})
        return await handler(request)

    server = web.Server(with_health)
    listening(await server.listen(config.host, 0))
    try:
        await asyncio.Event().wait()
    finally:
        await server.close()


def quantity_of(request: web.Request) -> int | None:
    """The whole number `quantity` of a request's body, None when there is none above 0."""
    body = request.json()
    value = body.get("quantity") if isinstance(body, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
