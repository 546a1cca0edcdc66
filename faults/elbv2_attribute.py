"""Elastic Load Balancing: another value for one attribute of a target group."""

from __future__ import annotations

from dataclasses import dataclass

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Change
from drill.errors import Refused
from drill.find import find_one
from drill.target import Resource


@dataclass(frozen=True)
class SetGroupAttribute:
    """Set the attribute `key` of the one target group that `resource` matches to `value`.

    key, value: as ModifyTargetGroupAttributes has them, e.g. "deregistration_delay.timeout_seconds" and "300".
    Effect: none that clients see by itself.
    """

    resource: Resource
    key: str
    value: str

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault. Refused when the group has no such attribute, or it has that value already."""
        found = find_one(aws, "elbv2.target_group", self.resource)
        group = {"TargetGroupArn": found.arn}
        look = Call("elbv2", "DescribeTargetGroupAttributes", group, found.region)
        known = {str(a["Key"]): str(a["Value"]) for a in aws.run(look)["Attributes"]}
        if self.key not in known:
            raise Refused(f"target group {found.name} has no attribute {self.key}; it has {', '.join(sorted(known))}")
        if known[self.key] == self.value:
            raise Refused(f"{self.key} of target group {found.name} is {self.value} already")

        def put(value: str) -> Call:
            attributes = [{"Key": self.key, "Value": value}]
            return Call("elbv2", "ModifyTargetGroupAttributes", group | {"Attributes": attributes}, found.region)

        path = f"Attributes[?Key=='{self.key}'].Value | [0]"
        return Change(
            kind="elbv2.attribute",
            target=target,
            run_id=run_id,
            resources=(found.arn,),
            effect="none",
            inject=(put(self.value),),
            restore=(put(known[self.key]),),
            faulted=(Fact(look, path, self.value),),
            before=(Fact(look, path, known[self.key]),),
        )
