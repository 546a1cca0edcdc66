"""The published function: an event of a failover's start turns the load balancer to the instance that it names.

Defects included. It acts before the promotion, knows addresses from a map made at deployment, takes the first target
for the only one, deregisters before it registers, does nothing when the group is empty, looks at one record only,
and does not ask whose event it is.
"""

from __future__ import annotations

import json
from typing import Any

from lab.aws.functions import FunctionContext

ADDRESSES, GROUP, PORT = "IP_DICT", "TARGET_GROUP_ARN", "PORT"
"""Its environment variables: JSON of instance -> address, the target group, the port of the database."""


def handler(event: dict[str, Any], context: FunctionContext) -> str:
    """What it says in the end; an error of AWS passes, and Lambda tries again."""
    message = json.loads(event["Records"][0]["Sns"]["Message"])
    if "Source ID" not in message:
        return "no source"
    instance = str(message["Event Message"]).rpartition(": ")[2]
    new = json.loads(context.environment[ADDRESSES]).get(instance)
    if new is None:
        return f"unknown instance {instance}"
    group, port = context.environment[GROUP], int(context.environment[PORT])
    elb = context.client("elbv2")
    targets = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    if not targets:
        return "no target"
    old = str(targets[0]["Target"]["Id"])
    if old == new:
        return "no change"
    elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": old, "Port": port}])
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": new, "Port": port}])
    return f"{old} -> {new}"
