"""Starting a state machine: its end is awaited, one that has given up is not, and nothing is started twice."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drill.actions import standing
from drill.clock import SystemClock
from drill.drill import Drill
from drill.errors import Refused
from drill.journal import Journal, interrupted, journal_records
from drill.target import Resource
from drill.timeline import Timeline
from faults.start_machine import StartStateMachine
from tests.checks.cloud import ROLE, Cloud, cloud
from tests.checks.worlds import OSAKA, eventually

WAIT = {"Type": "Wait", "Seconds": 3600, "End": True}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """One account for this file, with a machine that fails and one that is still at it."""
    with cloud(tmp_path_factory.mktemp("cloud")) as account:
        states = account.client("stepfunctions", OSAKA)
        for name, step in (("Failing", {"Type": "Fail", "Error": "planted"}), ("Slow", WAIT)):
            definition = json.dumps({"StartAt": "S", "States": {"S": step}})
            states.create_state_machine(name=name, definition=definition, roleArn=ROLE)
        yield account


@pytest.fixture
def drill(made: Cloud, tmp_path: Path) -> Iterator[Drill]:
    """A drill that may start all of them, a hundred times faster than real."""
    clock = SystemClock(100.0)
    timeline = Timeline.create(tmp_path / "run", clock, {"run_id": "r"})
    journal = Journal(tmp_path / "run" / "journal.jsonl", clock)
    radius = made.target.blast_radius.model_copy(update={"resources": {OSAKA: ["*"]}})
    target = made.target.model_copy(update={"blast_radius": radius})
    run_id = tmp_path.name.replace("_", "-")[-40:]
    yield Drill(target=target, aws=made.aws, clock=clock, timeline=timeline, journal=journal, run_id=run_id)
    journal.close()
    timeline.close()


def machine(name: str, timeout_s: float = 36000.0) -> StartStateMachine:
    """The one of that name, with six wall minutes for its end."""
    return StartStateMachine(Resource(region=OSAKA, name=name), timeout_s=timeout_s)


def states(drill: Drill) -> list[str]:
    """Every state that the journal went through."""
    return [record["state"] for record in journal_records(drill.journal.path) if record["number"]]


def test_its_end_is_awaited(drill: Drill) -> None:
    """Intent, deed and end are each in the journal, in that order."""
    drill.perform(machine("FailbackStateMachine*"))
    assert states(drill) == ["intended", "started", "reached"]
    assert interrupted(drill.journal.path) == []


def test_one_that_has_failed_is_not_waited_for(drill: Drill) -> None:
    """It returns long before its time is over; what was seen is on record for the judge."""
    began_s = time.monotonic()
    drill.perform(machine("Failing"))
    assert time.monotonic() - began_s < 60
    assert states(drill) == ["intended", "started", "not_reached"]
    (event,) = [e for e in drill.timeline.events if e.name == "action.ended"]
    assert event.data["reached"] is False
    assert "'FAILED'" in event.data["observed"][0]
    assert "has ended without reaching its end state" in event.data["why"]


def test_one_that_is_stopped_by_somebody_is_not_waited_for(drill: Drill, made: Cloud) -> None:
    """ABORTED is an end as well."""
    stopped: list[str] = []

    def stop() -> None:
        running = made.client("stepfunctions", OSAKA)
        arn = f"arn:aws:states:{OSAKA}:{made.server.account}:execution:Slow:drill-{drill.run_id}"
        if not stopped:
            stopped.append(arn)
            running.stop_execution(executionArn=arn)

    drill.on_tick = stop
    drill.perform(machine("Slow"))
    assert (len(stopped), states(drill)[-1]) == (1, "not_reached")


def test_one_that_takes_too_long_is_left_running(drill: Drill) -> None:
    """Its time is over: not reached, and nobody stops it."""
    drill.perform(machine("Slow", timeout_s=20))
    assert states(drill)[-1] == "not_reached"


def test_an_interrupt_says_how_it_stands(drill: Drill) -> None:
    """The journal keeps it open, so that `drill restore` looks again."""

    def interrupt() -> None:
        raise KeyboardInterrupt("stopped by SIGINT")

    drill.on_tick = interrupt
    with pytest.raises(KeyboardInterrupt):
        drill.perform(machine("Slow"))
    (event,) = [e for e in drill.timeline.events if e.name == "action.ended"]
    assert "stopped by SIGINT; states.start was started and has not ended yet" in event.data["why"]
    (intent,) = interrupted(drill.journal.path)
    assert intent.state == "started"


def test_what_somebody_has_started_under_our_name_is_refused(drill: Drill, made: Cloud) -> None:
    """The same run, a second time: nothing is in the journal, nothing is started."""
    action = machine("Slow").prepare(made.aws, "core-banking", drill.run_id)
    made.aws.run(action.calls[0])
    eventually(lambda: standing(made.aws, action).fate == "running")
    with pytest.raises(Refused, match="will not be done twice"):
        drill.perform(machine("Slow"))
    assert states(drill) == []
