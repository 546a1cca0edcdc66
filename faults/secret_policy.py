"""Secrets Manager: let nobody read a secret's value, by its resource policy. The value itself is never seen."""

from __future__ import annotations

import json
from dataclasses import dataclass

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Change, Effect
from drill.errors import Refused
from drill.find import find_one
from drill.target import Resource

DENY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "FailoverDrill",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "secretsmanager:GetSecretValue",
            "Resource": "*",
        }
    ],
}


@dataclass(frozen=True)
class DenySecret:
    """Deny everybody the value of the one secret that `resource` matches, in its own Region and in its replicas.

    effect: what clients see: errors, where each request reads it; none, where only the operators' tools do.
    """

    resource: Resource
    effect: Effect = "errors"

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault. Refused for a replica (its policy is that of the secret it copies), and when it is denied."""
        found = find_one(aws, "secretsmanager.secret", self.resource)
        region, name = self.resource.region, {"SecretId": found.arn}
        home = aws.run(Call("secretsmanager", "DescribeSecret", name, region)).get("PrimaryRegion", region)
        if home != region:
            raise Refused(f"secret {found.name} in {region} is a replica: its policy is set in {home}")
        look, denied = Call("secretsmanager", "GetResourcePolicy", name, region), json.dumps(DENY)
        before = aws.run(look).get("ResourcePolicy")
        if before == denied:
            raise Refused(f"secret {found.name} in {region} is denied to everybody already")
        put = Call("secretsmanager", "PutResourcePolicy", {**name, "ResourcePolicy": denied}, region)
        back = (
            Call("secretsmanager", "DeleteResourcePolicy", name, region)
            if before is None
            else Call("secretsmanager", "PutResourcePolicy", {**name, "ResourcePolicy": before}, region)
        )
        return Change(
            kind="secretsmanager.policy",
            target=target,
            run_id=run_id,
            resources=(found.arn,),
            effect=self.effect,
            inject=(put,),
            restore=(back,),
            faulted=(Fact(look, "ResourcePolicy", denied),),
            before=(Fact(look, "ResourcePolicy", before),),
        )
