"""`drill restore` after an interrupted drill: changes are put back, actions are told and never repeated."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands.main import main
from drill.change import Action
from drill.clock import SystemClock
from drill.journal import Journal, interrupted
from drill.timeline import Timeline
from faults.start_machine import StartStateMachine
from lab.aws.misbehave import parse
from tests.checks.cloud import ROLE, Cloud, cloud
from tests.checks.worlds import OSAKA
from tests.faults.samples import FAILBACK

CLOCK = SystemClock(100.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """One account for this file, with a machine that fails."""
    with cloud(tmp_path_factory.mktemp("cloud")) as account:
        fail = {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "planted"}}}
        account.client("stepfunctions", OSAKA).create_state_machine(
            name="Failing", definition=json.dumps(fail), roleArn=ROLE
        )
        yield account


@pytest.fixture
def journal(made: Cloud, tmp_path: Path) -> Iterator[Journal]:
    """The journal of a run that is over; closed by the test before the command opens it."""
    header = {"run_id": "r", "target": made.target.model_dump(mode="json")}
    Timeline.create(tmp_path / "run", CLOCK, header).close()
    yield Journal(tmp_path / "run" / "journal.jsonl", CLOCK)


def intended(made: Cloud, journal: Journal, run_id: str, machine: str = "FailbackStateMachine*") -> Action:
    """An intent in the journal, as a drill leaves it that died right after."""
    resource = FAILBACK.model_copy(update={"name": machine})
    action = StartStateMachine(resource, timeout_s=60).prepare(made.aws, "core-banking", run_id)
    journal.open_action(action)
    return action


def restored(journal: Journal, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """What `drill restore` prints; it ends well."""
    assert main(["restore", str(journal.path.parent), *options]) == 0
    return capsys.readouterr().out


def executions(made: Cloud, run_id: str) -> int:
    """How many executions that run has made."""
    states = made.client("stepfunctions", OSAKA)
    arns = [m["stateMachineArn"] for m in states.list_state_machines()["stateMachines"]]
    names = [e["name"] for arn in arns for e in states.list_executions(stateMachineArn=arn)["executions"]]
    return names.count(f"drill-{run_id}")


def test_an_intent_without_a_deed(made: Cloud, journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    """Never started: said so, not started now, and settled for the next time."""
    intended(made, journal, "a")
    journal.close()
    assert "it was never started" in restored(journal, capsys)
    assert executions(made, "a") == 0
    assert interrupted(journal.path) == []
    assert "nothing outstanding" in restored(journal, capsys)


@pytest.mark.parametrize(
    ("machine", "said", "fate"),
    [
        ("FailbackStateMachine*", "has reached its end state", "reached"),
        ("Failing", "has ended without reaching its end state", "not_reached"),
    ],
)
def test_a_deed_that_nobody_noted(
    made: Cloud, journal: Journal, capsys: pytest.CaptureFixture[str], machine: str, said: str, fate: str
) -> None:
    """Started, and dead before the journal could say so: AWS says it, and how it ended."""
    made.aws.run(intended(made, journal, fate, machine).calls[0])
    journal.close()
    out = restored(journal, capsys)
    assert said in out
    assert "not repeated" in out
    assert executions(made, fate) == 1
    assert json.loads(journal.path.read_text().splitlines()[-1])["state"] == fate


def test_a_deed_under_way(made: Cloud, journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    """It still runs: told, and told again the next time, because its end is not known."""
    made.aws.run(intended(made, journal, "slow", "FailoverStateMachine*").calls[0])
    journal.close()
    for _ in range(2):
        assert "it was started and has not ended yet" in restored(journal, capsys)
    assert len(interrupted(journal.path)) == 1


def test_a_dry_run_looks_at_nothing(made: Cloud, journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    """What is in the journal, and that it would be looked at."""
    intended(made, journal, "dry")
    journal.close()
    assert "intended, its end was not seen; would be looked at" in restored(journal, capsys, "--dry-run")
    assert len(interrupted(journal.path)) == 1


def test_aws_does_not_say(made: Cloud, journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody knows is not "never started": it stays open."""
    intended(made, journal, "dumb")
    journal.close()
    made.server.misbehave(parse("expired stepfunctions"))
    try:
        assert "nobody knows whether it was started" in restored(journal, capsys)
    finally:
        made.server.behave()
    assert len(interrupted(journal.path)) == 1
