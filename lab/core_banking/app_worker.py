"""The transaction worker: settles the pending records of its Region.

For each one it calls the balance service (for a withdrawal the count service first) through the Region's own
load balancer, and then, by one transaction, sets the record's state and removes the step and the lock. A step
that a service refused is compensated: the record ends as status#success_rollback.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import web
from lab.core_banking.app_transaction import PENDING, ROLLED_BACK, SUCCESS, lock_key, record_key, step_key
from lab.core_banking.service import ServiceConfig, StopFlag, pause
from lab.dynamodb_client import UNREACHABLE, DynamoDb
from lab.truth import Truth

STOPPED_PAUSE_S = 10.0
BATCH = 50
SETTLE_S = 1.0
"""What settling one record may take (lab seconds): a few calls that take milliseconds each on AWS."""
SERVICE_TIMEOUT_S = 5.0
"""A call to another service may take this long (wall seconds)."""


class StepUnclear(Exception):
    """A service did not say whether it did a step; the record stays pending and is tried again."""


@dataclass(frozen=True)
class Pending:
    """One record to settle."""

    transaction_id: str
    account_id: str
    kind: str
    quantity: int

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Pending:
        """From an item of the global table."""
        return cls(item["transactionId"]["S"], item["accountId"]["S"], item["type"]["S"], int(item["quantity"]["N"]))


class Worker:
    """Settles pending records until it is cancelled."""

    def __init__(self, config: ServiceConfig) -> None:
        self._dynamodb = DynamoDb(config.aws_host, config.aws_port, config.region)
        self._services = web.Client(config.api_host, config.api_port, config.host)
        self._table, self._clock, self._pause_s = config.table, config.clock, config.worker_pause_s
        self._stopped = StopFlag(self._dynamodb, config.param_table, config.clock, default=True)
        self._truth = Truth(Path(config.truth_dir), config.clock)
        self._held = 0

    def held(self) -> None:
        """The process was held for a while (its network was cut off): a round in which it was measures nothing."""
        self._held += 1

    async def run(self) -> None:
        """Loop: a pause between rounds, 10 s while the Region is stopped (lab seconds)."""
        while True:
            if await self._stopped.is_set():
                await pause(self._clock, STOPPED_PAUSE_S)
            else:
                await self.round()
                await pause(self._clock, self._pause_s)

    async def round(self) -> None:
        """Settle what is pending now; a record that cannot be settled waits for the next round."""
        try:
            pending = await self._pending()
        except UNREACHABLE:
            return
        started_s, failed, held = self._clock.now_s(), False, self._held
        for record in pending:
            if await self._stopped.is_set():
                return
            try:
                await self._settle(record)
            except (*UNREACHABLE, StepUnclear):
                failed = True
        # What a fault in the system holds up says nothing about the machine.
        if not failed and held == self._held:
            self._truth.took("worker round", SETTLE_S * len(pending), self._clock.now_s() - started_s)

    async def _pending(self) -> list[Pending]:
        query = {
            "TableName": self._table,
            "IndexName": "GSI1",
            "KeyConditionExpression": "GSI1 = :pending",
            "ExpressionAttributeValues": {":pending": {"S": PENDING}},
            "Limit": BATCH,
        }
        return [Pending.of(item) for item in (await self._dynamodb.call("Query", query))["Items"]]

    async def _settle(self, record: Pending) -> None:
        done = await (self._deposit(record) if record.kind == "deposit" else self._withdraw(record))
        await self._finish(record, SUCCESS if done else ROLLED_BACK)

    async def _deposit(self, record: Pending) -> bool:
        return await self._step("/balance/deposit", record) is not None

    async def _withdraw(self, record: Pending) -> bool:
        counted = await self._step("/count/withdraw", record)
        if counted is None:
            return False
        if await self._step("/balance/withdraw", record, count=counted["count"]) is not None:
            return True
        await self._step("/count/cancel", record)
        return False

    async def _step(self, path: str, record: Pending, **more: int) -> dict[str, Any] | None:
        """The answer of a service, None when it refused the step (400); StepUnclear for anything else."""
        body = {"transactionId": record.transaction_id, "quantity": record.quantity, **more}
        headers = {"X_ACCOUNT_ID": record.account_id, "Content-Type": "application/json"}
        request = web.Request("PUT", path, headers, json.dumps(body).encode())
        response = await self._services.request(request, SERVICE_TIMEOUT_S)
        if response.status == 400:
            return None
        if response.status != 200:
            raise StepUnclear(f"{path} answered {response.status}")
        return dict(response.json())

    async def _finish(self, record: Pending, status: str) -> None:
        """Set the final state once: a record that is no longer pending was settled by somebody else."""
        update = {
            "TableName": self._table,
            "Key": record_key(record.transaction_id),
            "UpdateExpression": "SET GSI1 = :to",
            "ConditionExpression": "GSI1 = :from",
            "ExpressionAttributeValues": {":to": {"S": status}, ":from": {"S": PENDING}},
        }
        gone = [lock_key(record.account_id), step_key(record.transaction_id)]
        deletes: list[dict[str, Any]] = [{"Delete": {"TableName": self._table, "Key": key}} for key in gone]
        await self._dynamodb.call("TransactWriteItems", {"TransactItems": [{"Update": update}, *deletes]})


async def run(config: Mapping[str, Any], listening: Callable[[int], None]) -> None:
    """Run one task of the worker; it listens nowhere."""
    worker = Worker(ServiceConfig.of(config))
    signal.signal(signal.SIGCONT, lambda *_: worker.held())
    listening(0)
    await worker.run()
