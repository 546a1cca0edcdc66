"""Aurora global databases: move the writer to another Region. An Action: only another move brings it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Action, Effect
from drill.errors import Refused
from drill.find import Found, find_one
from drill.target import Resource


@dataclass(frozen=True)
class MoveGlobalClusters:
    """Move the writers of the global clusters that `resources` match, one each, to `region`, all at the same time.

    lossy False: a switchover (planned, needs both Regions healthy, loses nothing); True: a failover, which promotes
    what the Region has. timeout_s: target seconds until every writer is there and everything is connected again.
    """

    resources: Sequence[Resource]
    region: str
    timeout_s: float
    lossy: bool = False
    effect: Effect = "region_moved"

    def prepare(self, aws: Aws, target: str, run_id: str) -> Action:
        """See Step. Refused when a cluster has no member in the Region, or its writer is there already."""
        found = [find_one(aws, "rds.global_cluster", resource) for resource in self.resources]
        return Action(
            kind="rds.failover" if self.lossy else "rds.switchover",
            target=target,
            run_id=run_id,
            # A global cluster's own ARN names no Region; the blast radius is that of the Region that is asked.
            resources=tuple(_in_region(cluster) for cluster in found),
            effect=self.effect,
            calls=tuple(self._move(cluster, self._member(aws, cluster)) for cluster in found),
            end_state=tuple(fact for cluster in found for fact in self._facts(cluster)),
            timeout_s=self.timeout_s,
        )

    def _member(self, aws: Aws, cluster: Found) -> str:
        """The ARN of the cluster's member in the Region."""
        shown = aws.run(_look(cluster))["GlobalClusters"][0]["GlobalClusterMembers"]
        here = [m for m in shown if m["DBClusterArn"].split(":")[3] == self.region]
        if not here:
            raise Refused(f"global cluster {cluster.name} has no member in {self.region}")
        if here[0]["IsWriter"]:
            raise Refused(f"the writer of global cluster {cluster.name} is in {self.region} already")
        return str(here[0]["DBClusterArn"])

    def _move(self, cluster: Found, member: str) -> Call:
        params = {"GlobalClusterIdentifier": cluster.name, "TargetDbClusterIdentifier": member}
        more = {"AllowDataLoss": True} if self.lossy else {}
        operation = "FailoverGlobalCluster" if self.lossy else "SwitchoverGlobalCluster"
        return Call("rds", operation, params | more, self.region)

    def _facts(self, cluster: Found) -> tuple[Fact, ...]:
        here = f"GlobalClusters[0].GlobalClusterMembers[?IsWriter && contains(DBClusterArn, ':{self.region}:')]"
        return (*_whole(cluster), Fact(_look(cluster), f"length({here})", 1))


@dataclass(frozen=True)
class AwaitConnected:
    """Wait until the global clusters that `resources` match are whole: a step of an operator that calls nothing.

    After a lossy failover the old writer comes back as a reader in its own time, and until then Aurora refuses every
    further move.
    """

    resources: Sequence[Resource]
    timeout_s: float

    def prepare(self, aws: Aws, target: str, run_id: str) -> Action:
        """See Step."""
        found = [find_one(aws, "rds.global_cluster", resource) for resource in self.resources]
        return Action(
            kind="rds.await_connected",
            target=target,
            run_id=run_id,
            resources=tuple(_in_region(cluster) for cluster in found),
            effect="none",
            calls=(),
            end_state=tuple(fact for cluster in found for fact in _whole(cluster)),
            timeout_s=self.timeout_s,
        )


def _whole(cluster: Found) -> tuple[Fact, ...]:
    """The cluster is available and each of its members connected."""
    members = "GlobalClusters[0].GlobalClusterMembers"
    return (
        Fact(_look(cluster), "GlobalClusters[0].Status", "available"),
        Fact(_look(cluster), f"length({members}[?SynchronizationStatus != 'connected'])", 0),
    )


def _look(cluster: Found) -> Call:
    return Call("rds", "DescribeGlobalClusters", {"GlobalClusterIdentifier": cluster.name}, cluster.region)


def _in_region(cluster: Found) -> str:
    account = cluster.arn.split(":")[4]
    return f"arn:aws:rds:{cluster.region}:{account}:global-cluster:{cluster.name}"
