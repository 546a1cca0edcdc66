"""EventBridge: enable or disable a rule. Disabling breaks an automation; enabling arms one that ships disabled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Change
from drill.errors import Refused
from drill.find import find_one
from drill.target import Resource


@dataclass(frozen=True)
class SetRuleState:
    """Put the one rule that `resource` matches (of the bus `within`, the default one without it) into `state`.

    Effect: none that clients see by itself.
    """

    resource: Resource
    state: Literal["ENABLED", "DISABLED"]

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault. Refused when the rule is in that state already: it would not be ours to put back."""
        found = find_one(aws, "events.rule", self.resource)
        region, bus = self.resource.region, found.extra["bus"]
        name = {"Name": found.name} if bus == "default" else {"Name": found.name, "EventBusName": bus}
        look = Call("events", "DescribeRule", name, region)
        before = str(aws.run(look)["State"])
        if before == self.state:
            raise Refused(f"EventBridge rule {found.name} in {region} is {before} already")
        operations = {"ENABLED": "EnableRule", "DISABLED": "DisableRule"}
        return Change(
            kind="events.rule",
            target=target,
            run_id=run_id,
            resources=(found.arn,),
            effect="none",
            inject=(Call("events", operations[self.state], name, region),),
            restore=(Call("events", operations[before], name, region),),
            faulted=(Fact(look, "State", self.state),),
            before=(Fact(look, "State", before),),
            # An automation that ships disabled may be disarmed at any time; one that was armed by its owners may
            # have been disarmed by them meanwhile, so arming it again needs a look first.
            blind_safe=before == "DISABLED",
        )
