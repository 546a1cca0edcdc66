"""The watchdog alone puts back: no block ends, nothing is swept, nobody types anything."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from checks.judge import judge
from commands.tormenting import GONE, Victim
from drill.child import process_state
from drill.journal import begun, outstanding
from drill.timeline import load_history
from drill.verdict import Verdict
from drill.watching import watchdog_records
from tests.commands.bank import LEASE_WALL_S, LIMIT_S, Bank, await_stop, bank, eventually

Begin = Callable[..., Victim]


@pytest.fixture(scope="module")
def world() -> Iterator[Bank]:
    """One stand-in for this file."""
    with bank() as made:
        yield made


@pytest.fixture
def begin(world: Bank, tmp_path: Path) -> Iterator[Begin]:
    """Start a victim and wait until it has stopped itself; at the end it is gone, and all is as before."""
    begun: list[Victim] = []

    def start(where: str, **how: Any) -> Victim:
        victim = world.victim(tmp_path / "run", where, **how)
        begun.append(victim)
        victim.begin()
        await_stop(victim)
        return victim

    yield start
    for victim in begun:
        victim.close()
        eventually(lambda v=victim: v.gone, "the watchdog ended by itself")


def events(victim: Victim, name: str) -> list[dict[str, Any]]:
    """What the watchdog recorded under that name."""
    return [record for record in watchdog_records(victim.folder) if record["event"] == name]


def states(victim: Victim) -> dict[int, str]:
    """The last state of each Change that was begun."""
    return {entry.number: entry.state for entry in begun(victim.journal)}


POINTS = ("record:injecting:1", "before:1", "after:2", "record:injected:2", "record:restoring:2", "before:6")


@pytest.mark.parametrize("where", POINTS)
def test_a_drill_that_is_killed_is_put_back(world: Bank, begin: Begin, where: str) -> None:
    """Wherever it dies: between journal and call, with half of the calls sent, in force, in its own restore."""
    victim = begin(where)
    victim.send(signal.SIGKILL)
    eventually(lambda: bool(events(victim, "finished")), "the watchdog was through")
    assert world.wrong == ""
    assert outstanding(victim.journal) == []
    assert [r["why"] for r in events(victim, "noticed")] == ["dead"]
    assert events(victim, "finished")[0]["outstanding"] == 0


def test_a_killed_drill_is_judged_invalid_with_its_reason_and_its_restore(begin: Begin) -> None:
    """From the folder alone: who died, and that the watchdog put back; it is not called dirty."""
    victim = begin("record:injected:2")
    victim.send(signal.SIGKILL)
    eventually(lambda: bool(events(victim, "finished")), "the watchdog was through")
    judged = judge(load_history(victim.folder))
    (finding,) = [f for f in judged.findings if f.name == "watchdog"]
    assert finding.verdict is Verdict.INVALID
    assert "the drill was killed before its first phase; restored by the watchdog" in finding.reason
    assert not [f for f in judged.findings if f.verdict is Verdict.DIRTY]


def test_a_hung_drill_is_put_back_and_when_it_wakes_it_is_fenced(world: Bank, begin: Begin) -> None:
    """Stopped with one of two calls sent, past its lease: all is back while it is still stopped; awake, it ends."""
    victim = begin("after:2", lease_s=LEASE_WALL_S)
    eventually(lambda: bool(events(victim, "passed")), "the watchdog had restored")
    assert process_state(victim.process.pid) == "T"
    assert world.wrong == ""
    assert [r["why"] for r in events(victim, "noticed")] == ["hung"]
    assert events(victim, "noticed")[0]["silent_s"] >= LEASE_WALL_S
    victim.send(signal.SIGCONT)
    assert victim.process.wait(LIMIT_S) == Verdict.INVALID.exit_code
    reasons = [str(e.data["reason"]) for e in load_history(victim.folder).named("invalid")]
    assert any(reason.startswith("Fenced") and "the watchdog" in reason for reason in reasons)
    assert world.wrong == ""
    assert set(states(victim).values()) == {"restored"}


def test_a_call_that_a_stopped_drill_sends_when_it_wakes_is_put_back_again(world: Bank, begin: Begin) -> None:
    """It had been admitted before the stop, so no check can hold it back: somebody looks again."""
    victim = begin("before:2", lease_s=LEASE_WALL_S)
    eventually(lambda: bool(events(victim, "passed")), "the watchdog had restored")
    victim.send(signal.SIGCONT)
    victim.process.wait(LIMIT_S)
    eventually(lambda: victim.gone, "the watchdog was through")
    assert world.wrong == ""
    assert outstanding(victim.journal) == []


def test_a_drill_that_wakes_and_is_killed_at_once_leaves_nothing(world: Bank, begin: Begin) -> None:
    """Its call may have gone out in between: it is looked for once more after it is gone."""
    victim = begin("before:2", lease_s=LEASE_WALL_S)
    eventually(lambda: bool(events(victim, "passed")), "the watchdog had restored")
    victim.send(signal.SIGCONT)
    victim.send(signal.SIGKILL)
    eventually(lambda: bool(events(victim, "finished")), "the watchdog was through")
    assert world.wrong == ""
    assert outstanding(victim.journal) == []


def test_what_aws_does_not_do_at_once_is_tried_again(world: Bank, begin: Begin) -> None:
    """Nobody answers when the drill dies; later somebody does."""
    victim = begin("record:injected:2")
    world.gate.close()
    try:
        victim.send(signal.SIGKILL)
        eventually(lambda: len(events(victim, "dirty")) >= 2, "it had tried")
        assert world.wrong != ""
    finally:
        world.gate.open()
    eventually(lambda: bool(events(victim, "finished")), "the watchdog was through")
    assert world.wrong == ""
    assert outstanding(victim.journal) == []


def test_a_forked_child_that_keeps_the_pipe_changes_nothing(world: Bank, begin: Begin) -> None:
    """The pipe never ends; the parent is gone all the same."""
    victim = begin("record:injected:2", module="tests.commands.forking_victim")
    (child,) = [int(pid) for pid in Path(f"/proc/{victim.process.pid}/task/{victim.process.pid}/children")
                .read_text().split() if int(pid) != victim.watchdog]  # fmt: skip
    try:
        victim.send(signal.SIGKILL)
        eventually(lambda: bool(events(victim, "finished")), "the watchdog was through")
        assert process_state(child) not in GONE
        assert world.wrong == ""
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_watchdog_does_not_go_while_something_is_outstanding(
    world: Bank, begin: Begin, number: signal.Signals
) -> None:
    """A signal that is meant for everybody, as when a machine shuts down, ends it only when nothing is broken."""
    victim = begin("record:injected:2")
    assert victim.watchdog is not None
    os.kill(victim.watchdog, number)
    victim.send(signal.SIGKILL)
    eventually(lambda: bool(events(victim, "finished")), "the watchdog was through")
    assert world.wrong == ""


def test_a_drill_whose_watchdog_has_died_breaks_nothing_more(world: Bank, begin: Begin) -> None:
    """What is broken already is put back by its own block, and what was to come is not broken."""
    victim = begin("record:injected:1")
    assert victim.watchdog is not None
    os.kill(victim.watchdog, signal.SIGKILL)
    eventually(lambda: process_state(victim.watchdog or 0) in GONE, "the watchdog was gone")
    victim.send(signal.SIGCONT)
    assert victim.process.wait(LIMIT_S) == Verdict.INVALID.exit_code
    (reason,) = [str(e.data["reason"]) for e in load_history(victim.folder).named("invalid")]
    assert "nothing more was injected" in reason
    assert "the watchdog is gone" in reason
    assert states(victim) == {1: "restored"}
    assert world.wrong == ""


def test_a_drill_whose_watchdog_is_stopped_breaks_nothing(world: Bank, begin: Begin) -> None:
    """A process that does not run puts nothing back."""
    victim = begin("record:injected:1")
    assert victim.watchdog is not None
    os.kill(victim.watchdog, signal.SIGSTOP)
    try:
        eventually(lambda: process_state(victim.watchdog or 0) == "T", "the watchdog was stopped")
        victim.send(signal.SIGCONT)
        eventually(lambda: states(victim) == {1: "restored"}, "the drill had put back")
    finally:
        os.kill(victim.watchdog, signal.SIGCONT)
    assert victim.process.wait(LIMIT_S) == Verdict.INVALID.exit_code
    assert world.wrong == ""


def test_what_somebody_else_changed_is_left_alone_and_dirty(world: Bank, begin: Begin) -> None:
    """The other Change comes back; the lines to type are in the record and in the log; exit code 20 is its end."""
    victim = begin("record:injected:2")
    world.disturb(5)
    try:
        victim.send(signal.SIGKILL)
        eventually(lambda: bool(events(victim, "finished")), "the watchdog was through")
        assert states(victim) == {1: "restored", 2: "dirty"}
        assert "desiredCount: 5" in events(victim, "dirty")[0]["reason"]
        assert "aws ecs update-service" in (victim.folder / "log-watchdog.txt").read_text()
        judged = judge(load_history(victim.folder))
        assert judged.verdict is Verdict.DIRTY
        assert any("is not back; type: drill restore RUN" in f.reason for f in judged.findings)
    finally:
        world.disturb(1)
        # the standby's service, half of the same Change, was left alone with it
        region = world.target.regions.standby
        world.aws.client("ecs", region).update_service(
            cluster="SampleMultiRegionAppCluster", service="CountFargateService", desiredCount=1
        )
    assert world.wrong == ""


def test_what_takes_long_at_the_end_is_no_hang(begin: Begin) -> None:
    """Reading, judging and rendering give no sign of life, and have nothing to put back."""
    victim = begin("record:restored:1", lease_s=LEASE_WALL_S, quiet_s=LEASE_WALL_S * 1.5)
    victim.send(signal.SIGCONT)
    assert victim.process.wait(LIMIT_S) == 0
    assert [r["event"] for r in watchdog_records(victim.folder)] == ["watching", "done"]
