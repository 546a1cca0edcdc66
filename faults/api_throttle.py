"""API Gateway: set the throttle of all methods of a stage (0: every request is refused with 429)."""

from __future__ import annotations

from dataclasses import dataclass

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Change
from drill.errors import Refused
from drill.find import find_one
from drill.target import Resource

ALL = "*/*"


@dataclass(frozen=True)
class ThrottleStage:
    """Let all methods of the one stage that `resource` matches take `rate_per_s` requests a second.

    within of the resource: the REST API's name. Effect: clients see errors. The stage's ARN names no account, so that
    only the guard of the credentials' account keeps it from another one's.
    """

    resource: Resource
    rate_per_s: float = 0.0

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault. Refused when the stage has no settings for all methods (taking new ones away is not putting
        back), or has that rate already."""
        found = find_one(aws, "apigateway.stage", self.resource)
        region, name = self.resource.region, {"restApiId": found.extra["api"], "stageName": found.name}
        look = Call("apigateway", "GetStage", name, region)
        every = aws.run(look).get("methodSettings", {}).get(ALL)
        if every is None:
            raise Refused(
                f"stage {found.name} in {region} has no settings for all methods: give it its throttle first"
            )
        before = float(every["throttlingRateLimit"])
        if before == self.rate_per_s:
            raise Refused(f"stage {found.name} in {region} is throttled to {before:g} requests a second already")
        path = f'methodSettings."{ALL}".throttlingRateLimit'
        return Change(
            kind="apigateway.throttle",
            target=target,
            run_id=run_id,
            resources=(found.arn,),
            effect="errors",
            inject=(_set(name, self.rate_per_s, region),),
            restore=(_set(name, before, region),),
            faulted=(Fact(look, path, self.rate_per_s),),
            before=(Fact(look, path, before),),
        )


def _set(name: dict[str, str], rate_per_s: float, region: str) -> Call:
    patch = {"op": "replace", "path": f"/{ALL}/throttling/rateLimit", "value": f"{rate_per_s:g}"}
    return Call("apigateway", "UpdateStage", {**name, "patchOperations": [patch]}, region)
