"""A small AWS that lives: rules and an ECS service in a lab's API, with the scheduler, functions and stacks on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from drill.aws import Aws
from drill.change import Change
from drill.dead_man import DeadMan, key_of
from drill.safety_stack import operations, stack_of
from drill.target import Resource, Target, load_target
from faults.ecs_scale import ScaleEcsService
from faults.events_rule import SetRuleState
from lab.aws.functions import Functions
from lab.aws.scheduler import Scheduler
from lab.aws.server import AwsServer
from lab.aws.stacks import Stacks
from lab.clock import LabClock
from lab.truth import Truth
from tests.checks.worlds import eventually

SPEED = 100.0
TOKYO, OSAKA, OREGON = "ap-northeast-1", "ap-northeast-3", "us-west-2"
SERVICE = Resource(region=TOKYO, within="bank", name="transaction")
RULE = Resource(region=OSAKA, name="failover-rule")
TARGETS = Path(__file__).resolve().parents[2] / "targets"
FIRED_LIMIT_S = 40.0
"""Wall seconds for a schedule to fire and its function to run: a process and boto3's import, on a busy machine."""


def target() -> Target:
    """The shipped target, allowed to break what is in this world."""
    shipped = load_target(TARGETS / "core-banking.toml")
    resources = {"transaction": SERVICE, "auto_failover_rule": RULE}
    radius = shipped.blast_radius.model_copy(update={"resources": {TOKYO: ["transaction"], OSAKA: ["failover-rule"]}})
    return shipped.model_copy(update={"resources": resources, "blast_radius": radius})


@dataclass
class DeadWorld:
    """The world. later: how far ahead of the lab's time the harness believes to be."""

    server: AwsServer
    clock: LabClock
    aws: Aws
    target: Target
    later: timedelta = timedelta()

    def now(self) -> datetime:
        """The world's date, as the harness is told it."""
        return self.clock.now() + self.later

    def dead_man(self, dead_man_s: float) -> DeadMan:
        """A drill's dead-man in this world."""
        return DeadMan(self.aws, stack_of(self.target), dead_man_s, self.now, operations(self.target))

    def scale(self, run_id: str) -> Change:
        """The service to 0, prepared: not blind-safe."""
        return ScaleEcsService(SERVICE, desired=0).prepare(self.aws, self.target.name, run_id)

    def arm_rule(self, run_id: str) -> Change:
        """The rule that ships disabled enabled, prepared: blind-safe."""
        return SetRuleState(RULE, "ENABLED").prepare(self.aws, self.target.name, run_id)

    def inject(self, change: Change) -> None:
        """Break it."""
        for call in change.inject:
            self.aws.run(call)

    def desired(self) -> int:
        """The service's live desired count."""
        ecs = self.aws.client("ecs", TOKYO)
        return int(ecs.describe_services(cluster="bank", services=["transaction"])["services"][0]["desiredCount"])

    def scale_to(self, count: int) -> None:
        """Somebody else scales it."""
        self.aws.client("ecs", TOKYO).update_service(cluster="bank", service="transaction", desiredCount=count)

    def rule_state(self) -> str:
        """The rule's live state."""
        return str(self.aws.client("events", OSAKA).describe_rule(Name=RULE.name)["State"])

    def item(self, key: str) -> dict[str, Any]:
        """An item of the stack's table, {} when there is none."""
        table = stack_of(self.target).table
        reply = self.aws.client("dynamodb", OREGON).get_item(TableName=table, Key={"PK": {"S": key}})
        return {name: next(iter(value.values())) for name, value in reply.get("Item", {}).items()}

    def outcome(self, change: Change, number: int = 1) -> str:
        """What the stored Change says became of it."""
        return str(self.item(key_of(change, number)).get("outcome", ""))

    def becomes(self, change: Change, wanted: str) -> None:
        """Wait until the stored Change says so."""
        eventually(lambda: self.outcome(change) == wanted, FIRED_LIMIT_S)

    def schedule_names(self, region: str = OREGON) -> list[str]:
        """The schedules of a Region."""
        found = self.aws.client("scheduler", region).list_schedules()["Schedules"]
        return [schedule["Name"] for schedule in found]


@contextmanager
def dead_world(folder: Path) -> Iterator[DeadWorld]:
    """The world, up, without a safety stack."""
    clock = LabClock.starting_now(SPEED)
    server, truth = AwsServer("127.0.0.1", 0, clock), Truth(folder, clock)
    with ExitStack() as ends:
        server.start()
        ends.callback(server.stop)
        for engine in (Functions(server, clock), Scheduler(server, clock, truth), Stacks()):
            engine.start()
            ends.callback(engine.stop)
        aws = Aws(server.url)
        furnish(aws)
        yield DeadWorld(server, clock, aws, target())


def stored_dead_man(aws: Aws, reached: Target, now: Callable[[], datetime]) -> DeadMan:
    """A dead-man in a plain moto, which keeps Changes and schedules and never fires: its table and group are made."""
    stack = stack_of(reached)
    dynamodb, scheduler = aws.client("dynamodb", stack.region), aws.client("scheduler", stack.region)
    if stack.table not in dynamodb.list_tables()["TableNames"]:
        dynamodb.create_table(
            TableName=stack.table,
            KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "PK", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        scheduler.create_schedule_group(Name=stack.name)
    return DeadMan(aws, stack, reached.safety.dead_man_s, now, operations(target()))


def furnish(aws: Aws) -> None:
    """Create the service with two tasks and the rule that ships disabled; idempotent."""
    ecs = aws.client("ecs", TOKYO)
    ecs.create_cluster(clusterName="bank")
    ecs.register_task_definition(family="f", containerDefinitions=[{"name": "a", "image": "i", "memory": 64}])
    ecs.create_service(cluster="bank", serviceName="transaction", taskDefinition="f", desiredCount=2)
    aws.client("events", OSAKA).put_rule(Name=RULE.name, EventPattern='{"source":["x"]}', State="DISABLED")
