"""Elastic Load Balancing: the one target of a group is taken out, as by a hand that meant another one."""

from __future__ import annotations

from dataclasses import dataclass

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Change
from drill.errors import Refused
from drill.find import find_one
from drill.target import Resource
from faults.elbv2_target import registered_with, times_registered


@dataclass(frozen=True)
class DeregisterTarget:
    """Take the only target out of the one target group that `resource` matches.

    Effect: errors.
    """

    resource: Resource

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault. Refused unless exactly one target is registered: others would go on serving."""
        found = find_one(aws, "elbv2.target_group", self.resource)
        group = {"TargetGroupArn": found.arn}
        look = Call("elbv2", "DescribeTargetHealth", group, found.region)
        there = registered_with(aws, look)
        if len(there) != 1:
            registered = ", ".join(str(t["Id"]) for t in there) or "nothing"
            raise Refused(f"{found.name}: exactly one target must be registered to be taken out, not {registered}")
        params = group | {"Targets": [{"Id": there[0]["Id"], "Port": there[0]["Port"]}]}
        count = times_registered(str(there[0]["Id"]))
        return Change(
            kind="elbv2.deregister",
            target=target,
            run_id=run_id,
            resources=(found.arn,),
            effect="errors",
            inject=(Call("elbv2", "DeregisterTargets", params, found.region),),
            restore=(Call("elbv2", "RegisterTargets", params, found.region),),
            faulted=(Fact(look, count, 0),),
            before=(Fact(look, count, 1),),
        )
