"""A write path of SQL: a marker row at the writer, looked for at a replica.

What the target says, in SQL's terms: a kind's `path` is the table, its `body` goes into the column `body` as JSON
text; `read_path` is "TABLE/{key}" (or "TABLE/{id}", which is the same: the row's name is the client's own). The table
has the columns id (text, primary key), account and body (text) and is made by the target's owners, at the source and
at the replica. `user` is the role that may insert and select there, and delete where `load.residue` is "cleaned"; its
password is the engine's business (drill/sql_postgresql.py, drill/sql_mysql.py), so that none is in a target. The
scheme of the target's URLs says which engine it is. Writes go to the target's endpoint, reads to the regional
endpoint of the standby. A write is acknowledged when its COMMIT returned.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from drill.client import Reply
from drill.clock import Clock
from drill.resolver import CachingClient
from drill.sql_session import Engine, NotOpen, Session, SqlServer, lost
from drill.write_path import WritePath

Work = Callable[[Session], Any]
Names = Sequence[Mapping[str, str]]
THERE = "there"
"""Field of the reply to the question which rows are there: their ids."""


def engine_of(url: str) -> Engine:
    """The engine that a URL's scheme names: "postgresql" or "mysql" (MariaDB too)."""
    # Each takes its time to load, and no target needs both.
    if urlsplit(url).scheme == "mysql":
        from drill.sql_mysql import Mysql

        return Mysql()
    from drill.sql_postgresql import Postgresql

    return Postgresql()


class SqlDoor:
    """See drill.doors.Door. write_url, read_url: "SCHEME://host[:port][/database]"; other values as there."""

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
        self._engine = engine_of(write_url)
        self._source, self._replica = self._server(write_url), self._server(read_url)
        self._kept: dict[SqlServer, tuple[Session, str]] = {}

    def write(self, kind: str, names: Mapping[str, str], body: bytes, *, fresh: bool) -> Reply:
        """Insert the row; 200 with its id once it is committed."""
        table = self._engine.quoted(self._writes.kinds[kind].path)
        statement = f"INSERT INTO {table} (id, account, body) VALUES (%s, %s, %s)"
        values = (names["key"], names["account"], body.decode())

        def insert(session: Session) -> Any:
            session.run(statement, values)
            return {self._writes.id_field: names["key"]}

        return self._attempt(self._source, insert, fresh)

    def read(self, store: str, names: Mapping[str, str], *, fresh: bool) -> Reply:
        """Select the row: 200 with its body's fields, 404 without a row."""
        table = self._engine.quoted(self._writes.reader(store).read_path.partition("/")[0])
        statement = f"SELECT body FROM {table} WHERE id = %s"

        def select(session: Session) -> Any:
            row = session.run(statement, (names.get("id") or names.get("key", ""),))
            return None if row is None else {"row": True, **json.loads(row[0])}

        return self._attempt(self._replica, select, fresh)

    def erase(self, kind: str, names: Names) -> Reply:
        """See drill.erasing.Eraser. A row goes whose id and account are both the ones that were written."""
        table = self._engine.quoted(self._writes.kinds[kind].path)
        pairs = ", ".join(["(%s, %s)"] * len(names))
        values = [text for each in names for text in (each["key"], each["account"])]

        def delete(session: Session) -> Any:
            session.run(f"DELETE FROM {table} WHERE (id, account) IN ({pairs})", values)
            return {}

        return self._attempt(self._source, delete, fresh=False)

    def there(self, kind: str, names: Names, *, replica: bool) -> Reply:
        """See drill.erasing.Eraser. A row is there by its id, whosever it is."""
        table = self._engine.quoted(self._writes.kinds[kind].path)
        marks, values = ", ".join(["%s"] * len(names)), [each["key"] for each in names]

        def select(session: Session) -> Any:
            return {THERE: [row[0] for row in session.rows(f"SELECT id FROM {table} WHERE id IN ({marks})", values)]}

        return self._attempt(self._replica if replica else self._source, select, fresh=False)

    def balance(self, account: str, *, fresh: bool) -> Reply:
        """No target of SQL declares one."""
        return Reply(self._clock.monotonic_s(), self._clock.monotonic_s(), status=404)

    def with_pinned(self, reply: Reply) -> Reply:
        """A kept session is pinned when its address is no longer one of the names'."""
        if not reply.reused:
            return reply
        hosts = (self._source.host, self._replica.host)
        now = [address for host in hosts for address in self._resolver.would_answer(host, self._timeout_wall_s)]
        return replace(reply, pinned=bool(now) and reply.peer not in now)

    def close(self) -> None:
        """Drop the kept connections."""
        while self._kept:
            self._kept.popitem()[1][0].close()

    def _attempt(self, server: SqlServer, work: Work, fresh: bool) -> Reply:
        reply = Reply(sent_s=self._clock.monotonic_s(), done_s=0.0)
        deadline_s = reply.sent_s + self._timeout_wall_s
        kept = None if fresh else self._kept.pop(server, None)
        session, address = kept or (None, "")
        try:
            if session is None:
                address = self._address(server, deadline_s)
                session = self._engine.open(server, address, self._timeout_wall_s)
        except NotOpen as failed:
            return self._done(replace(reply, peer=address, error=failed.error, detail=str(failed)))
        reply = replace(reply, peer=address, reused=kept is not None, maybe_sent=True)
        reply = self._worked(reply, session, work, deadline_s)
        if fresh or reply.error or reply.status not in (200, 404):
            session.close()
        else:
            self._kept[server] = (session, address)
        return self._done(reply)

    def _done(self, reply: Reply) -> Reply:
        return replace(reply, done_s=self._clock.monotonic_s())

    def _worked(self, reply: Reply, session: Session, work: Work, deadline_s: float) -> Reply:
        """The reply to work over an open session."""
        left_s = deadline_s - self._clock.monotonic_s()
        with _cut_off_after(session, left_s) as cut:
            try:
                said = work(session)
            except self._engine.errors as error:
                return lost(reply, error, timed_out=True) if cut.is_set() else self._engine.of_error(reply, error)
            except ValueError as error:  # the row is not one of ours
                return replace(reply, error="protocol", detail=str(error))
        if said is None:
            return replace(reply, status=404, body=b"{}")
        return replace(reply, status=200, body=json.dumps(said).encode())

    def _address(self, server: SqlServer, deadline_s: float) -> str:
        answer = self._resolver.resolve(server.host, deadline_s - self._clock.monotonic_s())
        if not answer.addresses:
            raise NotOpen("dns", f"{server.host}: {answer.rcode} from {answer.server or 'no server'}")
        return str(sorted(answer.addresses)[0])

    def _server(self, url: str) -> SqlServer:
        parts, engine = urlsplit(url), self._engine
        database = parts.path.strip("/") or engine.database
        return SqlServer(parts.hostname or "", parts.port or engine.port, database, self._writes.user)


@contextlib.contextmanager
def _cut_off_after(session: Session, left_s: float) -> Iterator[threading.Event]:
    """End the session's connection when time is over: a server that is silent must not hold its client."""
    cut = threading.Event()

    def shut() -> None:
        cut.set()
        session.shut_down()

    timer = threading.Timer(max(0.0, left_s), shut)
    timer.daemon = True
    timer.start()
    try:
        yield cut
    finally:
        timer.cancel()
