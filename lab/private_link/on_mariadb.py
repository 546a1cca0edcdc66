"""The source cluster and the replica outside, as real MariaDB with its binary log.

The replica remembers where it is by GTID, which every server of the cluster understands, or by file and position,
which mean something else on the other instance.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pymysql

from lab.mariadb import OUTSIDER, MariadbPair, follow_statements
from lab.mariadb_server import DATABASE, HERE, MariadbError, MariadbServer, Seed
from lab.polling import until
from lab.private_link.engines import READY_WALL_S, Errors

CLIENT, TABLE = "drill", "drill_marker"
MARKERS = (
    f"CREATE TABLE {TABLE} (id varchar(191) PRIMARY KEY, account varchar(191) NOT NULL, body longtext NOT NULL, "
    "made timestamp(6) NOT NULL DEFAULT current_timestamp(6)) ENGINE = InnoDB CHARACTER SET utf8mb4",
    f"CREATE USER {CLIENT}@'{HERE}'",
    f"GRANT SELECT, INSERT, DELETE ON {DATABASE}.{TABLE} TO {CLIENT}@'{HERE}'",
)
"""Accounts without a password: only processes of this machine reach these addresses, and the data is nobody's."""
REPLICA_NUMBER = 1000
"""The instances count from 1, and get another number each time that they come back."""
ERRORS: Errors = (MariadbError, pymysql.MySQLError)


@dataclass(frozen=True)
class Outside:
    """address: where the replica listens; retry_wall_s: pause between its attempts to connect, whole seconds from 1;
    gtid: whether it follows by GTID, else by file and position."""

    address: tuple[str, int]
    retry_wall_s: float
    gtid: bool


class MariadbSource(MariadbPair):
    """See lab.private_link.engines.Source."""

    errors = ERRORS

    def await_able(self, instance: str) -> None:
        """Its reader takes over at any time: nothing of the replica is kept there."""
        if not until(lambda: self.ready(instance), READY_WALL_S, ERRORS):
            raise MariadbError(f"{instance} does not follow its writer")

    def mark(self, instance: str, marker: str) -> None:
        """Commit a marker there."""
        server = self.servers[instance]
        with contextlib.closing(_as_client(server)) as connection, connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {TABLE} (id, account, body) VALUES (%s, 'lab', '{{}}')", (marker,))


class MariadbReplica:
    """See lab.private_link.engines.Replica."""

    errors = ERRORS

    def __init__(self, work: Path, outside: Outside, seed: Seed) -> None:
        self._outside = outside
        self.server = MariadbServer(work, *outside.address, seed)

    def start(self, turn: int = 0) -> None:
        """It runs, and follows nobody yet. turn: among several replicas."""
        self.server.start(REPLICA_NUMBER + turn, MARKERS)

    def subscribe(self, host: str, port: int) -> None:
        """Follow the source behind that address from its first event on."""
        retry_wall_s, gtid = self._outside.retry_wall_s, self._outside.gtid
        self.server.run(*follow_statements(host, port, OUTSIDER, retry_wall_s, gtid))

    def stop(self) -> None:
        """End it."""
        self.server.stop()

    def has(self, marker: str) -> bool:
        """Whether a marker has reached it."""
        with contextlib.closing(_as_client(self.server)) as connection, connection.cursor() as cursor:
            return bool(cursor.execute(f"SELECT 1 FROM {TABLE} WHERE id = %s", (marker,)))


def _as_client(server: MariadbServer) -> pymysql.Connection[pymysql.cursors.Cursor]:
    return pymysql.connect(
        host=server.host,
        port=server.port,
        user=CLIENT,
        database=DATABASE,
        ssl_disabled=True,
        connect_timeout=2,
        read_timeout=10,
        autocommit=True,
    )


def databases(folder: Path, instances: Mapping[str, str], outside: Outside) -> tuple[MariadbSource, MariadbReplica]:
    """Source and replica below `folder`, not started; MariadbError where there is no MariaDB."""
    seed = Seed(folder / "mariadb-seed")
    source = MariadbSource(folder / "mariadb-source", instances, outside.address[1], seed, MARKERS)
    return source, MariadbReplica(folder / "mariadb-replica", outside, seed)
