"""A lab's folder is swept only when it is provably a dead lab's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab import processes, state_folder

HOLDER = "import sys; from lab import state_folder as s; from pathlib import Path; {what}; print(1); sys.stdin.read()"


def folder_of_the_dead(parent: Path, name: str = "drill-lab-dead") -> Path:
    """What a lab leaves whose every process was killed at once."""
    folder = parent / name
    what = f"s.make(Path({str(folder)!r}))"
    argv = [sys.executable, "-c", HOLDER.format(what=what)]
    subprocess.run(argv, cwd=processes.ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    (folder / "postgres").mkdir()
    (folder / "postgres" / "data").write_text("x")
    return folder


def test_what_nobody_holds_is_swept(tmp_path: Path) -> None:
    """The folder of a dead lab goes with all that is in it."""
    folder = folder_of_the_dead(tmp_path)
    assert state_folder.sweep(tmp_path) == [folder]
    assert list(tmp_path.iterdir()) == []


def test_what_a_process_holds_stays(tmp_path: Path) -> None:
    """As long as one process holds the folder (the world, its keeper being dead) it is nobody's to sweep."""
    folder = folder_of_the_dead(tmp_path)
    argv = [sys.executable, "-c", HOLDER.format(what=f"s.hold(Path({str(folder)!r}))")]
    holder = subprocess.Popen(argv, cwd=processes.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    try:
        holder.stdout.readline()
        assert state_folder.sweep(tmp_path) == []
    finally:
        holder.kill()
        holder.communicate()
    assert state_folder.sweep(tmp_path) == [folder]


def test_what_is_not_provably_a_labs_stays(tmp_path: Path) -> None:
    """Other names, folders without a lock, links and plain files are left alone."""
    (tmp_path / "drill-lab-notes").mkdir()
    (tmp_path / "drill-lab-file").write_text("mine")
    target = folder_of_the_dead(tmp_path, "somebody-else")
    (tmp_path / "drill-lab-link").symlink_to(target)
    assert state_folder.sweep(tmp_path) == []
    assert len(list(tmp_path.iterdir())) == 4
    assert (target / "postgres" / "data").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_what_is_another_users_stays(tmp_path: Path) -> None:
    """Not even root sweeps the folder of another user."""
    folder = folder_of_the_dead(tmp_path)
    os.chown(folder, 65534, 65534)
    assert state_folder.sweep(tmp_path) == []


def test_removing_takes_the_lock_last(tmp_path: Path) -> None:
    """What could not be removed keeps its lock, so that a later sweep knows it."""
    folder = folder_of_the_dead(tmp_path)
    (folder / "link").symlink_to(tmp_path)
    state_folder.remove(folder)
    assert not folder.exists()
    assert tmp_path.exists()
    state_folder.remove(folder)  # gone already is no error
