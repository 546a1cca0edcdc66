"""The keeper: a small process that owns a lab's world and leaves nothing behind, however anyone ends.

The owner holds the keeper's stdin, the keeper holds the world's. The owner's end closes the one, the keeper then
closes the other, waits a bounded time, kills whatever descends from it and removes the state folder. An owner may
name an heir, a line with the process id of one that holds the same pipe: then the lab lives until both have ended.
When the keeper itself is killed the world reads EOF and does the same for itself.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from lab import processes, state_folder

STOP_GRACE_S = 5.0
"""How long the world may take to end orderly (wall seconds)."""
OPENING_GRACE_S = 0.5
"""The same for a world that is still opening: it has nothing to lose, and cannot look up from it."""
OWNER_CHECK_S = 1.0
"""How often the keeper looks whether its owner still lives: the pipe alone may have leaked to a sibling of it."""
KILL_ROUNDS = 50


def parser() -> argparse.ArgumentParser:
    """The command line that the keeper and the world share."""
    lines = argparse.ArgumentParser(prog="python -m lab", description="Run a lab until stdin closes.")
    lines.add_argument("system", help="the system to stand in for, e.g. core-banking")
    # The names are those of the options by which people ask for a lab, so that messages can name them.
    lines.add_argument("--lab-speed", type=float, default=10.0, help="lab seconds per wall second")
    lines.add_argument("--lab-port", type=int, default=None, help="N: AWS API on N, DNS on N+1, HTTP on N+2")
    lines.add_argument("--lab-set", dest="settings", action="append", default=[], metavar="NAME=VALUE")
    lines.add_argument("--state-dir", type=Path, default=None, help="made by the lab and removed at its end")
    lines.add_argument("--stop-grace-s", type=float, default=STOP_GRACE_S, help="wall seconds to end in order")
    return lines


class Keeper:
    """Watches the owner and the world; `run` returns when the world is gone and cleaned up."""

    def __init__(self, argv: list[str], state_dir: Path, stop_grace_s: float = STOP_GRACE_S) -> None:
        self._stop_grace_s = stop_grace_s
        self._owner = os.getppid()
        self._state_dir = state_dir
        self._heir: int | None = None
        self._asked_to_stop = self._opened = False
        self._reaps = processes.adopt_orphans()
        self._wake, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop_asked)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        command = processes.python("-m", "lab.world", *argv, "--state-dir", str(state_dir))
        self._world = processes.spawn(command)

    def run(self) -> int:
        """Relay what the world says, until the owner ends or the world does; 0 when the owner ended it."""
        said = self._world.stdout
        assert said is not None
        watched = [0, self._wake, said.fileno()]
        while self._alive():
            ready, _, _ = select.select(watched, [], [], OWNER_CHECK_S)
            if said.fileno() in ready and not self._relay(said.fileno()):
                watched.remove(said.fileno())
            if self._wake in ready:
                os.read(self._wake, 512)
            if (0 in ready and not self._listen()) or self._orphaned():
                self._asked_to_stop = True
        self._clean_up()
        return 0 if self._asked_to_stop else self._world.returncode or 1

    def _listen(self) -> bool:
        """Take in the owner's heir; False at the owner's end."""
        words = os.read(0, 4096)
        pid = words.rpartition(b"\n")[0].rpartition(b"\n")[2]
        if pid.isdigit():
            with contextlib.suppress(OSError):  # gone already: then there is no heir
                self._heir = os.pidfd_open(int(pid)) if hasattr(os, "pidfd_open") else None
        return bool(words)

    def _orphaned(self) -> bool:
        """Whether owner and heir are gone, whoever else holds the pipe."""
        if os.getppid() == self._owner:
            return False
        return self._heir is None or bool(select.select([self._heir], [], [], 0)[0])

    def _stop_asked(self, *_: object) -> None:
        self._asked_to_stop = True

    def _relay(self, fd: int) -> bool:
        data = os.read(fd, 65536)
        with contextlib.suppress(OSError):
            os.write(1, data)
        self._opened = self._opened or bool(data)
        return bool(data)

    def _alive(self) -> bool:
        if self._reaps:
            self._reap_orphans()
        return not self._asked_to_stop and self._world.poll() is None

    def _reap_orphans(self) -> None:
        """Reap descendants that became ours, but leave the world's exit code to Popen."""
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None or ended.si_pid == self._world.pid:
                return
            os.waitpid(ended.si_pid, 0)

    def _clean_up(self) -> None:
        assert self._world.stdin is not None
        with contextlib.suppress(OSError):
            self._world.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._world.wait(timeout=self._stop_grace_s if self._opened else OPENING_GRACE_S)
        kill_descendants()
        self._world.wait(timeout=STOP_GRACE_S)
        state_folder.remove(self._state_dir)


def kill_descendants() -> None:
    """SIGKILL and reap every process that descends from this one; bounded."""
    import psutil  # late: the keeper's start does not wait for it

    me = psutil.Process()
    for _ in range(KILL_ROUNDS):
        left = me.children(recursive=True)
        if not left:
            return
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=0.1)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.02)


def main(argv: list[str]) -> int:
    """Run the keeper with the arguments of `python -m lab`; the exit code."""
    args = parser().parse_args(argv)
    try:
        state_folder.sweep()  # of labs whose every process was killed at once
        state_dir = state_folder.make(args.state_dir)
    except OSError as error:
        sys.stdout.write(json.dumps({"error": f"the state folder {error.filename}: {error.strerror}"}) + "\n")
        return 2
    onward = [args.system, f"--lab-speed={args.lab_speed}"]
    onward += [] if args.lab_port is None else [f"--lab-port={args.lab_port}"]
    onward += [f"--lab-set={setting}" for setting in args.settings]
    return Keeper(onward, state_dir, args.stop_grace_s).run()
