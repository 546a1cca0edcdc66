"""A lab that cannot keep its beat says so."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from lab.clock import LabClock
from lab.metronome import Metronome
from lab.truth import Truth


def overruns(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "overruns.jsonl").read_text().splitlines()]


def stall(wall_s: float) -> None:
    """Keep every other thread of this process from running, as a busy machine does."""
    until_s = time.monotonic() + wall_s
    while time.monotonic() < until_s:
        pass


def test_a_process_that_stalls_admits_it(tmp_path: Path) -> None:
    """Half a second in which no thread but one ran is 50 lab seconds at speed 100: an overrun."""
    clock = LabClock.starting_now(100.0)
    metronome = Metronome(clock, Truth(tmp_path, clock))
    metronome.start()
    time.sleep(0.15)
    before = sys.getswitchinterval()
    sys.setswitchinterval(5.0)
    try:
        stall(0.5)
    finally:
        sys.setswitchinterval(before)
    time.sleep(0.2)
    metronome.stop()
    found = [line for line in overruns(tmp_path) if line["took_s"] > 40]
    assert [line["what"] for line in found] == ["a beat of the lab"]


def test_a_process_that_keeps_up_has_nothing_to_admit(tmp_path: Path) -> None:
    """At speed 10 a beat may be a second late before it matters, so an ordinary machine keeps it."""
    clock = LabClock.starting_now(10.0)
    metronome = Metronome(clock, Truth(tmp_path, clock))
    metronome.start()
    time.sleep(0.5)
    metronome.stop()
    assert overruns(tmp_path) == []


def test_what_happened_while_the_lab_opened_is_forgotten(tmp_path: Path) -> None:
    """`begin` drops the overruns so far, for every process that writes to the record."""
    clock = LabClock.starting_now(10.0)
    world, worker = Truth(tmp_path, clock), Truth(tmp_path, clock)
    worker.took("worker round", 1.0, 100.0)
    world.begin()
    assert (tmp_path / "overruns.jsonl").stat().st_size == 0
    worker.took("worker round", 1.0, 50.0)
    assert [line["took_s"] for line in overruns(tmp_path)] == [50.0]
