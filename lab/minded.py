"""Foreign programs under minders: they end with their owner, and what they say goes into one log."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import psutil

from lab import processes

TOOL_TIMEOUT_S = 60.0


class Minded:
    """Starts programs. log: a file that they add to; forgotten: how the names begin that they do not see
    in the environment."""

    failure: type[Exception] = Exception
    forgotten: tuple[str, ...] = ()

    def __init__(self, log: Path) -> None:
        self.log = log

    def start(
        self, user: str, argv: list[str], grace_s: float, stop_signal: int = signal.SIGINT
    ) -> subprocess.Popen[bytes]:
        """Start one program under a minder; user: see lab/minder.py."""
        minder = processes.python("-I", "-S", str(processes.ROOT / "lab" / "minder.py"))
        options = ["--as", user, "--stop-signal", str(int(stop_signal)), "--grace-s", str(grace_s)]
        options += ["--parent", str(os.getpid()), "--"]
        env = {k: v for k, v in os.environ.items() if not k.startswith(self.forgotten)} | {"LC_ALL": "C", "TZ": "UTC"}
        with self.log.open("ab") as log:
            return processes.spawn([*minder, *options, *argv], stderr=log, env=env)

    def run_as(self, user: str, name: str, argv: list[str]) -> None:
        """Run one tool to its end; `failure` with its name and the end of the log."""
        code = self.finish(self.start(user, argv, grace_s=1.0))
        if code != 0:
            raise self.failure(f"{name} ended with {code}: {self.tail()}")

    def finish(self, child: subprocess.Popen[bytes]) -> int:
        """Its exit code; -1 for one that did not end in time, and was killed."""
        try:
            return child.wait(timeout=TOOL_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            processes.kill(child)
            return -1
        finally:
            processes.stop(child, 0.0)

    def tail(self) -> str:
        """The last lines of the log, for an error message."""
        return " | ".join(self.log.read_text(errors="replace").splitlines()[-4:])


def fed(text: Path, argv: list[str]) -> list[str]:
    """The command with the file `text` on its standard input (a minder's own is its life line)."""
    return ["/bin/sh", "-c", 'text=$1; shift; exec "$@" <"$text" >&2', "feed", str(text), *argv]


def kill_tree(child: subprocess.Popen[bytes]) -> None:
    """SIGKILL a minder, its program and the program's own children, all at once as a power cut would."""
    with contextlib.suppress(psutil.Error):
        for process in psutil.Process(child.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                process.kill()
    processes.kill(child)
