"""The count service: how many withdrawals an account has made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import psycopg

from lab import web
from lab.core_banking.service import ServiceConfig
from lab.sql import Connection, Database
from lab.task_server import serve


class CountService:
    """Handles /count requests of one Region."""

    def __init__(self, config: ServiceConfig) -> None:
        self._database = Database(config.conninfo)
        self._turn = asyncio.Lock()

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request: PUT /count/withdraw counts one more, PUT /count/cancel takes it back."""
        account = request.headers.get("x_account_id", "")
        step = {"/count/withdraw": 1, "/count/cancel": -1}.get(request.path.partition("?")[0].rstrip("/"))
        if request.method != "PUT" or step is None:
            return web.json_response(404, {"message": f"no such resource: {request.method} {request.path}"})
        if not account:
            return web.json_response(400, {"message": "the header X_ACCOUNT_ID is missing"})
        # A cancellation has an id of its own, or it would look like a repetition of what it takes back.
        transaction_id = f"{request.json().get('transactionId', '')}{'' if step > 0 else '#cancel'}"
        try:
            async with self._turn:
                count = await self._database.transaction(
                    lambda connection: _apply(connection, account, transaction_id, step)
                )
        except psycopg.Error as error:
            return web.json_response(500, {"message": f"{type(error).__name__}: {error}"})
        return web.json_response(200, {"count": count})


async def _apply(connection: Connection, account: str, transaction_id: str, step: int) -> int:
    """Count unless this was the account's last transaction; the count now."""
    cursor = await connection.execute(
        "SELECT count, last_transaction_id FROM withdrawals WHERE account_id = %s", (account,)
    )
    row = await cursor.fetchone()
    count, last = (int(row[0]), str(row[1])) if row else (0, "")
    if last == transaction_id:
        return count
    await connection.execute(
        "INSERT INTO withdrawals VALUES (%s, %s, %s) ON CONFLICT (account_id) DO UPDATE "
        "SET count = EXCLUDED.count, last_transaction_id = EXCLUDED.last_transaction_id",
        (account, max(0, count + step), transaction_id),
    )
    return max(0, count + step)


async def run(config: Mapping[str, Any], listening: Callable[[int], None]) -> None:
    """Run one task of the service."""
    typed = ServiceConfig.of(config)
    await serve(typed.host, CountService(typed).handle, listening)
