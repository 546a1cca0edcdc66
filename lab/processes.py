"""Child processes that cannot outlive their owner.

Two nets. First, every child holds the read end of a pipe (its stdin) of which only the owner has the other
end: when the owner ends, however it ends, the child reads EOF and goes orderly. Second, on Linux, the child
asks the kernel for SIGKILL at its parent's death, for a child that is stopped or hangs.

Standard library only: the keeper and the minder import it before anything else.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

ROOT = Path(__file__).resolve().parent.parent

# The kernel sends the parent-death signal when the *thread* that spawned ends (prctl(2)), so that every child
# is spawned by this one thread, which lives as long as the process.
_spawner = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="spawner")


class ChildError(Exception):
    """A child process did not start, or did not say what it must say."""


def _prctl(option: int, value: int) -> bool:
    """prctl(option, value); False where there is none (macOS)."""
    if not sys.platform.startswith("linux"):
        return False
    return bool(ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) == 0)


def die_with_parent(parent_pid: int, number: int = signal.SIGKILL) -> None:
    """Ask for a signal (SIGKILL) when the parent dies; exits at once when it is already dead.

    Call it after any change of user: the kernel forgets the wish then.
    """
    _prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent_pid:
        os._exit(1)


def adopt_orphans() -> bool:
    """Become the reaper of every descendant whose parent dies; False where the kernel has no such thing."""
    return _prctl(PR_SET_CHILD_SUBREAPER, 1)


def spawn(
    argv: Sequence[str],
    stderr: int | IO[bytes] | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start `argv` in a session of its own with a pipe on stdin (its life line) and on stdout (what it says).

    The program must end at EOF on its stdin. OSError when it cannot be started.
    """
    return _spawner.submit(
        subprocess.Popen,
        list(argv),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=None if env is None else dict(env),
        cwd=str(ROOT),
        start_new_session=True,
    ).result()


def python(*args: str) -> list[str]:
    """The command line that runs this Python on `args`."""
    return [sys.executable, *args]


def stop(child: subprocess.Popen[bytes], grace_s: float) -> None:
    """Close the child's life line, give it `grace_s` wall seconds, then SIGKILL its whole session group."""
    with contextlib.suppress(OSError):
        if child.stdin is not None:
            child.stdin.close()
    try:
        child.wait(timeout=grace_s)
    except subprocess.TimeoutExpired:
        kill(child)
    if child.stdout is not None:
        child.stdout.close()


def kill(child: subprocess.Popen[bytes]) -> None:
    """SIGKILL the child's process group and reap the child."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.kill()
    child.wait()


def at_eof(fd: int, then: Callable[[], None]) -> threading.Thread:
    """Call `then` in a daemon thread when `fd` reads EOF; what is read before is thrown away."""

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(fd, 4096):
                pass
        then()

    thread = threading.Thread(target=watch, name="life-line", daemon=True)
    thread.start()
    return thread
