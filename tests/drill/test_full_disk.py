"""A disk that is full (the kernel's own limit, not a pretence): all is put back, and nothing of it is a pass."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from drill.clock import FakeClock
from drill.drill import Drill
from drill.timeline import Timeline
from drill.verdict import Verdict
from tests.drill.endings import AS_BEFORE, Troubled, broken, code, ended, furnished, judged, state, troubled_cloud


@pytest.fixture(scope="module")
def cloud() -> Iterator[Troubled]:
    """One AWS stand-in for this file."""
    with troubled_cloud() as made:
        yield made


@pytest.fixture
def aws(cloud: Troubled) -> Iterator[Troubled]:
    """A service with two tasks, a disabled rule and a state machine; no trouble."""
    with furnished(cloud) as made:
        yield made


@contextmanager
def room_for_changes() -> Iterator[None]:
    """The limit that a block sets is lifted at its end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def full_beyond(size: int) -> None:
    """From now on no file of this process can grow beyond so many bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


@pytest.mark.parametrize(
    ("file", "room", "verdict", "words"),
    [
        # Nothing of the journal can be written any more: nobody can say that it is back, so the lines are printed.
        ("journal.jsonl", 0, Verdict.DIRTY, "aws ecs update-service"),
        # A line of it is torn in the middle.
        ("journal.jsonl", 100, Verdict.DIRTY, "aws ecs update-service"),
        # The journal has room, the reports have none.
        ("journal.jsonl", 12_000, Verdict.INVALID, "File too large"),
    ],
)
def test_a_disk_that_fills_while_something_is_broken(
    tmp_path: Path, aws: Troubled, file: str, room: int, verdict: Verdict, words: str
) -> None:
    """Put back all the same; the verdict says what could not be written, and the session what could not be told."""

    def then(drill: Drill) -> None:
        assert state(aws) == (0, "ENABLED")
        full_beyond((drill.timeline.folder / file).stat().st_size + room)

    with room_for_changes():
        run = ended(tmp_path, aws, broken(then))
        assert state(aws) == AS_BEFORE
    assert (judged(run).verdict, code(run)) == (verdict, verdict.exit_code)
    told = " ".join([*(f"{f.reason} {f.data.get('lines')}" for f in judged(run).findings), run.unreported])
    assert words in told
    assert "File too large" in told


def test_a_disk_that_is_full_from_the_begin_lets_nothing_begin(tmp_path: Path) -> None:
    """There is no run without its header on disk."""
    with room_for_changes():
        full_beyond(50)
        with pytest.raises(OSError, match="File too large"):
            Timeline.create(tmp_path / "run", FakeClock(), {"run_id": "r", "words": "x" * 200})
