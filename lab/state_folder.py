"""The folder of a lab's files: made, held while anything of the lab lives, removed, and swept when nobody could.

Keeper and world each hold a shared lock on a file in it. The kernel lets go of a lock when its process ends,
however it ends, so a folder whose lock can be had alone belongs to a dead lab: that is the only proof taken.

Standard library only: the keeper imports it before anything else.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from pathlib import Path

PREFIX = "drill-lab-"
LOCK = "held"
MAX_SWEPT = 100
"""Folders looked at by one sweep."""


def make(wanted: Path | None) -> Path:
    """A new folder, held by this process; FileExistsError when the wanted one exists, since it will be removed."""
    if wanted is None:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    else:
        folder = wanted.absolute()
        folder.mkdir(parents=True, mode=0o700)
    if os.geteuid() == 0:
        folder.chmod(0o711)  # PostgreSQL may run as nobody, who must be able to pass through
    claim(folder)
    return folder


def claim(folder: Path) -> None:
    """Put the lock into a new folder and hold it until this process ends."""
    # Locked before it has its name: a sweep never sees a lock file of a living owner that nobody holds.
    new = folder / f"{LOCK}.new"
    fcntl.flock(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), fcntl.LOCK_SH)
    new.rename(folder / LOCK)


def hold(folder: Path) -> None:
    """Hold the folder until this process ends. A folder without a lock (a test's own) is left alone."""
    with contextlib.suppress(FileNotFoundError):
        fcntl.flock(os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC), fcntl.LOCK_SH)


def remove(folder: Path) -> None:
    """Remove the folder, its lock last: what cannot be removed now stays recognisable for a sweep."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.name == LOCK:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        if [path.name for path in folder.iterdir()] in ([LOCK], []):
            (folder / LOCK).unlink(missing_ok=True)
            folder.rmdir()


def sweep(parent: Path | None = None, prefix: str = PREFIX) -> list[Path]:
    """Remove the folders of dead labs of this user in `parent` (None: where `make` puts them); which they were.

    prefix: how the names of folders begin that somebody else has claimed.
    """
    swept = []
    for folder in sorted((parent or Path(tempfile.gettempdir())).glob(f"{prefix}*"))[:MAX_SWEPT]:
        with contextlib.suppress(OSError):
            if _mine(folder) and _dead(folder):
                remove(folder)
                swept.append(folder)
    return swept


def _mine(folder: Path) -> bool:
    """A real folder with a real lock file, both of this user: not somebody else's, not a link to elsewhere."""
    place, lock = folder.lstat(), (folder / LOCK).lstat()
    owners = {place.st_uid, lock.st_uid}
    return owners == {os.geteuid()} and stat.S_ISDIR(place.st_mode) and stat.S_ISREG(lock.st_mode)


def _dead(folder: Path) -> bool:
    fd = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True
