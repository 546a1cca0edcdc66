"""Endings that come from outside: SIGINT, SIGTERM and SIGHUP, all at once, in every phase of a drill; a full disk."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import commands.running
from checks.seal import SEAL, broken_seals
from commands.running import Run
from drill.call import Call
from drill.clock import FakeClock
from drill.drill import Drill
from drill.interrupt import SIGNALS
from drill.journal import outstanding
from drill.manifest import differing_files
from drill.timeline import Event, Timeline, load_history
from drill.verdict import Verdict
from tests.drill.dead_world import stored_dead_man
from tests.drill.endings import (
    AS_BEFORE,
    OTHER,
    Soon,
    Troubled,
    armed,
    broken,
    code,
    ended,
    furnished,
    judged,
    new_run,
    reasons,
    state,
    troubled_cloud,
)


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


def barrage() -> None:
    """All three signals, delivered together: each handler runs, one after the other."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    for number in SIGNALS:
        os.kill(os.getpid(), number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


class Struck:
    """Sends the signals once, where it is told to."""

    def __init__(self) -> None:
        self.times = 0

    def now(self, here: bool = True) -> None:
        """Here, unless it was done before."""
        if here and not self.times:
            self.times += 1
            barrage()


Place = Callable[[Run, Troubled, Struck], None]


def at_call(operation: str, nth: int = 1) -> Place:
    """Just before the n-th call of that operation."""

    def place(run: Run, aws: Troubled, struck: Struck) -> None:
        seen = [0]

        def trouble(call: Call) -> None:
            seen[0] += call.operation == operation
            struck.now(seen[0] == nth)

        aws.trouble = trouble

    return place


def at_look(ready: Callable[[Run, Troubled], bool]) -> Place:
    """At the first look of the drill at which something holds."""

    def place(run: Run, aws: Troubled, struck: Struck) -> None:
        seen = run.drill.on_tick

        def look() -> None:
            seen()
            struck.now(ready(run, aws))

        run.drill.on_tick = look

    return place


def phase(run: Run) -> str:
    """The drill's latest phase."""
    return next((str(e.data["phase"]) for e in reversed(run.timeline.events) if e.name == "phase"), "")


def marked(run: Run, name: str) -> bool:
    """Whether there is such a mark."""
    return any(e.name == name for e in run.timeline.events)


PLACES: dict[str, Place] = {
    "while the second fault is prepared": at_call("DescribeServices"),
    "before it is injected": at_look(lambda run, aws: "EnableRule" in aws.made and phase(run) == ""),
    "while its dead-man is armed": at_call("CreateSchedule", 2),
    "between journal and call": at_call("UpdateService"),
    "while it is read back": at_call("DescribeServices", 3),
    "while its effect is waited for": at_look(lambda run, aws: marked(run, "fault.injected") and phase(run) != ""),
    "while it is in force": at_look(lambda run, aws: phase(run) == "in_force"),
    "while written data settles": at_look(lambda run, aws: marked(run, "readback")),
    "while it is put back": at_call("UpdateService", 2),
    "while the first one is put back": at_call("DisableRule"),
    "while a dead-man is disarmed": at_call("DeleteSchedule"),
}


def scene(drill: Drill) -> None:
    """Two faults, recovery, settled data."""

    def then(drill: Drill) -> None:
        drill.elapse(2.0)
        drill.until(Soon(), timeout_s=50)
        drill.settle(OTHER)

    broken(then)(drill)


def played(folder: Path, aws: Troubled, place: Place) -> tuple[Run, Struck, list[BaseException]]:
    """Play it to its end as a session does, with the signals at that place; what it was interrupted by."""
    run, struck, came = new_run(folder, aws), Struck(), []
    run.drill.dead_man = stored_dead_man(aws, run.world.target, run.world.clock.wall)
    place(run, aws, struck)
    run.drill.interrupts.install()
    try:
        try:
            scene(run.drill)
        except BaseException as error:  # noqa: BLE001 - as the session does: whatever it is, it is blamed
            came.append(error)
            run.blame(error)
        try:
            run.finish()
        except KeyboardInterrupt as error:
            came.append(error)
    finally:
        run.drill.interrupts.uninstall()
    return run, struck, came


def assert_in_order(run: Run, aws: Troubled) -> None:
    """Put back, disarmed, closed, told."""
    assert state(aws) == AS_BEFORE
    assert outstanding(run.folder / "journal.jsonl") == []
    assert armed(aws, run) == []
    assert list(broken_seals(load_history(run.folder))) == []
    assert differing_files(run.folder) == []
    assert run.unreported == ""
    assert all((run.folder / name).exists() for name in ("verdict.json", "drill.json", "report.html"))


@pytest.mark.parametrize("name", sorted(PLACES))
def test_signals_end_a_drill_in_order_in_every_phase(tmp_path: Path, aws: Troubled, name: str) -> None:
    """Put back whole, evidence complete, INVALID with the signals' names, exit 11; interrupted once."""
    run, struck, came = played(tmp_path, aws, PLACES[name])
    assert struck.times == 1
    assert [type(error) for error in came] == [KeyboardInterrupt]
    assert_in_order(run, aws)
    assert (judged(run).verdict, code(run)) == (Verdict.INVALID, 11)
    assert "aborted: stopped by SIG" in reasons(run, Verdict.INVALID)


def sealing(run: Run, aws: Troubled, struck: Struck) -> None:
    """When the run folder is sealed: nothing is broken any more, and evidence is not complete yet."""
    mark = run.timeline.mark

    def marked(event: str, /, **data: object) -> Event:
        struck.now(event == SEAL)
        return mark(event, **data)

    run.timeline.mark = marked  # type: ignore[method-assign]


def test_signals_while_it_is_judged_and_told_cost_no_evidence(
    tmp_path: Path, aws: Troubled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They wait until the page is written; then the session is interrupted, once."""
    run, struck, came = played(tmp_path / "sealing", aws, sealing)
    assert (struck.times, [type(error) for error in came]) == (1, [KeyboardInterrupt])
    assert_in_order(run, aws)
    render, once = commands.running.render, Struck()

    def rendering(folder: Path) -> Path:
        once.now()
        return render(folder)

    monkeypatch.setattr(commands.running, "render", rendering)
    run, _, came = played(tmp_path / "rendering", aws, lambda run, aws, struck: None)
    assert (once.times, [type(error) for error in came]) == (1, [KeyboardInterrupt])
    assert_in_order(run, aws)


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
