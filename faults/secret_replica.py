"""Secrets Manager: take a secret's replica in another Region away; put back, it is replicated anew."""

from __future__ import annotations

from dataclasses import dataclass

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Change, Effect
from drill.errors import Refused
from drill.find import find_one
from drill.target import Resource


@dataclass(frozen=True)
class RemoveReplica:
    """Remove the replica in `region` of the one secret that `resource` matches, in the secret's own Region.

    effect: what clients see; none while nobody reads it there.
    """

    resource: Resource
    region: str
    effect: Effect = "none"

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault. Refused when there is no replica in sync there."""
        found = find_one(aws, "secretsmanager.secret", self.resource)
        home, name = self.resource.region, {"SecretId": found.arn}
        look = Call("secretsmanager", "DescribeSecret", name, home)
        replicas = {r["Region"]: r for r in aws.run(look).get("ReplicationStatus", ())}
        if replicas.get(self.region, {}).get("Status") != "InSync":
            raise Refused(f"secret {found.name} of {home} has no replica in sync in {self.region}")
        key = replicas[self.region].get("KmsKeyId")
        back = {"Region": self.region, **({"KmsKeyId": key} if key else {})}
        path = f"ReplicationStatus[?Region == '{self.region}'] | [0].Status"
        return Change(
            kind="secretsmanager.replica",
            target=target,
            run_id=run_id,
            resources=(found.arn,),
            effect=self.effect,
            inject=(
                Call(
                    "secretsmanager",
                    "RemoveRegionsFromReplication",
                    {**name, "RemoveReplicaRegions": [self.region]},
                    home,
                ),
            ),
            restore=(
                Call("secretsmanager", "ReplicateSecretToRegions", {**name, "AddReplicaRegions": [back]}, home),
            ),
            faulted=(Fact(look, path, None),),
            before=(Fact(look, path, "InSync"),),
        )
