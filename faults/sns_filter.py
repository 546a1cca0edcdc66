"""SNS: a subscription that lets through only what a drill has crafted, as if the true messages were lost."""

from __future__ import annotations

import json
from dataclasses import dataclass

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Change
from drill.errors import Refused
from drill.find import find_one
from drill.target import Resource

CRAFTED = {"failover-drill": ["crafted"]}
"""The key that crafted messages have (faults/sns_publish.py) and no message of a service."""


@dataclass(frozen=True)
class LoseMessages:
    """Narrow the filter policy of the one subscription that `resource` matches to messages that are crafted.

    What the subscription asks for else stays asked for. Effect: none that clients see by itself. On AWS a changed
    policy is in force only after up to 15 minutes.
    """

    resource: Resource

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault. Refused when the filter is ours already, or does not look into the message's body."""
        found = find_one(aws, "sns.subscription", self.resource)
        look = Call("sns", "GetSubscriptionAttributes", {"SubscriptionArn": found.arn}, found.region)
        attributes = aws.run(look)["Attributes"]
        before = str(attributes.get("FilterPolicy", ""))
        policy = json.loads(before or "{}")
        if attributes.get("FilterPolicyScope") != "MessageBody" or not policy:
            raise Refused(f"the subscription of {found.name} has no filter on the message's body: nothing to narrow")
        if policy.keys() & CRAFTED.keys():
            raise Refused(f"the subscription of {found.name} lets only crafted messages through already")
        after = json.dumps(policy | CRAFTED)

        def put(text: str) -> Call:
            key = {"SubscriptionArn": found.arn, "AttributeName": "FilterPolicy", "AttributeValue": text}
            return Call("sns", "SetSubscriptionAttributes", key, found.region)

        return Change(
            kind="sns.filter",
            target=target,
            run_id=run_id,
            resources=(found.extra["topic"],),
            effect="none",
            inject=(put(after),),
            restore=(put(before),),
            faulted=(Fact(look, "Attributes.FilterPolicy", after),),
            before=(Fact(look, "Attributes.FilterPolicy", before),),
        )
