"""The compact file of looks: what was put in comes out, and what is not whole is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drill.clock import FakeClock
from drill.observations import HEADER_BYTES, WHOLE, Observation, ObservationLog, ObservationTail, Outcome, read_logs
from drill.timeline import Timeline, load_history

WORDS = st.text(max_size=6)
LOOKS = st.builds(
    Observation, st.floats(0, 10), st.floats(10, 20), WORDS, WORDS, st.sampled_from(Outcome), WORDS, WORDS
)


def look(done_s: float, value: str = "127.0.0.1") -> Observation:
    """A good look of half a millisecond."""
    return Observation(done_s - 0.0005, done_s, "pulse", "new clients", Outcome.OK, value)


def written(folder: Path, looks: list[Observation], witness: str = "pulse") -> Path:
    """A file of these looks."""
    folder.mkdir(exist_ok=True)
    log = ObservationLog(folder, witness)
    for one in looks:
        log.add(one)
    log.close()
    return folder / f"obs-{witness}.bin"


@settings(max_examples=15, deadline=None)
@given(st.lists(LOOKS, max_size=8))
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, looks: list[Observation]) -> None:
    """Every field of every look survives, whatever its words."""
    ordered = sorted(looks, key=lambda o: o.done_s)
    path = written(tmp_path_factory.mktemp("looks"), ordered)
    assert read_logs([path]) == ordered


def test_a_thousand_looks_a_second_for_minutes_stay_small(tmp_path: Path) -> None:
    """32 bytes a look: five minutes at 1 kHz are below 10 MB."""
    path = written(tmp_path, [look(n / 1000) for n in range(2000)])
    assert path.stat().st_size == HEADER_BYTES + 2000 * 32


def test_a_growing_file_is_read_piece_by_piece(tmp_path: Path) -> None:
    """Each call gives what is new; half a record waits for its other half."""
    path = written(tmp_path, [look(1.0), look(2.0, "127.0.0.2"), look(3.0)])
    data = path.read_bytes()
    tail, found = ObservationTail(path), []
    for end in range(0, len(data) + 1, 7):
        path.write_bytes(data[:end] if end > HEADER_BYTES else b"")
        found += tail.new()
    path.write_bytes(data)
    found += tail.new()
    assert [o.done_s for o in found] == [1.0, 2.0, 3.0]
    assert found[1].value == "127.0.0.2"


def test_bad_evidence_is_named(tmp_path: Path) -> None:
    """A flipped bit, a cut, a clock set back, two runs in one file, missing words: each has its sentence."""
    path = written(tmp_path / "a", [look(n / 10, f"127.0.0.{n}") for n in range(1, 6)])
    other = written(tmp_path / "b", [look(n / 10 - 60) for n in range(1, 3)])
    whole, at = path.read_bytes(), HEADER_BYTES + 2 * WHOLE.size
    spoiled = {
        "record 3: wrong checksum": whole[: at + 3] + b"\xff" + whole[at + 4 :],
        "the last record is cut off": whole[:-5],
        "the clock was set back, or two runs are mixed": whole + other.read_bytes()[HEADER_BYTES:],
        "not a file of looks": b"PK" + whole[2:],
    }
    for sentence, data in spoiled.items():
        path.write_bytes(data)
        with pytest.raises(ValueError, match=sentence):
            read_logs([path])
    path.write_bytes(whole)
    path.with_suffix(".names").write_text("")
    with pytest.raises(ValueError, match=r"a word that is not in its \.names"):
        read_logs([path])
    path.with_suffix(".names").unlink()
    with pytest.raises(ValueError, match=r"names is missing"):
        read_logs([path])


def test_a_run_folder_with_both_kinds_of_files_is_one_history(tmp_path: Path) -> None:
    """The compact file and the lines of other witnesses are read together, live and afterwards."""
    timeline = Timeline.create(tmp_path / "run", FakeClock(), {})
    written(timeline.folder, [look(1.0), look(2.0)])
    line = {"sent_s": 1.5, "done_s": 1.6, "probe": "dns", "vantage": "v", "outcome": "OK"}
    (timeline.folder / "obs-prober.jsonl").write_text(json.dumps(line) + "\n")
    timeline.refresh()
    timeline.refresh()
    assert len(timeline.observations) == 3
    history = load_history(timeline.folder)
    assert [o.done_s for o in history.of("pulse", "new clients")] == [1.0, 2.0]
    assert len(history.of("dns")) == 1
    timeline.close()
