"""Aurora global databases: move the writer to another Region. An Action: only another move brings it back."""

from __future__ import annotations

from dataclasses import dataclass

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Action, Effect
from drill.errors import Refused
from drill.find import Found, find_one
from drill.target import Resource

MEMBERS = "GlobalClusters[0].GlobalClusterMembers"


@dataclass(frozen=True)
class MoveGlobalCluster:
    """Move the writer of the one global cluster that `resource` matches to `region`.

    lossy False: a switchover (planned, needs both Regions healthy, loses nothing); True: a failover, which promotes
    what the Region has. timeout_s: target seconds until the writer is there. Refused by AWS while the cluster moves
    or a member is not connected yet. Where the writer is there already the end state holds before anything was
    called, and a drill refuses that; a plan, which moves nothing, tells the way back all the same. Effect: the
    Region moves.
    """

    resource: Resource
    region: str
    timeout_s: float
    lossy: bool = False
    effect: Effect = "region_moved"

    def prepare(self, aws: Aws, target: str, run_id: str) -> Action:
        """See Step. Refused when the cluster has no member in the Region."""
        found = find_one(aws, "rds.global_cluster", self.resource)
        look = Call("rds", "DescribeGlobalClusters", {"GlobalClusterIdentifier": found.name}, found.region)
        member = self._member(aws, look, found)
        here = f"length({MEMBERS}[?IsWriter && contains(DBClusterArn, ':{self.region}:')])"
        params = {"GlobalClusterIdentifier": found.name, "TargetDbClusterIdentifier": member}
        operation = "FailoverGlobalCluster" if self.lossy else "SwitchoverGlobalCluster"
        call = Call("rds", operation, params | ({"AllowDataLoss": True} if self.lossy else {}), self.region)
        return Action(
            kind="rds.failover" if self.lossy else "rds.switchover",
            target=target,
            run_id=run_id,
            resources=(found.arn, member),
            effect=self.effect,
            calls=(call,),
            end_state=(Fact(look, "GlobalClusters[0].Status", "available"), Fact(look, here, 1)),
            timeout_s=self.timeout_s,
            begun=(Fact(look, f"GlobalClusters[0].Status != 'available' || {here} == `1`", True),),
        )

    def _member(self, aws: Aws, look: Call, found: Found) -> str:
        """The ARN of the cluster's member in the Region."""
        shown = aws.run(look)["GlobalClusters"][0].get("GlobalClusterMembers", [])
        here = [m for m in shown if m["DBClusterArn"].split(":")[3] == self.region]
        if not here:
            raise Refused(f"global cluster {found.name} has no member in {self.region}")
        return str(here[0]["DBClusterArn"])
