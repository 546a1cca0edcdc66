"""What an action has started is ended by each of the nets alone: block, sweep, watchdog, a person with a journal."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from checks.watched import not_back
from commands.main import main
from commands.outstanding import require_nothing_outstanding
from commands.restore import restore
from commands.sweep import Sweep
from commands.world import World
from drill.aws import Aws, AwsFailed
from drill.call import Call
from drill.calls_made import calls_made
from drill.change import Action, action_from
from drill.clock import SystemClock
from drill.drill import Drill
from drill.errors import Invalid, NotRecovered, Refused, RestoreFailed, UsageError
from drill.fence import Fence
from drill.interrupt import SIGNALS
from drill.journal import NO_CHANGE, Journal, begun, journal_records, outstanding
from drill.reach import Reach
from drill.restore import put_back, still_ours
from drill.timeline import Timeline, load_history
from drill.undo import Undo
from drill.watching import watchdog_records
from faults.dynamodb_pause import PauseReplication
from faults.fis_run import RunExperiment
from lab.aws.misbehave import parse
from tests.checks.cloud import DATA_TABLE, LAB_SPEED, Cloud, cloud
from tests.checks.worlds import TOKYO, eventually
from tests.faults.command_line import parsed
from tests.faults.experiments import TABLE, TEMPLATE, experiments, forget_all, table_arn, told

ROOT = Path(__file__).resolve().parents[2]
LASTS = "PT24H"
"""So that nobody takes an end of its own for a stop, however slow the machine is."""
PAUSE = PauseReplication(TEMPLATE, TABLE, 3600.0, at_most_s=86400.0)
RUN = RunExperiment(TEMPLATE, 3600.0, at_most_s=86400.0)
TIMEOUT_S, LIMIT_S = 3600.0, 60.0
OVER = ("stopped", "completed")
LINE = "| xargs -r -I ID aws fis stop-experiment --id ID"


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """One account for this file, in which FIS lives."""
    with cloud(tmp_path_factory.mktemp("cloud")) as made, experiments(made, LASTS):
        radius = made.target.blast_radius.model_copy(update={"resources": {TOKYO: ["EXT*", DATA_TABLE]}})
        made.target = made.target.model_copy(update={"blast_radius": radius})
        yield made


@pytest.fixture
def made(account: Cloud) -> Iterator[Cloud]:
    """No experiment is there before and after each test."""
    yield account
    forget_all(account)


@pytest.fixture
def clock() -> SystemClock:
    """The lab's own pace."""
    return SystemClock(LAB_SPEED)


@pytest.fixture
def journal(made: Cloud, clock: SystemClock, tmp_path: Path) -> Iterator[Journal]:
    """That of a run in that account, from which anybody could restore."""
    header = {"run_id": "r", "target": made.target.model_dump(mode="json")}
    Timeline.create(tmp_path / "run", clock, header).close()
    made_here = Journal(tmp_path / "run" / "journal.jsonl", clock, reach=Reach.of(made.target, LAB_SPEED))
    yield made_here
    if made_here._fd >= 0:
        made_here.close()


@pytest.fixture
def drill(made: Cloud, clock: SystemClock, tmp_path: Path) -> Iterator[Drill]:
    """A drill in it that nobody watches."""
    timeline = Timeline.create(tmp_path / "drill", clock, {"run_id": "r"})
    journal = Journal(tmp_path / "drill" / "journal.jsonl", clock)
    yield Drill(target=made.target, aws=made.aws, clock=clock, timeline=timeline, journal=journal, run_id="r")
    journal.close()
    timeline.close()


def statuses(made: Cloud) -> list[str]:
    """Of every experiment."""
    return [one["state"]["status"] for one in told(made)]


def paused(made: Cloud) -> bool:
    """Whether the table's policy denies replication."""
    client = made.client("dynamodb", TOKYO)
    try:
        return bool(client.get_resource_policy(ResourceArn=table_arn(made))["Policy"])
    except client.exceptions.PolicyNotFoundException:
        return False


def states(path: Path) -> list[str]:
    """Every state in the journal, what is about the journal itself left out."""
    return [record["state"] for record in journal_records(path) if record["number"] != NO_CHANGE]


def interrupted_drill(made: Cloud, journal: Journal, step: Any = PAUSE, run_id: str = "r") -> Action:
    """What a drill leaves that dies right after its call: the intent alone is on disk, the experiment runs."""
    action: Action = step.prepare(made.aws, "core-banking", run_id)
    journal.open_action(action)
    made.aws.run(action.calls[0])
    eventually(lambda: statuses(made) == ["running"])
    return action


# -- the block


@pytest.mark.parametrize(
    "error",
    [None, NotRecovered("late"), Invalid("x"), KeyboardInterrupt("stopped by SIGINT"), ZeroDivisionError("a bug")],
    ids=lambda error: type(error).__name__,
)
def test_the_block_alone_stops_it(made: Cloud, drill: Drill, error: BaseException | None) -> None:
    """However it is left: stopped, what it did is undone, read back, and on record; the error goes on."""
    seen: list[BaseException | None] = [None]
    try:
        with drill.performed(PAUSE):
            assert (statuses(made), paused(made)) == (["running"], True)
            assert [entry.change.kind for entry in outstanding(drill.journal.path)] == ["dynamodb.pause"]
            if error is not None:
                raise error
    except BaseException as caught:  # noqa: BLE001 - whatever was raised in the block is what must come out of it
        seen = [caught]
    assert seen == [error]
    assert (statuses(made), paused(made)) == (["stopped"], False)
    assert states(drill.journal.path) == ["intended", "started", "reached", "restoring", "restored"]
    assert drill.journal.outstanding() == []
    assert [e.data["kind"] for e in drill.timeline.events if e.name == "fault.restored"] == ["dynamodb.pause"]


def test_an_abort_while_it_is_starting_stops_it_too(made: Cloud, drill: Drill) -> None:
    """Before anybody has seen it run: Ctrl-C in the wait for its end state."""
    aborted: list[bool] = []

    def abort() -> None:
        if not aborted:
            aborted.append(True)
            raise KeyboardInterrupt("stopped by SIGINT")

    drill.on_tick = abort
    with pytest.raises(KeyboardInterrupt), drill.performed(PAUSE):
        pytest.fail("the block must not run")
    assert (statuses(made), paused(made)) == (["stopped"], False)
    assert (states(drill.journal.path)[-1], drill.journal.outstanding()) == ("restored", [])


def test_what_aws_refused_to_start_is_not_to_be_ended(made: Cloud, drill: Drill) -> None:
    """No right to start: never started, nothing outstanding, and nothing is stopped."""
    made.server.misbehave(parse("expired fis:StartExperiment"))
    try:
        with pytest.raises(AwsFailed), drill.performed(PAUSE):
            pytest.fail("the block must not run")
    finally:
        made.server.behave()
    assert states(drill.journal.path) == ["intended", "not_started"]
    assert begun(drill.journal.path) == []


# -- the sweep


def test_the_sweep_alone_stops_it(made: Cloud, journal: Journal, clock: SystemClock) -> None:
    """No block was there: at the end of the session the journal calls it outstanding."""
    interrupted_drill(made, journal)
    done: list[str] = []
    world = World(made.target, made.aws, clock, None)
    Sweep(world, journal, Fence(journal), lambda entry: done.append(entry.change.kind)).run()
    assert (statuses(made), paused(made), done) == (["stopped"], False, ["dynamodb.pause"])
    assert journal.outstanding() == []


# -- the watchdog


def test_the_watchdog_alone_stops_it(made: Cloud, tmp_path: Path) -> None:
    """Its drill is killed while the experiment runs; from the folder it is known that nothing is left."""
    config, folder = tmp_path / "config.json", tmp_path / "run"
    given = {"folder": str(folder), "target": made.target.model_dump(mode="json"), "speed": LAB_SPEED, "run_id": "r"}
    config.write_text(json.dumps(given))
    command = [sys.executable, "-m", "tests.faults.starter", str(config)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "started\n"
            assert (statuses(made), paused(made)) == (["running"], True)
            assert not_back(load_history(folder)) == {1: "dynamodb.pause"}
        finally:
            process.send_signal(signal.SIGKILL)
    eventually(lambda: any(r["event"] == "finished" for r in watchdog_records(folder)), LIMIT_S)
    assert (statuses(made), paused(made)) == (["stopped"], False)
    assert [r["kind"] for r in watchdog_records(folder) if r["event"] == "restored"] == ["dynamodb.pause"]
    assert outstanding(folder / "journal.jsonl") == []
    assert not_back(load_history(folder)) == {}


# -- a person


def test_the_journal_alone_is_enough_to_stop_it(
    made: Cloud, journal: Journal, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No drill begins before; a dry run prints the line and touches nothing; a second restore finds nothing to do.

    On another machine than the one that the journal names.
    """
    action = interrupted_drill(made, journal)
    journal.close()
    world = World(made.target, made.aws, SystemClock(), None)
    with pytest.raises(Refused, match="drill restore"):
        require_nothing_outstanding(tmp_path, world)
    path = tmp_path / "elsewhere.jsonl"
    path.write_text(journal.path.read_text().replace(f'"{socket.gethostname()}"', '"another-machine"'))
    assert main(["restore", str(path), "--dry-run"]) == 0
    assert action.lines(made.aws.endpoint_url)[0] in capsys.readouterr().out.splitlines()
    assert statuses(made) == ["running"]
    assert main(["restore", str(path)]) == 0
    assert "dynamodb.pause" in capsys.readouterr().out
    assert (statuses(made), paused(made), outstanding(path)) == (["stopped"], False, [])
    assert main(["restore", str(path)]) == 0
    assert "nothing outstanding" in capsys.readouterr().out
    stops = [one for one in calls_made(journal_records(path)) if one.made.operation == "StopExperiment"]
    assert [(one.purpose, one.kind) for one in stops] == [("restore", "dynamodb.pause")]


def test_an_intent_without_a_deed_is_closed(made: Cloud, journal: Journal) -> None:
    """It died before its call: nothing of ours runs however long it is looked, and nothing is called."""
    journal.open_action(PAUSE.prepare(made.aws, "core-banking", "r"))
    journal.close()
    assert main(["restore", str(journal.path)]) == 0
    assert (statuses(made), outstanding(journal.path)) == ([], [])
    assert [one.made.operation for one in calls_made(journal_records(journal.path))] == []


def test_one_that_cannot_be_stopped_is_dirty_with_the_line_to_type(
    made: Cloud, journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 20 while AWS refuses; what is printed, typed, is what ends it; a later restore finds that it did."""
    interrupted_drill(made, journal)
    journal.close()
    made.server.misbehave(parse("expired fis:StopExperiment"))
    try:
        assert main(["restore", str(journal.path)]) == 20
    finally:
        made.server.behave()
    said = capsys.readouterr().err
    assert LINE in said
    assert statuses(made) == ["running"]
    (typed,) = {line.strip() for line in said.splitlines() if LINE in line}
    look, _, end = typed.partition(" | xargs -r -I ID ")
    (number,) = [one["id"] for one in told(made)]
    ending = parsed(end.replace("--id ID", f"--id {number}"))
    assert parsed(look.partition(" --output ")[0])[0].operation == "ListExperiments"
    made.aws.run(ending[0])
    eventually(lambda: statuses(made) == ["stopped"])
    assert main(["restore", str(journal.path)]) == 0
    assert outstanding(journal.path) == []


@pytest.mark.skipif(not os.environ.get("DRILL_AWS_CLI"), reason="DRILL_AWS_CLI names no stock aws CLI")
def test_the_line_typed_into_a_shell_with_the_stock_cli_stops_it(made: Cloud, journal: Journal) -> None:
    """Ours, and not somebody else's; typed again it does nothing."""
    somebody = RUN.prepare(made.aws, "core-banking", "somebody")
    action = interrupted_drill(made, journal, RUN)
    made.aws.run(somebody.calls[0])
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PYTHON", "VIRTUAL_ENV"))}
    keys = {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "me", "AWS_CONFIG_FILE": os.devnull}
    folder = str(Path(os.environ["DRILL_AWS_CLI"]).parent)
    env = clean | keys | {"PATH": f"{folder}:{os.environ['PATH']}"}
    for _ in range(2):
        (line,) = action.lines(made.aws.endpoint_url)
        done = subprocess.run(["sh", "-c", line], env=env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        eventually(lambda: sorted(statuses(made)) == ["running", "stopped"])


class Struck(Aws):
    """An executor in the middle of whose stop a person loses patience, and the machine goes down."""

    def run(self, call: Call) -> dict[str, Any]:
        """See Aws."""
        if call.mutates:
            for number in SIGNALS:
                os.kill(os.getpid(), number)
        return super().run(call)


def test_no_signal_cuts_a_restore_off(made: Cloud, journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    """It comes to its end, says so, and who handled signals before does so again."""
    interrupted_drill(made, journal)
    journal.close()
    former = [signal.getsignal(number) for number in SIGNALS]
    reach = Reach.of(made.target, LAB_SPEED)
    assert restore(journal.path, reach, Struck(made.server.url), lambda outcome: None, 0.0) == 0
    assert (statuses(made), outstanding(journal.path)) == (["stopped"], [])
    said = capsys.readouterr().out
    assert all(f"{number.name}: a restore comes to its end first" in said for number in SIGNALS)
    assert [signal.getsignal(number) for number in SIGNALS] == former


# -- what all of them rest on


class EndsFirst(Aws):
    """An executor that is told "no" to its stop: the experiment had ended at that very moment."""

    def run(self, call: Call) -> dict[str, Any]:
        """See Aws."""
        if call.operation == "StopExperiment":
            super().run(call)
            eventually(lambda: super(EndsFirst, self).run(LOOK)["experiments"][0]["state"]["status"] in OVER)
            raise AwsFailed("fis:StopExperiment failed: it is not running", "ValidationException")
        return super().run(call)


LOOK = Call("fis", "ListExperiments", {}, TOKYO)


def test_only_ours_is_stopped_and_once(made: Cloud, journal: Journal, clock: SystemClock) -> None:
    """Of the same template somebody else's goes on; the second time nothing is left to do. Read from JSON."""
    somebody = RUN.prepare(made.aws, "core-banking", "somebody")
    action = interrupted_drill(made, journal, RUN)
    made.aws.run(somebody.calls[0])
    read = action_from(json.loads(json.dumps(action.to_json())))
    assert read == action
    heard: list[str] = []
    aws = made.aws
    aws.heard.append(lambda call: heard.append(call.operation))
    for _ in range(2):
        put_back(aws, journal, 1, read, clock.sleep, TIMEOUT_S)
    eventually(lambda: sorted(statuses(made)) == ["running", "stopped"])
    assert heard == ["StopExperiment"]


def test_one_that_ends_by_itself_meanwhile_is_no_failure(made: Cloud, journal: Journal, clock: SystemClock) -> None:
    """AWS refuses to stop it, because it is over: looked at again, and done."""
    action = interrupted_drill(made, journal)
    put_back(EndsFirst(made.server.url), journal, 1, action, clock.sleep, TIMEOUT_S)
    assert journal.outstanding() == []


def test_what_it_did_must_be_gone_too(made: Cloud, journal: Journal, clock: SystemClock) -> None:
    """Stopped, and the table still denied: not as before, DIRTY."""
    action = interrupted_drill(made, journal)
    eventually(lambda: paused(made))
    kept = made.client("dynamodb", TOKYO).get_resource_policy(ResourceArn=table_arn(made))["Policy"]

    class Denied(Aws):
        def run(self, call: Call) -> dict[str, Any]:
            return {"Policy": kept} if call.operation == "GetResourcePolicy" else super().run(call)

    with pytest.raises(RestoreFailed, match=r"did not come back .*contains\(Policy"):
        put_back(Denied(made.server.url), journal, 1, action, clock.sleep, 20.0)
    assert states(journal.path)[-1] == "dirty"


def test_what_somebody_else_does_afterwards_is_not_ours(made: Cloud, journal: Journal, clock: SystemClock) -> None:
    """Ours is over, and another experiment pauses the table: nobody stops that, or takes it for ours come late."""
    action = interrupted_drill(made, journal)
    put_back(made.aws, journal, 1, action, clock.sleep, TIMEOUT_S)
    made.aws.run(RUN.prepare(made.aws, "core-banking", "somebody").calls[0])
    eventually(lambda: paused(made))
    assert not still_ours(made.aws, action)
    with pytest.raises(RestoreFailed, match=r"is over, and yet .*contains\(Policy.*expected False: left alone"):
        put_back(made.aws, journal, 1, action, clock.sleep, TIMEOUT_S)
    assert sorted(statuses(made)) == ["running", "stopped"]


def test_a_list_that_is_not_whole_is_not_believed(made: Cloud, journal: Journal, clock: SystemClock) -> None:
    """There may be more of ours on the next page, so nobody says that nothing runs."""
    action = interrupted_drill(made, journal)

    class Half(Aws):
        def run(self, call: Call) -> dict[str, Any]:
            if call.operation == "ListExperiments":
                return {"experiments": [], "nextToken": "more"}
            return super().run(call)

    with pytest.raises(RestoreFailed, match="nextToken: 'more'"):
        put_back(Half(made.server.url), journal, 1, action, clock.sleep, 20.0)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda undo: replace(undo, call=replace(undo.call, params={"id": "EXP1"})),
        lambda undo: replace(undo, call=undo.running.call),
        lambda undo: replace(undo, running=replace(undo.running, equals=None)),
        lambda undo: replace(undo, running=replace(undo.running, path="experiments[?")),
        lambda undo: replace(undo, call=replace(undo.call, operation="HaltExperiment")),
    ],
    ids=["no place for an id", "only reads", "anything would be nothing", "no path", "unknown to botocore"],
)
def test_an_undo_that_could_end_nothing_is_refused(made: Cloud, spoil: Callable[[Undo], Undo]) -> None:
    """Before anything is started."""
    action = RUN.prepare(made.aws, "core-banking", "r")
    assert action.undo is not None
    action.validate()
    with pytest.raises(UsageError):
        replace(action, undo=spoil(action.undo)).validate()


def test_an_older_harness_wrote_none(made: Cloud) -> None:
    """Its journal is read as ever: such an action is told, and nobody ends it."""
    record = json.loads(json.dumps(RUN.prepare(made.aws, "core-banking", "r").to_json()))
    del record["undo"]
    assert action_from(record).undo is None
    assert action_from(record).lines() == ()
