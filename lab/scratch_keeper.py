"""A small process that owns a temporary folder and removes it when its standard input closes.

Its owner holds the other end, so the folder is gone when the owner is, SIGKILL included. Who kills both leaves the
folder to the next keeper of folders of that name: its lock can be had, so its owner is dead.

`python -S -m lab.scratch_keeper PREFIX` says the folder's path, or why there is none. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from lab import state_folder

KEEP = b"keep"
"""Last words of an owner who wants the folder to stay."""
REMOVAL_S = 60.0
"""Wall seconds that removing it may take: gigabytes of evidence, and processes that still write into it."""
STEP_S = 0.1


def main(prefix: str) -> None:
    """Make the folder, say where it is, wait until the owner has ended, remove it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # what ends the owner ends it too, and not before
    try:
        state_folder.sweep(prefix=prefix)
        folder = Path(tempfile.mkdtemp(prefix=prefix)).absolute()
        state_folder.claim(folder)
    except OSError as error:
        os.write(1, os.fsencode(f"{error.strerror}\n"))
        return
    with contextlib.suppress(BrokenPipeError):
        os.write(1, os.fsencode(f"{folder}\n"))
    if _last_words() == KEEP:
        (folder / state_folder.LOCK).unlink()
    else:
        _remove(folder)


def _last_words() -> bytes:
    said = b""
    while more := os.read(0, 4096):
        said += more
    return said


def _remove(folder: Path) -> None:
    """Again and again: processes of a killed owner may write for a moment longer."""
    until_s = time.monotonic() + REMOVAL_S
    state_folder.remove(folder)
    while folder.exists() and time.monotonic() < until_s:
        time.sleep(STEP_S)
        state_folder.remove(folder)


if __name__ == "__main__":
    main(sys.argv[1])
