"""The source cluster's two instances and the replica outside, as real PostgreSQL with logical replication.

The cluster's storage is shared in Aurora, so that a commit which was acknowledged survives its writer: here the
second instance streams synchronously. The replica's position is kept in a failover slot, which only the writer
serves: on the other instance it is a copy, and who follows it there is refused, as a MySQL replica is by a reader.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import psycopg

from lab.polling import until
from lab.postgres import Extra, PostgresPair
from lab.postgres_programs import PostgresError
from lab.postgres_seed import Seed
from lab.postgres_server import PostgresServer
from lab.private_link.engines import READY_WALL_S, Errors

CLIENT, REPLICATOR = "drill", "replicator"
TABLE, PUBLICATION, SUBSCRIPTION, SLOT = "drill_marker", "drill", "drill", "drill_replica"
STANDBY_SLOT = "reader"
ERRORS: Errors = (PostgresError, psycopg.Error)
HBA = tuple(f"host all {user} 127.0.0.0/8 trust" for user in (CLIENT, REPLICATOR))
"""Only processes of this machine reach these addresses, and what is kept here is nobody's."""
SOURCE = {
    "wal_level": "logical",
    "hot_standby_feedback": "on",
    "wal_sender_timeout": "0",
}
MARKERS = (
    f"CREATE TABLE {TABLE} (id text PRIMARY KEY, account text NOT NULL, body text NOT NULL, "
    "made timestamptz NOT NULL DEFAULT now());"
    f"CREATE ROLE {CLIENT} LOGIN; GRANT SELECT, INSERT, DELETE ON {TABLE} TO {CLIENT};"
)
SOURCE_SCHEMA = (
    f"SELECT pg_create_physical_replication_slot('{STANDBY_SLOT}', true); {MARKERS} "
    f"CREATE ROLE {REPLICATOR} LOGIN REPLICATION; GRANT SELECT ON {TABLE} TO {REPLICATOR}; "
    f"CREATE PUBLICATION {PUBLICATION} FOR TABLE {TABLE};"
)


class PostgresSource:
    """See lab.private_link.engines.Source; the first instance is the writer at start."""

    errors = ERRORS

    def __init__(self, work: Path, addresses: Mapping[str, str], port: int, seed: Seed) -> None:
        extra = Extra(SOURCE, HBA, STANDBY_SLOT)
        self.pair = PostgresPair(work, addresses, dict.fromkeys(addresses, port), seed=seed, extra=extra)
        self._addresses, self._port = addresses, port
        self._names = tuple(addresses)

    def start(self) -> None:
        """Both run, and what the writer acknowledges the other one has."""
        self.pair.start(SOURCE_SCHEMA)
        self._shield(self._names[0])

    def stop(self) -> None:
        """End both."""
        self.pair.stop()

    def writer(self) -> str | None:
        """The instance that takes writes, None while there is none."""
        return self.pair.writer_region()

    def crash(self, instance: str) -> None:
        """The writer is gone, as its host is."""
        self.pair.crash(instance)

    def promote(self, instance: str) -> None:
        """The other instance takes writes; nothing waits for the one that is gone."""
        self.pair.promote(instance)
        self._execute(
            instance,
            f"SELECT pg_create_physical_replication_slot('{STANDBY_SLOT}', true) WHERE NOT EXISTS "
            f"(SELECT FROM pg_replication_slots WHERE slot_name = '{STANDBY_SLOT}')",
        )

    def follow(self, instance: str) -> None:
        """The old writer comes back as a reader."""
        self.pair.follow(instance)
        self._execute(
            instance,
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
            "WHERE slot_type = 'logical' AND NOT synced AND NOT active",
        )
        self._shield(self._other(instance))
        self._copy_slot(instance)

    def await_able(self, instance: str) -> None:
        """Wait until the reader could go on where the replica is; PostgresError when it does not come to that."""
        self._copy_slot(instance)
        if not until(lambda: self.ready(instance), READY_WALL_S, ERRORS):
            raise PostgresError(f"the replica's position did not reach {instance}")

    def ready(self, reader: str) -> bool:
        """Whether the replica could go on at the reader, were it the writer: its position is copied there.

        It can be once the reader has everything that the replica lacks. psycopg.Error when one does not answer.
        """
        self._execute(self._other(reader), "SELECT pg_log_standby_snapshot()")
        self._execute(reader, "SELECT pg_reload_conf()")  # wakes its copier, which by itself sleeps up to 30 s
        ready = f"SELECT FROM pg_replication_slots WHERE slot_name = '{SLOT}' AND synced AND NOT temporary"
        return bool(self._rows(reader, ready))

    def mark(self, instance: str, marker: str) -> None:
        """Commit a marker there."""
        server = f"host={self._addresses[instance]} port={self._port}"
        conninfo = f"{server} dbname=postgres user={CLIENT} connect_timeout=2"
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(
                f"INSERT INTO {TABLE} (id, account, body) VALUES (%s, 'lab', '{{}}')".encode(), (marker,)
            )

    def _other(self, instance: str) -> str:
        return next(name for name in self._names if name != instance)

    def _copy_slot(self, reader: str) -> None:
        """Begin to copy the replica's position; begun before there is one, the copier sleeps for long at a time."""
        self._set(reader, sync_replication_slots="on")

    def _shield(self, writer: str) -> None:
        """Nothing is acknowledged, and nothing told to the replica, that the other instance does not have.

        It is named: any other receiver, the replica itself, would pass for it.
        """
        reader = f'"{self._other(writer)}"'
        self._set(writer, synchronous_standby_names=reader, synchronized_standby_slots=STANDBY_SLOT)

    def _set(self, instance: str, **settings: str) -> None:
        for name, value in settings.items():
            self._execute(instance, f"ALTER SYSTEM SET {name} = '{value}'")
        self._execute(instance, "SELECT pg_reload_conf()")

    def _execute(self, instance: str, statement: str) -> None:
        with psycopg.connect(self.pair.conninfo(instance), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _rows(self, instance: str, query: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.pair.conninfo(instance), autocommit=True) as connection:
            return list(connection.execute(query.encode()).fetchall())


class PostgresReplica:
    """See lab.private_link.engines.Replica. retry_wall_s: pause between its attempts to connect to its source."""

    errors = ERRORS

    def __init__(self, work: Path, host: str, port: int, seed: Seed, retry_wall_s: float) -> None:
        pause = f"{max(1, round(retry_wall_s * 1000))}ms"
        settings = {"wal_level": "logical", "wal_retrieve_retry_interval": pause, "wal_receiver_timeout": "0"}
        self.server = PostgresServer(work, host, port, seed, Extra(settings, HBA))

    def start(self) -> None:
        """It runs, and follows nobody yet."""
        self.server.start(MARKERS)

    def subscribe(self, host: str, port: int) -> None:
        """Follow the source behind that address, which must be the writer now."""
        self.server.execute(
            f"CREATE SUBSCRIPTION {SUBSCRIPTION} CONNECTION "
            f"'host={host} port={port} dbname=postgres user={REPLICATOR} connect_timeout=2' "
            f"PUBLICATION {PUBLICATION} WITH (slot_name = '{SLOT}', failover = true, copy_data = false)"
        )

    def has(self, marker: str) -> bool:
        """Whether a marker has reached it."""
        with psycopg.connect(self.server.conninfo, autocommit=True) as connection:
            return bool(connection.execute(f"SELECT FROM {TABLE} WHERE id = %s".encode(), (marker,)).fetchall())

    def stop(self) -> None:
        """End it."""
        self.server.stop()


def databases(
    folder: Path, instances: Mapping[str, str], replica: tuple[str, int], retry_wall_s: float
) -> tuple[PostgresSource, PostgresReplica]:
    """Source and replica below `folder`, not started. replica: where it listens."""
    seed = Seed(folder / "postgres-seed")
    source = PostgresSource(folder / "postgres-source", instances, replica[1], seed)
    return source, PostgresReplica(folder / "postgres-replica", *replica, seed, retry_wall_s)
