"""Route 53: invert a health check, so that what is healthy counts as unhealthy and names lead elsewhere.

It tests everything after detection, and nothing of it: the alarm and its data are not asked.
"""

from __future__ import annotations

from dataclasses import dataclass

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Change, Effect
from drill.errors import Refused
from drill.find import find_one
from drill.target import Resource


@dataclass(frozen=True)
class InvertHealthCheck:
    """Invert the one health check that `resource` matches, by its Name tag or id.

    Effect: clients are served from the other Region, or not at all where that one cannot. Refused when it is inverted
    already. An update of any kind makes a check on an alarm take over the alarm's settings of that moment, injecting
    and restoring alike.
    """

    resource: Resource
    effect: Effect = "region_moved"

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault."""
        found = find_one(aws, "route53.health_check", self.resource)
        check, region = {"HealthCheckId": found.extra["id"]}, self.resource.region
        look = Call("route53", "GetHealthCheck", check, region)
        if aws.run(look)["HealthCheck"]["HealthCheckConfig"].get("Inverted"):
            raise Refused(f"health check {found.name} is inverted already")
        inverted = "HealthCheck.HealthCheckConfig.Inverted"
        return Change(
            kind="route53.health_check_inverted",
            target=target,
            run_id=run_id,
            resources=(found.arn,),
            effect=self.effect,
            inject=(Call("route53", "UpdateHealthCheck", {**check, "Inverted": True}, region),),
            restore=(Call("route53", "UpdateHealthCheck", {**check, "Inverted": False}, region),),
            faulted=(Fact(look, inverted, True),),
            before=(Fact(look, inverted, False),),
        )
