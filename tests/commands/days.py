"""Game days for tests: where they are, what they plan, and one in a process of its own with its board."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from commands.main import main
from drill.gameday_log import read_log
from tests.e2e.drilling import ROOT, assert_nothing_left, lab_folders

QUICK = "tests/commands/quick_scenarios.py"
HOLD = """
[[step]]
kind = "hold"
id = "ready"
message = "Ready? <b>"
release = ["lead", "deputy"]
"""
TOKEN = "0123456789abcdef-token"
LIMIT_S = 90.0


def drills(*tests: str, name: str = "quick") -> str:
    """A step with these scenarios."""
    nodes = json.dumps([f"{QUICK}::{test}" for test in tests])
    return f'[[step]]\nkind = "drill"\nid = "{name}"\ntarget = "core-banking"\nscenarios = {nodes}\n'


@dataclass(frozen=True)
class Place:
    """Where a test's game days and runs are."""

    path: Path

    def plan(self, *steps: str, head: str = "hard_stop.after_s = 3600") -> Path:
        """A plan with these steps."""
        people = '[[role]]\nname = "lead"\npeople = ["<name>"]\n[[role]]\nname = "deputy"\n'
        file = self.path / "day.toml"
        file.write_text(f'format = 1\nname = "spring"\n{head}\n{people}{"".join(steps)}')
        return file

    def arguments(self, *words: object) -> list[str]:
        """Of the verb."""
        return ["gameday", *map(str, words), f"--runs={self.path / 'runs'}", f"--gamedays={self.path / 'days'}"]

    def run(self, *words: object) -> int:
        """Run it to its end in this process, with nobody at the terminal."""
        return main(self.arguments(*words))

    @property
    def folder(self) -> Path:
        """The only game day."""
        (found,) = (self.path / "days").iterdir()
        return found

    @property
    def report(self) -> str:
        """Its report."""
        assert (self.folder / "report.html").is_file()
        return (self.folder / "report.md").read_text()

    def ends(self) -> list[dict[str, Any]]:
        """How its drills ended, as recorded."""
        return [r.data for r in read_log(self.folder) if r.event == "ended"]

    def run_folders(self) -> list[Path]:
        """All run folders."""
        return sorted(p.parent for p in (self.path / "runs").glob("*/run.json") if not p.parent.is_symlink())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty place."""
    return Place(tmp_path)


@dataclass
class Day:
    """A game day in a process of its own."""

    process: subprocess.Popen[str]
    out: Path

    def type(self, line: str) -> None:
        """Type a line at its terminal."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def said(self, words: str) -> bool:
        """Whether it has said that; AssertionError with all that it said when it is over."""
        text = self.out.read_text()
        assert words in text or self.process.poll() is None, text
        return words in text

    def ask(self, method: str, path: str, record: Any = None, token: str = TOKEN) -> tuple[int, dict[str, Any]]:
        """Ask its board, as who knows the token."""
        _, _, address = self.out.read_text().partition("the board: http://")
        connection = http.client.HTTPConnection(address.partition("/")[0], timeout=20)
        try:
            headers = {"Authorization": f"Bearer {token}", "X-Failover-Drill": "test"}
            connection.request(method, path, json.dumps(record), headers)
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())
        finally:
            connection.close()

    def live(self) -> dict[str, Any]:
        """What its board shows of the running drill."""
        shown = self.ask("GET", "/status")[1]["drill"]
        return dict(shown["live"]) if shown else {}


@contextmanager
def running(place: Place, *words: object) -> Iterator[Day]:
    """A game day in a process of its own; nothing of it is left behind."""
    out, before = place.path / "out.txt", lab_folders()
    code = "import sys; from commands.main import main; sys.exit(main())"
    with out.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *place.arguments(*words)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    try:
        yield Day(process, out)
        process.wait(LIMIT_S)
    finally:
        process.kill()
        process.communicate()
    assert "Traceback" not in out.read_text(), out.read_text()
    assert_nothing_left(process.pid, before, place.path)
