"""ECS: scale a service to another desired count (0: the service is gone, the cluster and the rest stay)."""

from __future__ import annotations

from dataclasses import dataclass

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Change
from drill.errors import Refused
from drill.find import find_one
from drill.target import Resource


@dataclass(frozen=True)
class ScaleEcsService:
    """Set the desired count of the one service that `resource` matches.

    desired: >= 0. Effect: clients see errors. In force when the running count has followed.
    """

    resource: Resource
    desired: int = 0

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault. Refused when the service already has the desired count: then there is nothing to break."""
        found = find_one(aws, "ecs.service", self.resource)
        region, keys = self.resource.region, {"cluster": found.extra["cluster"], "service": found.arn}
        look = Call("ecs", "DescribeServices", {"cluster": keys["cluster"], "services": [found.arn]}, region)
        before = int(aws.run(look)["services"][0]["desiredCount"])
        if before == self.desired:
            raise Refused(f"ECS service {found.name} in {region} already has a desired count of {before}")
        return Change(
            kind="ecs.scale",
            target=target,
            run_id=run_id,
            resources=(found.arn,),
            effect="errors",
            inject=(Call("ecs", "UpdateService", {**keys, "desiredCount": self.desired}, region),),
            restore=(Call("ecs", "UpdateService", {**keys, "desiredCount": before}, region),),
            faulted=(Fact(look, "services[0].desiredCount", self.desired),),
            before=(Fact(look, "services[0].desiredCount", before),),
            effective=(Fact(look, "services[0].runningCount", self.desired),),
            healed=(Fact(look, "services[0].runningCount", before),),
        )
