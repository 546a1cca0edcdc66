"""Runs one foreign program that knows nothing of owners, and ends it when the owner's pipe closes.

    python minder.py --as self|namespace|nobody --stop-signal 2 --grace-s 5 -- PROGRAM ARG...

It says `pid N` on stdout once the program runs and ends with the program's exit code. At EOF on stdin it sends
the stop signal, waits, and then kills the program. PostgreSQL refuses to run as root: `namespace` gives it a
user namespace of its own (the files stay the owner's), `nobody` changes the user. Standard library only.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
NOBODY = 65534
PR_SET_PDEATHSIG = 1


def enter_namespace() -> None:
    """Map this process to uid 65534 in a user namespace of its own; OSError where the kernel forbids it."""
    uid, gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER):
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWUSER) refused")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {gid} 1")


def become_nobody() -> None:
    """Give up root for the user nobody, for good."""
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def _bind(parent_pid: int) -> None:
    """In the child, before exec: die with the minder. This process has one thread, so preexec_fn is safe."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent_pid:
            os._exit(1)


def _wait(program: subprocess.Popen[bytes], wakeup_fd: int, stop_signal: int, grace_s: float) -> int:
    """Wait for the program's end or the owner's, whichever is first."""
    while program.poll() is None:
        ready, _, _ = select.select([0, wakeup_fd], [], [], 5.0)
        if wakeup_fd in ready:
            os.read(wakeup_fd, 512)
        if 0 in ready and not os.read(0, 4096):
            return _end(program, stop_signal, grace_s)
    return program.returncode


def _end(program: subprocess.Popen[bytes], stop_signal: int, grace_s: float) -> int:
    program.send_signal(stop_signal)
    try:
        return program.wait(timeout=grace_s)
    except subprocess.TimeoutExpired:
        program.kill()
        return program.wait()


def _wake_on_child_exit() -> int:
    """A file descriptor that becomes readable when a child exits, so that nothing has to be polled."""
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return read_fd


def main(argv: list[str]) -> int:
    """Run the program named after `--`; returns the exit code to end with."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--as", dest="user", choices=("self", "namespace", "nobody"), default="self")
    parser.add_argument("--stop-signal", type=int, default=int(signal.SIGINT))
    parser.add_argument("--grace-s", type=float, default=5.0)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("program", nargs="+")
    args = parser.parse_args(argv)
    {"self": lambda: None, "namespace": enter_namespace, "nobody": become_nobody}[args.user]()
    _bind(args.parent)
    wakeup_fd = _wake_on_child_exit()
    me = os.getpid()
    program = subprocess.Popen(
        args.program,
        stdin=subprocess.DEVNULL,
        stdout=2,
        preexec_fn=lambda: _bind(me),  # noqa: PLW1509 - this process never has a second thread
    )
    sys.stdout.write(f"pid {program.pid}\n")
    sys.stdout.flush()
    code = _wait(program, wakeup_fd, args.stop_signal, args.grace_s)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
