"""MySQL and MariaDB behind a write path of SQL.

The user's `password` stands in ~/.my.cnf, in a section that is named as the host in the target's URL: as in a pgpass
file, what is for one host goes to no other. With `ssl-ca` there the server's certificate is demanded and verified;
without it there is no TLS.
"""

from __future__ import annotations

import configparser
import contextlib
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
from pymysql.constants import CR, ER

from drill.client import Reply
from drill.sql_session import NotOpen, SqlServer, lost, refused

OPTION_FILE = "~/.my.cnf"
UNKNOWN = (
    CR.CR_SERVER_GONE_ERROR,
    CR.CR_SERVER_LOST,
    ER.SERVER_SHUTDOWN,
    ER.QUERY_INTERRUPTED,
    1927,  # ER_CONNECTION_KILLED of MariaDB
)
"""Errors of a connection, or of a server that ends: how far the statement came, nobody says."""
TIMED_OUT = (1969, 3024)
"""ER_STATEMENT_TIMEOUT of MariaDB, ER_QUERY_TIMEOUT of MySQL."""
READ_ONLY = (ER.OPTION_PREVENTS_STATEMENT, 1792, 1836)
"""read_only is on; a transaction, or the server, that only reads."""


class MysqlSession:
    """See drill.sql_session.Session. sock: a second handle of the connection's socket."""

    def __init__(self, connection: pymysql.Connection[Any], sock: socket.socket) -> None:
        self._connection, self._sock = connection, sock

    def run(self, statement: str, values: Sequence[str]) -> tuple[Any, ...] | None:
        """Run it; pymysql.MySQLError."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement, tuple(values))
            return cursor.fetchone() if cursor.description else None

    def rows(self, statement: str, values: Sequence[str]) -> list[tuple[Any, ...]]:
        """Run it; pymysql.MySQLError."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement, tuple(values))
            return list(cursor.fetchall())

    def shut_down(self) -> None:
        """The connection's socket."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it, with a word to the server if that can be had."""
        with contextlib.suppress(pymysql.MySQLError, OSError):
            self._connection.close()
        self._sock.close()


@dataclass(frozen=True)
class _Options:
    """What the option file says of one host. tls: None for none."""

    password: str
    tls: ssl.SSLContext | None


class Mysql:
    """See drill.sql_session.Engine."""

    errors: type[Exception] = pymysql.MySQLError
    port, database = 3306, "drill"

    def __init__(self) -> None:
        self._options: dict[str, _Options] = {}

    def open(self, server: SqlServer, address: str, timeout_wall_s: float) -> MysqlSession:
        """Connect; every read from and write to the server has the timeout as its own limit."""
        options = self._of_host(server.host)
        connection: pymysql.Connection[Any] = pymysql.Connection(
            host=server.host,
            port=server.port,
            user=server.user,
            database=server.database,
            charset="utf8mb4",
            read_timeout=timeout_wall_s,
            write_timeout=timeout_wall_s,
            autocommit=True,
            program_name="failover-drill",
            password=options.password,
            ssl=options.tls,
            ssl_disabled=options.tls is None,
            defer_connect=True,
        )
        sock = _connected(address, server.port, timeout_wall_s)
        copy = sock.dup()
        try:
            connection.connect(sock)
        except (pymysql.MySQLError, OSError) as error:
            sock.close()
            copy.close()
            raise NotOpen("timeout" if "timed out" in str(error) else "refused", error) from error
        return MysqlSession(connection, copy)

    def _of_host(self, host: str) -> _Options:
        """Read once: what TLS needs costs more than a connection."""
        if host not in self._options:
            try:
                self._options[host] = _read_options(host)
            except (configparser.Error, OSError) as error:
                raise NotOpen("refused", f"{OPTION_FILE}: {error}") from error
        return self._options[host]

    def quoted(self, name: str) -> str:
        """In backticks."""
        return "`" + name.replace("`", "``").replace("%", "%%") + "`"

    def of_error(self, reply: Reply, error: Exception) -> Reply:
        """By the error's number; the client's own (2000 and more) are all of the connection."""
        number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
        if number in TIMED_OUT or "timed out" in str(error):
            return lost(reply, error, timed_out=True)
        if number in UNKNOWN or number == 0 or 2000 <= number < 3000:
            return lost(reply, error)
        return refused(reply, error, read_only=number in READ_ONLY)


def _read_options(host: str) -> _Options:
    """The host's section; configparser.Error or OSError of a file that cannot be used."""
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    parser.read(Path(OPTION_FILE).expanduser())
    said = parser[host] if parser.has_section(host) else {}
    password, authority = (str(said.get(key) or "").strip("'\"") for key in ("password", "ssl-ca"))
    return _Options(password, ssl.create_default_context(cafile=authority) if authority else None)


def _connected(address: str, port: int, timeout_wall_s: float) -> socket.socket:
    try:
        sock = socket.create_connection((address, port), timeout_wall_s)
    except TimeoutError as error:
        raise NotOpen("timeout", error) from error
    except OSError as error:
        raise NotOpen("refused", error) from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock
