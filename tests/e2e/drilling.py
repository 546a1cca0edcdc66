"""Run the real command in a process of its own, as a person would, and look at everything it leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from drill.watching import watchdog_records
from tests.checks.worlds import eventually

ROOT = Path(__file__).resolve().parents[2]
COUNT = 'count = { region = "ap-northeast-1", within = "*MultiRegionAppCluster*", name = "*CountFargateService*" }'
"""A service that no deposit needs, as a line of a target's resources."""
ATTEMPTS = 3
LIMIT_S = 300.0
"""Wall seconds for one drill: about four times what the longest takes on an idle machine."""


@dataclass(frozen=True)
class Drilled:
    """How a drill session ended: exit code, everything printed, the run folder (None when there is none)."""

    code: int
    output: str
    runs: Path

    @property
    def folder(self) -> Path:
        """The newest run folder."""
        return (self.runs / "latest").resolve()

    @property
    def verdict(self) -> dict[str, Any]:
        """verdict.json."""
        return dict(json.loads((self.folder / "verdict.json").read_text()))

    def finding(self, name: str) -> dict[str, Any]:
        """The finding of that name."""
        (found,) = [f for f in self.verdict["findings"] if f["name"] == name]
        return dict(found)

    def journal(self) -> dict[str, str]:
        """The last state of every change and action, by number."""
        lines = (self.folder / "journal.jsonl").read_text().splitlines()
        records = [record for record in map(json.loads, lines) if record["number"]]
        return {str(record["number"]): record["state"] for record in records}

    def events(self, name: str) -> list[dict[str, Any]]:
        """The data of all events of that name."""
        records = map(json.loads, (self.folder / "events.jsonl").read_text().splitlines())
        return [record["data"] for record in records if record["name"] == name]

    def seen(self, signal: str) -> list[str]:
        """What the witness of signals saw of that one, in order."""
        return [str(record["value"]) for record in self._looks(signal)]

    def unseen(self, signal: str) -> int:
        """How many looks of the witness of signals at that one brought no answer."""
        return sum(record["outcome"] == "UNKNOWN" for record in self._looks(signal))

    def _looks(self, signal: str) -> list[dict[str, Any]]:
        records = map(json.loads, (self.folder / "obs-signals.jsonl").read_text().splitlines())
        return [record for record in records if record["probe"] == signal]


def command(runs: Path, *arguments: str) -> list[str]:
    """The command line of a drill session whose run folders land in `runs`."""
    return [sys.executable, "-m", "pytest", f"--runs={runs}", *arguments]


def drill(runs: Path, *arguments: str) -> Drilled:
    """Run a drill session to its end; nothing of it is left behind."""
    before = lab_folders()
    process = start(runs, *arguments)
    try:
        output, _ = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
    assert_nothing_left(process.pid, before, runs)
    return Drilled(process.returncode, output, runs)


def steady(attempt: Callable[[int], Drilled]) -> Drilled:
    """The drill, repeated when all that it blames is that this machine stalled; attempt gets its number from 0."""
    for number in range(ATTEMPTS):
        drilled = attempt(number)
        if not stalled(drilled):
            break
    return drilled


def stalled(drilled: Drilled) -> bool:
    """Whether all that the drill blames is that this machine did not hold the lab's speed."""
    blamed = [finding for finding in drilled.verdict["findings"] if finding["verdict"] != "PASS"]
    return bool(blamed) and all(finding["advice"] == "lower --lab-speed" for finding in blamed)


def start(runs: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a drill session."""
    environment = {k: v for k, v in os.environ.items() if k != "CI"}
    return subprocess.Popen(
        command(runs, *arguments),
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def interrupted(runs: Path, number: signal.Signals, phase: str, *arguments: str) -> Drilled:
    """Run a drill session and send it a signal once it is in `phase`."""
    before = lab_folders()
    process = start(runs, *arguments)
    try:
        wait_for_phase(runs, phase, process)
        process.send_signal(number)
        output, _ = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
    assert_nothing_left(process.pid, before, runs)
    return Drilled(process.returncode, output, runs)


def killed(runs: Path, phase: str, *arguments: str, with_watchdog: bool = False) -> Path:
    """Run a drill session and kill it, with no chance to end in order, once it is in `phase`; its run folder.

    with_watchdog: kill its watchdog just before; else wait until that one is through.
    """
    before = lab_folders()
    process = start(runs, *arguments)
    try:
        wait_for_phase(runs, phase, process)
        folder = (runs / "latest").resolve()
        if with_watchdog:
            os.kill(int(watchdog_records(folder)[0]["pid"]), signal.SIGKILL)
    finally:
        process.kill()
        process.communicate(timeout=LIMIT_S)
    deadline = time.monotonic() + LIMIT_S
    while not with_watchdog and watchdog_records(folder)[-1]["event"] != "finished":
        assert time.monotonic() < deadline, watchdog_records(folder)
        time.sleep(0.1)
    assert_nothing_left(process.pid, before, runs)
    return folder


def machine_lost(runs: Path, ready: Callable[[], object], *arguments: str) -> Path:
    """Run a drill session and, once it is `ready`, kill it and everything that it has started; its run folder."""
    before = lab_folders()
    process = start(runs, *arguments)
    try:
        eventually(ready, LIMIT_S)
        everything = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for one in everything:
            one.suspend()  # so that none of them notices the death of another
        for one in everything:
            one.kill()
    finally:
        process.kill()
        process.communicate(timeout=LIMIT_S)
    assert_nothing_left(process.pid, before, runs)
    return (runs / "latest").resolve()


def verb(*arguments: str) -> tuple[int, str]:
    """Run the `drill` command; its exit code and everything it printed."""
    code = "import sys; from commands.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    return done.returncode, done.stdout


def widened(folder: Path, inside: Mapping[str, str], resource: str = "") -> Path:
    """A copy of core-banking's target that allows more to be broken, for a twin that breaks something else.

    inside: one more name by Region; resource: one more line of its resources.
    """
    text = (ROOT / "targets" / "core-banking.toml").read_text()
    text = text.replace("[resources]\n", f"[resources]\n{resource}\n", 1)
    for region, name in inside.items():
        begin = f"\n{region} = [\n"
        assert text.count(begin) == 1, "the blast radius is not written so any more"
        text = text.replace(begin, f'{begin}    "{name}",\n')
    path = folder / "widened.toml"
    path.write_text(text)
    return path


def wait_for_phase(runs: Path, phase: str, process: subprocess.Popen[str] | None = None) -> None:
    """Wait until the running drill has marked `phase`; AssertionError with its words when it ends instead."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        events = runs / "latest" / "events.jsonl"
        if events.exists() and f'"phase": "{phase}"' in events.read_text():
            return
        if process is not None and process.poll() is not None:
            raise AssertionError(f"it ended before {phase}: {process.communicate()[0]}")
        time.sleep(0.1)
    raise AssertionError(f"phase {phase} was not reached within {LIMIT_S:g} s")


def lab_folders(temporary: Path = Path("/tmp")) -> set[Path]:
    """State folders of labs in the temporary directory."""
    return set(temporary.glob("drill-lab-*"))


def assert_nothing_left(session: int, folders_before: set[Path], runs: Path) -> None:
    """No process of that session, none that works on its run folders, and no lab folder outlives it.

    Labs of other tests may run.
    """
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        left = [*_descended_from(session, runs), *_of_dead_labs(folders_before)]
        if not left:
            return
        time.sleep(0.2)
    raise AssertionError(f"left behind: {left}")


def _descended_from(session: int, runs: Path) -> list[str]:
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "environ"]):
        try:
            words = " ".join(process.info["cmdline"] or [])
            ours = os.getsid(process.pid) == session or f"{runs}/" in words
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(f"{process.pid} {words}")
        except (ProcessLookupError, psutil.Error):
            continue
    return found


def _of_dead_labs(before: set[Path]) -> list[str]:
    """Lab folders that appeared meanwhile and that no process uses."""
    return [str(path) for path in lab_folders() - before if not _in_use(path)]


def _in_use(folder: Path) -> bool:
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder) in word for word in process.info["cmdline"] or []):
            return True
    return False
