"""The balance service: the accounts' money, in the Region's relational database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import psycopg

from lab import web
from lab.core_banking.service import ServiceConfig, quantity_of
from lab.sql import Connection, Database
from lab.task_server import serve

FREE_WITHDRAWALS = 3
FEE = 100


class BalanceService:
    """Handles /balance requests of one Region."""

    def __init__(self, config: ServiceConfig) -> None:
        self._database = Database(config.conninfo)
        # One connection, so one transaction at a time.
        self._turn = asyncio.Lock()

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        account = request.headers.get("x_account_id", "")
        path = request.path.partition("?")[0].rstrip("/")
        if not account:
            return web.json_response(400, {"message": "the header X_ACCOUNT_ID is missing"})
        try:
            async with self._turn:
                return await self._route(request, path, account)
        except psycopg.Error as error:
            return web.json_response(500, {"message": f"{type(error).__name__}: {error}"})

    async def _route(self, request: web.Request, path: str, account: str) -> web.Response:
        if (request.method, path) == ("GET", "/balance"):
            balance, _ = await self._database.transaction(lambda connection: _read(connection, account))
            return web.json_response(200, {"balance": balance, "accountId": account})
        if request.method == "PUT" and path in ("/balance/deposit", "/balance/withdraw"):
            return await self._move(request, path, account)
        return web.json_response(404, {"message": f"no such resource: {request.method} {path}"})

    async def _move(self, request: web.Request, path: str, account: str) -> web.Response:
        body, quantity = request.json(), quantity_of(request)
        if quantity is None:
            return web.json_response(400, {"message": "quantity must be a whole number above 0"})
        fee = FEE if int(body.get("count", 0)) > FREE_WITHDRAWALS else 0
        change = quantity if path.endswith("deposit") else -(quantity + fee)
        transaction_id = str(body.get("transactionId", ""))
        balance = await self._database.transaction(
            lambda connection: _apply(connection, account, transaction_id, change)
        )
        if balance is None:
            return web.json_response(400, {"message": "insufficient balance"})
        return web.json_response(200, {"balance": balance, "accountId": account})


async def _read(connection: Connection, account: str) -> tuple[int, str]:
    """The balance and the last transaction id of an account; (0, "") when it has none yet."""
    cursor = await connection.execute(
        "SELECT balance, last_transaction_id FROM balance WHERE account_id = %s", (account,)
    )
    row = await cursor.fetchone()
    return (int(row[0]), str(row[1])) if row else (0, "")


async def _apply(connection: Connection, account: str, transaction_id: str, change: int) -> int | None:
    """Change the balance unless this was the account's last transaction; the new balance, None if too low.

    The sample application remembers only the last id, so a repetition after another transaction counts twice.
    """
    balance, last = await _read(connection, account)
    if transaction_id and last == transaction_id:
        return balance
    if balance + change < 0:
        return None
    await connection.execute(
        "INSERT INTO balance VALUES (%s, %s, %s) ON CONFLICT (account_id) DO UPDATE "
        "SET balance = EXCLUDED.balance, last_transaction_id = EXCLUDED.last_transaction_id",
        (account, balance + change, transaction_id),
    )
    return balance + change


async def run(config: Mapping[str, Any], listening: Callable[[int], None]) -> None:
    """Run one task of the service."""
    typed = ServiceConfig.of(config)
    await serve(typed.host, BalanceService(typed).handle, listening)
