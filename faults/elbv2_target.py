"""Elastic Load Balancing: one target more in a group than belongs there."""

from __future__ import annotations

from dataclasses import dataclass

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Change
from drill.errors import Refused
from drill.find import find_one
from drill.target import Resource


@dataclass(frozen=True)
class RegisterTarget:
    """Register `address` with the one target group that `resource` matches, at the group's own port.

    Effect: none that clients see by itself.
    """

    resource: Resource
    address: str

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault. Refused when it is registered already: it would not be ours to take out."""
        found = find_one(aws, "elbv2.target_group", self.resource)
        group = {"TargetGroupArn": found.arn}
        look = Call("elbv2", "DescribeTargetHealth", group, found.region)
        there = f"length(TargetHealthDescriptions[?Target.Id=='{self.address}' && TargetHealth.State!='draining'])"
        shown = aws.run(look)["TargetHealthDescriptions"]
        if any(t["Target"]["Id"] == self.address and t["TargetHealth"]["State"] != "draining" for t in shown):
            raise Refused(f"{self.address} is registered with {found.name} already")
        params = group | {"Targets": [{"Id": self.address}]}
        return Change(
            kind="elbv2.target",
            target=target,
            run_id=run_id,
            resources=(found.arn,),
            effect="none",
            inject=(Call("elbv2", "RegisterTargets", params, found.region),),
            restore=(Call("elbv2", "DeregisterTargets", params, found.region),),
            faulted=(Fact(look, there, 1),),
            before=(Fact(look, there, 0),),
        )
