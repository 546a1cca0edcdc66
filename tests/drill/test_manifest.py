"""The list of a run folder's files: what stands in it, what is compared by it, and which list that is."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from drill.manifest import CHUNK, FILES, JOURNAL, differing_files, manifest_of, restored_since
from drill.timeline import EVENTS

LISTED = (
    "run.json",
    "obs-pulse.bin",
    "requests-l.jsonl",
    "ledger-p.bin",
    "readback.jsonl",
    "balances.jsonl",
    "snapshot-before.json",
    "load-summary.json",
    EVENTS,
    JOURNAL,
)
BESIDE = ("report.html", "drill.json", "summary.md", "watchdog.jsonl", "snapshot-before.txt", "obs.jsonl")


def told(data: bytes) -> dict[str, Any]:
    """What the list says of a file."""
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def marked(folder: Path, *lists: Any) -> None:
    """Marks that hold these lists, one each."""
    lines = [json.dumps({"at_s": 1.0, "name": "run.finished", "data": {FILES: listed}}) for listed in lists]
    with (folder / EVENTS).open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One file of each kind, and what is made of them."""
    for name in (*LISTED, *BESIDE):
        (tmp_path / name).write_text(f'"{name}"\n')
    (tmp_path / "obs-folder").mkdir()
    return tmp_path


def test_the_list_names_every_file_of_evidence_and_nothing_else(folder: Path) -> None:
    """With its size and digest, by name; what is made of the evidence is not in it, and no folder."""
    listed = manifest_of(folder)
    assert listed == {name: told(f'"{name}"\n'.encode()) for name in LISTED}
    assert list(listed) == sorted(listed) and json.loads(json.dumps(listed)) == listed
    for name in LISTED:
        (folder / name).unlink()
    assert manifest_of(folder) == {}


@pytest.mark.parametrize("size", [0, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 5])
def test_a_file_of_any_size_is_told_whole(tmp_path: Path, size: int) -> None:
    """Load of hours makes files that are read in pieces: the last byte counts as the first."""
    data = bytearray(size)
    (tmp_path / "obs-p.bin").write_bytes(data)
    assert manifest_of(tmp_path) == {"obs-p.bin": told(bytes(data))}
    marked(tmp_path, manifest_of(tmp_path))
    assert differing_files(tmp_path) == []
    if size:
        data[-1] = 1
        (tmp_path / "obs-p.bin").write_bytes(data)
        assert differing_files(tmp_path) == [
            f"obs-p.bin: changed, its {size} bytes are not those of when the drill ended"
        ]


def test_every_difference_is_told_in_the_order_of_names(folder: Path) -> None:
    """First what the list knows, then what was added; each in one sentence, to the byte."""
    marked(folder, manifest_of(folder) | {"ledger-a.bin": {"bytes": 7, "sha256": "x"}})
    (folder / "balances.jsonl").write_text("")
    (folder / "readback.jsonl").write_text('"readback.jsonl"\n{}\n')
    (folder / "run.json").write_text('"run.jsoN"\n')
    (folder / JOURNAL).write_text("")
    for name in ("requests-z.jsonl", "obs-new.bin"):
        (folder / name).write_text("{}")
    assert differing_files(folder) == [
        "balances.jsonl: cut, 0 of 17 bytes are left",
        "journal.jsonl: cut, 0 of 16 bytes are left",
        "ledger-a.bin: missing, 7 bytes when the drill ended",
        "readback.jsonl: 3 bytes were added to 17",
        "run.json: changed, its 11 bytes are not those of when the drill ended",
        "obs-new.bin: added after the drill had ended",
        "requests-z.jsonl: added after the drill had ended",
    ]


def test_the_newest_list_is_the_one_that_counts(folder: Path) -> None:
    """Behind it there may be marks without one, a line that a kill left torn, and what is no list at all."""
    old = manifest_of(folder)
    (folder / "run.json").write_text("newer")
    new = {name: said for name, said in manifest_of(folder).items() if name != EVENTS}
    marked(folder, old, new, 3, {"run.json": {"bytes": "5"}}, {"run.json": 5}, {"run.json": {"bytes": True}})
    with (folder / EVENTS).open("a") as file:
        file.write('{"at_s": 1, "data": {}}\n{"at_s": 2}\n[]\n7\n{"at_s": 3, "da')
    assert differing_files(folder) == []
    (folder / "run.json").write_text("other")
    assert differing_files(folder) == ["run.json: changed, its 5 bytes are not those of when the drill ended"]


def test_a_journal_that_goes_on_says_that_there_was_a_restore(folder: Path) -> None:
    """Longer than when the list was made; not as long, not gone, and nothing without a list that names it."""
    assert not restored_since(folder)
    marked(folder, {"run.json": told(b"x")})
    assert not restored_since(folder)
    marked(folder, manifest_of(folder))
    assert not restored_since(folder)
    with (folder / JOURNAL).open("a") as journal:
        journal.write("\n")
    assert restored_since(folder)
    (folder / JOURNAL).unlink()
    assert not restored_since(folder)
    (folder / JOURNAL).mkdir()
    assert not restored_since(folder)
