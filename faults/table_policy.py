"""DynamoDB: let nobody make certain calls to a table's items, by its resource policy. No item is touched."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Change, Effect
from drill.errors import Refused
from drill.find import find_one
from drill.target import Resource

SID = "FailoverDrill"
ON_ITEMS = ("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan", "BatchGetItem", "BatchWriteItem")
"""What may be denied: never what the policy is put back by."""


@dataclass(frozen=True)
class DenyTable:
    """Deny everybody `operations` on the one table that `resource` matches, in its Region; its replicas go on.

    operations: of ON_ITEMS. effect: what clients see: errors, where their requests need it; none, where only the
    operators' machines do. What the policy said before stays in it.
    """

    resource: Resource
    operations: tuple[str, ...]
    effect: Effect = "none"

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault. Refused for an operation that is not on items, and when a drill denies something already."""
        found = find_one(aws, "dynamodb.table", self.resource)
        region, table = self.resource.region, {"ResourceArn": found.arn}
        if strange := sorted(set(self.operations) - set(ON_ITEMS)):
            raise Refused(f"{', '.join(strange)} cannot be denied; these can: {', '.join(ON_ITEMS)}")
        look = Call("dynamodb", "GetResourcePolicy", table, region)
        (reading,) = aws.read([Fact(look, "Policy", None, ("PolicyNotFoundException",))])
        before = reading.observed
        if f'"{SID}"' in (before or "") or not self.operations:
            raise Refused(f"table {found.name} in {region}: there is nothing to deny, or a drill denies it already")
        denied = json.dumps(self._policy(found.arn, json.loads(before or "{}")))

        def put(policy: str) -> Call:
            return Call("dynamodb", "PutResourcePolicy", {**table, "Policy": policy}, region)

        back = put(before) if before else Call("dynamodb", "DeleteResourcePolicy", table, region)
        return Change(
            kind="dynamodb.policy",
            target=target,
            run_id=run_id,
            resources=(found.arn,),
            effect=self.effect,
            inject=(put(denied),),
            restore=(back,),
            faulted=(Fact(look, "Policy", denied, ("PolicyNotFoundException",)),),
            before=(Fact(look, "Policy", before, ("PolicyNotFoundException",)),),
        )

    def _policy(self, arn: str, before: dict[str, Any]) -> dict[str, Any]:
        actions = [f"dynamodb:{operation}" for operation in self.operations]
        ours = {"Sid": SID, "Effect": "Deny", "Principal": "*", "Action": actions, "Resource": arn}
        return {"Version": "2012-10-17", **before, "Statement": [*before.get("Statement", []), ours]}
