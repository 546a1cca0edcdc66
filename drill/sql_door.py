"""A write path of SQL: a marker row at the writer, looked for at a replica.

What the target says, in SQL's terms: a kind's `path` is the table, its `body` goes into the column `body` as JSON
text; `read_path` is "TABLE/{key}" (or "TABLE/{id}", which is the same: the row's name is the client's own). The table
has the columns id (text, primary key), account and body (text) and is made by the target's owners, at the source and
at the replica. `user` is the role that may insert and select there; its password is libpq's business (a pgpass file,
a service file), so that none is in a target. Writes go to the target's endpoint, reads to the regional endpoint of
the standby. A write is acknowledged when its COMMIT returned.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import psycopg
import psycopg.sql

from drill.client import ErrorClass, Reply
from drill.clock import Clock
from drill.resolver import CachingClient
from drill.write_path import WritePath

PORT, DATABASE = 5432, "postgres"
CONNECT_FLOOR_WALL_S = 2
"""libpq waits no shorter than this for a connection."""
GOING_DOWN = ("57P01", "57P02", "57P03")
"""SQLSTATEs of a server that ends: how far the statement came, nobody says."""
TIMED_OUT, READ_ONLY = "57014", "25006"
Connection = psycopg.Connection[tuple[Any, ...]]
Work = Callable[[Connection], Any]


@dataclass(frozen=True)
class _Server:
    """host, port, database: of a URL."""

    host: str
    port: int
    database: str

    @classmethod
    def of(cls, url: str) -> _Server:
        parts = urlsplit(url)
        return cls(parts.hostname or "", parts.port or PORT, parts.path.strip("/") or DATABASE)


class SqlDoor:
    """See drill.doors.Door. write_url, read_url: "postgresql://host[:port][/database]"; other values as there."""

    def __init__(
        self,
        writes: WritePath,
        resolver: CachingClient,
        write_url: str,
        read_url: str,
        timeout_wall_s: float,
        clock: Clock,
    ) -> None:
        self._writes, self._resolver, self._clock, self._timeout_wall_s = writes, resolver, clock, timeout_wall_s
        self._source, self._replica = _Server.of(write_url), _Server.of(read_url)
        self._kept: dict[_Server, tuple[Connection, str]] = {}

    def write(self, kind: str, names: Mapping[str, str], body: bytes, *, fresh: bool) -> Reply:
        """Insert the row; 200 with its id once it is committed."""
        table = psycopg.sql.Identifier(self._writes.kinds[kind].path)
        statement = psycopg.sql.SQL("INSERT INTO {} (id, account, body) VALUES (%s, %s, %s)").format(table)
        values = (names["key"], names["account"], body.decode())

        def insert(connection: Connection) -> Any:
            connection.execute(statement, values)
            return {self._writes.id_field: names["key"]}

        return self._attempt(self._source, insert, fresh)

    def read(self, store: str, names: Mapping[str, str], *, fresh: bool) -> Reply:
        """Select the row: 200 with its body's fields, 404 without a row."""
        table = psycopg.sql.Identifier(self._writes.reader(store).read_path.partition("/")[0])
        statement = psycopg.sql.SQL("SELECT body FROM {} WHERE id = %s").format(table)

        def select(connection: Connection) -> Any:
            row = connection.execute(statement, (names.get("id") or names.get("key", ""),)).fetchone()
            return None if row is None else {"row": True, **json.loads(row[0])}

        return self._attempt(self._replica, select, fresh)

    def balance(self, account: str, *, fresh: bool) -> Reply:
        """No target of SQL declares one."""
        return Reply(self._clock.monotonic_s(), self._clock.monotonic_s(), status=404)

    def with_pinned(self, reply: Reply) -> Reply:
        """A kept connection is pinned when its address is no longer one of the names'."""
        if not reply.reused:
            return reply
        hosts = (self._source.host, self._replica.host)
        now = [address for host in hosts for address in self._resolver.would_answer(host, self._timeout_wall_s)]
        return replace(reply, pinned=bool(now) and reply.peer not in now)

    def close(self) -> None:
        """Drop the kept connections."""
        while self._kept:
            self._kept.popitem()[1][0].close()

    def _attempt(self, server: _Server, work: Work, fresh: bool) -> Reply:
        reply = Reply(sent_s=self._clock.monotonic_s(), done_s=0.0)
        deadline_s = reply.sent_s + self._timeout_wall_s
        kept = None if fresh else self._kept.pop(server, None)
        connection, address = kept or (None, "")
        try:
            if connection is None:
                address = self._address(server, deadline_s)
                connection = self._open(server, address)
        except _Failed as failed:
            return self._done(replace(reply, peer=address, error=failed.error, detail=str(failed)))
        reply = replace(reply, peer=address, reused=kept is not None, maybe_sent=True)
        reply = self._worked(reply, connection, work, deadline_s)
        if fresh or reply.error or reply.status not in (200, 404):
            connection.close()
        else:
            self._kept[server] = (connection, address)
        return self._done(reply)

    def _done(self, reply: Reply) -> Reply:
        return replace(reply, done_s=self._clock.monotonic_s())

    def _worked(self, reply: Reply, connection: Connection, work: Work, deadline_s: float) -> Reply:
        """The reply to work over an open connection."""
        left_s = deadline_s - self._clock.monotonic_s()
        with _cut_off_after(connection, left_s) as cut:
            try:
                said = work(connection)
            except psycopg.Error as error:
                return _of_error(reply, error, cut.is_set())
            except ValueError as error:  # the row is not one of ours
                return replace(reply, error="protocol", detail=str(error))
        if said is None:
            return replace(reply, status=404, body=b"{}")
        return replace(reply, status=200, body=json.dumps(said).encode())

    def _address(self, server: _Server, deadline_s: float) -> str:
        answer = self._resolver.resolve(server.host, deadline_s - self._clock.monotonic_s())
        if not answer.addresses:
            raise _Failed("dns", f"{server.host}: {answer.rcode} from {answer.server or 'no server'}")
        return str(sorted(answer.addresses)[0])

    def _open(self, server: _Server, address: str) -> Connection:
        milliseconds = math.ceil(self._timeout_wall_s * 1000)
        try:
            return psycopg.connect(
                host=server.host,
                hostaddr=address,
                port=server.port,
                dbname=server.database,
                user=self._writes.user,
                connect_timeout=max(CONNECT_FLOOR_WALL_S, math.ceil(self._timeout_wall_s)),
                options=f"-c statement_timeout={milliseconds}",
                application_name="failover-drill",
                autocommit=True,
            )
        except psycopg.errors.ConnectionTimeout as error:
            raise _Failed("timeout", str(error)) from error
        except psycopg.Error as error:
            raise _Failed("refused", str(error)) from error


class _Failed(Exception):
    """There is no connection."""

    def __init__(self, error: ErrorClass, why: str) -> None:
        super().__init__(" ".join(why.split())[:200])
        self.error: ErrorClass = error


def _of_error(reply: Reply, error: psycopg.Error, cut: bool) -> Reply:
    """What an error in the middle says of the statement: a server that says no has not done it."""
    state, detail = error.sqlstate, " ".join(str(error).split())[:200]
    if cut or state == TIMED_OUT:
        return replace(reply, error="timeout", detail=detail)
    if state is None or state in GOING_DOWN or state.startswith("08"):
        return replace(reply, error="reset", detail=detail)
    return replace(reply, status=503 if state == READ_ONLY else 409, detail=detail)


@contextlib.contextmanager
def _cut_off_after(connection: Connection, left_s: float) -> Iterator[threading.Event]:
    """Shut the connection's socket down when time is over: a server that is silent must not hold its client."""
    cut = threading.Event()

    def shut() -> None:
        cut.set()
        with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=_copy_of(connection)) as sock:
            sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, left_s), shut)
    timer.daemon = True
    timer.start()
    try:
        yield cut
    finally:
        timer.cancel()


def _copy_of(connection: Connection) -> int:
    """A descriptor of its own for the connection's socket."""
    return os.dup(connection.fileno())
