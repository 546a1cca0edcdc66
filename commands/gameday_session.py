"""One drill of a game day: a pytest session of its own, as a person would start it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from drill.child import REPOSITORY
from drill.gameday import PlannedDrill


@dataclass(frozen=True)
class SessionOptions:
    """What a person asked of all drills. runs: where run folders land; production: the names typed."""

    runs: Path
    release: str | None = None
    production: tuple[str, ...] = ()


class DrillSession:
    """A running session. Its output goes to a file, which nobody's terminal can hold up."""

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        self._log = log
        self._shown = 0
        self.told = False
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "commands.leashed", str(os.getpid()), *arguments],
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def code(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """Tell it to end in order, once: it puts back what it changed before it goes."""
        if not self.told and self.code() is None:
            self.told = True
            self._process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Its exit code, when it has ended. Without a limit: a restore is never cut short."""
        return self._process.wait()

    def new_output(self) -> str:
        """The whole lines that it has printed since the last call."""
        with self._log.open("rb") as file:
            file.seek(self._shown)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._shown += len(whole)
        return whole.decode(errors="replace")


def session_arguments(drill: PlannedDrill, html: Path, options: SessionOptions, target: str) -> list[str]:
    """pytest's arguments. html: the session's own page; target: the target's name in its file."""
    step = drill.step
    words = ["-m", "failover", f"--target={step.target}", f"--runs={options.runs}"]
    words += [f"--html={html}", f"--junitxml={html.with_suffix('.xml')}"]
    words += [f"--set={setting}" for setting in step.settings]
    words += [f"--lab-set={setting}" for setting in step.lab_set]
    named = {
        "--lab-speed": step.lab_speed,
        "--lab-attach": step.lab_attach,
        "--release": options.release,
        "--production": target if target in options.production else None,
    }
    words += [f"{option}={value}" for option, value in named.items() if value is not None]
    return [*words, drill.node]


def is_running(pid: int, html: str) -> bool:
    """Whether that session still runs: a process of that id that has the page in its command line."""
    try:
        return any(html in word for word in psutil.Process(pid).cmdline())
    except psutil.Error:
        return False
