"""A small bank in a plain AWS stand-in, and runs in it that are played to their end as a pytest session does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from commands.exit_code import session_exit_code
from commands.run_folder import Scenario
from commands.running import Run
from commands.world import World
from drill.aws import Aws
from drill.call import Call
from drill.clock import FakeClock
from drill.drill import Drill
from drill.interrupt import Interrupts
from drill.target import Connection, Resource, Target, load_target
from drill.timeline import Observation, Outcome, Timeline
from drill.verdict import Finding, Judgement, Verdict
from faults.ecs_scale import ScaleEcsService
from faults.events_rule import SetRuleState
from tests.aws_server import moto_process
from tests.drill.dead_world import stored_dead_man

REGION, OTHER = "ap-northeast-1", "ap-northeast-3"
SERVICE = Resource(region=REGION, within="bank", name="transaction")
RULE = Resource(region=REGION, name="auto-*")
MACHINE = Resource(region=REGION, name="Failback*")
TARGETS = Path(__file__).resolve().parents[2] / "targets"
Trouble = Callable[[Call], BaseException | None]
Scene = Callable[[Drill], None]


@dataclass
class Troubled(Aws):
    """The executor, with a trouble for some calls: asked before each, what it returns is raised instead."""

    url: str
    trouble: Trouble = lambda call: None
    made: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(self.url)

    def run(self, call: Call) -> dict[str, Any]:
        """See Aws."""
        error = self.trouble(call)
        if error is not None:
            raise error
        self.made.append(call.operation)
        return super().run(call)


@contextmanager
def troubled_cloud() -> Iterator[Troubled]:
    """An AWS stand-in."""
    with moto_process() as url:
        yield Troubled(url)


@contextmanager
def furnished(aws: Troubled) -> Iterator[Troubled]:
    """A service with two tasks, a disabled rule and a state machine in it; no trouble."""
    aws.trouble, aws.made = (lambda call: None), []
    ecs, events = aws.client("ecs", REGION), aws.client("events", REGION)
    ecs.create_cluster(clusterName="bank")
    ecs.register_task_definition(family="f", containerDefinitions=[{"name": "a", "image": "i", "memory": 64}])
    ecs.create_service(cluster="bank", serviceName="transaction", taskDefinition="f", desiredCount=2)
    ecs.update_service(cluster="bank", service="transaction", desiredCount=2)  # moto starts tasks on updates only
    events.put_rule(Name="auto-failover", EventPattern='{"source":["aws.cloudwatch"]}', State="DISABLED")
    states = aws.client("stepfunctions", REGION)
    role = "arn:aws:iam::111111111111:role/r"
    machine = states.create_state_machine(name="FailbackStateMachine", definition="{}", roleArn=role)
    yield aws
    ecs.delete_service(cluster="bank", service="transaction", force=True)
    events.delete_rule(Name="auto-failover")
    states.delete_state_machine(stateMachineArn=machine["stateMachineArn"])


def state(aws: Aws) -> tuple[int, str]:
    """Desired count of the service, state of the rule."""
    service = aws.client("ecs", REGION).describe_services(cluster="bank", services=["transaction"])["services"][0]
    return int(service["desiredCount"]), str(
        aws.client("events", REGION).describe_rule(Name="auto-failover")["State"]
    )


AS_BEFORE = (2, "DISABLED")


def target() -> Target:
    """The shipped target as a real one, allowed to break what this file made."""
    shipped = load_target(TARGETS / "core-banking.toml")
    names = {REGION: ["transaction", "auto-failover", "FailbackStateMachine"]}
    radius = shipped.blast_radius.model_copy(update={"resources": names})
    return shipped.model_copy(update={"blast_radius": radius, "kind": "aws", "lab": None, "resources": {}})


def new_run(folder: Path, aws: Aws) -> Run:
    """A run on a fake clock whose clients see failures at every look."""
    clock = FakeClock()
    reached = target().model_copy(update={"connection": Connection(aws_endpoint=aws.endpoint_url)})
    world = World(reached, aws, clock, None)
    dead_man = stored_dead_man(Aws(aws.endpoint_url), reached, clock.wall)
    scenario = Scenario("ending", "A test.", ("failover",))
    run = Run(scenario, world, folder, Interrupts(), dead_man=dead_man, watched=False)

    def look() -> None:
        now_s = clock.monotonic_s()
        run.timeline.observations.append(Observation(now_s - 0.01, now_s, "write.settle", "client", Outcome.FAIL))

    run.drill.on_tick = look
    return run


def ended(folder: Path, aws: Aws, scene: Scene, spoil: Callable[[Run], None] = lambda run: None) -> Run:
    """Play a scene as a pytest session would, to its end."""
    run = new_run(folder, aws)
    try:
        scene(run.drill)
    except BaseException as error:  # noqa: BLE001 - as the session does: whatever it is, it is blamed
        run.blame(error)
    spoil(run)
    run.finish()
    return run


def judged(run: Run) -> Judgement:
    """Its judgement, which there is."""
    assert run.judgement is not None
    return run.judgement


def reasons(run: Run, verdict: Verdict) -> str:
    """All reasons of that verdict."""
    return "\n".join(f.reason for f in judged(run).findings if f.verdict is verdict)


def dirty(run: Run) -> list[Finding]:
    """The findings about what is not back."""
    return [f for f in judged(run).findings if f.verdict is Verdict.DIRTY]


def code(run: Run) -> int:
    """The session's exit code after this run alone."""
    return session_exit_code([judged(run).verdict], [12] if run.refused else [], 1)


def broken(then: Scene) -> Scene:
    """Both faults in force, as in the scenario; then something."""

    def scene(drill: Drill) -> None:
        with (
            drill.applied(SetRuleState(RULE, "ENABLED")),
            drill.window("failover", survivor=OTHER),
            drill.applied(ScaleEcsService(SERVICE, 0)),
        ):
            assert state(drill.aws) == (0, "ENABLED")
            then(drill)

    return scene


class Never:
    """A condition that never holds."""

    def reached(self, timeline: Timeline, since_s: float) -> None:
        """See Condition."""

    def begun(self, timeline: Timeline, since_s: float) -> None:
        """See Condition."""


class Soon:
    """A condition that holds at once."""

    def reached(self, timeline: Timeline, since_s: float) -> float:
        """See Condition."""
        return since_s

    def begun(self, timeline: Timeline, since_s: float) -> float:
        """See Condition."""
        return since_s


def armed(aws: Aws, run: Run) -> list[str]:
    """The schedules that would still put something of this run back."""
    made = [s for r in (REGION, "us-west-2") for s in aws.client("scheduler", r).list_schedules()["Schedules"]]
    return [schedule["Name"] for schedule in made if run.drill.run_id in schedule["Name"]]
