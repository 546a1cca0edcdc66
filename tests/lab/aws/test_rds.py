"""Aurora global clusters over the wire: switchover, failover, their faults, states and events."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.aws.rds import PairError, RdsGlobal
from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.truth import Truth

TOKYO, OSAKA = "ap-northeast-1", "ap-northeast-3"
GLOBAL = "core-banking-global-db"


@dataclass
class Databases:
    """Two databases that do at once what they are told and remember it."""

    writer: str | None = TOKYO
    sick: set[str] = field(default_factory=set)
    steps: list[str] = field(default_factory=list)
    refuse: set[str] = field(default_factory=set)

    def healthy(self, region: str) -> bool:
        return region not in self.sick

    def quiesce(self, region: str) -> None:
        self._step("quiesce", region)
        self.writer = None

    def fence(self, region: str) -> bool:
        self._step("fence", region)
        return region not in self.sick

    def promote(self, region: str) -> None:
        self._step("promote", region)
        self.writer = region

    def follow(self, region: str) -> None:
        self._step("follow", region)

    def writer_region(self) -> str | None:
        return self.writer

    def _step(self, step: str, region: str) -> None:
        self.steps.append(f"{step} {region}")
        if step in self.refuse:
            raise PairError(f"{step} in {region} was refused")


@dataclass(frozen=True)
class Room:
    """The global cluster of the core-banking system, primary in Tokyo."""

    world: RdsGlobal
    databases: Databases
    tokyo: Any
    osaka: Any
    arns: dict[str, str]

    def shown(self) -> dict[str, Any]:
        """DescribeGlobalClusters, from Osaka."""
        found: dict[str, Any] = self.osaka.describe_global_clusters(GlobalClusterIdentifier=GLOBAL)
        cluster: dict[str, Any] = found["GlobalClusters"][0]
        return cluster

    def writer(self) -> str:
        """The ARN of the member with IsWriter."""
        writers: list[str] = [m["DBClusterArn"] for m in self.shown()["GlobalClusterMembers"] if m["IsWriter"]]
        assert len(writers) == 1
        return writers[0]

    def move(self, region: str, **more: Any) -> dict[str, Any]:
        """FailoverGlobalCluster to that Region."""
        reply: dict[str, Any] = self.osaka.failover_global_cluster(
            GlobalClusterIdentifier=GLOBAL, TargetDbClusterIdentifier=self.arns[region], **more
        )
        cluster: dict[str, Any] = reply["GlobalCluster"]
        return cluster


@pytest.fixture
def room(server: AwsServer, clock: LabClock, truth: Truth) -> Iterator[Room]:
    """Switchover declared at 50 lab s, failover at 30: half a second and less at speed 100."""
    world = RdsGlobal(server, clock, truth, switchover_s=50.0, failover_s=30.0)
    databases = Databases()
    world.attach(GLOBAL, databases)
    tokyo, osaka = (server.client("rds", region) for region in (TOKYO, OSAKA))
    tokyo.create_global_cluster(GlobalClusterIdentifier=GLOBAL, Engine="aurora-postgresql")
    arns = {}
    for client, region, name in ((tokyo, TOKYO, "primary"), (osaka, OSAKA, "secondary")):
        made = client.create_db_cluster(
            DBClusterIdentifier=f"core-banking-{name}",
            Engine="aurora-postgresql",
            GlobalClusterIdentifier=GLOBAL,
            **({"MasterUsername": "root", "MasterUserPassword": "password"} if region == TOKYO else {}),
        )
        arns[region] = made["DBCluster"]["DBClusterArn"]
        client.create_db_instance(
            DBInstanceIdentifier=f"{name}-1",
            DBClusterIdentifier=f"core-banking-{name}",
            DBInstanceClass="db.r6g.large",
            Engine="aurora-postgresql",
        )
    yield Room(world, databases, tokyo, osaka, arns)
    world.stop()


def within(wall_s: float, check: Callable[[], bool]) -> bool:
    """Whether `check` comes true before `wall_s` wall seconds are over."""
    end_s = time.monotonic() + wall_s
    while time.monotonic() < end_s and not check():
        time.sleep(0.02)
    return check()


def test_switchover_takes_its_time_and_flips_once(room: Room, clock: LabClock) -> None:
    """A switchover shows its state meanwhile, moves the writer after the declared time and ends connected."""
    started_s = clock.now_s()
    shown = room.move(OSAKA)
    assert shown["Status"] == "switching-over"
    assert shown["FailoverState"] == {
        "Status": "switching-over",
        "FromDbClusterArn": room.arns[TOKYO],
        "ToDbClusterArn": room.arns[OSAKA],
        "IsDataLossAllowed": False,
    }
    assert room.writer() == room.arns[TOKYO]
    assert within(5, lambda: room.shown()["Status"] == "available")
    assert clock.now_s() - started_s >= 50.0
    assert room.writer() == room.arns[OSAKA]
    assert "FailoverState" not in room.shown()
    assert within(5, lambda: room.databases.steps[-1] == f"follow {TOKYO}")
    assert room.databases.steps == [f"quiesce {TOKYO}", f"promote {OSAKA}", f"follow {TOKYO}"]
    members = room.shown()["GlobalClusterMembers"]
    assert [member["SynchronizationStatus"] for member in members] == ["connected"] * 2


def test_regional_view_agrees(room: Room) -> None:
    """DescribeDBClusters names a writer instance in the primary Region only, before and after."""

    def writers(client: Any) -> list[bool]:
        members = client.describe_db_clusters()["DBClusters"][0]["DBClusterMembers"]
        return [member["IsClusterWriter"] for member in members]

    assert (writers(room.tokyo), writers(room.osaka)) == ([True], [False])
    room.move(OSAKA)
    assert room.tokyo.describe_db_clusters()["DBClusters"][0]["Status"] == "switching-over"
    assert within(5, lambda: room.shown()["Status"] == "available")
    assert (writers(room.tokyo), writers(room.osaka)) == ([False], [True])


def test_events_in_their_order(room: Room, clock: LabClock) -> None:
    """The target Region shows the published sequence of switchover events, dated in lab time."""
    start = clock.now()
    room.move(OSAKA)
    assert within(5, lambda: room.shown()["Status"] == "available")
    events = room.osaka.describe_events(StartTime=start)["Events"]
    assert [event["Message"] for event in events] == [
        "Global switchover to DB cluster core-banking-secondary in Region ap-northeast-3 started",
        "Old primary DB cluster core-banking-primary in Region ap-northeast-1 successfully shut down",
        "New primary DB cluster core-banking-secondary in Region ap-northeast-3 was successfully promoted",
        "Promoting previous primary again: secondary-1",
        "DB instance restarted",
        "Completed failover to DB instance: secondary-1",
        "Global switchover to DB cluster core-banking-secondary in Region ap-northeast-3 finished",
    ]
    assert (events[-1]["Date"] - start).total_seconds() >= 50.0
    assert room.tokyo.describe_events(SourceType="db-cluster", StartTime=start)["Events"]
    assert room.osaka.describe_events(StartTime=events[-1]["Date"], EndTime=start)["Events"] == []


def test_lossy_failover_waits_for_resync(room: Room) -> None:
    """A failover does not ask the old primary, which stays pending-resync until it follows again."""
    room.databases.sick.add(TOKYO)
    room.databases.refuse.add("follow")
    shown = room.move(OSAKA, AllowDataLoss=True)
    assert shown["Status"] == "failing-over"
    assert shown["FailoverState"]["IsDataLossAllowed"] is True
    assert within(5, lambda: room.shown()["Status"] == "available")
    assert room.databases.steps[:2] == [f"fence {TOKYO}", f"promote {OSAKA}"]
    state = {m["DBClusterArn"]: m["SynchronizationStatus"] for m in room.shown()["GlobalClusterMembers"]}
    assert state == {room.arns[TOKYO]: "pending-resync", room.arns[OSAKA]: "connected"}
    with pytest.raises(room.osaka.exceptions.InvalidGlobalClusterStateFault):
        room.move(TOKYO)
    room.databases.refuse.clear()
    assert within(
        5, lambda: {m["SynchronizationStatus"] for m in room.shown()["GlobalClusterMembers"]} == {"connected"}
    )


def test_switchover_needs_a_healthy_primary(room: Room) -> None:
    """With the primary gone a switchover is refused and nothing moves."""
    room.databases.sick.add(TOKYO)
    with pytest.raises(room.osaka.exceptions.InvalidGlobalClusterStateFault):
        room.move(OSAKA, AllowDataLoss=False)
    assert room.shown()["Status"] == "available"
    assert room.databases.steps == []


def test_current_writer_is_no_target(room: Room) -> None:
    """To switch over to the writer is a fault: a second alarm after a failover meets it."""
    with pytest.raises(room.osaka.exceptions.InvalidDBClusterStateFault):
        room.move(TOKYO)


def test_one_move_at_a_time(room: Room) -> None:
    """A second call while one is under way is a fault."""
    room.move(OSAKA)
    with pytest.raises(room.osaka.exceptions.InvalidGlobalClusterStateFault):
        room.move(OSAKA)


@pytest.mark.parametrize(
    ("identifier", "target", "code"),
    [
        ("nobody", "", "GlobalClusterNotFoundFault"),
        (GLOBAL, "arn:aws:rds:ap-northeast-3:111111111111:cluster:nobody", "DBClusterNotFoundFault"),
    ],
)
def test_unknown_names(room: Room, identifier: str, target: str, code: str) -> None:
    """An unknown global cluster or member is named by the published fault."""
    with pytest.raises(ClientError) as error:
        room.osaka.failover_global_cluster(
            GlobalClusterIdentifier=identifier, TargetDbClusterIdentifier=target or room.arns[OSAKA]
        )
    assert error.value.response["Error"]["Code"] == code


def test_refused_quiesce_ends_the_switchover(room: Room) -> None:
    """When the old primary cannot be stopped the switchover fails, the writer stays, and an event says so."""
    room.databases.refuse.add("quiesce")
    room.move(OSAKA)
    assert within(5, lambda: room.shown()["Status"] == "available")
    assert room.writer() == room.arns[TOKYO]
    assert room.osaka.describe_events()["Events"][-1]["Message"].endswith("failed")
