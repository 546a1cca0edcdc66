"""A service task's connection to its database, which comes back after a switchover."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg

CONNECT_TIMEOUT_S = 2.0
STATEMENT_TIMEOUT_MS = 3000

T = TypeVar("T")
Connection = psycopg.AsyncConnection[tuple[Any, ...]]


class Database:
    """One connection to the Region's own endpoint, opened when it is needed and again after an error."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._connection: Connection | None = None

    async def transaction(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run `work` in one transaction; psycopg.Error when the database does not take it.

        Nothing is tried twice: a commit whose answer was lost may have happened.
        """
        connection = await self._open()
        try:
            async with connection.transaction():
                return await work(connection)
        except psycopg.OperationalError:
            await self._drop()
            raise
        except psycopg.errors.ReadOnlySqlTransaction:
            await self._drop()
            raise

    async def _open(self) -> Connection:
        if self._connection is None or self._connection.closed:
            options = f"-c statement_timeout={STATEMENT_TIMEOUT_MS}"
            self._connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True, options=options)
        return self._connection

    async def _drop(self) -> None:
        if self._connection is not None:
            await self._connection.close()
        self._connection = None
