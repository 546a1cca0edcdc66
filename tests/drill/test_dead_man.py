"""Net 4 alone: nobody is left to restore, and everything is as before all the same."""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from commands.safety import install
from drill.aws import Aws, AwsFailed
from drill.call import Call
from drill.change import Change, change_from
from drill.clock import FakeClock
from drill.dead_man import arming, disarm, disarming, key_of
from drill.drill import Drill
from drill.errors import Invalid, Refused
from drill.journal import Journal, journal_records
from drill.safety_stack import FOLDER, stack_of
from drill.timeline import Timeline
from faults.ecs_scale import ScaleEcsService
from faults.events_rule import SetRuleState
from lab.aws.misbehave import parse
from tests.checks.worlds import eventually
from tests.drill.dead_world import FIRED_LIMIT_S, OREGON, OSAKA, RULE, SERVICE, SPEED, TOKYO, DeadWorld, dead_world

SOON_S, LATER_S = 120.0, 100_000.0
"""Lab seconds at speed 100: one wall second, and longer than any test."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[DeadWorld]:
    """A world with the safety stack in it, installed as an operator installs it."""
    with dead_world(tmp_path) as opened:
        assert install(opened.aws, opened.target) == "created"
        yield opened


@pytest.fixture
def drill(world: DeadWorld, tmp_path: Path) -> Iterator[Drill]:
    """A drill of that world whose clock stands still: only the dead-man acts by itself."""
    clock = FakeClock()
    timeline = Timeline.create(tmp_path / "run", clock, {"run_id": "r"})
    journal = Journal(tmp_path / "run" / "journal.jsonl", clock)
    yield Drill(
        target=world.target,
        aws=world.aws,
        clock=clock,
        timeline=timeline,
        journal=journal,
        run_id="r",
        dead_man=world.dead_man(LATER_S),
    )
    journal.close()
    timeline.close()


def lock(world: DeadWorld, run_id: str) -> None:
    """The target's lock, held by a run at epoch 7."""
    holder = {"M": {"run_id": {"S": run_id}}}
    item = {"PK": {"S": f"lock#{world.target.name}"}, "holder": holder, "epoch": {"N": "7"}}
    world.aws.client("dynamodb", OREGON).put_item(TableName=stack_of(world.target).table, Item=item)


def epoch(world: DeadWorld) -> int:
    """The epoch of the target's lock."""
    return int(world.item(f"lock#{world.target.name}")["epoch"])


def sure_soon(world: DeadWorld) -> None:
    """The function believes after 2 s instead of 10: where replies are not old, longer would only be waiting."""
    stack = stack_of(world.target)
    variables = {"TABLE": stack.table, "SETTLE_S": "2"}
    world.aws.client("lambda", OREGON).update_function_configuration(
        FunctionName=stack.function_arn, Environment={"Variables": variables}
    )


def test_what_nobody_puts_back_is_put_back(world: DeadWorld) -> None:
    """Armed, injected, and the drill is gone: the function reads, puts back, reads back, and says so."""
    lock(world, "gone")
    change = world.scale("gone")
    world.dead_man(SOON_S).arm(1, change)
    world.inject(change)
    assert (world.desired(), world.outcome(change)) == (0, "armed")
    world.becomes(change, "restored")
    assert world.desired() == 2
    assert epoch(world) == 8
    eventually(lambda: world.schedule_names() == [], FIRED_LIMIT_S)


def test_another_runs_lock_is_not_fenced(world: DeadWorld) -> None:
    """A drill that took the target over later goes on; what the first one broke is put back all the same."""
    lock(world, "another")
    change = world.scale("gone")
    world.dead_man(SOON_S).arm(1, change)
    world.inject(change)
    world.becomes(change, "restored")
    assert (world.desired(), epoch(world)) == (2, 7)


def test_what_was_never_injected_stays_as_before(world: DeadWorld) -> None:
    """A drill that died between arming and its first call: nothing to do, and the item says so."""
    sure_soon(world)
    change = world.scale("gone")
    world.dead_man(SOON_S).arm(1, change)
    world.becomes(change, "as before")
    assert world.desired() == 2


@pytest.mark.parametrize(("settle", "believed", "desired"), [("10", False, 2), ("0", True, 0)])
def test_an_old_reply_that_says_as_before_is_not_believed(
    world: DeadWorld, monkeypatch: pytest.MonkeyPatch, settle: str, believed: bool, desired: int
) -> None:
    """AWS may answer what was so a moment ago: the first looks show no fault, a later one does; it is put back.

    (That its read-back is old too makes it look once more later.) Its own code, in this process: the lab never
    misleads its own functions. The second case takes the settling away, to show that this is what holds.
    """
    environment = {"TABLE": "t", "SETTLE_S": settle, "AWS_ENDPOINT_URL": world.server.url}
    for name, value in (environment | {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "me"}).items():
        monkeypatch.setenv(name, value)
    function = runpy.run_path(str(FOLDER / "dead_man.py"))
    stored = json.loads(json.dumps(world.scale("gone").to_json()))
    world.server.misbehave(parse(f"stale ecs delay_s={3 * SPEED:g}"))  # 3 wall seconds
    assert all(fact["holds"] for fact in function["_look"](stored)["before"])
    world.inject(change_from(stored))
    told, _ = function["_put_back"](stored)
    world.server.behave()
    assert (told == "as before", world.desired()) == (believed, desired)


def test_what_somebody_else_changed_meanwhile_is_left_alone(world: DeadWorld) -> None:
    """Neither as we broke it nor as before: not touched, and both values stand beside the Change."""
    sure_soon(world)
    change = world.scale("gone")
    world.dead_man(SOON_S).arm(1, change)
    world.inject(change)
    world.scale_to(5)
    world.becomes(change, "left alone")
    detail = json.loads(world.item(key_of(change, 1))["detail"])
    assert [(fact["observed"], fact["equals"]) for fact in detail["faulted"] + detail["before"]] == [(5, 0), (5, 2)]
    assert world.desired() == 5


def test_an_injection_that_stopped_half_way_is_put_back(world: DeadWorld) -> None:
    """One fact as we made it, the other still as it was: ours, as in every other restore."""
    rule, scale = SetRuleState(RULE, "ENABLED").prepare(world.aws, "t", "half"), world.scale("half")
    both = replace(
        scale,
        inject=rule.inject + scale.inject,
        restore=scale.restore + rule.restore,
        faulted=rule.faulted + scale.faulted,
        before=rule.before + scale.before,
    )
    world.dead_man(SOON_S).arm(1, both)
    world.aws.run(both.inject[0])
    world.becomes(both, "restored")
    assert (world.desired(), world.rule_state()) == (2, "DISABLED")


def test_a_blind_safe_change_is_put_back_by_schedules_in_its_own_region(world: DeadWorld) -> None:
    """No function, no reading: Scheduler itself calls what puts back, in the Region of the resource."""
    change = world.arm_rule("gone")
    world.dead_man(SOON_S).arm(1, change)
    world.inject(change)
    assert world.schedule_names(OSAKA) == ["failover-drill-gone-1-1"]
    assert world.schedule_names(OREGON) == []
    eventually(lambda: world.rule_state() == "DISABLED", FIRED_LIMIT_S)
    assert world.outcome(change) == "armed"


@pytest.mark.parametrize(("state", "blind"), [("ENABLED", True), ("DISABLED", False)])
def test_only_disarming_what_ships_disarmed_is_blind_safe(world: DeadWorld, state: str, blind: bool) -> None:
    """A rule that its owners had armed may have been disarmed by them meanwhile: that needs a look."""
    if state == "DISABLED":
        world.aws.client("events", OSAKA).enable_rule(Name=RULE.name)
    assert SetRuleState(RULE, state).prepare(world.aws, "t", "r").blind_safe is blind  # type: ignore[arg-type]
    assert ScaleEcsService(SERVICE, desired=0).prepare(world.aws, "t", "r").blind_safe is False


def test_a_drill_that_lives_moves_it_on(world: DeadWorld) -> None:
    """After a third of its time, and not before; then it is due its whole time later."""
    change, dead_man = world.scale("alive"), world.dead_man(LATER_S)
    dead_man.arm(1, change)
    first = dead_man.due(1)
    assert first is not None
    assert dead_man.renew() == ()
    assert dead_man.due(1) == first
    world.later = timedelta(seconds=0.4 * LATER_S)
    assert dead_man.renew() == ()
    second = dead_man.due(1)
    assert second is not None
    assert second >= first + timedelta(seconds=0.4 * LATER_S)
    schedule = world.aws.client("scheduler", OREGON).get_schedule(GroupName="failover-drill", Name="alive-1")
    assert schedule["ScheduleExpression"] == f"at({second:%Y-%m-%dT%H:%M:%S})"
    assert world.outcome(change) == "armed"


def test_a_drill_that_was_away_too_long_injects_nothing_more(world: DeadWorld) -> None:
    """It wakes, cannot move its schedule on, and learns that it was restored."""
    change, dead_man = world.scale("asleep"), world.dead_man(SOON_S)
    dead_man.arm(1, change)
    world.inject(change)
    world.becomes(change, "restored")
    eventually(lambda: world.schedule_names() == [], FIRED_LIMIT_S)
    assert any("was away too long" in problem for problem in dead_man.renew())
    with pytest.raises(Invalid, match="has fired"):
        dead_man.arm(2, world.scale("asleep"))


def test_a_renewal_that_fails_is_told_and_tried_again(world: DeadWorld) -> None:
    """The observer Region does not answer: said once a while, and nothing is given up before it is due."""
    dead_man = world.dead_man(LATER_S)
    dead_man.arm(1, world.scale("alive"))
    first = dead_man.due(1)
    world.server.unavailable(OREGON, "scheduler")
    world.later = timedelta(seconds=0.4 * LATER_S)
    (told,) = dead_man.renew()
    assert "could not be moved on" in told
    assert dead_man.renew() == ()
    world.server.available(OREGON, "scheduler")
    world.later = timedelta(seconds=0.5 * LATER_S)
    assert dead_man.renew() == ()
    assert dead_man.due(1) != first
    assert dead_man.lost == ""


def test_a_renewal_that_fails_until_it_is_due_ends_the_injecting(world: DeadWorld) -> None:
    """Nobody knows then whether the dead-man has acted."""
    dead_man = world.dead_man(LATER_S)
    dead_man.arm(1, world.scale("alive"))
    world.server.unavailable(OREGON, "scheduler")
    world.later = timedelta(seconds=1.1 * LATER_S)
    (told,) = dead_man.renew()
    assert told == dead_man.lost
    with pytest.raises(Invalid, match="was due and could not be moved on"):
        dead_man.arm(2, world.arm_rule("alive"))


def test_disarming_takes_away_schedule_and_effect(world: DeadWorld) -> None:
    """The schedule goes, the stored Change is marked, and disarming again is no failure."""
    change, dead_man = world.scale("r"), world.dead_man(LATER_S)
    calls = dead_man.arm(1, change)
    assert world.schedule_names() == ["r-1"]
    assert dead_man.disarm(1) == ()
    assert (world.schedule_names(), world.outcome(change)) == ([], "disarmed")
    assert dead_man.disarm(1) == disarm(world.aws, calls) == ()


def test_an_orphan_schedule_of_a_disarmed_change_does_nothing(world: DeadWorld) -> None:
    """The schedule could not be deleted, and fires into a later drill that broke the same thing: left to that."""
    change, dead_man = world.scale("first"), world.dead_man(SOON_S)
    dead_man.arm(1, change)
    world.server.unavailable(OREGON, "scheduler")
    (problem,) = dead_man.disarm(1)
    world.server.available(OREGON, "scheduler")
    assert "To disarm it, type: aws scheduler delete-schedule" in problem
    world.inject(world.scale("second"))
    eventually(lambda: world.schedule_names() == [], FIRED_LIMIT_S)
    said = invoke(world, {"key": key_of(change, 1)})
    assert json.loads(said) == {"outcome": "disarmed"}
    assert (world.desired(), world.outcome(change)) == (0, "disarmed")


def invoke(world: DeadWorld, event: object) -> str:
    """What the function answers."""
    function = stack_of(world.target).function_arn
    reply = world.aws.client("lambda", OREGON).invoke(FunctionName=function, Payload=json.dumps(event))
    return str(reply["Payload"].read().decode())


@pytest.mark.parametrize("event", [{}, [], {"key": "nothing"}, {"key": "lock#core-banking"}])
def test_the_function_refuses_garbage(world: DeadWorld, event: object) -> None:
    """No key, no such item, an item that is no Change: an error, and nothing is touched."""
    lock(world, "r")
    said = json.loads(invoke(world, event))
    assert said["errorType"] in ("KeyError", "TypeError")
    assert (world.desired(), world.rule_state(), epoch(world)) == (2, "DISABLED", 7)


def test_a_change_that_cannot_be_put_back_says_why(world: DeadWorld) -> None:
    """AWS says no until the function's time is over: failed, with AWS's words; Lambda then calls it again."""
    change = world.scale("r")
    (put, _) = arming(stack_of(world.target), 1, change, world.now())
    world.aws.run(put)
    world.inject(change)
    world.server.unavailable(TOKYO, "ecs")
    invoking = world.aws.client("lambda", OREGON)
    invoking.invoke(
        FunctionName=stack_of(world.target).function_arn,
        InvocationType="Event",
        Payload=json.dumps({"key": key_of(change, 1)}),
    )
    world.becomes(change, "failed")
    assert "ServiceUnavailable" in json.loads(world.item(key_of(change, 1))["detail"])["error"]
    world.server.available(TOKYO, "ecs")
    world.becomes(change, "restored")
    assert world.desired() == 2


# -- in a drill


def test_a_drill_arms_before_it_injects_and_disarms_after_it_restored(drill: Drill, world: DeadWorld) -> None:
    """On disk in that order; inside the block both schedules stand, after it none."""
    with drill.applied(SetRuleState(RULE, "ENABLED")):
        assert world.schedule_names(OSAKA) == ["failover-drill-r-1-1"]
        assert world.item("change#r#1")["outcome"] == "armed"
    assert [record["state"] for record in journal_records(drill.journal.path)] == [
        "claimed",
        "prepared",
        "armed",
        "injecting",
        "injected",
        "restoring",
        "restored",
    ]
    assert (world.schedule_names(OSAKA), world.item("change#r#1")["outcome"]) == ([], "disarmed")


@pytest.mark.parametrize("service", ["dynamodb", "scheduler"])
def test_what_cannot_be_armed_is_not_injected(drill: Drill, world: DeadWorld, service: str) -> None:
    """INVALID before the first call; what was armed of it is taken back."""
    world.server.unavailable(OREGON, service)
    world.server.unavailable(OSAKA, service)
    with pytest.raises(Invalid, match="could not be armed"), drill.applied(SetRuleState(RULE, "ENABLED")):
        pytest.fail("the block must not run")
    world.server.available(OREGON, service)
    assert world.rule_state() == "DISABLED"
    assert drill.journal.outstanding() == []
    assert world.item("change#r#1").get("outcome") in (None, "disarmed")


def test_what_the_function_has_no_right_to_is_refused(world: DeadWorld) -> None:
    """A Change whose restore the installed policy does not cover would not be put back."""
    change = world.scale("r")
    odd = replace(change, restore=(Call("ecs", "DeleteService", {"service": "x"}, TOKYO),))
    with pytest.raises(Refused, match="no right to ecs:DeleteService"):
        world.dead_man(LATER_S).arm(1, odd)
    assert world.schedule_names() == []


def test_a_target_on_aws_without_a_dead_man_is_refused(drill: Drill, world: DeadWorld) -> None:
    """Nothing is injected where nothing would put it back."""
    drill.dead_man, drill.target = None, drill.target.model_copy(update={"kind": "aws", "lab": None})
    with (
        pytest.raises(Refused, match="drill install --target core-banking"),
        drill.applied(SetRuleState(RULE, "ENABLED")),
    ):
        pytest.fail("the block must not run")
    assert world.rule_state() == "DISABLED"


def test_a_disarming_that_fails_is_told(drill: Drill, world: DeadWorld) -> None:
    """Put back and verified, and the run folder says what is left to do."""
    with drill.applied(SetRuleState(RULE, "ENABLED")):
        world.server.unavailable(OSAKA, "scheduler")
    told = [event.data["reason"] for event in drill.timeline.events if event.name == "dead_man.left"]
    assert "the dead-man is not disarmed" in told[0]
    assert world.rule_state() == "DISABLED"
    assert drill.journal.outstanding() == []


def test_whoever_restores_from_the_journal_can_disarm(drill: Drill, world: DeadWorld) -> None:
    """An entry carries the calls, so a process that has only the file disarms too."""
    assert drill.dead_man is not None
    change: Change = world.scale("r")
    number = drill.journal.open_change(change)
    drill._arm(number, change)
    drill.journal.record(number, "injecting")
    (entry,) = drill.journal.outstanding()
    assert entry.disarm == disarming(stack_of(world.target), number, change)
    assert disarm(world.aws, entry.disarm) == ()
    assert world.schedule_names() == []


def test_a_schedule_that_is_due_while_the_lab_is_stopped_never_fires(tmp_path: Path) -> None:
    """The lab goes with everything in it, at once, and nothing of it stays."""
    with dead_world(tmp_path) as world:
        install(world.aws, world.target)
        change = world.scale("r")
        world.dead_man(60.0).arm(1, change)
        world.inject(change)
        url = world.server.url
    with pytest.raises(AwsFailed):
        Aws(url).run(Call("sts", "GetCallerIdentity", {}, OREGON))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"Arn": "arn:aws:scheduler:::aws-sdk:events:listRules"}, "only reads"),
        ({"Arn": "arn:aws:scheduler:::aws-sdk:nothing:doIt"}, "no service nothing"),
        ({"Arn": "arn:aws:s3:::bucket"}, "not in correct format"),
        ({"RoleArn": "arn:aws:iam::111111111111:role/failover-drill-dead-man"}, "must allow AWS EventBridge"),
        ({"RoleArn": "arn:aws:iam::111111111111:role/nobody"}, "must allow AWS EventBridge"),
    ],
)
def test_the_lab_refuses_the_schedules_that_aws_refuses(world: DeadWorld, change: dict[str, str], words: str) -> None:
    """Universal targets that only read, unknown ones, and roles that Scheduler may not assume."""
    (_, create) = arming(stack_of(world.target), 1, world.scale("r"), world.now())
    params = create.params | {"Target": create.params["Target"] | change}
    with pytest.raises(ClientError, match=words):
        world.aws.client("scheduler", OREGON).create_schedule(**params)
