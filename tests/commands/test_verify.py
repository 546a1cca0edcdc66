"""`drill verify` tells another version's words from an edit, and never calls either agreement."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from commands.main import main
from drill.harness import COMMIT, SOURCE, this_harness
from drill.manifest import FILES, manifest_of
from drill.timeline import EVENTS
from reports.page import render
from reports.stamp import stamp as ours
from tests.reports.records import run_folder

OLD = {"python": "3.11.7"}
OTHER = {**this_harness(), SOURCE: "0123456789ab", COMMIT: "fedcba987654"}
REWORDED = ("meets the limit", "is within the limit")
FLATTERED = ('"PASS"', '"INCONCLUSIVE"')


@pytest.mark.parametrize(
    ("versions", "edit", "said"),
    [
        (OLD, REWORDED, "made by an earlier version of failover-drill, which did not write down which"),
        (OLD, REWORDED, "Every verdict is the same"),
        (OTHER, REWORDED, "(source 0123456789ab), this is failover-drill"),
        (OTHER, REWORDED, "type: git checkout fedcba987654"),
        (OTHER, FLATTERED, "Its verdicts are not those of this version (PASS)"),
        (this_harness(), REWORDED, "verdict.json differ from what the evidence says: edited"),
    ],
)
def test_a_verdict_that_differs_is_told_by_who_made_it(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    versions: dict[str, str],
    edit: tuple[str, str],
    said: str,
) -> None:
    """Another version's words are named as such, with how to get it; this version's own are an edit. Always 11."""
    folder = run_folder(tmp_path / "run", versions=versions)
    assert main(["verify", str(folder)]) == 0
    path = folder / "verdict.json"
    path.write_text(path.read_text().replace(*edit))
    assert main(["verify", str(folder)]) == 11
    assert said in capsys.readouterr().out


def test_a_folder_of_a_newer_format_says_who_made_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It proves nothing here (11), and the sentence names the version that can read it."""
    folder = run_folder(tmp_path / "run", versions=OTHER)
    path = folder / "run.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 2', 1))
    assert main(["verify", str(folder)]) == 11
    said = capsys.readouterr().err
    assert "format 2, this version reads 1; it was made by failover-drill" in said
    assert "git checkout fedcba987654" in said


def test_who_claims_another_version_is_not_believed_with_a_broken_seal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The header is sealed too: a version that was written into it later excuses nothing."""
    folder = run_folder(tmp_path / "run")
    path = folder / "run.json"
    path.write_text(path.read_text().replace(this_harness()[SOURCE], "0123456789ab"))
    assert main(["verify", str(folder)]) == 11
    said = capsys.readouterr().out
    assert "run.json is not what it was" in said and "which is not what it was: " in said
    assert "git checkout" not in said


@pytest.mark.parametrize(
    ("name", "cut", "code"),
    [("requests-l.jsonl", b"", 11), ("obs-late.jsonl", None, 11), ("notes.txt", None, 0)],
    ids=["cut", "added, empty", "no evidence"],
)
def test_the_file_that_was_changed_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, cut: bytes | None, code: int
) -> None:
    """Even an empty file of evidence that changes no number; what is no evidence is nobody's business."""
    folder = listed(run_folder(tmp_path / "run"))
    assert main(["verify", str(folder)]) == 0
    (folder / name).write_bytes(cut or b"")
    assert main(["verify", str(folder)]) == code
    said = capsys.readouterr().out
    assert (f"{folder}: {name}: " in said) == (code == 11)


def test_what_cannot_be_read_is_named_by_the_list_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the sentence of who could not read it."""
    folder = listed(run_folder(tmp_path / "run"))
    path = folder / "readback.jsonl"
    path.write_bytes(b"\xff" + path.read_bytes()[1:])
    assert main(["verify", str(folder)]) == 11
    printed = capsys.readouterr()
    assert f"{folder}: readback.jsonl: changed" in printed.out and "evidence cannot be read" in printed.err


def told_of_the_page(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code, and what `drill verify` says of report.html."""
    capsys.readouterr()
    code = main(["verify", str(folder)])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(f"{folder}/report.html: ")]
    return code, "".join(lines).removeprefix(f"{folder}/report.html: ")


def test_a_page_is_what_its_folder_renders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Wherever the folder lies; nothing is said of a page that is not there; one that was edited is no agreement."""
    folder = listed(run_folder(tmp_path / "run"))
    assert told_of_the_page(folder, capsys) == (0, "")
    folder = render(folder).parent.rename(tmp_path / "moved")
    assert told_of_the_page(folder, capsys) == (0, "what this version renders of the folder, byte for byte")
    path = folder / "report.html"
    path.write_text(path.read_text().replace("600", "60", 1))
    code, said = told_of_the_page(folder, capsys)
    assert (code, "edited" in said, f"drill report {folder}" in said) == (11, True, True)
    assert main(["report", str(folder)]) == 0
    assert told_of_the_page(folder, capsys)[0] == 0


@pytest.mark.parametrize("stamp", ["", '<meta name="generator" content="failover-drill 0123456789ab">'])
def test_a_page_of_another_version_is_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], stamp: str
) -> None:
    """It says so, loudly, and the verdict agrees all the same; also a page that says nothing of who rendered it."""
    path = render(listed(run_folder(tmp_path / "run")))
    page = path.read_text()
    assert page.count(ours()) == 1
    path.write_text(page.replace(ours(), stamp))
    code, said = told_of_the_page(path.parent, capsys)
    assert (code, said.startswith("NOT COMPARED: another version has rendered it")) == (0, True)


def test_a_page_from_before_a_restore_is_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`drill restore` writes on in the journal, of which the page tells."""
    folder = run_folder(tmp_path / "run")
    journal = folder / "journal.jsonl"
    journal.write_text("")
    path = render(listed(folder))
    path.write_text(path.read_text().replace("600", "60", 1))
    assert told_of_the_page(folder, capsys)[0] == 11
    journal.write_text(json.dumps({"number": 0, "state": "claimed", "seq": 1}) + "\n")
    code, said = told_of_the_page(folder, capsys)
    assert (code, said.startswith("NOT COMPARED: the journal was written on")) == (0, True)


def listed(folder: Path) -> Path:
    """The folder with the list of its files in its last mark, as a drill writes it."""
    path = folder / EVENTS
    *lines, seal = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines))
    last = json.loads(seal)
    last["data"][FILES] = manifest_of(folder)
    path.write_text("".join([*lines, json.dumps(last) + "\n"]))
    return folder
