"""The marks of a drill are a chain, and the files of its folder are listed: what was tampered with is named."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drill.chain import ChainFile, broken
from drill.clock import FakeClock
from drill.ledger import read_lines
from drill.manifest import FILES, differing_files, manifest_of
from drill.timeline import EVENTS, Timeline, load_history

Lines = list[bytes]


def marked(folder: Path, run_id: str = "r1", marks: int = 5) -> Path:
    """A run folder with that many marks."""
    timeline = Timeline.create(folder, FakeClock(), {"run_id": run_id})
    for n in range(marks):
        timeline.mark("phase", phase="baseline", n=n, share=n / 3, none=None, words="grüße", pair=(1, 2))
    timeline.close()
    return folder


def edited(lines: Lines) -> Lines:
    """One value in the third mark is another one."""
    record = json.loads(lines[2])
    record["data"]["phase"] = "recovered"
    return [*lines[:2], json.dumps(record).encode() + b"\n", *lines[3:]]


BROKEN: dict[str, tuple[Callable[[Lines], Lines], str]] = {
    "changed": (edited, "line 3 does not follow line 2"),
    "taken out": (lambda lines: [*lines[:1], *lines[2:]], "line 2 does not follow line 1"),
    "the first taken out": (lambda lines: lines[1:], "line 1 does not follow the run's id"),
    "swapped": (lambda lines: [*lines[:3], lines[4], lines[3]], "line 4 does not follow line 3"),
    "twice": (lambda lines: [*lines, lines[-1]], "line 6 does not follow line 5"),
    "put in without a link": (
        lambda lines: [*lines, b'{"at_s": 9.0, "name": "phase", "data": {}}\n'],
        "line 6 does not follow line 5",
    ),
}


def test_a_chain_is_whole_as_it_was_written(tmp_path: Path) -> None:
    """Whatever the marks hold; and one that ends early is whole too: the seal tells that its end is missing."""
    path = marked(tmp_path / "run") / EVENTS
    assert [e.data["n"] for e in load_history(path.parent).events] == [0, 1, 2, 3, 4]
    path.write_bytes(b"".join(path.read_bytes().splitlines(True)[:3]))
    assert len(load_history(path.parent).events) == 3


@pytest.mark.parametrize("how", sorted(BROKEN))
def test_a_broken_chain_is_named_by_its_line(tmp_path: Path, how: str) -> None:
    """Also of a run that was killed: nothing but its marks is needed."""
    path = marked(tmp_path / "run") / EVENTS
    spoil, words = BROKEN[how]
    path.write_bytes(b"".join(spoil(path.read_bytes().splitlines(True))))
    with pytest.raises(ValueError, match=f"^{EVENTS}, {words}"):
        load_history(path.parent)


def test_the_marks_of_another_run_are_none_of_this_one(tmp_path: Path) -> None:
    """Whole in themselves, and not begun with this run's id: in its place, or behind its own."""
    mine, other = marked(tmp_path / "a") / EVENTS, marked(tmp_path / "b", "r2") / EVENTS
    whole = mine.read_bytes()
    mine.write_bytes(other.read_bytes())
    with pytest.raises(ValueError, match="line 1 does not follow the run's id"):
        load_history(mine.parent)
    mine.write_bytes(whole + other.read_bytes())
    with pytest.raises(ValueError, match="line 6 does not follow line 5"):
        load_history(mine.parent)


def test_marks_of_several_threads_are_one_chain(tmp_path: Path) -> None:
    """Each line is written before the next one is linked to it."""
    timeline = Timeline.create(tmp_path / "run", FakeClock(), {"run_id": "r1"})
    threads = [threading.Thread(target=lambda: [timeline.mark("look", n=n) for n in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    timeline.close()
    assert len(load_history(timeline.folder).events) == 200


def test_a_mark_that_was_interrupted_before_it_was_noted_does_not_break_the_chain(tmp_path: Path) -> None:
    """The file is asked, not the memory: whoever wrote last, the next mark follows it."""
    timeline = Timeline.create(tmp_path / "run", FakeClock(), {"run_id": "r1"})
    timeline.mark("phase", phase="baseline")
    again = Timeline(timeline.folder, FakeClock(), "r1")
    again.mark("phase", phase="injecting")
    timeline.mark("phase", phase="restored")
    for one in (timeline, again):
        one.close()
    assert len(load_history(timeline.folder).events) == 3


def records(path: Path) -> list[dict[str, Any]]:
    """The lines of the file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_link_vouches_for_its_line_and_all_before_it(tmp_path: Path) -> None:
    """So that whoever has the file and the run's id can compute it anew, in any language: sha256 of both, cut."""
    chain = ChainFile(tmp_path / "x.jsonl", "r1")
    chain.append({"n": 1, "words": "grüße"})
    chain.append({"n": 2})
    chain.close()
    first = hashlib.sha256(b'r1\n{"n": 1, "words": "gr\\u00fc\\u00dfe"}').hexdigest()[:16]
    second = hashlib.sha256(f'{first}\n{{"n": 2}}'.encode()).hexdigest()[:16]
    assert (tmp_path / "x.jsonl").read_text() == (
        f'{{"n": 1, "words": "gr\\u00fc\\u00dfe", "link": "{first}"}}\n{{"n": 2, "link": "{second}"}}\n'
    )
    assert broken(records(tmp_path / "x.jsonl"), "r1") == ""


def test_a_chain_goes_on_where_the_file_ends(tmp_path: Path) -> None:
    """Of this process or of another one, behind lines that had no links, and however its values are written down."""
    path = tmp_path / "x.jsonl"
    for n in range(3):
        chain = ChainFile(path, "r1")
        chain.append({"n": n, "where": Path("/x")})
        chain.append({"n": n, "where": Path("/y")}, default=lambda value: f"<{value}>")
        chain.close()
    assert broken(records(path), "r1") == ""
    assert [record["where"] for record in records(path)] == ["/x", "</y>"] * 3
    bare = tmp_path / "bare.jsonl"
    bare.write_text('{"n": 0}\n')
    chain = ChainFile(bare, "r1")
    chain.append({"n": 1})
    chain.close()
    link = hashlib.sha256(b'\n{"n": 1}').hexdigest()[:16]
    assert records(bare)[-1] == {"n": 1, "link": link}
    assert broken(records(bare), "r1").startswith("line 2 does not follow line 1")


@pytest.mark.parametrize(("torn", "line"), [(b'{"n": 0, "li', 1), (b'{"n": 0, "link": "x"}\n{"n": 1', 2)])
def test_a_line_that_a_full_disk_cut_does_not_stop_the_drill(tmp_path: Path, torn: bytes, line: int) -> None:
    """The first one or a later one: what comes is written on, and whoever reads the file is told where it is torn."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(torn)
    chain = ChainFile(path, "r1")
    for n in (2, 3):
        chain.append({"n": n})
    chain.close()
    assert path.read_bytes().count(b"\n") == line + 1
    with pytest.raises(ValueError, match=rf"^x\.jsonl, line {line}: not JSON"):
        read_lines(path)


def test_the_file_is_for_reading_by_others_and_not_for_running(tmp_path: Path) -> None:
    """Nobody else writes evidence."""
    ChainFile(tmp_path / "x.jsonl", "r1").close()
    assert (tmp_path / "x.jsonl").stat().st_mode & 0o133 == 0


def test_a_file_of_before_there_were_links_is_whole(tmp_path: Path) -> None:
    """All of it: a link in its middle was put in. What breaks a chain is said in one sentence."""
    bare = [{"n": n} for n in range(3)]
    assert broken(bare, "r1") == "" == broken([], "r1")
    why = "it was changed or put in, lines before it were taken out, or it is another run's"
    assert broken([*bare, {"n": 3, "link": "x"}], "r1") == f"line 4 does not follow line 3: {why}"
    assert broken([{"n": 0, "link": "x"}], "r1") == f"line 1 does not follow the run's id: {why}"


# -- the list of files


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A folder with evidence of several kinds, whose last mark lists it, and what is written after the end."""
    timeline = Timeline.create(tmp_path / "run", FakeClock(), {"run_id": "r1"})
    timeline.mark("phase", phase="baseline")
    for name in ("obs-pulse.bin", "obs-pulse.names", "requests-l.jsonl", "ledger-p.bin", "snapshot-before.json"):
        (timeline.folder / name).write_bytes(name.encode() * 100)
    (timeline.folder / "journal.jsonl").write_bytes(b"{}\n")
    timeline.mark("run.finished", **{FILES: manifest_of(timeline.folder)})
    timeline.close()
    (timeline.folder / "report.html").write_text("<p>")
    return timeline.folder


def test_a_folder_as_it_was_differs_in_nothing(listed: Path) -> None:
    """What is made of the evidence, and what a later restore writes on, is no difference."""
    with (listed / "journal.jsonl").open("ab") as journal:
        journal.write(b"{}\n")
    assert differing_files(listed) == []


@pytest.mark.parametrize(
    ("name", "spoil", "said"),
    [
        ("obs-pulse.bin", lambda data: b"X" + data[1:], "obs-pulse.bin: changed, its 1300 bytes are not those"),
        ("obs-pulse.names", lambda data: data[:-1], "obs-pulse.names: cut, 1499 of 1500 bytes are left"),
        ("requests-l.jsonl", lambda data: data + b"{}\n", "requests-l.jsonl: 3 bytes were added to 1600"),
        ("ledger-p.bin", None, "ledger-p.bin: missing, 1200 bytes when the drill ended"),
        ("ledger-q.bin", lambda data: b"", "ledger-q.bin: added after the drill had ended"),
        ("journal.jsonl", lambda data: b"[]\n" + data, "journal.jsonl: changed, its 3 bytes are not those"),
        ("run.json", lambda data: data.replace(b"r1", b"r2"), "run.json: changed"),
    ],
    ids=["changed", "cut", "appended to", "missing", "added", "the journal's begin", "header"],
)
def test_each_file_that_differs_is_named_with_how(
    listed: Path, name: str, spoil: Callable[[bytes], bytes] | None, said: str
) -> None:
    """Changed, cut, added, missing: the file, and how many bytes of it."""
    path = listed / name
    if spoil is None:
        path.unlink()
    else:
        path.write_bytes(spoil(path.read_bytes() if path.exists() else b""))
    (sentence,) = differing_files(listed)
    assert sentence.startswith(said)


@pytest.mark.parametrize("line", ["[]", "not JSON", '{"data": {"files": 3}}', '{"data": {"files": {"a": 1}}}', ""])
def test_a_folder_without_a_list_says_nothing(tmp_path: Path, line: str) -> None:
    """A run that was killed, or of an earlier version: there is nothing to compare with, and no traceback."""
    (tmp_path / EVENTS).write_text(line + "\n")
    assert differing_files(tmp_path) == []
    (tmp_path / EVENTS).unlink()
    assert differing_files(tmp_path) == []
