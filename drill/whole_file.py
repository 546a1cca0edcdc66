"""Files that are there whole or not at all, whoever is killed while they are written.

While it is written a file has no name where the kernel and the file system know such files (O_TMPFILE: ext4, xfs,
btrfs, tmpfs; not NFS), so it is gone with its writer. Elsewhere it has a hidden name beside its own, which a SIGKILL
leaves, as one leaves it anywhere between the last two calls.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

UNNAMED = getattr(os, "O_TMPFILE", 0)
OPEN_FILES = Path("/proc/self/fd")


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write; it is at `path` when the block ends in order.

    OSError (a full disk) and whatever the block raises pass: the former content stays, nothing beside it. A reader
    never meets half of it.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}")
    unnamed = _unnamed(path.parent)
    try:
        with unnamed or new.open("wb") as file:
            yield file
            file.flush()
            if unnamed is not None:
                _name(unnamed, new)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def replace_file(path: Path, text: str) -> Path:
    """Write a text, whole or not at all. OSError: see whole_file."""
    with whole_file(path) as file:
        file.write(text.encode())
    return path


def _unnamed(folder: Path) -> IO[bytes] | None:
    """A file without a name in that folder; None where there are no such files."""
    if not UNNAMED or not OPEN_FILES.is_dir():
        return None
    try:
        return os.fdopen(os.open(folder, UNNAMED | os.O_WRONLY | os.O_CLOEXEC, 0o666), "wb")
    except OSError:
        return None  # a named one says what is really wrong


def _name(file: IO[bytes], path: Path) -> None:
    path.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # With a folder given Python calls linkat, which alone follows the link in /proc.
        os.link(OPEN_FILES / str(file.fileno()), path.name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        os.close(folder)
