"""The history keeps what run folders say, once, and says so when it cannot be read."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from commands.importing import entry_of, import_runs
from commands.main import main
from drill.errors import Invalid
from reports.history import Entry, history_in_memory, open_history
from reports.trend import Trend, history_text, trends
from tests.commands.limited import limited
from tests.reports.records import SCENARIO, record, run_folder


def test_importing_twice_changes_nothing(tmp_path: Path) -> None:
    """By the run's id; the record that comes back is the one that went in."""
    folder = run_folder(tmp_path / "run")
    with open_history(tmp_path / "db", create=True) as file:
        assert [how for _, how in import_runs(file, [folder, folder])] == ["new", "same"]
        (entry,) = file.entries()
    assert (entry.record, entry.problem, entry.left_changed) == (record(), "", 0)
    with open_history(tmp_path / "db") as file:
        assert file.entries() == (entry,)


def test_a_second_run_of_one_id_is_not_believed(tmp_path: Path) -> None:
    """The first stays; the second is on record as one that nobody can read."""
    first, second = run_folder(tmp_path / "a"), run_folder(tmp_path / "b", release="other")
    with history_in_memory() as file:
        told = list(import_runs(file, [first, second]))
        entries = {e.id: e for e in file.entries()}
    assert "with other evidence" in told[1][1]
    assert entries["b"].record is None
    kept = entries["r1"].record
    assert kept is not None and kept.run.release == "4f2c1ab"


def test_a_drill_that_had_not_ended_is_replaced_by_its_end() -> None:
    """Its seal came later."""
    whole = record()
    early = whole.model_copy(update={"run": whole.run.model_copy(update={"evidence": ""})})
    with history_in_memory() as file:
        assert file.add(Entry("r1", "run", early)) == "new"
        assert file.add(Entry("r1", "run", whole)) == "updated"
        with pytest.raises(Invalid, match="other evidence"):
            file.add(Entry("r1", "run", early))


def _cut(folder: Path) -> None:
    path = folder / "events.jsonl"
    path.write_bytes(path.read_bytes()[:900] + b"\n")


def _newer(folder: Path) -> None:
    path = folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))


def _flattered(folder: Path) -> None:
    path = folder / "verdict.json"
    path.write_text(path.read_text().replace('"PASS"', '"INCONCLUSIVE"', 1))


def _edited(folder: Path) -> None:
    path = folder / "run.json"
    path.write_text(path.read_text().replace("4f2c1ab", "5a5a5a5"))


def _thinned(folder: Path) -> None:
    path = folder / "requests-l.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


BROKEN: dict[str, tuple[Callable[[Path], None], str, bool]] = {
    "cut": (_cut, "not JSON", False),
    "of a newer format": (_newer, "format 2, this version reads 1", False),
    "without a header": (lambda folder: (folder / "run.json").unlink(), "no readable run.json", False),
    "with another verdict": (_flattered, "differs from what the evidence says", True),
    "with another release": (_edited, "run.json is not what it was", True),
    "with fewer requests": (_thinned, "requests on record", True),
    "with a journal of rubbish": (lambda folder: (folder / "journal.jsonl").write_text("x\n") and None, "", True),
}


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_run_folder_that_is_not_whole_is_named(tmp_path: Path, name: str) -> None:
    """Truncated, newer, tampered with: on record as what it is, one sentence, never an exception."""
    spoil, words, readable = BROKEN[name]
    folder = run_folder(tmp_path / "run")
    spoil(folder)
    entry = entry_of(folder)
    assert words in entry.problem
    assert (entry.record is not None) is readable
    assert entry.problem or entry.left_changed is None
    assert "\n" not in entry.problem


def test_a_verdict_in_the_words_of_another_version_is_no_reason_to_doubt(tmp_path: Path) -> None:
    """The record is made from the evidence; only verdicts are held against it."""
    folder = run_folder(tmp_path / "run")
    path = folder / "verdict.json"
    path.write_text(path.read_text().replace("none of", "not one of"))
    assert entry_of(folder).problem == ""
    path.write_text("{}")
    assert "verdict.json (unreadable) differs" in entry_of(folder).problem


def test_a_run_that_can_be_read_again_is_no_longer_unreadable(tmp_path: Path) -> None:
    """The sentence goes when the evidence is back."""
    folder = run_folder(tmp_path / "run")
    good = (folder / "events.jsonl").read_bytes()
    _cut(folder)
    with history_in_memory() as file:
        assert [e.record for e, _ in import_runs(file, [folder])] == [None]
        (folder / "events.jsonl").write_bytes(good)
        list(import_runs(file, [folder]))
        (entry,) = file.entries()
    assert (entry.record, entry.problem) == (record(), "")


def _truncate(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _scramble(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096 : 4096 + 512] = b"\xff" * 512
    path.write_bytes(bytes(data))


def _version(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 2")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _foreign(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE other (x)")


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "half": (_truncate, "cannot be used"),
    "scrambled": (_scramble, "cannot be used"),
    "text": (lambda path: path.write_text("x" * 5000) and None, "cannot be used"),
    "newer": (_version, "format 2, this version reads 1"),
    "another program's": (_foreign, "no history of failover-drill"),
    "a folder": (_folder, "no history in"),
    "empty": (lambda path: path.write_bytes(b"") and None, "no history of failover-drill"),
    "gone": (lambda path: path.unlink(), "no history in"),
}


@pytest.mark.parametrize("name", sorted(DAMAGES))
def test_a_history_that_cannot_be_read_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Exit 11 and what to do; nothing of it is shown as if it were whole."""
    path, (damage, words) = tmp_path / "db", DAMAGES[name]
    main(["history", "import", f"--db={path}", str(run_folder(tmp_path / "run"))])
    damage(path)
    capsys.readouterr()
    assert main(["history", f"--db={path}"]) == 11
    told = capsys.readouterr()
    assert words in told.err
    assert SCENARIO not in told.out


def test_a_row_that_was_changed_by_hand_is_not_believed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its digest does not fit; importing the folder again makes it good."""
    path, folder = tmp_path / "db", run_folder(tmp_path / "run")
    main(["history", "import", f"--db={path}", str(folder)])
    with sqlite3.connect(path) as db:
        db.execute("UPDATE drills SET record = replace(record, '4f2c1ab', '5a5a5a5')")
    with open_history(path) as file:
        (entry,) = file.entries()
    assert entry.record is None and "damaged" in entry.problem
    assert main(["history", "import", f"--db={path}", str(folder)]) == 0
    with open_history(path) as file:
        assert [e.record for e in file.entries()] == [record()]


def test_the_verb_imports_a_folder_of_runs_and_shows_their_trend(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every run once, links followed; the table names target, release, verdict; filters hold."""
    runs = tmp_path / "runs"
    runs.mkdir()
    run_folder(runs / "one", run_id="r1")
    run_folder(runs / "two", run_id="r1b", scenario="other")
    (runs / "latest").symlink_to("two")
    db = f"--db={tmp_path / 'db'}"
    assert main(["history", db, "import", str(runs)]) == 0
    told = capsys.readouterr().out
    assert told.splitlines() == ["one: new: PASS", "two: new: INVALID"]  # "two" has another run's writes
    assert main(["history", db, "--scenario", SCENARIO]) == 0
    told = capsys.readouterr().out
    assert "core-banking (LAB)" in told and "4f2c1ab" in told and "600 lab s" in told


def test_a_path_without_runs_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is made, nothing imported."""
    assert main(["history", "import", f"--db={tmp_path / 'db'}", str(tmp_path / "none")]) == 11
    assert "no run folder" in capsys.readouterr().err
    assert not (tmp_path / "db").exists()


def test_a_full_disk_leaves_the_history_as_it_was(tmp_path: Path) -> None:
    """Said in a sentence, exit 11; the runs that were in it are still in it."""
    db, first = tmp_path / "db", run_folder(tmp_path / "one")
    main(["history", "import", f"--db={db}", str(first)])
    many = [run_folder(tmp_path / f"run{n}", run_id=f"x{n}") for n in range(3)]
    code, output = limited(db.stat().st_size, "history", "import", f"--db={db}", *map(str, many))
    assert code == 11, output
    assert "the history cannot be used" in output and "Traceback" not in output
    shutil.copy(db, tmp_path / "copy")
    with open_history(tmp_path / "copy") as file:
        assert [e.id for e in file.entries()] == ["r1"]


def test_the_line_of_a_trend_shows_the_unbounded_and_the_unknown() -> None:
    """Never recovered is "!", not measured is "·", and neither is a low bar."""
    one = record().measured[0]
    assert one.interval is not None
    never = one.model_copy(update={"interval": one.interval.model_copy(update={"high_s": None, "unbounded": True})})
    missing = one.model_copy(update={"interval": None})
    assert Trend("t", "s", "o", (one, never, missing)).line() == "█!·"
    assert Trend("t", "s", "o", (missing,)).line() == "·"


def test_what_is_not_believed_takes_no_part_in_a_trend() -> None:
    """But it is named."""
    good = Entry("r1", "run", record())
    bad = dataclasses.replace(good, id="r2", problem="verdict.json differs")
    assert [len(t.points) for t in trends([good, bad])] == [1] * 4
    assert "r2: verdict.json differs" in history_text([good, bad])
    assert history_text([]) == "no drills"
