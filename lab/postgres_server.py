"""One PostgreSQL server by itself: no standby, no writer above it."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import psycopg

from lab import processes
from lab.postgres import SETTINGS, START_TIMEOUT_S, STOP_TIMEOUT_S, Extra, write_configuration
from lab.postgres_programs import PostgresError, Programs
from lab.postgres_seed import DATABASE, USER, Seed


class PostgresServer:
    """A server on `host` and `port` with its files below `work`, copied from `seed`. All methods block."""

    def __init__(self, work: Path, host: str, port: int, seed: Seed, extra: Extra) -> None:
        work.mkdir(parents=True, exist_ok=True)
        self._data, self._seed, self._extra = work / "data", seed, extra
        self._programs = Programs(work, None)
        self._child: subprocess.Popen[bytes] | None = None
        self.host, self.port = host, port
        self.conninfo = (
            f"host={host} port={port} dbname={DATABASE} user={USER} password={seed.password} connect_timeout=2"
        )

    def start(self, schema: str) -> None:
        """Create it, start it, and run `schema`; PostgresError when it does not come up."""
        self._seed.copy_to(self._data)
        settings = {**SETTINGS, **self._extra.settings, "listen_addresses": self.host, "port": str(self.port)}
        write_configuration(self._data, settings, self._extra.hba)
        self._programs.own(self._data)
        argv = [str(self._programs.install / "bin" / "postgres"), "-D", str(self._data)]
        self._child = self._programs.start(self._programs.user, argv, STOP_TIMEOUT_S)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.answers():
            if self._child.poll() is not None or time.monotonic() > deadline:
                raise PostgresError(f"PostgreSQL on {self.host} did not come up: {self._programs.tail()}")
            time.sleep(0.05)
        self.execute(schema)

    def answers(self) -> bool:
        """Whether it answers."""
        try:
            self.execute("SELECT true")
        except psycopg.Error:
            return False
        return True

    def execute(self, statements: str) -> None:
        """Run statements that return nothing of interest; psycopg.Error when they fail."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute(statements.encode())

    def stop(self) -> None:
        """Stop it; bounded, may be called twice."""
        if self._child is not None:
            processes.stop(self._child, STOP_TIMEOUT_S)
            self._child = None
