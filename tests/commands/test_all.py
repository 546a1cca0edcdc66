"""Every system: so many sessions at a time, all of them in the end, the worst exit code, and none left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from commands.all import arguments, longest_first, side_by_side, worst_code
from commands.chosen import known_targets
from commands.main import main
from drill.clock import FakeClock
from tests.checks.worlds import eventually

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "import sys; from commands.main import main; sys.exit(main(sys.argv[1:]))"


@dataclass
class Session:
    """A session that ends after so many looks, or when it is told to."""

    looks: int
    ends_with: int = 0
    told: bool = False
    waited_for: bool = False

    def code(self) -> int | None:
        """One look less."""
        self.looks -= 1
        return self.ends_with if self.looks < 0 or self.told else None

    def stop(self) -> None:
        """Told."""
        self.told = True

    def wait(self) -> int:
        """Its exit code."""
        self.waited_for = True
        return self.ends_with

    def new_output(self) -> str:
        """What it printed."""
        return f"ends with {self.ends_with}"


@dataclass
class Sessions:
    """Begins them in order; at_once: the most that ran at a time."""

    planned: Iterable[Session]
    begun: dict[str, Session] = field(default_factory=dict)
    at_once: int = 0

    def begin(self, target: str) -> Session:
        """The next."""
        self.begun[target] = next(iter(self.planned))
        self.at_once = max(self.at_once, sum(not one.waited_for for one in self.begun.values()))
        return self.begun[target]


def test_two_at_a_time_and_all_in_the_end() -> None:
    """The third begins when the first of the two has ended; what each printed is told in one piece."""
    told: list[str] = []
    sessions = Sessions(iter([Session(5, 1), Session(2), Session(1, 11)]))
    ended = list(side_by_side(["a", "b", "c"], sessions.begin, 2, FakeClock(), told.append))
    assert [(one.target, one.code) for one in ended] == [("b", 0), ("c", 11), ("a", 1)]
    assert sessions.at_once == 2
    assert told.index("b: begun") < told.index("ends with 0") < told.index("c: begun")


def test_an_interrupt_ends_all_in_order_and_begins_no_other() -> None:
    """Both that run are told to stop and waited for: they put things back."""
    sessions = Sessions(iter([Session(99), Session(99)]))

    class Impatient(FakeClock):
        """Somebody types Ctrl-C while it waits."""

        def sleep(self, seconds: float) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(side_by_side(["a", "b", "c"], sessions.begin, 2, Impatient(), lambda words: None))
    assert [(one.told, one.waited_for) for one in sessions.begun.values()] == [(True, True)] * 2


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ((0, 0), 0),
        ((0, 10), 10),
        ((10, 11), 11),
        ((11, 1, 0), 1),
        ((1, 20), 20),
        ((0, 12), 12),
        ((12, 1), 1),
        ((0, 5), 11),
        ((0, -9), 11),
    ],
)
def test_the_worst_decides(codes: tuple[int, ...], code: int) -> None:
    """By the rank of a session's codes; one that drilled nothing, or was killed, is INVALID and never PASS."""
    assert worst_code(codes) == code


def test_every_target_with_a_lab_is_among_them_and_the_longest_come_first() -> None:
    """private-link-replication has the most scenarios."""
    assert sorted(longest_first()) == sorted(known_targets())
    assert longest_first()[:2] == ["private-link-replication", "core-banking"]


def test_a_session_has_its_own_page(tmp_path: Path) -> None:
    """Run folders lie side by side, pages do not overwrite each other."""
    words = arguments("event-bus", "failover", tmp_path)
    assert words[:3] == ["-m", "failover", "--target=event-bus"]
    assert f"--html={tmp_path}/session-event-bus.html" in words


@pytest.mark.parametrize("words", [["--lanes", "0"], ["--runs", "/dev/null/x"]])
def test_bad_input_is_a_usage_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is started."""
    assert main(["all", *words]) == 4
    assert words[0] in capsys.readouterr().err


def test_a_stopped_command_leaves_no_session(tmp_path: Path) -> None:
    """SIGTERM while two real sessions start: both end in order, INVALID, nothing left."""
    command = [sys.executable, "-c", PROGRAM, "all", "--lanes=2", f"--runs={tmp_path}"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        parent = psutil.Process(process.pid)
        eventually(lambda: len(parent.children()) == 2, 30.0)
        family = parent.children(recursive=True)
        os.kill(process.pid, signal.SIGTERM)
        said, _ = process.communicate(timeout=60.0)
    assert process.returncode == 11, said
    assert "every session was told to end in order" in said
    eventually(lambda: not any(one.is_running() for one in family), 30.0)
