"""An Aurora cluster of instances in one Region that fails over: its states, endpoints, events and notifications.

Control plane by moto's rds; what the instances do is an `Instances`, real databases. The course follows a published
sequence (2020-08-29): the start event, clients cut off 6 s later, served again after 17 s, the completion event after
25 s. The old writer comes back as a reader, which until then cannot take over. Events are also published to the SNS
topics of the account's event subscriptions, later than they happen.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError
from moto.core.responses import ActionResult
from moto.rds.models import DBCluster, rds_backends
from moto.rds.responses import RDSResponse

from lab.aws.protocol import AwsError
from lab.aws.rds import FOLLOW_RETRY_S, STOP_WALL_S, PairError
from lab.aws.rds_events import MAX_EVENTS, RdsEvent, described, make_event, notification
from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.dns import Answer, RRset
from lab.truth import Truth

CUT, SERVED = 6 / 25, 17 / 25
"""The shares of a failover after which clients are cut off, and served again."""
ENDPOINT_TTL_S = 5
READY_STEP_S = 5.0
FAILING = "failing-over"
log = logging.getLogger(__name__)


class Instances(Protocol):
    """The databases of a cluster by their identifiers. All steps block and raise PairError."""

    def crash(self, instance: str) -> None:
        """The writer is gone at once."""

    def promote(self, instance: str) -> None:
        """That instance takes writes."""

    def follow(self, instance: str) -> None:
        """That instance comes back as a reader."""

    def ready(self, instance: str) -> bool:
        """Whether that reader could take over, so that who follows the writer goes on there."""


class RdsCluster:
    """Serves RDS for `server`; one cluster. addresses: instance -> where it listens, for the endpoints' names.

    failover_s: lab seconds from the start event to the completion event; event_delay_s: from an event to its
    notification.
    """

    def __init__(
        self,
        server: AwsServer,
        clock: LabClock,
        truth: Truth,
        region: str,
        addresses: dict[str, str],
        failover_s: float,
        event_delay_s: float,
    ) -> None:
        self._server, self._clock, self._truth, self._region = server, clock, truth, region
        self._addresses, self._failover_s, self._event_delay_s = addresses, failover_s, event_delay_s
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._moving = False
        self._absent: set[str] = set()
        self._instances: Instances | None = None
        server.serve_class("rds", type("RdsCluster", (_Rds,), {"world": self}))

    def attach(self, instances: Instances) -> None:
        """The real databases; without them only the control plane moves."""
        self._instances = instances

    def stop(self) -> None:
        """End what is under way (it stays half done) and its threads."""
        self._over.set()
        for thread in self._threads:
            thread.join(STOP_WALL_S)

    def now(self) -> Any:
        """Lab time now, to which DescribeEvents looks back."""
        return self._clock.now()

    def fail_over(self, identifier: str, wanted: str | None) -> DBCluster:
        """Check and start a failover; AwsError as FailoverDBCluster names them."""
        cluster: DBCluster | None = self._backend().clusters.get(identifier)
        if cluster is None:
            raise AwsError("DBClusterNotFoundFault", f"DBCluster {identifier} not found.")
        with self._lock:
            names = [member.db_instance_identifier for member in cluster.members]
            writer = self._writer_of(cluster)
            able = [name for name in names if name != writer and name not in self._absent]
            if self._moving or not able or (wanted or able[0]) not in able:
                what = f"Cannot fail over cluster {identifier}: it is {cluster.status}, able to take over: {able}"
                raise AwsError("InvalidDBClusterStateFault", what)
            self._moving, cluster.status = True, FAILING
        self._spawn(self._move, cluster, writer, wanted or able[0])
        return cluster

    def answer(self, name: str, rtype: str) -> Answer | None:
        """What AWS's own zone says of the cluster's and its instances' endpoints; None for other names."""
        address = self._address(name.rstrip("."))
        if address is None:
            return None
        return Answer("NOERROR", (RRset(name, "A", ENDPOINT_TTL_S, (address,)),) if rtype == "A" else ())

    def _address(self, name: str) -> str | None:
        for cluster in list(self._backend().clusters.values()):
            if name == str(cluster.endpoint).lower():
                return self._addresses.get(self._writer_of(cluster))
        return None

    # -- one failover -----------------------------------------------------------------------------------------

    def _move(self, cluster: DBCluster, writer: str, reader: str) -> None:
        began_s = self._clock.now_s()
        self._truth.record("rds.failover", writer=writer, target=reader)
        self._event("RDS-EVENT-0073", cluster, name=reader)
        steps: tuple[tuple[float, Callable[[], None]], ...] = (
            (CUT, lambda: self._cut(writer)),
            (SERVED, lambda: self._promote(cluster, reader)),
            (1.0, lambda: self._complete(cluster, reader)),
        )
        for share, step in steps:
            if self._clock.wait(self._over, began_s + share * self._failover_s - self._clock.now_s()):
                return
            try:
                step()
            except PairError as error:
                self._truth.record("rds.failed", why=str(error))
                self._event("RDS-EVENT-0069", cluster)
                self._ended(cluster)
                return
        self._truth.took("rds.failover", self._failover_s, self._clock.now_s() - began_s)
        self._come_back(writer)

    def _cut(self, writer: str) -> None:
        self._absent.add(writer)
        if self._instances:
            self._instances.crash(writer)
        self._truth.record("rds.cut", instance=writer)

    def _promote(self, cluster: DBCluster, reader: str) -> None:
        if self._instances:
            self._instances.promote(reader)
        with self._lock:
            for member in cluster.members:
                member.is_cluster_writer = member.db_instance_identifier == reader
        self._truth.record("rds.promoted", instance=reader)
        self._instance_event("RDS-EVENT-0006", reader)

    def _complete(self, cluster: DBCluster, reader: str) -> None:
        self._event("RDS-EVENT-0071", cluster, name=reader)
        self._ended(cluster)

    def _ended(self, cluster: DBCluster) -> None:
        with self._lock:
            self._moving, cluster.status = False, "available"

    def _come_back(self, writer: str) -> None:
        while self._instances and not self._over.is_set():
            try:
                self._instances.follow(writer)
                break
            except PairError as error:
                self._truth.record("rds.follow_failed", instance=writer, why=str(error))
                self._clock.wait(self._over, FOLLOW_RETRY_S)
        self._truth.record("rds.connected", instance=writer)
        self._instance_event("RDS-EVENT-0006", writer)
        while self._instances and not self._instances.ready(writer):
            if self._clock.wait(self._over, READY_STEP_S):
                return
        self._absent.discard(writer)
        self._truth.record("rds.able", instance=writer)

    # -- events -----------------------------------------------------------------------------------------------

    def _event(self, event_id: str, cluster: DBCluster, **names: str) -> None:
        source = ("db-cluster", cluster.db_cluster_identifier, cluster.db_cluster_arn)
        self._tell(make_event(event_id, source, self._clock.now(), **names))

    def _instance_event(self, event_id: str, name: str) -> None:
        arn = self._backend().databases[name].db_instance_arn
        self._tell(make_event(event_id, ("db-instance", name, arn), self._clock.now()))

    def _tell(self, event: RdsEvent) -> None:
        events = self._backend().events
        events.append(event)
        del events[:-MAX_EVENTS]
        topics = [s.sns_topic_arn for s in self._backend().event_subscriptions.values() if _wants(s, event)]
        if topics:
            self._spawn(self._notify, topics, notification(event))

    def _notify(self, topics: list[str], message: str) -> None:
        if self._clock.wait(self._over, self._event_delay_s):
            return
        for topic in topics:
            try:
                sns = self._server.client("sns", self._region)
                sns.publish(TopicArn=topic, Subject="RDS Notification Message", Message=message)
            except (ClientError, BotoCoreError):
                log.exception("the notification to %s is lost, as a best-effort event may be", topic)

    def _spawn(self, run: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, name="rds-cluster", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _backend(self) -> Any:
        return rds_backends[self._server.account][self._region]

    @staticmethod
    def _writer_of(cluster: DBCluster) -> str:
        return next((str(m.db_instance_identifier) for m in cluster.members if m.is_cluster_writer), "")


def _wants(subscription: Any, event: RdsEvent) -> bool:
    """Whether an event subscription asks for it; what it leaves open is any."""
    categories = subscription.event_categories or event.event_categories
    ids = subscription.source_ids or [event.source_identifier]
    kind = subscription.source_type or event.source_type
    return bool(
        kind == event.source_type and event.source_identifier in ids and set(categories) & set(event.event_categories)
    )


class _Rds(RDSResponse):
    """moto's RDS with a cluster that moves; `world` is set by RdsCluster on a subclass of its own."""

    world: RdsCluster

    def failover_db_cluster(self) -> ActionResult:
        params = self.params
        cluster = self.world.fail_over(params["DBClusterIdentifier"], params.get("TargetDBInstanceIdentifier"))
        return ActionResult({"DBCluster": cluster})

    def describe_events(self) -> ActionResult:
        return described(self, self.world.now())
