"""EventBridge: take all targets away from a rule. It still matches, and what matches goes nowhere."""

from __future__ import annotations

from dataclasses import dataclass

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Change
from drill.errors import Refused
from drill.find import find_one
from drill.target import Resource


@dataclass(frozen=True)
class RemoveTargets:
    """Remove every target of the one rule that `resource` matches; restore puts the same ones.

    Putting back a target that has a role needs iam:PassRole for it, which the target's rights must have besides. What
    a target carries (Input) goes into the journal. Effect: none that clients see by itself.
    """

    resource: Resource

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault. Refused when the rule has no targets, or more than one page of them."""
        found = find_one(aws, "events.targets", self.resource)
        region, rule = self.resource.region, {"Rule": found.name, "EventBusName": found.extra["bus"]}
        look = Call("events", "ListTargetsByRule", rule, region)
        reply = aws.run(look)
        if not reply["Targets"]:
            raise Refused(f"EventBridge rule {found.name} in {region} has no targets: there is nothing to remove")
        if reply.get("NextToken"):
            raise Refused(f"EventBridge rule {found.name} in {region} has more targets than one page: too many")
        targets = list(reply["Targets"])  # put back in the order in which they were listed, compared in any
        path = "sort_by(Targets, &Id)"
        return Change(
            kind="events.targets",
            target=target,
            run_id=run_id,
            resources=(found.arn,),
            effect="none",
            inject=(Call("events", "RemoveTargets", {**rule, "Ids": [each["Id"] for each in targets]}, region),),
            restore=(Call("events", "PutTargets", {**rule, "Targets": targets}, region),),
            faulted=(Fact(look, path, []),),
            before=(Fact(look, path, sorted(targets, key=lambda each: str(each["Id"]))),),
        )
