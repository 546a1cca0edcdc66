"""Aurora global clusters that really move: switchover, failover, their states and events.

Control plane by moto's rds; the data moves in a `DatabasePair`, a real replicated database. By the Aurora user
guide ("Using switchover or failover in an Aurora global database") a switchover stops the old primary, waits
until the target has everything and then promotes it (recovery point 0), and needs both healthy; a failover
fences the old primary's writes if it can, promotes what the target has, and the old primary has to resynchronise
before anything can move again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from moto.core.responses import ActionResult
from moto.rds.models import DBCluster, GlobalCluster, rds_backends
from moto.rds.responses import RDSResponse

from lab.aws.protocol import AwsError
from lab.aws.rds_events import MAX_EVENTS, described, make_event
from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.truth import Truth

CONNECTED, PENDING_RESYNC = "connected", "pending-resync"
SWITCHING, FAILING = "switching-over", "failing-over"
FOLLOW_RETRY_S = 30.0
"""Lab seconds between attempts to bring the old primary back after a failover."""
STOP_WALL_S = 5.0


class PairError(Exception):
    """A step on the real databases failed; the sentence says which and why."""


class DatabasePair(Protocol):
    """Two real databases, one Region each, of which one takes writes. All steps block; they raise PairError."""

    def healthy(self, region: str) -> bool:
        """Whether the database of that Region is up and, on the standby's side, replicating."""
        ...

    def quiesce(self, region: str) -> None:
        """Planned: the writer takes no more writes and the standby has every one that it took."""
        ...

    def fence(self, region: str) -> bool:
        """Unplanned: try to let the writer of that Region take no more writes; whether that has worked."""
        ...

    def promote(self, region: str) -> None:
        """The standby of that Region becomes the writer."""
        ...

    def follow(self, region: str) -> None:
        """The old writer of that Region comes back as a standby of the new one."""
        ...

    def writer_region(self) -> str | None:
        """The Region whose database takes writes; None while there is none."""
        ...


@dataclass(frozen=True)
class Move:
    """A switchover (planned) or failover under way; the ARNs are those of the member clusters."""

    cluster: str
    source_arn: str
    target_arn: str
    planned: bool
    started_s: float

    @property
    def status(self) -> str:
        """What Status and FailoverState.Status show meanwhile."""
        return SWITCHING if self.planned else FAILING


class RdsGlobal:
    """Serves RDS for `server`. switchover_s, failover_s: lab seconds from the call to the new writer.

    Both are declared delays: the real promotion begins at their end.
    """

    def __init__(
        self,
        server: AwsServer,
        clock: LabClock,
        truth: Truth,
        switchover_s: float = 120.0,
        failover_s: float = 60.0,
    ) -> None:
        self._server = server
        self._clock = clock
        self._truth = truth
        self.switchover_s = switchover_s
        self.failover_s = failover_s
        self._lock = threading.Lock()
        self._pairs: dict[str, DatabasePair] = {}
        self._moves: dict[str, Move] = {}
        self._pending: set[str] = set()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        DBCluster.db_cluster_members = property(_members)  # type: ignore[method-assign,assignment]
        server.serve_class("rds", type("Rds", (_Rds,), {"world": self}))

    def attach(self, global_cluster: str, pair: DatabasePair) -> None:
        """The real databases behind a global cluster; without them only the control plane moves."""
        self._pairs[global_cluster] = pair

    def stop(self) -> None:
        """End what is under way (it stays half done) and its threads."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(STOP_WALL_S)

    def begin(self, identifier: str, target_arn: str, planned: bool) -> GlobalCluster:
        """Check and start a switchover (planned) or failover; AwsError as FailoverGlobalCluster names them."""
        with self._lock:
            cluster = self.find(identifier)
            source, _ = self._checked(cluster, target_arn, planned)
            move = Move(identifier, source.db_cluster_arn, target_arn, planned, self._clock.now_s())
            self._moves[identifier] = move
        for member in (source, self._member(cluster, target_arn)):
            member.status = move.status
        run = self._switch_over if planned else self._fail_over
        thread = threading.Thread(target=self._guarded, args=(run, cluster, move), daemon=True)
        self._threads.append(thread)
        thread.start()
        return cluster

    def find(self, identifier: str) -> GlobalCluster:
        """By identifier or ARN, or AwsError GlobalClusterNotFoundFault."""
        known = rds_backends[self._server.account]["us-east-1"].global_clusters
        name = identifier.rpartition(":")[2]
        if name not in known:
            raise AwsError("GlobalClusterNotFoundFault", f"Global cluster {name} not found")
        return known[name]

    def _checked(self, cluster: GlobalCluster, target_arn: str, planned: bool) -> tuple[DBCluster, DBCluster]:
        identifier = cluster.global_cluster_identifier
        target = self._member(cluster, target_arn)
        source = next((member for member in cluster.members if member.is_writer), None)
        if source is None or identifier in self._moves:
            raise AwsError("InvalidGlobalClusterStateFault", f"Global cluster {identifier} is not available")
        if target.is_writer:
            raise AwsError("InvalidDBClusterStateFault", f"{target_arn} is the primary cluster already")
        if waiting := [m for m in cluster.members if m.db_cluster_arn in self._pending]:
            what = f"{waiting[0].db_cluster_arn} is still resynchronizing"
            raise AwsError("InvalidGlobalClusterStateFault", what)
        pair = self._pairs.get(identifier)
        if pair and planned and not pair.healthy(region_of(source.db_cluster_arn)):
            raise AwsError("InvalidGlobalClusterStateFault", f"primary cluster of {identifier} is not healthy")
        if pair and not pair.healthy(region_of(target_arn)):
            raise AwsError("InvalidDBClusterStateFault", f"{target_arn} is not healthy")
        return source, target

    @staticmethod
    def _member(cluster: GlobalCluster, arn: str) -> DBCluster:
        for member in cluster.members:
            if member.db_cluster_arn == arn:
                return member
        raise AwsError("DBClusterNotFoundFault", f"{arn} is no member of {cluster.global_cluster_identifier}")

    def _guarded(
        self, run: Callable[[GlobalCluster, Move, DatabasePair | None], None], cluster: GlobalCluster, move: Move
    ) -> None:
        try:
            run(cluster, move, self._pairs.get(move.cluster))
        except PairError as error:
            self._truth.record("rds.failed", cluster=move.cluster, why=str(error))
            self._event("RDS-EVENT-0187" if move.planned else "RDS-EVENT-0239", move.target_arn, both=move)
            self._end(cluster, move)

    def _switch_over(self, cluster: GlobalCluster, move: Move, pair: DatabasePair | None) -> None:
        self._truth.record("rds.switchover", cluster=move.cluster, target=move.target_arn)
        self._event("RDS-EVENT-0181", move.target_arn, both=move)
        if pair:
            pair.quiesce(region_of(move.source_arn))
        self._truth.record("rds.quiesced", cluster=move.cluster, region=region_of(move.source_arn))
        self._event("RDS-EVENT-0182", move.source_arn, both=move)
        self._instance_event("RDS-EVENT-0004", move.source_arn)
        if self._wait_until(move.started_s + self.switchover_s):
            return
        self._promote(cluster, move, pair)
        self._event("RDS-EVENT-0184", move.target_arn, both=move)
        for event_id in ("RDS-EVENT-0070", "RDS-EVENT-0006", "RDS-EVENT-0071"):
            self._instance_event(event_id, move.target_arn)
        self._event("RDS-EVENT-0185", move.target_arn, both=move)
        self._end(cluster, move)
        self._truth.took("rds.switchover", self.switchover_s, self._clock.now_s() - move.started_s)
        self._follow(cluster, move, pair)

    def _fail_over(self, cluster: GlobalCluster, move: Move, pair: DatabasePair | None) -> None:
        self._truth.record("rds.failover", cluster=move.cluster, target=move.target_arn)
        self._instance_event("RDS-EVENT-0072", move.target_arn)
        # "Write fencing": Aurora tries to stop the old primary's writes, so that none is taken that must be lost.
        source = region_of(move.source_arn)
        self._truth.record("rds.fenced", cluster=move.cluster, region=source, done=bool(pair and pair.fence(source)))
        if self._wait_until(move.started_s + self.failover_s):
            return
        self._promote(cluster, move, pair)
        for event_id in ("RDS-EVENT-0004", "RDS-EVENT-0006", "RDS-EVENT-0071"):
            self._instance_event(event_id, move.target_arn)
        self._event("RDS-EVENT-0238", move.target_arn)
        self._instance_event("RDS-EVENT-0004", move.source_arn)
        self._event("RDS-EVENT-0240", move.source_arn)
        self._end(cluster, move)
        self._truth.took("rds.failover", self.failover_s, self._clock.now_s() - move.started_s)
        self._follow(cluster, move, pair)
        self._event("RDS-EVENT-0241", move.source_arn)

    def _wait_until(self, lab_s: float) -> bool:
        return self._clock.wait(self._stopping, lab_s - self._clock.now_s())

    def _promote(self, cluster: GlobalCluster, move: Move, pair: DatabasePair | None) -> None:
        if pair:
            pair.promote(region_of(move.target_arn))
        self._truth.record("rds.promoted", cluster=move.cluster, region=region_of(move.target_arn))
        with self._lock:
            self._pending.add(move.source_arn)
            for member in cluster.members:
                member.is_writer = member.db_cluster_arn == move.target_arn

    def _end(self, cluster: GlobalCluster, move: Move) -> None:
        with self._lock:
            self._moves.pop(move.cluster, None)
        for member in cluster.members:
            member.status = "available"

    def _follow(self, cluster: GlobalCluster, move: Move, pair: DatabasePair | None) -> None:
        region = region_of(move.source_arn)
        while pair and not self._stopping.is_set():
            try:
                pair.follow(region)
                break
            except PairError as error:  # its Region may be down for long: it stays pending-resync
                self._truth.record("rds.follow_failed", region=region, why=str(error))
                self._clock.wait(self._stopping, FOLLOW_RETRY_S)
        self._instance_event("RDS-EVENT-0006", move.source_arn)
        with self._lock:
            self._pending.discard(move.source_arn)
        self._truth.record("rds.connected", cluster=move.cluster, region=region)

    def _event(self, event_id: str, arn: str, both: Move | None = None) -> None:
        """A cluster event about `arn`, in its own Region or in both of a move's."""
        for at in (both.source_arn, both.target_arn) if both else (arn,):
            name = at.rpartition(":")[2]
            source = ("db-cluster", name, at)
            event = make_event(
                event_id, source, self._clock.now(), name=arn.rpartition(":")[2], region=region_of(arn)
            )
            self._append(region_of(at), event)

    def _instance_event(self, event_id: str, arn: str) -> None:
        backend = rds_backends[self._server.account][region_of(arn)]
        for instance in backend.clusters[arn.rpartition(":")[2]].members[:1]:
            name = instance.db_instance_identifier
            of_cluster = event_id in {"RDS-EVENT-0070", "RDS-EVENT-0071", "RDS-EVENT-0072"}
            instance_source = ("db-instance", name, instance.db_instance_arn)
            source = ("db-cluster", arn.rpartition(":")[2], arn) if of_cluster else instance_source
            self._append(region_of(arn), make_event(event_id, source, self._clock.now(), name=name))

    def _append(self, region: str, event: Any) -> None:
        events = rds_backends[self._server.account][region].events
        events.append(event)
        del events[:-MAX_EVENTS]

    def shown(self, cluster: GlobalCluster) -> dict[str, Any]:
        """The global cluster as DescribeGlobalClusters shows it."""
        move = self._moves.get(cluster.global_cluster_identifier)
        found: dict[str, Any] = {
            "GlobalClusterIdentifier": cluster.global_cluster_identifier,
            "GlobalClusterResourceId": cluster.global_cluster_resource_id,
            "GlobalClusterArn": cluster.arn,
            "Status": move.status if move else cluster.status,
            "Engine": cluster.engine,
            "EngineVersion": cluster.engine_version,
            "StorageEncrypted": cluster.storage_encrypted,
            "DeletionProtection": cluster.deletion_protection,
            "Endpoint": cluster.endpoint,
            "GlobalClusterMembers": [self._shown_member(member) for member in cluster.global_cluster_members],
        }
        if move:
            found["FailoverState"] = {
                "Status": move.status,
                "FromDbClusterArn": move.source_arn,
                "ToDbClusterArn": move.target_arn,
                "IsDataLossAllowed": not move.planned,
            }
        return found

    def _shown_member(self, member: dict[str, Any]) -> dict[str, Any]:
        waiting = member["DBClusterArn"] in self._pending
        return {**member, "SynchronizationStatus": PENDING_RESYNC if waiting else CONNECTED}

    def now(self) -> datetime:
        """Lab time now, to which DescribeEvents looks back."""
        return self._clock.now()


def region_of(arn: str) -> str:
    """The Region in an ARN."""
    return arn.split(":")[3]


def _members(self: DBCluster) -> list[dict[str, Any]]:
    """DBClusterMembers: in a secondary cluster of a global database no instance is the writer."""
    secondary = self.global_cluster_identifier and not self.is_writer
    return [
        {
            "DBInstanceIdentifier": member.db_instance_identifier,
            "IsClusterWriter": member.is_cluster_writer and not secondary,
            "DBClusterParameterGroupStatus": "in-sync",
            "PromotionTier": member.promotion_tier,
        }
        for member in self.members
    ]


class _Rds(RDSResponse):
    """moto's RDS with global clusters that move; `world` is set by RdsGlobal on a subclass of its own."""

    world: RdsGlobal

    def describe_global_clusters(self) -> ActionResult:
        wanted = self.params.get("GlobalClusterIdentifier")
        known = self.global_backend.describe_global_clusters()
        clusters = [self.world.find(wanted)] if wanted else known
        return ActionResult({"GlobalClusters": [self.world.shown(cluster) for cluster in clusters]})

    def failover_global_cluster(self) -> ActionResult:
        lossy, planned = self.params.get("AllowDataLoss"), self.params.get("Switchover")
        if lossy and planned:
            what = "AllowDataLoss and Switchover exclude each other"
            raise AwsError("InvalidParameterCombination", what)
        return self._begin(planned=not lossy)

    def switchover_global_cluster(self) -> ActionResult:
        return self._begin(planned=True)

    def _begin(self, planned: bool) -> ActionResult:
        target = self.params["TargetDbClusterIdentifier"]
        cluster = self.world.begin(self.params["GlobalClusterIdentifier"], target, planned)
        return ActionResult({"GlobalCluster": self.world.shown(cluster)})

    def describe_events(self) -> ActionResult:
        return described(self, self.world.now())
