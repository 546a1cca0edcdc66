"""A replicated database: MariaDB writing on one server, a semi-synchronous follower on the other, by binary log.

What a writer acknowledges its follower has (AFTER_SYNC, and no time-out to speak of), so that a commit survives its
writer as on a storage that both share. Who follows from outside does so at the writer only: on the other server its
account is locked, and it knocks again later.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import pymysql

from lab.mariadb_server import HERE, MariadbError, MariadbServer, Seed
from lab.polling import until

FOLLOWER, OUTSIDER = "follower", "replicator"
FIRST_LOG, FIRST_POSITION = "binlog.000001", 4
ACCOUNTS = (
    f"CREATE USER {FOLLOWER}@'{HERE}'",
    f"CREATE USER {OUTSIDER}@'{HERE}' ACCOUNT LOCK",
    f"GRANT REPLICATION SLAVE ON *.* TO {FOLLOWER}@'{HERE}', {OUTSIDER}@'{HERE}'",
)
SETTINGS: Mapping[str, str] = {
    "rpl-semi-sync-slave-enabled": "1",
    "rpl-semi-sync-master-wait-point": "AFTER_SYNC",
    "rpl-semi-sync-master-timeout": "600000",
    "rpl-semi-sync-slave-kill-conn-timeout": "0",
}
ALONE, SHIELDED = (f"SET GLOBAL rpl_semi_sync_master_enabled = {value}" for value in (0, 1))
NEARLY = 50
"""Commits wait no longer than a blink for a follower that has so few transactions to go."""
CATCH_UP_TIMEOUT_S = 15.0
CUT_TIMEOUT_S = 2.0


def follow_statements(host: str, port: int, user: str, retry_wall_s: float, gtid: bool) -> Sequence[str]:
    """What makes a new server follow another, from its first event on.

    gtid: by global transaction id; else by file and position, which mean something on that one server only.
    retry_wall_s: pause between attempts to connect, in whole seconds, one at least.
    """
    how = "MASTER_USE_GTID = slave_pos"
    if not gtid:
        how = f"MASTER_USE_GTID = no, MASTER_LOG_FILE = '{FIRST_LOG}', MASTER_LOG_POS = {FIRST_POSITION}"
    return (
        f"CHANGE MASTER TO MASTER_HOST = '{host}', MASTER_PORT = {port}, MASTER_USER = '{user}', "
        f"MASTER_CONNECT_RETRY = {max(1, round(retry_wall_s))}, {how}",
        "START SLAVE",
    )


class MariadbPair:
    """Two servers, the first one the writer at start. addresses: name -> host; schema: run on each server, in no log.

    All methods block, one at a time. MariadbError when a step fails, pymysql.MySQLError when nobody answers.
    """

    def __init__(
        self, work: Path, addresses: Mapping[str, str], port: int, seed: Seed, schema: Sequence[str]
    ) -> None:
        if len(addresses) != 2:
            raise MariadbError(f"a pair has two servers, not {len(addresses)}")
        self.servers = {
            name: MariadbServer(work / name, host, port, seed, SETTINGS) for name, host in addresses.items()
        }
        self._numbers = itertools.count(1)
        self._schema = (*ACCOUNTS, *schema)
        self._lock = threading.RLock()

    def start(self) -> None:
        """Both run, and what the writer acknowledges the other one has."""
        writer, reader = self.servers
        for server in self.servers.values():
            server.launch(next(self._numbers))
        for server in self.servers.values():
            server.settle(self._schema)
        # Its log has a history of its own, as a restart makes one. Two servers that were born together and saw the
        # same few transactions have the same positions by chance, and a file and a position would pass for a GTID.
        self.servers[writer].run_here("FLUSH BINARY LOGS")
        self._open(writer)
        self._attach(reader)

    def stop(self) -> None:
        """End both."""
        for server in self.servers.values():
            server.stop()

    def crash(self, name: str) -> None:
        """The writer is gone, as its host is; nobody outside has anything that the other server does not have."""
        with self._lock:
            with contextlib.suppress(pymysql.MySQLError):  # it may be gone already
                self._cut(name)
            self.servers[name].kill()

    def promote(self, name: str) -> None:
        """That server takes writes, once it has applied all that it has."""
        with self._lock:
            server = self.servers[name]
            server.run("STOP SLAVE IO_THREAD")
            if not until(lambda: _applied(server), CATCH_UP_TIMEOUT_S):
                raise MariadbError(f"{name} has not applied what it has: {_said(server)}")
            server.run("STOP SLAVE", "RESET SLAVE ALL")
            self._open(name)

    def follow(self, name: str) -> None:
        """The former writer comes back as a follower, with the other one's data and none of its own."""
        with self._lock:
            server = self.servers[name]
            server.kill()
            server.start(next(self._numbers), self._schema)
            self._attach(name)

    def ready(self, name: str) -> bool:
        """Whether that follower has, and will have, all that the writer acknowledges."""
        heard = self.servers[name].following()
        runs = (heard.get("Slave_IO_Running"), heard.get("Slave_SQL_Running")) == ("Yes", "Yes")
        return runs and self._shielded(self._other(name))

    def writer(self) -> str | None:
        """The server that takes writes, None when there is none (or, wrongly, two)."""
        found = [name for name, server in self.servers.items() if _writes(server)]
        return found[0] if len(found) == 1 else None

    # -- parts ------------------------------------------------------------------------------------------------

    def _other(self, name: str) -> MariadbServer:
        return next(server for other, server in self.servers.items() if other != name)

    def _open(self, name: str) -> None:
        """Take writes, from now on alone, and let who is outside follow."""
        server = self.servers[name]
        server.run("SET GLOBAL read_only = 0")
        server.run_here(f"ALTER USER {OUTSIDER}@'{HERE}' ACCOUNT UNLOCK")

    def _attach(self, name: str) -> None:
        """Follow the other server; when that is reached, it acknowledges nothing more that this one lacks."""
        server, source = self.servers[name], self._other(name)
        source.run(ALONE)
        server.run(*follow_statements(source.host, source.port, FOLLOWER, 1.0, gtid=True))
        if not until(lambda: _behind(server, source) <= NEARLY, CATCH_UP_TIMEOUT_S):
            raise MariadbError(f"{name} did not catch up with its writer: {_said(server)}")
        source.run(SHIELDED)
        server.run("STOP SLAVE IO_THREAD", "START SLAVE IO_THREAD")  # that it acknowledges is agreed at the start
        if not until(lambda: self._shielded(source), CATCH_UP_TIMEOUT_S):
            source.run(ALONE)
            raise MariadbError(f"{name} does not acknowledge: {_said(server)}")

    @staticmethod
    def _shielded(source: MariadbServer) -> bool:
        """Whether a commit waits for the follower."""
        clients = int(source.status("Rpl_semi_sync_master_clients") or 0)  # a link that has just ended may count too
        return clients > 0 and source.status("Rpl_semi_sync_master_status") == "ON"

    def _cut(self, name: str) -> None:
        """Send nothing more to the outside, and wait until the other server has what was sent there."""
        writer, other = self.servers[name], self._other(name)
        writer.run_here(f"ALTER USER {OUTSIDER}@'{HERE}' ACCOUNT LOCK")
        query = f"SELECT id FROM information_schema.processlist WHERE user = '{OUTSIDER}'"
        for (thread,) in writer.run(query):
            with contextlib.suppress(pymysql.MySQLError):
                writer.run(f"KILL {thread}")
        sent = _count(_position(writer))
        until(lambda: _count(str(other.following().get("Gtid_IO_Pos", ""))) >= sent, CUT_TIMEOUT_S)


def _writes(server: MariadbServer) -> bool:
    try:
        return server.value("read_only") == "0"
    except pymysql.MySQLError:
        return False


def _position(server: MariadbServer) -> str:
    """The last transaction in its log."""
    return server.value("gtid_binlog_pos")


def _count(position: str) -> int:
    """How many transactions a position of one domain (DOMAIN-SERVER-NUMBER) stands for."""
    return int(position.rpartition("-")[2] or 0)


def _behind(server: MariadbServer, source: MariadbServer) -> int:
    return _count(_position(source)) - _count(server.value("gtid_slave_pos"))


def _applied(server: MariadbServer) -> bool:
    return _count(server.value("gtid_slave_pos")) >= _count(str(server.following().get("Gtid_IO_Pos", "")))


def _said(server: MariadbServer) -> str:
    heard = server.following()
    return str(heard.get("Last_IO_Error") or heard.get("Last_SQL_Error") or "it says nothing of it")
