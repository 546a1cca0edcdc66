"""One MariaDB server by itself, from the machine's own package (Debian: mariadb-server-core, which starts nothing).

Its data directory is a copy of one that was made by the same program in a fifth of a second, so that none is kept.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pymysql

from lab import processes
from lab.minded import Minded, fed, kill_tree

ADMIN, DATABASE = "admin", "drill"
HERE = "127.%"
"""From where accounts may come: this machine."""
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
INSTALL = "install it (Debian: apt-get install --no-install-recommends mariadb-server-core)"
PLACES = "/usr/sbin:/usr/local/sbin"
"""Where a person's own search path does not lead."""
TABLES = (
    "mysql/mysql_system_tables.sql",
    "mysql/mariadb_system_tables.sql",
    "mariadb/mariadb_system_tables.sql",
)
"""Where, below share/, the statements are that make the system's own tables."""

# What was committed is in the kernel's page cache, and so survives kill -9 of any process, as the lab promises; only
# a crash of the machine would lose it, and the lab with it.
SETTINGS: Mapping[str, str] = {
    "innodb-flush-log-at-trx-commit": "2",
    "innodb-doublewrite": "0",
    "innodb-buffer-pool-size": "8M",
    "innodb-buffer-pool-dump-at-shutdown": "0",
    "innodb-log-file-size": "4M",
    "innodb-data-file-path": "ibdata1:2M:autoextend",
    "innodb-temp-data-file-path": "ibtmp1:2M:autoextend",
    "innodb-autoextend-increment": "1",
    "innodb-use-native-aio": "0",
    "key-buffer-size": "1M",
    "performance-schema": "0",
    "local-infile": "0",
    "open-files-limit": "1024",
    "table-open-cache": "64",
}
SERVING: Mapping[str, str] = {
    "socket": "socket",
    "pid-file": "pid",
    "skip-name-resolve": "1",
    "log-bin": "binlog",
    "log-slave-updates": "1",
    "binlog-format": "ROW",
    "sync-binlog": "0",
    "relay-log": "relay",
    "skip-slave-start": "1",
    "master-retry-count": "0",
    "read-only": "1",
}
"""A server takes no writes until it is told to, but for those of replication and of the administrator."""

Rows = list[tuple[Any, ...]]


class MariadbError(Exception):
    """A MariaDB program failed, or a server is not in the state that a step needs."""


def program() -> Path:
    """The server's program; MariadbError where there is none."""
    found = shutil.which("mariadbd") or shutil.which("mariadbd", path=PLACES)
    if found is None:
        raise MariadbError(f"no MariaDB here: there is no program mariadbd; {INSTALL}")
    return Path(found).resolve()


class Programs(Minded):
    """Runs MariaDB's server, which runs as root only when it is told so."""

    failure = MariadbError
    forgotten = ("MYSQL", "MARIADB")

    def __init__(self, work: Path) -> None:
        work.mkdir(parents=True, exist_ok=True)
        super().__init__(work / "mariadb.log")
        self.program = program()

    def argv(self, data: Path, *settings: Mapping[str, str]) -> list[str]:
        """The command line of a server over that folder."""
        options = [f"--{name}={value}" for table in (SETTINGS, *settings) for name, value in table.items()]
        user = ["--user=root"] if os.geteuid() == 0 else []
        return [str(self.program), "--no-defaults", f"--datadir={data}", *user, *options]

    def tables(self) -> str:
        """The statements that make the system's own tables."""
        share = self.program.parents[1] / "share"
        for name in TABLES:
            if (share / name).is_file():
                return (share / name).read_text()
        raise MariadbError(f"none of {', '.join(TABLES)} is below {share}; {INSTALL}")


class Seed:
    """A data directory that any number of servers are copied from, which then share the administrator's password."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._made = False
        self.password = secrets.token_hex(16)

    def copy_to(self, folder: Path) -> None:
        """Make `folder` such a directory; MariadbError when it has to be made and that fails."""
        with self._lock:
            if not self._made:
                self._make()
                self._made = True
        shutil.copytree(self._work / "data", folder)

    def _make(self) -> None:
        programs = Programs(self._work)
        data, text = self._work / "data", self._work / "made.sql"
        data.mkdir(mode=0o700)
        text.touch(mode=0o600)
        account = f"{ADMIN}@'{HERE}'"
        text.write_text(
            f"CREATE DATABASE mysql;\nUSE mysql;\n{programs.tables()}\nCREATE DATABASE {DATABASE};\n"
            f"FLUSH PRIVILEGES;\nCREATE USER {account} IDENTIFIED BY '{self.password}';\n"
            f"GRANT ALL ON *.* TO {account} WITH GRANT OPTION;\n"
        )
        bootstrap = [*programs.argv(data), "--bootstrap", "--skip-log-bin"]
        programs.run_as("self", "mariadbd --bootstrap", fed(text, bootstrap))
        text.unlink()


class MariadbServer:
    """A server on `host` and `port` with its files below `work`. settings: options besides the lab's own.

    All methods block; pymysql.MySQLError when a statement fails or nobody answers.
    """

    def __init__(self, work: Path, host: str, port: int, seed: Seed, settings: Mapping[str, str] = {}) -> None:
        self._data, self._seed, self._settings = work / "data", seed, settings
        self._programs = Programs(work)
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._kept: pymysql.Connection[Any] | None = None
        self.host, self.port = host, port

    def start(self, number: int, schema: Sequence[str]) -> None:
        """`launch` and `settle`."""
        self.launch(number)
        self.settle(schema)

    def launch(self, number: int) -> None:
        """Start it anew, with nothing in it.

        number: its own in the replication, which no other server may have, nor this one have had.
        """
        shutil.rmtree(self._data, ignore_errors=True)
        self._seed.copy_to(self._data)
        here = {"bind-address": self.host, "port": str(self.port), "server-id": str(number)}
        argv = self._programs.argv(self._data, SERVING, here, self._settings)
        self._child = self._programs.start("self", argv, STOP_TIMEOUT_S, signal.SIGKILL)

    def settle(self, schema: Sequence[str]) -> None:
        """Wait until it answers, and run `schema` so that it is in no log; MariadbError when it does not come up."""
        assert self._child is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.answers():
            if self._child.poll() is not None or time.monotonic() > deadline:
                raise MariadbError(f"MariaDB on {self.host} did not come up: {self._programs.tail()}")
            time.sleep(0.05)
        self.run_here(*schema)

    def answers(self) -> bool:
        """Whether it answers."""
        try:
            self.run("SELECT 1")
        except pymysql.MySQLError:
            return False
        return True

    def run(self, *statements: str) -> Rows:
        """Run them as the administrator; the rows of the last one."""
        return self._ask(pymysql.cursors.Cursor, *statements)

    def run_here(self, *statements: str) -> None:
        """Run them so that no other server gets to know."""
        self.run("SET sql_log_bin = 0", *statements, "SET sql_log_bin = 1")

    def value(self, name: str) -> str:
        """A global variable."""
        return str(self.run(f"SELECT @@GLOBAL.{name}")[0][0])

    def status(self, name: str) -> str:
        """A status variable, "" when it has none of that name."""
        rows = self.run(f"SHOW GLOBAL STATUS LIKE '{name}'")
        return str(rows[0][1]) if rows else ""

    def following(self) -> Mapping[str, Any]:
        """What it says of the server that it follows, as SHOW SLAVE STATUS names it; empty when it follows none."""
        rows = self._ask(pymysql.cursors.DictCursor, "SHOW SLAVE STATUS")
        return rows[0] if rows else {}

    def kill(self) -> None:
        """End it as a power cut would."""
        child, self._child = self._child, None
        if child is not None:
            kill_tree(child)

    def stop(self) -> None:
        """End it; bounded, may be called twice. What is in it is nobody's: it is not asked to close its files."""
        child, self._child = self._child, None
        if child is not None:
            processes.stop(child, STOP_TIMEOUT_S)

    def _ask(self, kind: type[pymysql.cursors.Cursor], *statements: str) -> list[Any]:
        """Over one connection, which is opened again after an error."""
        with self._lock:
            connection = self._kept = self._kept or self._connect()
            try:
                with connection.cursor(kind) as cursor:
                    for statement in statements:
                        cursor.execute(statement)
                    return list(cursor.fetchall())
            except pymysql.MySQLError:
                self._kept = None
                with contextlib.suppress(pymysql.MySQLError):
                    connection.close()
                raise

    def _connect(self) -> pymysql.Connection[Any]:
        return pymysql.connect(
            host=self.host,
            port=self.port,
            user=ADMIN,
            password=self._seed.password,
            database=DATABASE,
            charset="utf8mb4",
            ssl_disabled=True,  # to look whether there is any costs more than the connection
            connect_timeout=2,
            read_timeout=START_TIMEOUT_S,
            autocommit=True,
        )
