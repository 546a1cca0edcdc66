"""What the four core-banking services share: configuration, the stop flag, time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab import web
from lab.clock import LabClock
from lab.dynamodb_client import UNREACHABLE, DynamoDb

PAUSE_FLOOR_S = 0.05
"""No loop pauses for less than this (wall seconds): at a high speed it would eat the machine."""
FLAG_TTL_S = 10.0
"""How long a service believes the stop flag it read (lab seconds; the sample application's own number)."""


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


def quantity_of(request: web.Request) -> int | None:
    """The whole number `quantity` of a request's body, None when there is none above 0."""
    body = request.json()
    value = body.get("quantity") if isinstance(body, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
