"""What a write path of SQL needs of a database: sessions of one engine, and what its errors say of a write."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from drill.client import ErrorClass, Reply

DETAIL_CHARS = 200


@dataclass(frozen=True)
class SqlServer:
    """host, port, database: of a URL; user: the role that may insert, select, and delete what is to be cleaned."""

    host: str
    port: int
    database: str
    user: str


class NotOpen(Exception):
    """There is no session; error says in the words of a `Reply` why."""

    def __init__(self, error: ErrorClass, why: object) -> None:
        super().__init__(in_short(why))
        self.error: ErrorClass = error


class Session(Protocol):
    """One open connection; every statement is a transaction of its own. Its engine's errors pass."""

    def run(self, statement: str, values: Sequence[str]) -> tuple[Any, ...] | None:
        """Run a statement with %s for each value; its first row, None without one."""

    def rows(self, statement: str, values: Sequence[str]) -> list[tuple[Any, ...]]:
        """Run a query with %s for each value; all its rows."""

    def shut_down(self) -> None:
        """End the connection's TCP from another thread, so that who waits for the server gets an error."""

    def close(self) -> None:
        """Close it; never raises."""


class Engine(Protocol):
    """One kind of database. errors: what its sessions raise; port, database: of a URL that names none."""

    errors: type[Exception]
    port: int
    database: str

    def open(self, server: SqlServer, address: str, timeout_wall_s: float) -> Session:
        """A session with the server at that address, or NotOpen."""

    def quoted(self, name: str) -> str:
        """A name as a statement's identifier."""

    def of_error(self, reply: Reply, error: Exception) -> Reply:
        """What an error in the middle says of the statement: a server that says no has not done it."""


def in_short(said: object) -> str:
    """A server's words on one line."""
    return " ".join(str(said).split())[:DETAIL_CHARS]


def lost(reply: Reply, error: Exception, timed_out: bool = False) -> Reply:
    """How far the statement came, nobody says."""
    return dataclasses.replace(reply, error="timeout" if timed_out else "reset", detail=in_short(error))


def refused(reply: Reply, error: Exception, read_only: bool) -> Reply:
    """The server has not done it."""
    return dataclasses.replace(reply, status=503 if read_only else 409, detail=in_short(error))
