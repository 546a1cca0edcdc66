"""The transaction service: takes deposits and withdrawals, answers for their state.

A 200 means that the saga's record, its first step and the account's lock are written to the global table, by one
transaction; the money moves later, when the worker settles the record.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from lab import web
from lab.core_banking.service import ServiceConfig, StopFlag, quantity_of
from lab.dynamodb_client import UNREACHABLE, DynamoDb, DynamoDbError
from lab.task_server import serve

PENDING, SUCCESS, ROLLED_BACK = "status#pending", "status#success", "status#success_rollback"
RECORD, LOCK, STEP = "record", "lock", "step#1"


def record_key(transaction_id: str) -> dict[str, Any]:
    """The key of a transaction's record in the global table."""
    return {"PK": {"S": f"transaction#{transaction_id}"}, "SK": {"S": RECORD}}


def step_key(transaction_id: str) -> dict[str, Any]:
    """The key of a transaction's open step."""
    return {"PK": {"S": f"transaction#{transaction_id}"}, "SK": {"S": STEP}}


def lock_key(account_id: str) -> dict[str, Any]:
    """The key of an account's lock: while it exists the account has an unsettled transaction."""
    return {"PK": {"S": f"account#{account_id}"}, "SK": {"S": LOCK}}


class TransactionService:
    """Handles /transaction requests of one Region."""

    def __init__(self, config: ServiceConfig) -> None:
        self._dynamodb = DynamoDb(config.aws_host, config.aws_port, config.region)
        self._table = config.table
        self._clock = config.clock
        self._stopped = StopFlag(self._dynamodb, config.param_table, config.clock, default=False)

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request; everything is 503 while the Region is stopped."""
        if await self._stopped.is_set():
            return web.json_response(503, {"message": "transaction service is temporarily stopped"})
        account = request.headers.get("x_account_id", "")
        if not account:
            return web.json_response(400, {"message": "the header X_ACCOUNT_ID is missing"})
        try:
            return await self._route(request, account)
        except UNREACHABLE as error:
            return web.json_response(500, {"message": f"{type(error).__name__}: {error}"})

    async def _route(self, request: web.Request, account: str) -> web.Response:
        path = request.path.partition("?")[0].rstrip("/")
        kind = path.removeprefix("/transaction/")
        if request.method == "POST" and kind in ("deposit", "withdraw"):
            return await self._accept(kind, account, request)
        if request.method == "GET" and "/" not in kind and path != kind:
            return await self._status(kind, account)
        return web.json_response(404, {"message": f"no such resource: {request.method} {path}"})

    async def _accept(self, kind: str, account: str, request: web.Request) -> web.Response:
        quantity = quantity_of(request)
        if quantity is None:
            return web.json_response(400, {"message": "quantity must be a whole number above 0"})
        transaction_id = str(uuid.uuid4())
        try:
            await self._dynamodb.call("TransactWriteItems", self._writes(transaction_id, kind, account, quantity))
        except DynamoDbError as error:
            if error.kind == "TransactionCanceledException":
                return web.json_response(429, {"message": "another transaction of this account is in progress"})
            raise
        return web.json_response(200, {"transactionId": transaction_id})

    def _writes(self, transaction_id: str, kind: str, account: str, quantity: int) -> dict[str, Any]:
        about = {
            "transactionId": {"S": transaction_id},
            "accountId": {"S": account},
            "type": {"S": kind},
            "quantity": {"N": str(quantity)},
            "createdAt": {"S": self._clock.now().isoformat()},
        }
        record = {**record_key(transaction_id), **about, "GSI1": {"S": PENDING}}
        step = {**step_key(transaction_id), "step": {"S": "balance" if kind == "deposit" else "count"}}
        lock = {**lock_key(account), "transactionId": {"S": transaction_id}}
        puts: list[dict[str, Any]] = [
            {"TableName": self._table, "Item": lock, "ConditionExpression": "attribute_not_exists(PK)"},
            {"TableName": self._table, "Item": record},
            {"TableName": self._table, "Item": step},
        ]
        return {"TransactItems": [{"Put": put} for put in puts]}

    async def _status(self, transaction_id: str, account: str) -> web.Response:
        key = {"TableName": self._table, "Key": record_key(transaction_id)}
        item = (await self._dynamodb.call("GetItem", key)).get("Item")
        if item is None or item["accountId"]["S"] != account:
            return web.json_response(404, {"message": f"no transaction {transaction_id}"})
        return web.json_response(200, {"status": item["GSI1"]["S"]})


async def run(config: Mapping[str, Any], listening: Callable[[int], None]) -> None:
    """Run one task of the service."""
    typed = ServiceConfig.of(config)
    await serve(typed.host, TransactionService(typed).handle, listening)
