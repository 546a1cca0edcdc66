"""Aurora: fail a cluster over to another of its instances. An Action: only another failover brings it back."""

from __future__ import annotations

from dataclasses import dataclass

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Action, Effect
from drill.errors import Refused
from drill.find import find_one
from drill.target import Resource

MEMBERS = "DBClusters[0].DBClusterMembers"


@dataclass(frozen=True)
class FailOverCluster:
    """Make a reader of the one cluster that `resource` matches its writer.

    instance: which, None for the only reader there is. timeout_s: target seconds until it is. Refused by AWS while
    the cluster fails over. Effect: clients see errors while the writer changes.
    """

    resource: Resource
    timeout_s: float
    instance: str | None = None
    effect: Effect = "errors"

    def prepare(self, aws: Aws, target: str, run_id: str) -> Action:
        """See Step. Refused when the cluster has not exactly one reader to choose, or not the one that is named."""
        found = find_one(aws, "rds.cluster", self.resource)
        look = Call("rds", "DescribeDBClusters", {"DBClusterIdentifier": found.name}, found.region)
        members = aws.run(look)["DBClusters"][0].get("DBClusterMembers", [])
        readers = [m["DBInstanceIdentifier"] for m in members if not m["IsClusterWriter"]]
        chosen = [name for name in readers if self.instance in (None, name)]
        if len(chosen) != 1:
            raise Refused(
                f"cluster {found.name} has the readers {', '.join(readers) or 'none'}: exactly one must be meant, "
                f"asked for {self.instance or 'the only one'}"
            )
        writes = f"{MEMBERS}[?IsClusterWriter].DBInstanceIdentifier | [0] == '{chosen[0]}'"
        params = {"DBClusterIdentifier": found.name, "TargetDBInstanceIdentifier": chosen[0]}
        return Action(
            kind="rds.instance_failover",
            target=target,
            run_id=run_id,
            resources=(found.arn,),
            effect=self.effect,
            calls=(Call("rds", "FailoverDBCluster", params, found.region),),
            end_state=(Fact(look, "DBClusters[0].Status", "available"), Fact(look, writes, True)),
            timeout_s=self.timeout_s,
            begun=(Fact(look, f"DBClusters[0].Status != 'available' || {writes}", True),),
        )
