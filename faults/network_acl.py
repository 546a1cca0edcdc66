"""EC2: make every rule of a network ACL deny. Its subnets are a black hole: nothing in, nothing out, no refusal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Change, Effect
from drill.errors import Refused
from drill.find import find_one
from drill.target import Resource

ACL = "NetworkAcls[0]"


@dataclass(frozen=True)
class DenyNetworkAcl:
    """Turn each allowing rule of the one network ACL that `resource` matches (by its tag Name, else its id) to deny.

    The rules stay where they are, and so do the subnets' associations: an association gets a new id whenever it is
    replaced, which nobody could write down before. The ACL and each subnet that it is for must lie inside the blast
    radius, by their ids. Effect: clients of the Region see errors, after their own timeouts.
    """

    resource: Resource
    effect: Effect = "errors"

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault. Refused when the ACL is for no subnet, or allows nothing."""
        found = find_one(aws, "ec2.network_acl", self.resource)
        region, acl = self.resource.region, {"NetworkAclId": found.extra["id"]}
        look = Call("ec2", "DescribeNetworkAcls", {"NetworkAclIds": [found.extra["id"]]}, region)
        shown = aws.run(look)["NetworkAcls"][0]
        entries = [entry for entry in shown["Entries"] if entry["RuleAction"] == "allow"]
        subnets = sorted(each["SubnetId"] for each in shown["Associations"])
        if not entries or not subnets:
            why = "allows nothing already" if subnets else "is for no subnet"
            raise Refused(f"network ACL {found.name} in {region} {why}: there is nothing to break")
        denied = [{**entry, "RuleAction": "deny"} for entry in entries]
        place = found.arn.rpartition(":")[0]
        return Change(
            kind="ec2.network_acl",
            target=target,
            run_id=run_id,
            resources=(found.arn, *(f"{place}:subnet/{subnet}" for subnet in subnets)),
            effect=self.effect,
            inject=tuple(Call("ec2", "ReplaceNetworkAclEntry", {**acl, **entry}, region) for entry in denied),
            restore=tuple(Call("ec2", "ReplaceNetworkAclEntry", {**acl, **entry}, region) for entry in entries),
            faulted=tuple(_fact(look, entry) for entry in denied),
            before=tuple(_fact(look, entry) for entry in entries),
        )


def _fact(look: Call, entry: dict[str, Any]) -> Fact:
    side = "true" if entry["Egress"] else "false"
    return Fact(look, f"{ACL}.Entries[?RuleNumber == `{entry['RuleNumber']}` && Egress == `{side}`] | [0]", entry)
