"""SNS: a subscription whose filter lets nothing through, as if the messages had never been sent."""

from __future__ import annotations

import json
from dataclasses import dataclass

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Change
from drill.errors import Refused
from drill.find import find_one
from drill.target import Resource

NOTHING = json.dumps({"failover-drill": ["lets nothing through"]})
POLICY = "Attributes.FilterPolicy"


@dataclass(frozen=True)
class FilterEverything:
    """Give the one subscription that `resource` matches a filter policy that no message of this world meets.

    Effect: none that clients see by itself. SNS follows a changed policy only after up to 15 minutes on AWS.
    """

    resource: Resource

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault. Refused when the filter is ours already."""
        found = find_one(aws, "sns.subscription", self.resource)
        look = Call("sns", "GetSubscriptionAttributes", {"SubscriptionArn": found.arn}, found.region)
        before = str(aws.run(look)["Attributes"].get("FilterPolicy", ""))
        if before == NOTHING:
            raise Refused(f"the subscription of {found.name} lets nothing through already")

        def put(policy: str) -> Call:
            key = {"SubscriptionArn": found.arn, "AttributeName": "FilterPolicy", "AttributeValue": policy}
            return Call("sns", "SetSubscriptionAttributes", key, found.region)

        return Change(
            kind="sns.filter",
            target=target,
            run_id=run_id,
            resources=(found.extra["topic"], found.arn),
            effect="none",
            inject=(put(NOTHING),),
            restore=(put(before or "{}"),),
            faulted=(Fact(look, POLICY, NOTHING),),
            before=(Fact(look, POLICY, before),),
        )
