"""PostgreSQL behind a write path of SQL. The role's password is libpq's business: a pgpass file, a service file."""

from __future__ import annotations

import contextlib
import math
import os
import socket
from collections.abc import Sequence
from typing import Any

import psycopg

from drill.client import Reply
from drill.sql_session import NotOpen, SqlServer, lost, refused

CONNECT_FLOOR_WALL_S = 2
"""libpq waits no shorter than this for a connection."""
GOING_DOWN = ("57P01", "57P02", "57P03")
"""SQLSTATEs of a server that ends: how far the statement came, nobody says."""
TIMED_OUT, READ_ONLY = "57014", "25006"


class PostgresqlSession:
    """See drill.sql_session.Session."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._connection = connection

    def run(self, statement: str, values: Sequence[str]) -> tuple[Any, ...] | None:
        """Run it; psycopg.Error."""
        done = self._connection.execute(statement.encode(), values)
        return done.fetchone() if done.description else None

    def rows(self, statement: str, values: Sequence[str]) -> list[tuple[Any, ...]]:
        """Run it; psycopg.Error."""
        return self._connection.execute(statement.encode(), values).fetchall()

    def shut_down(self) -> None:
        """The connection's socket, by a descriptor of its own."""
        with (
            contextlib.suppress(OSError, psycopg.Error),
            socket.socket(fileno=os.dup(self._connection.fileno())) as sock,
        ):
            sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it."""
        self._connection.close()


class Postgresql:
    """See drill.sql_session.Engine."""

    errors: type[Exception] = psycopg.Error
    port, database = 5432, "postgres"

    def open(self, server: SqlServer, address: str, timeout_wall_s: float) -> PostgresqlSession:
        """Connect, with a server's own limit for each statement."""
        try:
            connection = psycopg.connect(
                host=server.host,
                hostaddr=address,
                port=server.port,
                dbname=server.database,
                user=server.user,
                connect_timeout=max(CONNECT_FLOOR_WALL_S, math.ceil(timeout_wall_s)),
                options=f"-c statement_timeout={math.ceil(timeout_wall_s * 1000)}",
                application_name="failover-drill",
                autocommit=True,
            )
        except psycopg.errors.ConnectionTimeout as error:
            raise NotOpen("timeout", error) from error
        except psycopg.Error as error:
            raise NotOpen("refused", error) from error
        return PostgresqlSession(connection)

    def quoted(self, name: str) -> str:
        """In double quotes."""
        return '"' + name.replace('"', '""').replace("%", "%%") + '"'

    def of_error(self, reply: Reply, error: Exception) -> Reply:
        """By SQLSTATE."""
        state = getattr(error, "sqlstate", None)
        if state is None or state in (*GOING_DOWN, TIMED_OUT) or state.startswith("08"):
            return lost(reply, error, timed_out=state == TIMED_OUT)
        return refused(reply, error, read_only=state == READ_ONLY)
