"""What the system needs of its databases: a cluster of two instances, and a replica outside, of one kind each."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from lab.plan import WorldError
from lab.private_link import names

POSTGRESQL, MARIADB, ANONYMOUS = "postgresql", "mariadb", "mariadb-anonymous"
ENGINES = (POSTGRESQL, MARIADB, ANONYMOUS)
"""The last two differ in how the replica knows where it is: by GTID, or by file and position."""
READY_WALL_S = 20.0
Errors = tuple[type[Exception], ...]


class Source(Protocol):
    """The two instances of the cluster by their identifiers. errors: what its methods raise."""

    errors: Errors

    def start(self) -> None:
        """Both run, and what the writer acknowledges the other one has."""

    def stop(self) -> None:
        """End both; bounded, may be called twice."""

    def crash(self, instance: str) -> None:
        """The writer is gone, as its host is."""

    def promote(self, instance: str) -> None:
        """The other instance takes writes; nothing waits for the one that is gone."""

    def follow(self, instance: str) -> None:
        """The old writer comes back as a reader."""

    def await_able(self, instance: str) -> None:
        """Wait until the reader could take over, with a replica that has begun to follow."""

    def ready(self, instance: str) -> bool:
        """Whether the replica could go on at that reader, were it the writer."""

    def mark(self, instance: str, marker: str) -> None:
        """Commit a marker there, as a client does."""


class Replica(Protocol):
    """The replica outside. errors: what its methods raise."""

    errors: Errors

    def start(self) -> None:
        """It runs, and follows nobody yet."""

    def subscribe(self, host: str, port: int) -> None:
        """Follow the source behind that address, which must be the writer now."""

    def has(self, marker: str) -> bool:
        """Whether a marker has reached it."""

    def stop(self) -> None:
        """End it; bounded, may be called twice."""


def scheme_of(engine: str) -> str:
    """Of the URLs by which clients reach it."""
    return POSTGRESQL if engine == POSTGRESQL else "mysql"


def databases(engine: str, folder: Path, port: int, retry_wall_s: float) -> tuple[Source, Replica]:
    """The databases, not started. retry_wall_s: between the replica's attempts to connect. WorldError without any."""
    # Each kind's driver takes its time to load.
    if engine == POSTGRESQL:
        from lab.private_link import on_postgres

        return on_postgres.databases(folder, names.INSTANCES, (names.REPLICA_ADDRESS, port), retry_wall_s)
    from lab.mariadb_server import MariadbError
    from lab.private_link import on_mariadb

    replica = on_mariadb.Outside((names.REPLICA_ADDRESS, port), retry_wall_s, gtid=engine == MARIADB)
    try:
        return on_mariadb.databases(folder, names.INSTANCES, replica)
    except MariadbError as error:
        raise WorldError(f"--lab-set engine={engine}: {error}") from error
