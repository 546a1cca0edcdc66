"""`drill reconcile`: what the old writer's snapshot has and the survivor lacks, beside what clients were promised."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from checks.judge import judge
from commands.main import main
from tests.checks.histories import good_failover, write_folder

LOST = "u1-2"
"""The key of the write that the run lost."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run that lost one acknowledged write."""
    return write_folder(tmp_path / "run", good_failover(fate="absent").history())


def ids(key: str = "") -> list[str]:
    """The ids of the run's acknowledged writes, or of that one."""
    history = good_failover(fate="absent").history()
    return [str(w.id) for w in history.writes if w.result == "acked" and key in ("", w.key)]


def reconciled(
    folder: Path, capsys: pytest.CaptureFixture[str], *snapshot: str, store: str = "main"
) -> tuple[int, dict[str, str], str]:
    """Exit code, point of each id, and the counts."""
    path = folder.parent / "snapshot.txt"
    path.write_text("\n".join(snapshot) + "\n")
    code = main(["reconcile", str(folder), "--store", store, f"--snapshot={path}"])
    printed = capsys.readouterr()
    rows = (line.split("\t") for line in printed.out.splitlines())
    return code, {row[0]: row[1] for row in rows}, printed.err


def test_the_run_has_lost_that_one(folder: Path) -> None:
    """What these tests rest on."""
    (point,) = [f for f in judge(good_failover(fate="absent").history()).findings if "point" in f.name]
    assert [row["key"] for row in point.data["lost"]] == [LOST]


def test_both_name_the_same_write(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It can be brought back from the snapshot; a row that no client was told of is named, and is no quarrel."""
    code, points, _ = reconciled(folder, capsys, *ids(LOST), "somebody-elses")
    assert (code, points) == (0, {ids(LOST)[0]: "recoverable", "somebody-elses": "unknown to the ledger"})


def test_what_the_snapshot_lacks_too_is_gone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Acknowledged, and nowhere any more: exit code 1."""
    code, points, told = reconciled(folder, capsys)
    assert (code, points) == (1, {ids(LOST)[0]: "gone"})
    assert "     1 gone: acknowledged, lost, and not in the snapshot either" in told


def test_what_the_survivor_showed_cannot_be_missing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One of the two lists is wrong, and a person has to look: exit code 1."""
    (kept,) = ids("u1-1")
    code, points, _ = reconciled(folder, capsys, *ids(LOST), kept)
    assert (code, points[kept]) == (1, "contradicted")


def test_what_nobody_asked_the_survivor_for_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Acknowledged after the recovery: neither list is wrong."""
    history = good_failover(fate="absent").history()
    asked = tuple(read for read in history.readbacks if read.key == LOST)
    folder = write_folder(tmp_path / "run", dataclasses.replace(history, readbacks=asked))
    (later,) = ids("u1-1")
    _, points, _ = reconciled(folder, capsys, later)
    assert points[later] == "not read back"


@pytest.mark.parametrize(
    ("store", "name", "words"),
    [("nowhere", "snapshot.txt", "--store nowhere: the run wrote into main"), ("main", "no.txt", "cannot be read")],
)
def test_a_store_or_list_that_is_not_there_is_a_usage_error(
    folder: Path, capsys: pytest.CaptureFixture[str], store: str, name: str, words: str
) -> None:
    """Exit code 4, and what there is."""
    (folder.parent / "snapshot.txt").write_text("")
    assert main(["reconcile", str(folder), "--store", store, f"--snapshot={folder.parent / name}"]) == 4
    assert words in capsys.readouterr().err
