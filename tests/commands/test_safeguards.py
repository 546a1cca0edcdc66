"""A drill under its guards: refused before anything is touched, stopped in every phase, and nothing secret kept."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from commands.main import main
from commands.run_folder import Scenario
from commands.running import Run
from commands.safeguards import Safeguards, show_in_plan
from commands.world import Options, World, open_world
from drill.aws import Aws, AwsFailed
from drill.call import Call
from drill.change import Change
from drill.child import Child
from drill.clock import FakeClock
from drill.drill import Drill
from drill.errors import Fenced, Invalid, Refused, RestoreFailed, UsageError
from drill.iam import need_of, resources_of
from drill.interrupt import Interrupts, Stopped
from drill.journal import outstanding
from drill.lock import ExclusiveLock
from drill.observations import ObservationLog
from drill.planning import PlanningDrill
from drill.read_only import ReadOnlyAws
from drill.redact import keep_secret
from drill.target import Connection, Resource, Target, load_target
from drill.timeline import Observation, Outcome, Request, RequestFile
from drill.verdict import Verdict
from faults.ecs_scale import ScaleEcsService
from faults.events_rule import SetRuleState
from faults.start_machine import StartStateMachine
from lab.launch import LabInfo
from tests.aws_server import moto_process

REGION, OTHER, OREGON = "ap-northeast-1", "ap-northeast-3", "us-west-2"
ACCOUNT = "111111111111"
SERVICE = Resource(region=REGION, within="bank", name="transaction")
RULE = Resource(region=REGION, name="auto-*")
MACHINE = Resource(region=REGION, name="Failback*")
TARGETS = Path(__file__).resolve().parents[2] / "targets"
TAGS = {"drill": "allowed"}
Scene = Callable[[Any], None]


@dataclass
class Counting(Aws):
    """The executor, which remembers what it was asked for, and fails where it is told to."""

    url: str
    made: list[str] = field(default_factory=list)
    trouble: Callable[[Call], str] = lambda call: ""

    def __post_init__(self) -> None:
        super().__init__(self.url)

    def run(self, call: Call) -> dict[str, Any]:
        """See Aws."""
        self.made.append(call.operation)
        if self.trouble(call):
            raise AwsFailed(self.trouble(call))
        return super().run(call)


@pytest.fixture(scope="module")
def cloud() -> Iterator[Counting]:
    """One account for this file, with the stack's table."""
    with moto_process() as url:
        aws = Counting(url)
        aws.client("dynamodb", OREGON).create_table(
            TableName="failover-drill",
            AttributeDefinitions=[{"AttributeName": "PK", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield aws


@pytest.fixture
def aws(cloud: Counting) -> Iterator[Counting]:
    """A service with two tasks, a disabled rule, a machine: all of them may be drilled."""
    aws = cloud
    ecs, events, states = (aws.client(name, REGION) for name in ("ecs", "events", "stepfunctions"))
    small = [{"key": k, "value": v} for k, v in TAGS.items()]
    ecs.create_cluster(clusterName="bank")
    ecs.register_task_definition(family="f", containerDefinitions=[{"name": "a", "image": "i", "memory": 64}])
    ecs.create_service(cluster="bank", serviceName="transaction", taskDefinition="f", desiredCount=2, tags=small)
    ecs.update_service(cluster="bank", service="transaction", desiredCount=2)
    big = [{"Key": k, "Value": v} for k, v in TAGS.items()]
    events.put_rule(Name="auto-failover", EventPattern='{"source":["aws.cloudwatch"]}', State="DISABLED", Tags=big)
    role = f"arn:aws:iam::{ACCOUNT}:role/r"
    machine = states.create_state_machine(name="FailbackMachine", definition="{}", roleArn=role, tags=small)
    aws.client("ssm", OREGON).put_parameter(Name="/drills/bank", Value="run", Type="String", Overwrite=True)
    aws.made, aws.trouble = [], (lambda call: "")
    yield aws
    aws.trouble = lambda call: ""
    ecs.delete_service(cluster="bank", service="transaction", force=True)
    events.delete_rule(Name="auto-failover")
    states.delete_state_machine(stateMachineArn=machine["stateMachineArn"])
    key = {"PK": {"S": "lock#core-banking"}}
    aws.client("dynamodb", OREGON).delete_item(TableName="failover-drill", Key=key)


def state(aws: Aws) -> tuple[int, str]:
    """Desired count of the service, state of the rule."""
    service = aws.client("ecs", REGION).describe_services(cluster="bank", services=["transaction"])["services"][0]
    rule = aws.client("events", REGION).describe_rule(Name="auto-failover")
    return int(service["desiredCount"]), str(rule["State"])


AS_BEFORE = (2, "DISABLED")


def target(aws: Aws, **safety: Any) -> Target:
    """The shipped target, which may break what this file made."""
    shipped = load_target(TARGETS / "core-banking.toml")
    names = {REGION: ["transaction", "auto-failover", "FailbackMachine"]}
    return shipped.model_copy(
        update={
            "blast_radius": shipped.blast_radius.model_copy(update={"resources": names}),
            "account": ACCOUNT,
            "resources": {},
            "connection": Connection(aws_endpoint=aws.endpoint_url),
            "safety": shipped.safety.model_copy(update=safety),
        }
    )


def world(aws: Aws, **safety: Any) -> World:
    """Reached, on a fake clock."""
    return World(target(aws, **safety), aws, FakeClock(), None)


def safeguards(folder: Path, of: World) -> Safeguards:
    """With this test's own folder for the machine's locks."""
    return Safeguards(of, ExclusiveLock.of(of.target, of.aws, of.clock, folder / "locks"))


def begun(folder: Path, of: World, interrupts: Interrupts | None = None) -> Run:
    """A run that was let in; its clients see failures at every look."""
    scenario = Scenario("guarded", "A test.", ("failover",))
    guards = safeguards(folder, of)
    with guards.kept():
        run = Run(scenario, of, folder, interrupts or Interrupts(), watched=False, safeguards=guards)

    def look() -> None:
        now_s = of.clock.monotonic_s()
        run.timeline.observations.append(Observation(now_s - 0.01, now_s, "write.settle", "client", Outcome.FAIL))

    run.drill.on_tick = look
    return run


def played(run: Run, scene: Scene) -> BaseException | None:
    """Rehearse and play a scene as a pytest session does, to its end; what it raised."""
    raised: BaseException | None = None
    try:
        run.rehearse(scene)
        scene(run.drill)
    except BaseException as error:  # noqa: BLE001 - as the session does: whatever it is, it is blamed
        raised = error
        run.blame(error)
    run.finish()
    return raised


def broken(then: Scene) -> Scene:
    """Rule and service are changed; then something."""

    def scene(drill: Any) -> None:
        with (
            drill.applied(SetRuleState(RULE, "ENABLED")),
            drill.window("failover", survivor=OTHER),
            drill.applied(ScaleEcsService(SERVICE, 0)),
        ):
            then(drill)

    return scene


class Never:
    """A condition that never holds."""

    def reached(self, timeline: object, since_s: float) -> None:
        """See Condition."""

    def begun(self, timeline: object, since_s: float) -> None:
        """See Condition."""


def invalid(run: Run) -> str:
    """The reasons on record."""
    return "\n".join(str(e.data["reason"]) for e in run.timeline.events if e.name == "invalid")


# -- before anything


def test_a_guarded_drill_breaks_puts_back_and_leaves_no_lock(tmp_path: Path, aws: Counting) -> None:
    """The guards say yes, each on record; lock held meanwhile, free after, epoch kept."""
    run = begun(tmp_path, world(aws, stop_parameter="/drills/bank"))
    seen: list[Any] = []

    def then(drill: Any) -> None:
        seen.append(safeguards(tmp_path, run.world).lock.holders() if isinstance(drill, Drill) else None)

    assert played(run, broken(then)) is None
    said = {e.data["name"]: e.data["value"] for e in run.timeline.events if e.name == "guard"}
    assert list(said) == [
        "time window",
        "credentials",
        "account",
        "regions",
        "stop conditions",
        "lock",
        "blast radius",
        "required tags",
    ]
    assert said["stop conditions"] == "parameter /drills/bank"
    assert said["blast radius"] == "would touch 2 resources"
    assert seen[0] is None
    assert {held.holder.run_id for held in seen[1].values()} == {run.drill.run_id}
    assert state(aws) == AS_BEFORE
    assert safeguards(tmp_path, run.world).lock.holders() == {}
    assert not (tmp_path / "locks").exists()


@pytest.mark.parametrize(
    ("safety", "account", "words"),
    [
        ({"windows": ("Mon-Fri 09:00-17:00 UTC",)}, ACCOUNT, "outside the windows"),
        ({"stop_parameter": "/no/such"}, ACCOUNT, "a drill would be stopped at once"),
        ({"stop_file": "/proc/self/status"}, ACCOUNT, "/proc/self/status exists"),
        ({"stack": "no-such-stack"}, ACCOUNT, "no table no-such-stack in us-west-2"),
        ({}, "222222222222", "the credentials belong to account 111111111111"),
    ],
)
def test_a_refused_drill_leaves_nothing(
    tmp_path: Path, aws: Counting, safety: dict[str, Any], account: str, words: str
) -> None:
    """No run folder, no lock, and only reads were made."""
    of = world(aws, **safety)
    real = {"account": account, "kind": "aws", "lab": None}
    refused = World(of.target.model_copy(update=real), aws, of.clock, None)
    with pytest.raises(Refused, match=words):
        begun(tmp_path, refused)
    assert list(tmp_path.iterdir()) == []
    assert not [name for name in aws.made if not name.startswith(("Get", "Describe", "List"))]


def test_a_second_drill_is_refused_before_the_first_has_injected(tmp_path: Path, aws: Counting) -> None:
    """On this machine by the file; from another (another folder of locks) by the table. Then it may begin."""
    first = begun(tmp_path, world(aws))
    with pytest.raises(Refused, match=f"core-banking is being drilled: run {first.drill.run_id} by"):
        begun(tmp_path, world(aws))
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(Refused, match=f"is being drilled: run {first.drill.run_id} by"):
        begun(tmp_path / "elsewhere", world(aws))
    first.finish()
    begun(tmp_path / "elsewhere", world(aws)).finish()


def outside(drill: Any) -> None:
    """Breaks the rule, which it may, and then a service that it may not."""
    with drill.applied(SetRuleState(RULE, "ENABLED")), drill.applied(ScaleEcsService(SERVICE, 0)):
        pass


def test_what_is_outside_the_blast_radius_is_refused_before_the_first_step(tmp_path: Path, aws: Counting) -> None:
    """The second step is not allowed, so the first is not taken either."""
    of = world(aws)
    radius = of.target.blast_radius.model_copy(update={"resources": {REGION: ["auto-failover"]}})
    run = begun(tmp_path, World(of.target.model_copy(update={"blast_radius": radius}), aws, of.clock, None))
    raised = played(run, outside)
    assert isinstance(raised, Refused)
    assert "transaction in ap-northeast-1 is outside the blast radius" in str(raised)
    assert "EnableRule" not in aws.made
    assert run.refused
    assert '"change"' not in run.journal.path.read_text()


def test_what_lacks_its_tags_is_refused_before_the_first_step(tmp_path: Path, aws: Counting) -> None:
    """Named, with the tags that it has and the line that tags it."""
    arn = aws.client("events", REGION).describe_rule(Name="auto-failover")["Arn"]
    aws.client("events", REGION).untag_resource(ResourceARN=arn, TagKeys=["drill"])
    aws.client("events", REGION).tag_resource(ResourceARN=arn, Tags=[{"Key": "team", "Value": "x"}])
    raised = played(begun(tmp_path, world(aws)), broken(lambda drill: None))
    assert isinstance(raised, Refused)
    assert f"{arn} may not be changed" in str(raised)
    assert "it has team=x" in str(raised)
    assert f"aws events tag-resource --resource-arn {arn}" in str(raised)
    assert "EnableRule" not in aws.made


def test_tags_are_looked_at_again_when_the_turn_comes(tmp_path: Path, aws: Counting) -> None:
    """Somebody took the permission back while the drill was waiting."""
    arn = aws.client("events", REGION).describe_rule(Name="auto-failover")["Arn"]

    def scene(drill: Any) -> None:
        if isinstance(drill, Drill):
            aws.client("events", REGION).untag_resource(ResourceARN=arn, TagKeys=["drill"])
        with drill.applied(SetRuleState(RULE, "ENABLED")):
            pass

    assert isinstance(played(begun(tmp_path, world(aws)), scene), Refused)
    assert "EnableRule" not in aws.made


def test_a_fixture_that_breaks_things_is_refused(tmp_path: Path, aws: Counting) -> None:
    """Nobody has looked yet at what the scenario would touch."""
    run = begun(tmp_path, world(aws))
    with (
        pytest.raises(Refused, match="break things inside it, not in a fixture"),
        run.drill.applied(SetRuleState(RULE, "ENABLED")),
    ):
        pytest.fail("must not get here")
    run.finish()
    assert "EnableRule" not in aws.made


def test_a_scenario_that_cannot_be_walked_through_is_invalid(tmp_path: Path, aws: Counting) -> None:
    """Nobody knows what it would touch; nothing was."""

    def scene(drill: Any) -> None:
        drill.timeline.mark("x")

    raised = played(begun(tmp_path, world(aws)), scene)
    assert isinstance(raised, Invalid)
    assert "cannot be walked through beforehand (AttributeError" in str(raised)


def test_a_step_that_cannot_be_prepared_is_refused_after_the_scenarios_own_guards(
    tmp_path: Path, aws: Counting
) -> None:
    """They know better why; and still nothing is touched before."""
    aws.client("ecs", REGION).update_service(cluster="bank", service="transaction", desiredCount=0)
    looked: list[str] = []

    def scene(drill: Any) -> None:
        drill.look("own", lambda: looked.append("own"))
        broken(lambda drill: None)(drill)

    raised = played(begun(tmp_path, world(aws)), scene)
    assert isinstance(raised, Refused)
    assert "already has a desired count of 0" in str(raised)
    assert looked == ["own"]
    assert "EnableRule" not in aws.made


def test_actions_are_guarded_as_changes_are(tmp_path: Path, aws: Counting) -> None:
    """A stop condition that comes true after the guards is seen before the call."""
    run = begun(tmp_path, world(aws))

    def scene(drill: Any) -> None:
        if isinstance(drill, Drill):
            (run.folder / "stop").write_text("not now")
        drill.perform(StartStateMachine(MACHINE, timeout_s=50))

    assert isinstance(played(run, scene), Stopped)
    assert "StartExecution" not in aws.made
    assert "stopped: " in invalid(run)


# -- while it runs


def in_until(drill: Any) -> None:
    """Waits for what never comes."""
    drill.until(Never(), timeout_s=500)


def in_perform(drill: Any) -> None:
    """Waits for an execution."""
    drill.perform(StartStateMachine(MACHINE, timeout_s=500))


def in_read_back(drill: Any) -> None:
    """Reads back, looking around meanwhile."""
    if isinstance(drill, Drill):
        drill._recovered_s = drill.clock.monotonic_s()
        drill.read_back = lambda *_: drill.look_around()
    drill.settle(OTHER)


def in_settle(drill: Any) -> None:
    """Waits between two passes."""
    if isinstance(drill, Drill):
        drill._recovered_s, drill.read_back = drill.clock.monotonic_s(), lambda *_: None
    drill.settle(OTHER)


def in_baseline(drill: Any) -> None:
    """Waits for a steady state."""
    drill.steady(for_s=500)


PHASES = {f.__name__: f for f in (in_until, in_perform, in_read_back, in_settle, in_baseline)}


@pytest.mark.parametrize("phase", sorted(PHASES))
def test_a_stop_ends_every_phase_and_everything_is_put_back(tmp_path: Path, aws: Counting, phase: str) -> None:
    """As a signal does: Stopped once, restored, INVALID with the reason, the lock given back."""
    run = begun(tmp_path, world(aws))

    def then(drill: Any) -> None:
        if isinstance(drill, Drill):
            assert state(aws) == (0, "ENABLED")
            (run.folder / "stop").write_text("enough")
        PHASES[phase](drill)
        if isinstance(drill, Drill):
            pytest.fail("must have been stopped")

    assert isinstance(played(run, broken(then)), Stopped)
    assert state(aws) == AS_BEFORE
    assert invalid(run) == f"stopped: {run.folder / 'stop'} exists: enough"
    assert run.judgement is not None
    assert run.judgement.verdict is Verdict.INVALID
    assert outstanding(run.folder / "journal.jsonl") == []
    assert safeguards(tmp_path, run.world).lock.holders() == {}


def test_each_condition_ends_a_drill(tmp_path: Path, aws: Counting) -> None:
    """Duration, error budget, parameter, and a parameter that cannot be read any more."""
    reasons = []
    for number, safety in enumerate(
        ({"max_duration_s": 100.0}, {"error_budget_s": 20.0}, {"stop_parameter": "/drills/bank"}, {})
    ):
        (tmp_path / str(number)).mkdir()
        run = begun(tmp_path / str(number), world(aws, **(safety or {"stop_parameter": "/drills/bank"})))

        def then(drill: Any, number: int = number) -> None:
            if number == 2 and isinstance(drill, Drill):
                aws.client("ssm", OREGON).put_parameter(
                    Name="/drills/bank", Value="stop", Type="String", Overwrite=True
                )
            if number == 3 and isinstance(drill, Drill):
                aws.trouble = lambda call: "no answer" if call.service == "ssm" else ""
            drill.until(Never(), timeout_s=5000)

        assert isinstance(played(run, broken(then)), Stopped)
        assert state(aws) == AS_BEFORE
        reasons.append(invalid(run))
        aws.client("ssm", OREGON).put_parameter(Name="/drills/bank", Value="run", Type="String", Overwrite=True)
    assert "safety.max_duration_s is 100" in reasons[0]
    assert "the error budget is spent" in reasons[1]
    assert "says 'stop', not 'run'" in reasons[2]
    assert "parameter /drills/bank cannot be looked at: no answer" in reasons[3]


def test_a_restore_is_never_stopped(tmp_path: Path, aws: Counting) -> None:
    """A reason that comes while things are put back waits: restored whole; nothing more is waited for after."""
    run = begun(tmp_path, world(aws, max_duration_s=1000.0))
    looked = run.drill.on_tick

    def look() -> None:
        looked()
        if any(e.data.get("phase") == "restoring" for e in run.timeline.events):
            (run.folder / "stop").write_text("now")

    run.drill.on_tick = look
    service = Resource(region=REGION, within="bank", name="transaction")

    def scene(drill: Any) -> None:
        with drill.window("failover", survivor=OTHER), drill.applied(ScaleEcsService(service, 0)):
            pass
        drill.steady(for_s=100)

    raised = played(run, scene)
    restored = [e for e in run.timeline.events if e.name == "fault.restored"]
    assert restored
    assert isinstance(raised, Stopped | Invalid)
    assert state(aws) == AS_BEFORE


def test_a_drill_that_goes_on_after_it_was_stopped_touches_nothing_more(tmp_path: Path, aws: Counting) -> None:
    """A scenario that swallows the stop."""
    run = begun(tmp_path, world(aws))

    def scene(drill: Any) -> None:
        try:
            if isinstance(drill, Drill):
                (run.folder / "stop").write_text("enough")
            drill.steady(for_s=10)
        except KeyboardInterrupt:
            (run.folder / "stop").unlink()
        with drill.applied(SetRuleState(RULE, "ENABLED")):
            pass

    raised = played(run, scene)
    assert isinstance(raised, Invalid)
    assert "nothing more is touched" in str(raised)
    assert "EnableRule" not in aws.made


def take_over(aws: Aws) -> None:
    """Somebody raises the epoch of the lock."""
    key = {"PK": {"S": "lock#core-banking"}}
    aws.client("dynamodb", OREGON).update_item(
        TableName="failover-drill",
        Key=key,
        UpdateExpression="SET epoch = epoch + :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )


def test_a_drill_that_was_fenced_injects_nothing_more(tmp_path: Path, aws: Counting) -> None:
    """Seen by a consistent read just before, whatever its own clock says; what it broke before is put back."""

    def scene(drill: Any) -> None:
        with drill.applied(SetRuleState(RULE, "ENABLED")):
            if isinstance(drill, Drill):
                take_over(aws)
            with drill.applied(ScaleEcsService(SERVICE, 0)):
                pass

    run = begun(tmp_path, world(aws))
    raised = played(run, scene)
    assert isinstance(raised, Fenced)
    assert "the lock on core-banking was taken from this drill (epoch 1): epoch 2" in str(raised)
    assert "UpdateService" not in aws.made
    assert state(aws) == AS_BEFORE
    assert run.judgement is not None
    assert run.judgement.verdict is Verdict.INVALID


def test_a_lock_that_is_lost_while_waiting_ends_the_drill(tmp_path: Path, aws: Counting) -> None:
    """At the next renewal."""

    def then(drill: Any) -> None:
        if isinstance(drill, Drill):
            take_over(aws)
        drill.until(Never(), timeout_s=500)

    run = begun(tmp_path, world(aws))
    assert isinstance(played(run, broken(then)), Fenced)
    assert state(aws) == AS_BEFORE
    assert "was taken from this drill" in invalid(run)


def test_a_lock_is_kept_while_something_is_still_changed(tmp_path: Path, aws: Counting) -> None:
    """DIRTY: the next drill, from wherever, stumbles over it, and is told to put back first."""
    run = begun(tmp_path, world(aws))

    def then(drill: Any) -> None:
        aws.trouble = lambda call: "throttled" if call.operation == "DisableRule" else ""

    played(run, broken(then))
    assert run.judgement is not None
    assert run.judgement.verdict is Verdict.DIRTY
    held = safeguards(tmp_path, run.world).lock.holders()
    assert {seen.holder.run_id for seen in held.values() if seen.holder} == {run.drill.run_id}


def test_a_lab_of_another_system_is_not_drilled(tmp_path: Path) -> None:
    """A usage error that names both."""
    path = tmp_path / "lab.json"
    there = ("127.0.0.1", 53)
    folder, speed = tmp_path, 10.0
    info = LabInfo("elsewhere", speed, 0.0, 0.0, "1" * 12, "http://h", there, {}, 80, folder, folder, folder, 1)
    path.write_text(json.dumps(info.to_json()))
    words = "that lab plays elsewhere in account 111111111111, target core-banking is core-banking in 111111111111"
    shipped = load_target(TARGETS / "core-banking.toml")
    with pytest.raises(UsageError, match=words), open_world(shipped, Options(lab_attach=path)):
        pytest.fail("must not be opened")


def test_a_plan_tells_what_depends_on_when_and_how_the_drill_is_run(tmp_path: Path, aws: Counting) -> None:
    """Production and hours are told, not refused; the lock is not taken; conditions are looked at."""
    of = world(aws, windows=("Mon-Fri 09:00-17:00 UTC",), stop_parameter="/drills/bank")
    aws.client("ssm", OREGON).put_parameter(Name="/drills/bank", Value="stop", Type="String", Overwrite=True)
    production = of.target.model_copy(update={"production": True})
    walk = PlanningDrill(production, ReadOnlyAws(aws), of.clock)
    show_in_plan(walk, Options())
    assert [(step.what, step.seen) for step in walk.steps] == [
        ("production", ("the drill needs --production core-banking",)),
        ("time window", ("only in Mon-Fri 09:00-17:00 UTC",)),
        (
            "stop conditions",
            (
                "duration, stop file of the run, parameter /drills/bank "
                "(now true: parameter /drills/bank in us-west-2 says 'stop', not 'run')",
            ),
        ),
        ("lock: would look", ()),
    ]
    (read,) = walk.steps[2].reads
    assert resources_of(need_of(read), ACCOUNT) == (f"arn:aws:ssm:us-west-2:{ACCOUNT}:parameter/drills/bank",)
    assert safeguards(tmp_path, of).lock.holders() == {}


def test_a_plan_of_what_lacks_its_tags_is_refused(aws: Counting) -> None:
    """As the drill would be; and what reads the tags is among the plan's reads, so that the policy has it."""
    of = world(aws)
    walk = PlanningDrill(of.target, ReadOnlyAws(aws), of.clock)
    show_in_plan(walk, Options())
    with walk.applied(SetRuleState(RULE, "ENABLED")):
        pass
    assert "ListTagsForResource" in {
        call.operation for step in walk.steps if step.does == "inject" for call in step.reads
    }
    arn = aws.client("events", REGION).describe_rule(Name="auto-failover")["Arn"]
    aws.client("events", REGION).untag_resource(ResourceARN=arn, TagKeys=["drill"])
    with (
        pytest.raises(Refused, match="needs the tags drill=allowed, it has none"),
        walk.applied(SetRuleState(RULE, "ENABLED")),
    ):
        pytest.fail("must not get here")


# -- drill stop


def test_drill_stop_tells_the_running_drill_and_refuses_one_that_is_over(
    tmp_path: Path, aws: Counting, capsys: pytest.CaptureFixture[str]
) -> None:
    """From another terminal, with a reason that becomes evidence."""
    run = begun(tmp_path, world(aws))

    def then(drill: Any) -> None:
        if isinstance(drill, Drill):
            assert main(["stop", str(run.folder), "--reason", "customers call"]) == 0
        drill.until(Never(), timeout_s=500)

    assert isinstance(played(run, broken(then)), Stopped)
    assert "stop exists: customers call (" in invalid(run)
    assert main(["stop", str(run.folder)]) == 12
    assert "that drill is over" in capsys.readouterr().err
    assert main(["stop", str(tmp_path)]) == 4


# -- secrets

PLANTED = {
    "environment": "planted/environment+secret/0123456789",
    "token": "FwoGZXIvYXdzEPlantedSessionToken0123456789==",
    "signature": "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
    "bearer": "eyJhbGciOiPlantedBearerToken0123456789",
    "key": "ASIAPLANTEDPLANTED99",
    "password": "planted-password",
}
HEADER = (
    f"Authorization: AWS4-HMAC-SHA256 Credential={PLANTED['key']}/20261122/us-west-2/ecs/aws4_request, "
    f"SignedHeaders=host, Signature={PLANTED['signature']}"
)
QUERY = f"https://h/?X-Amz-Signature={PLANTED['signature']}&X-Amz-Security-Token={PLANTED['token']}&x=1"


@dataclass(frozen=True)
class Talking:
    """A fault whose preparation fails with AWS's words, and those hold everything."""

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault."""
        raise AwsFailed(f"SignatureDoesNotMatch: {HEADER}; x-amz-security-token:{PLANTED['token']}; {QUERY}")


def test_nothing_secret_is_in_the_run_folder(tmp_path: Path, aws: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted in the environment, in AWS's words, in HTTP details, on the command line and in a child's output."""
    monkeypatch.setattr("sys.argv", ["pytest", "--set", f"password={PLANTED['password']}", HEADER])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PLANTED["environment"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", PLANTED["token"])
    keep_secret(PLANTED["environment"], PLANTED["token"])
    run = begun(tmp_path, world(aws))
    observed, requested = ObservationLog(run.folder, "prober"), RequestFile(run.folder, "load-0")
    observed.add(Observation(1.0, 2.0, "write.settle", "client", Outcome.FAIL, "", f"401 {HEADER}"))
    requested.add(Request(1.0, 2.0, "deposit", Outcome.FAIL, 401, detail=f"Bearer {PLANTED['bearer']}"))
    config = {"target": run.world.target.model_dump(mode="json"), "folder": str(run.folder)}
    child = Child("talker", "tests.commands.talker", config, run.folder)

    def scene(drill: Any) -> None:
        if isinstance(drill, Drill):
            drill.timeline.mark("signal", cause=QUERY, headers={"Authorization": HEADER})
            drill.look("guard", lambda: f"saw {PLANTED['environment']}")
            with drill.applied(SetRuleState(RULE, "ENABLED")):
                aws.trouble = lambda call: f"denied {QUERY}" if call.operation == "DisableRule" else ""
                drill.applied(Talking()).__enter__()
        else:
            with drill.applied(SetRuleState(RULE, "ENABLED")):
                pass

    assert isinstance(played(run, scene), RestoreFailed)
    child.stop()
    observed.close()
    requested.close()
    files = [path for path in run.folder.rglob("*") if path.is_file()]
    kept = {path.name: path.read_text(errors="replace") for path in files}
    assert {"run.json", "events.jsonl", "journal.jsonl", "config-talker.json", "log-talker.txt"} <= kept.keys()
    assert {"report.html", "verdict.json"} <= kept.keys()
    assert not [(name, what) for name, text in kept.items() for what, value in PLANTED.items() if value in text]
    assert "[redacted]" in kept["events.jsonl"]
    assert "[redacted]" in kept["log-talker.txt"]
    assert "denied https://h/?X-Amz-Signature=[redacted]" in kept["events.jsonl"]
    assert os.environ["AWS_SESSION_TOKEN"] == PLANTED["token"]


def test_a_childs_configuration_names_where_credentials_come_from_and_carries_none(
    tmp_path: Path, aws: Counting
) -> None:
    """Profile and role, from which a child opens its own session."""
    of = world(aws)
    access = of.target.access.model_copy(update={"profile": "drills", "role_arn": f"arn:aws:iam::{ACCOUNT}:role/d"})
    config = {
        "target": of.target.model_copy(update={"access": access, "kind": "aws", "lab": None}).model_dump(mode="json")
    }
    child = Child("talker", "tests.commands.talker", config, tmp_path)
    child.stop()
    written = json.loads((tmp_path / "config-talker.json").read_text())
    assert Target.model_validate(written["target"]).access == access
    assert set(written["target"]["access"]) == {"profile", "role_arn", "external_id", "session_name"}
