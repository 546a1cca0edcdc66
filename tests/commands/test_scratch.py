"""Temporary folders of verbs: what stays of them when the verb is killed, which is nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from commands.scratch import scratch
from drill.errors import Invalid
from lab import state_folder
from tests.checks.worlds import eventually

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 60.0
HOLDS = """
import time
from commands.scratch import scratch
with scratch("drill-test-") as made:
    (made.folder / "part" / "of").mkdir(parents=True)
    (made.folder / "part" / "of" / "a-bundle").write_bytes(b"x" * 1_000_000)
    print(flush=True)
    time.sleep(120)
"""
CALIBRATE = """
import sys
from commands.main import main
sys.exit(main(["calibrate", "--outages", "1", "--parallel", "1", "--load", "0", "--rate", "100"]))
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made, by us and by what we start."""
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    return place


def killed(code: str, ready: Callable[[], object]) -> None:
    """Run it, wait until it is `ready`, and kill it with no chance to end in order."""
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        try:
            eventually(ready, LIMIT_S)
        finally:
            process.kill()


def of(place: Path) -> list[psutil.Process]:
    """The processes that work in that folder."""
    return [p for p in psutil.process_iter(["cmdline"]) if str(place) in " ".join(p.info["cmdline"] or [])]


def test_a_folder_is_gone_at_the_end_of_its_block(temporary: Path) -> None:
    """With what is in it, and closed to other users meanwhile; an interrupt changes nothing."""

    def interrupted() -> None:
        with scratch("drill-test-") as made:
            assert made.folder.parent == temporary
            assert made.folder.stat().st_mode & 0o777 == 0o700
            (made.folder / "one").mkdir()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(temporary.iterdir()) == []


def test_what_is_worth_keeping_is_kept(temporary: Path) -> None:
    """Without the lock, so that nobody sweeps it later."""
    with scratch("drill-test-") as made:
        (made.folder / "one").touch()
        made.keep()
    assert [path.name for path in made.folder.iterdir()] == ["one"]
    assert state_folder.sweep(temporary, "drill-test-") == []


def test_a_verb_that_is_killed_leaves_no_folder(temporary: Path) -> None:
    """SIGKILL in the middle, with files in it."""
    killed(HOLDS, lambda: list(temporary.glob("*/part/of/a-bundle")))
    eventually(lambda: not list(temporary.iterdir()), LIMIT_S)


def test_a_calibration_that_is_killed_leaves_neither_folder_nor_process(temporary: Path) -> None:
    """While its victim and its prober work in it."""
    killed(CALIBRATE, lambda: any(path.stat().st_size for path in temporary.glob("*/obs-*.bin")))
    eventually(lambda: not list(temporary.iterdir()) and not of(temporary), LIMIT_S)


def test_what_was_left_when_the_keeper_was_killed_too_is_swept_by_the_next(temporary: Path) -> None:
    """Its lock can be had; one whose owner lives is not touched."""
    with scratch("drill-test-") as alive:
        with scratch("drill-test-") as made:
            os.kill(made.keeper.pid, signal.SIGKILL)
            made.keeper.wait(LIMIT_S)
        assert made.folder.exists()
        with scratch("drill-test-") as following:
            assert set(temporary.iterdir()) == {alive.folder, following.folder}


def test_where_no_folder_can_be_made_is_a_sentence() -> None:
    """Invalid, with the system's own word and what to do."""
    with pytest.raises(Invalid, match=r"no temporary folder: No such file or directory; free"), scratch("no/where-"):
        pass
