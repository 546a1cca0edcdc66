"""A new PostgreSQL cluster: made by initdb, or copied from one that was made before."""

from __future__ import annotations

import secrets
import shutil
import threading
from pathlib import Path

from lab.postgres_programs import Programs

USER = "postgres"


class Seed:
    """A cluster as initdb makes it, made once and copied for several pairs, which then share its password.

    A copy takes a twentieth of initdb's time.
    """

    def __init__(self, work: Path, user: str | None = None) -> None:
        work.mkdir(parents=True, exist_ok=True)
        self._work, self._data = work, work / "data"
        self._programs = Programs(work, user)
        self._lock = threading.Lock()
        self.password = secrets.token_hex(16)

    def copy_to(self, folder: Path) -> None:
        """Make `folder` such a cluster; PostgresError when initdb fails."""
        with self._lock:
            if not self._data.exists():
                make_cluster(self._programs, self._work, self._data, self.password)
        shutil.copytree(self._data, folder)


def make_cluster(programs: Programs, work: Path, data: Path, password: str) -> None:
    """Run initdb for the new folder `data` below `work`."""
    data.mkdir(mode=0o700)
    secret = work / "password"
    secret.touch(mode=0o600)
    secret.write_text(password + "\n")
    programs.own(work)
    programs.run(
        "initdb", "-D", str(data), "-U", USER, "--encoding=UTF8", "--locale=C", "--no-sync",
        "--wal-segsize=1", "--auth=scram-sha-256", f"--pwfile={secret}", "--no-instructions",
    )  # fmt: skip
    secret.unlink()
