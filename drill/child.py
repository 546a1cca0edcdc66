"""Processes of ours beside the drill: started on a pipe, ended when the pipe closes.

A child is `python -m MODULE CONFIG.json`. Its stdin is a pipe whose other end only the parent holds
(close-on-exec), so it ends when the parent ends, however that happens. It has a session of its own: a Ctrl-C in
the terminal reaches the drill, which then stops its children in order.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from drill.clock import Clock
from drill.redact import redact

REPOSITORY = Path(__file__).resolve().parent.parent
STOP_TIMEOUT_S = 8.0
LOOK_S = 0.02


class Child:
    """One running child. name: unique in the run folder; its output goes to `log-<name>.txt` there.

    pass_fds: open files that it inherits, all others are closed to it.
    """

    def __init__(
        self, name: str, module: str, config: dict[str, Any], folder: Path, pass_fds: tuple[int, ...] = ()
    ) -> None:
        self.name = name
        self._log = folder / f"log-{name}.txt"
        path = folder / f"config-{name}.json"
        path.write_text(json.dumps(config, indent=1))
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, str(path)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=REPOSITORY,
                start_new_session=True,
                pass_fds=pass_fds,
            )
        assert self._process.stdin is not None
        os.set_blocking(self._process.stdin.fileno(), False)

    def say(self, words: bytes) -> None:
        """Write to its pipe. What it cannot take, because it is gone or stopped, is dropped: `died` tells."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            os.write(self._process.stdin.fileno(), words)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def died(self) -> str | None:
        """Why the child is no longer there ("exit code 1: last line of its log"), None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        lines = self._log.read_text(errors="replace").strip().splitlines() if self._log.exists() else []
        return f"exit code {code}: {redact(lines[-1]) if lines else 'no output'}"

    def tell(self) -> None:
        """Close the pipe, which tells it to end, and do not wait for it."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Tell it to end, wait up to `timeout_s` wall seconds, then kill the whole session."""
        self.tell()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(STOP_TIMEOUT_S)
        if self._log.exists() and self._log.stat().st_size == 0:
            self._log.unlink()
        elif self._log.exists():
            self._hide_secrets()

    def _hide_secrets(self) -> None:
        """What a child printed (a traceback with AWS's words, say) is evidence like everything else."""
        said = self._log.read_text(errors="replace")
        if redact(said) != said:
            self._log.write_text(redact(said))


def ended_within(child: Child, timeout_s: float, clock: Clock) -> bool:
    """Whether the child ends within `timeout_s` wall seconds, with nothing done to it."""
    until_s = clock.monotonic_s() + timeout_s
    while child.died() is None:
        if clock.monotonic_s() >= until_s:
            return False
        clock.sleep(LOOK_S * clock.speed)
    return True


def stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal (SIGSTOP, Ctrl-Z); False where /proc does not tell."""
    return process_state(pid) in ("T", "t")


def process_state(pid: int) -> str:
    """The kernel's letter for what a process does ("Z": it has ended, nobody asked yet); "" when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def read_config() -> dict[str, Any]:
    """In a child: the configuration that its parent wrote."""
    loaded = json.loads(Path(sys.argv[1]).read_text())
    assert isinstance(loaded, dict)
    return loaded


def stop_event() -> threading.Event:
    """In a child: an event that is set when stdin closes or SIGTERM comes. Ctrl-C is the parent's business."""
    stop = threading.Event()

    def watch() -> None:
        while os.read(0, 4096):
            pass
        stop.set()

    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=watch, name="owner", daemon=True).start()
    return stop
