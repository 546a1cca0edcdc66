"""Files that are there whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from drill import whole_file
from drill.whole_file import replace_file

ROOT = Path(__file__).resolve().parents[2]
HALF = """
import sys, time
from pathlib import Path
from drill.whole_file import whole_file
with whole_file(Path(sys.argv[1])) as file:
    file.write(b"x" * 1_000_000)
    file.flush()
    print("half", flush=True)
    time.sleep(120)
"""


@pytest.fixture(params=["unnamed", "named"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the file system knows files without a name, and where it does not."""
    if request.param == "named":
        monkeypatch.setattr(whole_file, "UNNAMED", 0)
    return str(request.param)


def test_a_file_is_replaced_and_nothing_lies_beside_it(tmp_path: Path, either: str) -> None:
    """New, and again; with the mode that any new file of this user has."""
    path, plain = tmp_path / "one.txt", tmp_path / "plain"
    plain.touch()
    for text in ("first", "second, longer", "ü"):
        assert replace_file(path, text).read_text() == text
        assert sorted(tmp_path.iterdir()) == [path, plain]
    assert path.stat().st_mode == plain.stat().st_mode


def test_what_fails_half_way_leaves_the_former_content(tmp_path: Path, either: str) -> None:
    """An interrupt too."""
    path = tmp_path / "one.txt"
    replace_file(path, "former")

    def fail(error: BaseException) -> None:
        with whole_file.whole_file(path) as file:
            file.write(b"half")
            raise error

    for error in (OSError("no space left"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            fail(error)
        assert [(p, p.read_text()) for p in tmp_path.iterdir()] == [(path, "former")]


def test_a_stale_name_of_a_former_process_is_no_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process id comes again one day; what its first owner left is overwritten, never published."""
    monkeypatch.setattr("os.getpid", lambda: 4711)
    stale = tmp_path / ".one.txt.4711"
    stale.write_text("stale")
    assert replace_file(tmp_path / "one.txt", "new").read_text() == "new"
    assert not stale.exists()


def test_a_folder_that_is_not_there_is_an_oserror(tmp_path: Path, either: str) -> None:
    """Named by its path."""
    with pytest.raises(FileNotFoundError, match="missing"):
        replace_file(tmp_path / "missing" / "one.txt", "text")


def test_a_writer_that_is_killed_half_way_leaves_nothing(tmp_path: Path) -> None:
    """Neither a part of the file nor another name, and the former content; on a file system such as CI's and ours."""
    path = tmp_path / "one.txt"
    replace_file(path, "former")
    command = [sys.executable, "-c", HALF, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        process.kill()
    assert [(p, p.read_text()) for p in tmp_path.iterdir()] == [(path, "former")]
