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
        return flagged(aws, self.resource, "Inverted", self.effect, target, run_id)


def flagged(aws: Aws, resource: Resource, flag: str, effect: Effect, target: str, run_id: str) -> Change:
    """The change that sets a flag of the one health check. Refused when it is set. flag: as the API spells it."""
    found = find_one(aws, "route53.health_check", resource)
    check, region = {"HealthCheckId": found.extra["id"]}, resource.region
    look = Call("route53", "GetHealthCheck", check, region)
    if aws.run(look)["HealthCheck"]["HealthCheckConfig"].get(flag):
        raise Refused(f"health check {found.name} is {flag.lower()} already")
    shown = f"HealthCheck.HealthCheckConfig.{flag}"
    return Change(
        kind=f"route53.health_check_{flag.lower()}",
        target=target,
        run_id=run_id,
        resources=(found.arn,),
        effect=effect,
        inject=(Call("route53", "UpdateHealthCheck", {**check, flag: True}, region),),
        restore=(Call("route53", "UpdateHealthCheck", {**check, flag: False}, region),),
        faulted=(Fact(look, shown, True),),
        before=(Fact(look, shown, False),),
    )
