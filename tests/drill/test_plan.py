"""The dry run: everything that a drill would do is told, checked and planned, and nothing is touched."""

from __future__ import annotations

import inspect
import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

import pytest

from checks.conditions import served_from
from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Action, Change
from drill.clock import FakeClock
from drill.drill import Drill, Instrument
from drill.errors import Invalid, Refused, UsageError
from drill.plan import Plan, PlannedStep, plan_from
from drill.planning import RUN_ID, PlanningDrill
from drill.read_only import MutationRefused, OnlyReads, ReadOnlyAws
from drill.target import Resource, Target, load_target
from faults.ecs_scale import ScaleEcsService
from faults.events_rule import SetRuleState
from faults.start_machine import StartStateMachine
from tests.aws_server import moto_process

TOKYO, OSAKA = "ap-northeast-1", "ap-northeast-3"
SERVICE = Resource(region=TOKYO, within="bank", name="transaction")
RULE = Resource(region=OSAKA, name="failover-rule")
MACHINE = Resource(region=OSAKA, name="FailbackMachine")
TARGETS = Path(__file__).resolve().parents[2] / "targets"
METHODS = {name for name, _ in inspect.getmembers(Drill, inspect.isfunction) if not name.startswith("_")}
PUBLIC = METHODS - {field.name for field in fields(Drill)}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """An AWS stand-in with a service of two tasks, a disabled rule and a state machine."""
    with moto_process() as address:
        aws = Aws(address)
        ecs = aws.client("ecs", TOKYO)
        ecs.create_cluster(clusterName="bank")
        ecs.register_task_definition(family="f", containerDefinitions=[{"name": "a", "image": "i", "memory": 64}])
        ecs.create_service(cluster="bank", serviceName="transaction", taskDefinition="f", desiredCount=2)
        aws.client("events", OSAKA).put_rule(Name=RULE.name, EventPattern='{"source":["x"]}', State="DISABLED")
        definition = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
        aws.client("stepfunctions", OSAKA).create_state_machine(
            name=MACHINE.name, definition=json.dumps(definition), roleArn="arn:aws:iam::111111111111:role/states"
        )
        yield address


@pytest.fixture
def drill(url: str) -> PlanningDrill:
    """A dry run in that world; it may break all three."""
    return PlanningDrill(
        target(), ReadOnlyAws(Aws(url)), FakeClock(), [Instrument("prober", "p")], [Instrument("load-0", "l")]
    )


def target() -> Target:
    """The shipped target, allowed to break what is in the stand-in."""
    shipped = load_target(TARGETS / "core-banking.toml")
    names = {TOKYO: ["transaction"], OSAKA: [RULE.name, MACHINE.name]}
    return shipped.model_copy(update={"blast_radius": shipped.blast_radius.model_copy(update={"resources": names})})


def state(url: str) -> Any:
    """Everything that the stand-in knows, of every service, Region and account.

    A service of which it holds nothing is left out: it is there as soon as anybody has asked for it.
    """
    with urllib.request.urlopen(f"{url}/moto-api/data.json", timeout=10) as reply:
        return {service: held for service, held in json.load(reply).items() if any(held.values())}


def whole_scenario(drill: PlanningDrill) -> Plan:
    """The steps of the core-banking scenario."""
    dry = cast(Drill, drill)
    with dry.applied(SetRuleState(RULE, "ENABLED")):
        dry.start_load()
        dry.steady(for_s=60)
        with dry.window("failover", survivor=OSAKA), dry.applied(ScaleEcsService(SERVICE, desired=0)):
            dry.until(served_from(drill.target, OSAKA), timeout_s=900)
            dry.settle(OSAKA)
    with dry.window("failback", survivor=TOKYO):
        dry.perform(StartStateMachine(MACHINE, timeout_s=900))
        dry.until(served_from(drill.target, TOKYO), timeout_s=900)
        dry.settle(TOKYO)
    return drill.plan("scenario", "A sentence.")


def test_what_an_earlier_walk_has_found_is_not_looked_for_again(url: str) -> None:
    """The plan names it all the same, and of what was not found yet each is looked for."""
    found: dict[str, str] = {}
    shipped = target()
    keys = {"transaction": SERVICE, "auto_failover_rule": RULE}
    first, second = (
        PlanningDrill(
            shipped.model_copy(update={"resources": named}), ReadOnlyAws(Aws(url)), FakeClock(), found=found
        )
        for named in ({"transaction": SERVICE}, keys)
    )
    assert first.plan("s", "").found.keys() == {"transaction"}
    assert second.plan("s", "").found == {
        "transaction": found["transaction"],
        "auto_failover_rule": found["auto_failover_rule"],
    }
    assert found["auto_failover_rule"].endswith(RULE.name)
    assert {call.service for call in first.aws.made} == {"ecs"}
    assert {call.service for call in second.aws.made} == {"events"}


def test_the_whole_scenario_is_told_in_order(drill: PlanningDrill) -> None:
    """What is injected, waited for, put back (the last first) and done, with the calls that do it."""
    plan = whole_scenario(drill)
    assert [(s.does, [c.operation for c in s.calls]) for s in plan.steps] == [
        ("arm", ["PutItem", "CreateSchedule", "UpdateSchedule"]),
        ("inject", ["EnableRule"]),
        ("start", []),
        ("start", []),
        ("wait", []),
        ("window", []),
        ("arm", ["PutItem", "CreateSchedule", "UpdateSchedule"]),
        ("inject", ["UpdateService"]),
        ("wait", []),
        ("wait", []),
        ("restore", ["UpdateService"]),
        ("disarm", ["UpdateItem", "DeleteSchedule"]),
        ("end", []),
        ("restore", ["DisableRule"]),
        ("disarm", ["UpdateItem", "DeleteSchedule"]),
        ("window", []),
        ("act", ["StartExecution"]),
        ("wait", []),
        ("wait", []),
        ("end", []),
    ]
    assert [s.number for s in plan.steps] == list(range(1, 21))
    inject, restore = plan.steps[7], plan.steps[10]
    assert [c.params["desiredCount"] for c in (*inject.calls, *restore.calls)] == [0, 2]
    assert restore.restores == 8
    armed = [(call.operation, call.region) for step in plan.steps if step.does == "arm" for call in step.calls]
    assert armed == [
        ("PutItem", "us-west-2"),
        ("CreateSchedule", OSAKA),
        ("UpdateSchedule", OSAKA),
        ("PutItem", "us-west-2"),
        ("CreateSchedule", "us-west-2"),
        ("UpdateSchedule", "us-west-2"),
    ]
    assert inject.to_json("http://lab")["lines"][0].startswith("aws ecs update-service --cluster arn:aws:ecs:")
    assert [arn.rpartition("/")[2].rpartition(":")[2] for arn in plan.touched] == [
        RULE.name,
        "transaction",
        MACHINE.name,
    ]
    assert [s.phase for s in plan.steps if s.phase] == [
        "baseline",
        "injecting",
        "recovering",
        "restoring",
        "failback",
        "recovering",
        "settled",
    ]


def test_a_plan_touches_nothing(url: str, drill: PlanningDrill) -> None:
    """The world is the same after it, and all that it was asked were Describe*, Get* and List*."""
    before = state(url)
    sent: list[str] = []
    drill.aws._session.events.register("before-send", lambda event_name, **_: sent.append(event_name))
    whole_scenario(drill)
    assert sent
    assert {name.rpartition(".")[2].removesuffix("s")[:4] for name in sent} <= {"Desc", "List", "Get"}
    assert state(url) == before


@pytest.mark.parametrize(
    "call",
    [
        Call("ecs", "UpdateService", {"cluster": "bank", "service": "transaction", "desiredCount": 0}, TOKYO),
        Call("events", "EnableRule", {"Name": RULE.name}, OSAKA),
        Call("stepfunctions", "StartExecution", {"stateMachineArn": "arn:aws:states:x:y:stateMachine:z"}, OSAKA),
        Call("rds", "FailoverGlobalCluster", {}, OSAKA),
        Call("sts", "AssumeRole", {}, OSAKA),
    ],
    ids=lambda call: call.operation,
)
def test_a_mutating_operation_is_refused_before_it_is_sent(url: str, call: Call) -> None:
    """Through the executor and through a client alike; the Aws that it was made from keeps its rights."""
    aws, before = Aws(url), state(url)
    aws.client("events", OSAKA)
    dry = ReadOnlyAws(aws)
    with pytest.raises(MutationRefused, match=f"{call.service}:{call.operation} in {call.region}"):
        dry.run(call)
    with pytest.raises(MutationRefused):
        dry.client("events", OSAKA).disable_rule(Name=RULE.name)
    assert state(url) == before
    assert dry.made == []
    aws.client("events", OSAKA).disable_rule(Name=RULE.name)


def test_what_depends_on_an_earlier_step_is_marked(drill: PlanningDrill) -> None:
    """The failback machine is looked up before the failover that comes first: the plan says so."""
    plan = whole_scenario(drill)
    (act,) = [step for step in plan.steps if step.does == "act"]
    assert act.depends_on == (9,)
    assert "as it is now" in act.note
    assert [s.depends_on for s in plan.steps if s.does == "inject"] == [(), ()]
    assert f"drill-{RUN_ID}" in act.calls[0].params["name"]


def test_a_second_fault_on_the_same_thing_is_marked(drill: PlanningDrill) -> None:
    """What it captures as "before" would be what the first has made; put back, nothing depends on it any more."""
    with drill.applied(ScaleEcsService(SERVICE, desired=1)), drill.applied(ScaleEcsService(SERVICE, desired=0)):
        pass
    with drill.applied(ScaleEcsService(SERVICE, desired=0)):
        pass
    assert [s.depends_on for s in drill.steps if s.does == "inject"] == [(), (2,), ()]


def test_what_only_the_drill_can_tell_is_a_hole(drill: PlanningDrill) -> None:
    """The service has the count that the second fault asks for: refused now, sound once the first is in force."""
    with drill.applied(ScaleEcsService(SERVICE, desired=0)), drill.applied(ScaleEcsService(SERVICE, desired=2)):
        pass
    plan = drill.plan("scenario", "")
    assert plan.holes == (3, 4)
    assert plan.steps[2].depends_on == (2,)
    assert "already has a desired count of 2" in plan.steps[2].note
    assert plan_from(json.loads(json.dumps(plan.to_json()))) == plan


def test_a_refusal_that_no_earlier_step_lifts_ends_the_plan(drill: PlanningDrill) -> None:
    """As it would end the drill."""
    with pytest.raises(Refused, match="already has a desired count of 2"), drill.applied(ScaleEcsService(SERVICE, 2)):
        pytest.fail("the block must not run")


def test_what_is_outside_the_blast_radius_is_refused(drill: PlanningDrill) -> None:
    """By the same words as in a drill."""
    drill.target = load_target(TARGETS / "core-banking.toml")
    with (
        pytest.raises(Refused, match="transaction in ap-northeast-1 is outside the blast radius"),
        drill.applied(ScaleEcsService(SERVICE, 0)),
    ):
        pytest.fail("the block must not run")


@dataclass(frozen=True)
class Odd:
    """A fault that prepares whatever the test wants."""

    change: Callable[[Change], Change]

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """A sound change, and what the test makes of it."""
        return self.change(ScaleEcsService(SERVICE, 0).prepare(aws, target, run_id))


BAD = Call("ecs", "UpdateService", {"sevice": "x"}, TOKYO)
WRONG = {
    "inject": (lambda c: replace(c, inject=(BAD,)), "Unknown parameter in input"),
    "restore": (lambda c: replace(c, restore=(replace(BAD, operation="Undo"),)), "no operation Undo"),
    "fact": (lambda c: replace(c, healed=(Fact(BAD, "x", 1),)), "Unknown parameter in input"),
    "path": (lambda c: replace(c, before=(replace(c.before[0], path="a[["),)), "no JMESPath expression"),
}


@pytest.mark.parametrize("part", sorted(WRONG))
def test_every_call_and_fact_is_checked(drill: PlanningDrill, part: str) -> None:
    """A call that botocore's model does not know is a usage error, wherever in the change it stands."""
    change, words = WRONG[part]
    with pytest.raises(UsageError, match=words), drill.applied(Odd(change)):
        pytest.fail("the block must not run")


def test_only_guards_that_declare_to_read_are_run(drill: PlanningDrill) -> None:
    """Any other would look, and is not run."""
    ran = []
    drill.look_all({"reads": OnlyReads(lambda: ["a", "b"]), "deposits": lambda: ran.append(1)})
    assert ran == []
    assert [(s.what, s.seen) for s in drill.steps] == [("reads", ("a", "b")), ("deposits: would look", ())]


def test_a_guard_that_refuses_ends_the_plan_and_one_that_finds_it_unhealthy_does_not(drill: PlanningDrill) -> None:
    """The wrong account must not be looked at any further; an unhealthy system can still be planned for."""

    def says(error: Exception) -> OnlyReads:
        def guard() -> None:
            raise error

        return OnlyReads(guard)

    assert drill.look("health", says(Invalid("alarm is ALARM"))) is None
    assert drill.problems == ["health: alarm is ALARM"]
    with pytest.raises(Refused, match="wrong account"):
        drill.look("account", says(Refused("wrong account")))
    assert [s.what for s in drill.steps] == ["health: INVALID", "account: REFUSED"]


def test_a_guard_that_declares_to_read_and_does_not_is_stopped(url: str, drill: PlanningDrill) -> None:
    """The declaration is not trusted: what it changes in AWS is refused."""
    before = state(url)
    with pytest.raises(MutationRefused):
        drill.look("liar", OnlyReads(lambda: drill.aws.client("events", OSAKA).enable_rule(Name=RULE.name)))
    assert state(url) == before


def test_a_block_that_fails_still_tells_what_is_put_back(drill: PlanningDrill) -> None:
    """A plan that ends early shows how far it got, as data."""
    with suppress(ZeroDivisionError), drill.applied(ScaleEcsService(SERVICE, 0)):
        _ = 1 / 0
    plan = drill.plan("scenario", "", ended="INVALID: ZeroDivisionError: division by zero")
    assert [s.does for s in plan.steps] == ["arm", "inject", "restore", "disarm"]
    assert plan_from(json.loads(json.dumps(plan.to_json()))) == plan


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_a_scenario_cannot_tell_it_from_a_drill(name: str) -> None:
    """Every public method of the Drill is there, with the same parameters."""
    real, dry = (inspect.signature(getattr(kind, name)) for kind in (Drill, PlanningDrill))
    assert list(dry.parameters) == list(real.parameters)


def test_another_format_is_no_plan() -> None:
    """A plan of another version is told, not guessed at."""
    record = Plan("s", "", "t", "lab", "1" * 12, None, (PlannedStep(1, "wait", "x"),)).to_json()
    with pytest.raises(ValueError, match="plan format 2, expected 1"):
        plan_from(record | {"format": 2})


def test_an_action_declares_its_end_and_touches_nothing(url: str, drill: PlanningDrill) -> None:
    """Nothing was started, and what would be waited for is told."""
    action: Action = drill.perform(StartStateMachine(MACHINE, timeout_s=900))
    assert drill.steps[0].facts == action.facts
    assert [f for f in action.facts if f in action.end_state] == list(action.end_state)
    assert (
        Aws(url).client("stepfunctions", OSAKA).list_executions(stateMachineArn=action.resources[0])["executions"]
        == []
    )
