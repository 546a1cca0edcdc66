"""Forks service processes quickly: one single-threaded process that has imported everything they need.

`python -m lab.nursery PARENT_PID` reads JSON lines on stdin: first {"preload": [module, ...]}, then
{"start": task, "app": "module:function", "config": {...}} and {"signal": task, "number": n}. It says
{"task", "event": "listening" | "exited", ...}. When it ends, however it ends, its children end: each watches a
pipe of which only the nursery has the other end, and on Linux the kernel kills it as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from lab import processes

App = Callable[[Mapping[str, Any], Callable[[int], None]], Awaitable[None]]
"""An app gets its configuration and a function to call with its port once it listens (0 = it has none)."""

MAX_LINE_BYTES = 64 * 1024


def _say(event: Mapping[str, object]) -> None:
    """One write per line, so that the lines of several processes do not mix in the pipe."""
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(event).encode() + b"\n")


async def _live(app: App, config: Mapping[str, Any], task: str, life: int) -> None:
    """Run the app until it ends, SIGTERM arrives or the nursery is gone."""
    loop = asyncio.get_running_loop()
    work = asyncio.ensure_future(
        app(config, lambda port: _say({"task": task, "event": "listening", "port": port, "pid": os.getpid()}))
    )
    loop.add_signal_handler(signal.SIGTERM, work.cancel)
    loop.add_reader(life, lambda: os._exit(1))
    with contextlib.suppress(asyncio.CancelledError):
        await work


class Nursery:
    """The parent of the service processes."""

    def __init__(self) -> None:
        self._life_read, self._life_write = os.pipe()
        self._pids: dict[int, str] = {}
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._wake = wake_read

    def run(self) -> None:
        """Obey until EOF on stdin, then end every child."""
        buffer = b""
        while True:
            ready, _, _ = select.select([0, self._wake], [], [])
            if self._wake in ready:
                os.read(self._wake, 512)
                self._reap()
            if 0 in ready:
                data = os.read(0, MAX_LINE_BYTES)
                if not data:
                    break
                *lines, buffer = (buffer + data).split(b"\n")
                for line in lines:
                    self._obey(json.loads(line))
        for pid in self._pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _obey(self, command: Mapping[str, Any]) -> None:
        if "preload" in command:
            for module in command["preload"]:
                importlib.import_module(module)
            gc.collect()
            gc.freeze()
        elif "start" in command:
            self._fork(command)
        else:
            self._signal(command["signal"], command["number"])

    def _fork(self, command: Mapping[str, Any]) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            self._pids[pid] = command["start"]
            return
        code = 1
        try:
            self._become_task(parent)
            module, _, function = command["app"].partition(":")
            app = getattr(importlib.import_module(module), function)
            asyncio.run(_live(app, command["config"], command["start"], self._life_read))
            code = 0
        except Exception as error:  # noqa: BLE001 - the last frame of a process: say it, then end
            sys.stderr.write(f"task {command['start']}: {type(error).__name__}: {error}\n")
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _become_task(self, parent: int) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(self._life_write)
        os.close(self._wake)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.setsid()
        processes.die_with_parent(parent)

    def _signal(self, task: str, number: int) -> None:
        for pid, name in self._pids.items():
            if name == task:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)

    def _reap(self) -> None:
        while self._pids:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            _say({"task": self._pids.pop(pid, "?"), "event": "exited", "code": code})


def main() -> None:
    """Run the nursery process."""
    processes.die_with_parent(int(sys.argv[1]))
    with contextlib.suppress(KeyboardInterrupt):
        Nursery().run()


if __name__ == "__main__":
    main()
