"""Elastic Load Balancing: one target more in a group than belongs there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
        if any(registered["Id"] == self.address for registered in registered_with(aws, look)):
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
            faulted=(Fact(look, times_registered(self.address), 1),),
            before=(Fact(look, times_registered(self.address), 0),),
        )


def registered_with(aws: Aws, look: Call) -> list[dict[str, Any]]:
    """The targets ({"Id", "Port"}) that DescribeTargetHealth shows; what drains is registered no more."""
    shown = aws.run(look)["TargetHealthDescriptions"]
    return [dict(target["Target"]) for target in shown if target["TargetHealth"]["State"] != "draining"]


def times_registered(address: str) -> str:
    """The path of a Fact over DescribeTargetHealth: how often that address is registered."""
    return f"length(TargetHealthDescriptions[?Target.Id=='{address}' && TargetHealth.State!='draining'])"
