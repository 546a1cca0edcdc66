"""The lock between the processes of one machine: a record in a folder of this user's, read and written under flock.

The record names its holder's process, so that what SIGKILL leaves is seen to be dead. The flock lasts only as long as
a look or a change: a drill that is stopped in between holds the record, never the folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from drill.clock import SystemClock
from drill.errors import Fenced, Refused
from drill.holder import Holder, holder_from
from drill.whole_file import replace_file

WAIT_S = 0.05
TRIES = 200
"""About ten wall seconds for what takes a millisecond."""


def runtime_folder(name: str = "failover-drill") -> Path:
    """Where this user's locks lie: gone after a boot, as the processes are."""
    uid = os.getuid()
    own = Path(f"/run/user/{uid}")
    return own / name if own.is_dir() and own.stat().st_uid == uid else Path(f"/tmp/{name}-{uid}")


@dataclass(frozen=True)
class FileLock:
    """One lock. folder: made when needed, removed when empty; key: of letters and digits, names the lock."""

    folder: Path
    key: str

    @property
    def path(self) -> Path:
        """The record."""
        return self.folder / f"{self.key}.lock"

    def holder(self) -> Holder | None:
        """Who holds it, alive or dead; None when nobody does. Refused when the record cannot be read."""
        with _alone(self.folder):
            return self._read()

    def acquire(self, holder: Holder) -> Holder | None:
        """Take it for `holder`; None when it is taken now, else who has it and is not known to be dead."""
        with _alone(self.folder):
            found = self._read()
            if found is not None and not found.dead:
                return found
            self._write(holder)
            return None

    def check(self, holder: Holder) -> None:
        """Fenced unless `holder` has it still."""
        found = self.holder()
        if found != holder:
            raise Fenced(
                f"the lock of this machine ({self.path}) is no longer ours: {found or 'somebody took it away'}"
            )

    def release(self, holder: Holder) -> bool:
        """Give it back; False when `holder` did not have it (any more)."""
        with _alone(self.folder):
            if self._read() != holder:
                return False
            self.path.unlink()
            return True

    def sweep(self, over: Callable[[Holder], bool]) -> None:
        """Remove the records of the dead whose drill is `over`: the next to drill their target need not come.

        What cannot be read, or is not over, stays.
        """
        with _alone(self.folder):
            for path in self.folder.glob("*.lock"):
                with contextlib.suppress(Refused):
                    found = FileLock(self.folder, path.stem)._read()
                    if found is not None and found.dead and over(found):
                        path.unlink()

    def _read(self) -> Holder | None:
        try:
            return holder_from(json.loads(self.path.read_text()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise Refused(f"lock {self.path} cannot be read ({error}); if no drill runs, remove it") from error

    def _write(self, holder: Holder) -> None:
        replace_file(self.path, json.dumps(holder.to_json()))


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else reads or changes a record meanwhile. Refused when that cannot be had."""
    try:
        fd = _locked(folder)
    except OSError as error:
        raise Refused(f"the locks of this machine, {folder}, cannot be used: {error}") from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()  # only if no record is left; whoever waits for this very folder notices
        os.close(fd)


def _locked(folder: Path) -> int:
    clock = SystemClock()
    for _ in range(TRIES):
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        with contextlib.suppress(FileNotFoundError):  # whoever left last has just removed it
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            if _ours(fd) and _flocked(fd) and _is_still(folder, fd):
                return fd
            os.close(fd)
        clock.sleep(WAIT_S)
    raise TimeoutError("another process keeps it busy")


def _ours(fd: int) -> bool:
    found = os.fstat(fd)
    if found.st_uid != os.getuid() or found.st_mode & 0o022:
        os.close(fd)
        raise PermissionError("it belongs to, or may be changed by, another user")
    return True


def _flocked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_still(folder: Path, fd: int) -> bool:
    try:
        return os.path.samestat(folder.stat(), os.fstat(fd))
    except FileNotFoundError:
        return False
