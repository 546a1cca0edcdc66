"""Scenarios for the tests of game days: real pytest sessions that start no lab and touch nothing.

Not collected by name. Each makes the run folder of a drill that ran elsewhere, so no session of these can end with
0: it has drilled nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from drill.call import Call
from drill.change import Change
from drill.clock import SystemClock
from drill.interrupt import Interrupts
from drill.journal import Journal
from drill.timeline import Observation, ObservationFile, Outcome, Request, RequestFile, Timeline
from tests.reports.records import run_folder
from tests.reports.runs import OSAKA, TOKYO, header

pytestmark = pytest.mark.failover
LONGEST_S = 60.0
HURRY = "hurry"
"""A file beside the run folders: who finds it does not wait."""


def place(request: pytest.FixtureRequest, name: str) -> tuple[Path, list[str]]:
    """Where a run folder of this session goes, and the command line that makes it this session's."""
    runs: Path = request.config.option.runs
    words = [Path(sys.argv[0]).name, *sys.argv[1:]]
    return runs / f"{SystemClock().wall():%Y%m%dT%H%M%S%f}Z-{name}", words


def begun(request: pytest.FixtureRequest, name: str) -> Timeline:
    """A new run folder."""
    folder, words = place(request, name)
    return Timeline.create(folder, SystemClock(10.0), header(scenario=name, command_line=words))


def test_nothing() -> None:
    """Drills nothing at all."""


def test_waits(request: pytest.FixtureRequest) -> None:
    """Users are without service in Tokyo until somebody ends it; being told to end, it takes its time, and ends."""
    timeline, interrupts = begun(request, "waits"), Interrupts()
    interrupts.install()
    timeline.phase("in_force")
    timeline.mark("window.begin", window="failover")
    timeline.mark("fault.injected", kind="ScaleEcsService <script>", window="failover")
    looks, load = ObservationFile(timeline.folder, "quick"), RequestFile(timeline.folder, "0")
    clock, until_s = timeline.clock, timeline.clock.monotonic_s() + LONGEST_S
    try:
        while clock.monotonic_s() < until_s and not (request.config.option.runs / HURRY).exists():
            now_s = clock.monotonic_s()
            looks.add(Observation(now_s, now_s, "dns", "authoritative", Outcome.OK, OSAKA))
            looks.add(Observation(now_s, now_s, "dns", "resolver:<b>", Outcome.OK, TOKYO))
            load.add(Request(now_s, now_s, "deposit", Outcome.FAIL))
            load.add(Request(now_s, now_s, "deposit", Outcome.OK, 200, OSAKA))
            load.flush()
            clock.sleep(1.0)
    finally:
        timeline.mark("fault.restored", kind="ScaleEcsService <script>", window="failover")
        timeline.mark("invalid", reason=f"ended in order: {', '.join(interrupts.noted) or 'by itself'}")
        interrupts.uninstall()


def test_leaves_something_changed(request: pytest.FixtureRequest) -> None:
    """Its journal does not know that what it broke is back."""
    timeline = begun(request, "leaves")
    call = Call("ecs", "UpdateService", {"cluster": "c", "service": "s", "desiredCount": 1}, "ap-northeast-1")
    change = Change("ScaleEcsService", "core-banking", "r1", ("s",), "errors", (call,), (call,), (), ())
    journal = Journal(timeline.folder / "journal.jsonl", timeline.clock)
    journal.record(journal.open_change(change), "injected")
    journal.close()


def test_fails(request: pytest.FixtureRequest) -> None:
    """A drill that missed its objective."""
    folder, words = place(request, "fails")
    hard = {"rto_s": 1.0, "rpo_s": 0.0, "failback_rto_s": 1.0, "failback_rpo_s": 0.0}
    run_folder(folder, command_line=words, objectives=hard)
