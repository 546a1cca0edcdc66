"""What a victim breaks, in a plain AWS stand-in: a service that no deposit needs in both Regions, and a rule."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from commands.tormenting import GONE, RANDOM, VICTIM, Blow, Tormentor, Victim
from commands.victim import RULE, tormented
from drill.aws import Aws
from drill.child import process_state
from drill.clock import SystemClock
from drill.target import Connection, Target, load_target
from tests.aws_server import moto_process
from tests.commands.gate import Gate

TARGETS = Path(__file__).resolve().parents[2] / "targets"
SPEED = 100.0
LEASE_WALL_S, LONG_WALL_S = 3.0, 60.0
"""For drills that are to be found hung, and for those that must not be, however busy the machine is."""
LIMIT_S = 60.0
CLUSTER, SERVICE = "SampleMultiRegionAppCluster", "CountFargateService"


@dataclass(frozen=True)
class Bank:
    """aws: its operator's clients; target: how drills reach it, through `gate`; tormentor: sees what is not right."""

    aws: Aws
    target: Target
    tormentor: Tormentor
    gate: Gate

    def victim(
        self,
        folder: Path,
        where: str = RANDOM,
        lease_s: float = LONG_WALL_S,
        quiet_s: float = 0.0,
        module: str = VICTIM,
    ) -> Victim:
        """A victim that will stop itself there. lease_s: wall seconds of silence until it counts as hung."""
        safety = self.target.safety.model_copy(update={"lease_wall_s": lease_s})
        target = self.target.model_copy(update={"safety": safety})
        return Victim(folder, target, SPEED, Blow("KILL", where), quiet_s, module)

    @property
    def wrong(self) -> str:
        """What is not as before."""
        return self.tormentor.wrong()

    def disturb(self, desired: int) -> None:
        """Somebody else scales the primary's service."""
        region = self.target.regions.primary
        self.aws.client("ecs", region).update_service(cluster=CLUSTER, service=SERVICE, desiredCount=desired)


@contextmanager
def bank() -> Iterator[Bank]:
    """The stand-in with everything in place."""
    with moto_process() as url, Gate(url) as gate:
        aws = Aws(url)
        target = tormented(load_target(TARGETS / "core-banking.toml"))
        target = target.model_copy(update={"connection": Connection(aws_endpoint=gate.url)})
        for region in (target.regions.primary, target.regions.standby):
            ecs = aws.client("ecs", region)
            ecs.create_cluster(clusterName=CLUSTER)
            ecs.register_task_definition(family="f", containerDefinitions=[{"name": "a", "image": "i", "memory": 64}])
            ecs.create_service(cluster=CLUSTER, serviceName=SERVICE, taskDefinition="f", desiredCount=1)
            ecs.update_service(cluster=CLUSTER, service=SERVICE, desiredCount=1)  # moto starts tasks on updates only
        events = aws.client("events", target.regions.standby)
        events.put_rule(Name=RULE, EventPattern='{"source":["x"]}', State="ENABLED")
        yield Bank(aws, target, Tormentor(aws, target, SPEED), gate)


def await_stop(victim: Victim) -> None:
    """Wait until it has stopped itself where it was told to; AssertionError with its words when it ends instead."""
    eventually(lambda: process_state(victim.process.pid) in ("T", *GONE), f"it got to {victim.blow.where}")
    log = victim.folder.with_suffix(".log")
    assert process_state(victim.process.pid) == "T", (victim.folder / "events.jsonl").read_text() + log.read_text()


def eventually(holds: object, what: str, limit_s: float = LIMIT_S) -> None:
    """Wait until it holds; AssertionError after `limit_s` wall seconds."""
    assert callable(holds)
    clock = SystemClock()
    until_s = clock.monotonic_s() + limit_s
    while not holds():
        assert clock.monotonic_s() < until_s, f"waited {limit_s:g} s until {what}"
        clock.sleep(0.02)
