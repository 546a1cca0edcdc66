"""Resource policies of DynamoDB tables: what one denies to everybody is refused.

DynamoDB developer guide, "Resource-based policies": a policy is that of one table in one Region, and a replica has
its own; a transaction needs the rights of the calls that it is made of. DeleteResourcePolicy is idempotent (API
reference), which moto's is not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from moto.dynamodb.models import DynamoDBBackend

from lab.aws.patching import replace
from lab.aws.protocol import ApiCall, error_reply
from lab.aws.resource_policy import denies, refused
from lab.aws.wire import HttpReply

_PARTS = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
    "Get": "GetItem",
}

_moto_delete = DynamoDBBackend.delete_resource_policy


def install() -> None:
    """Let a policy that is not there be deleted. Idempotent."""
    replace(DynamoDBBackend, "delete_resource_policy", _delete)


def _delete(self: DynamoDBBackend, resource_arn: str, expected_revision_id: str | None) -> None:
    there = resource_arn in self.resource_policies or resource_arn.rpartition("/")[2] not in self.tables
    if there or expected_revision_id:
        _moto_delete(self, resource_arn, expected_revision_id)


def refusal(call: ApiCall, backend: Any, account: str) -> HttpReply | None:
    """What a call that a table's policy denies is told; None for any other. backend: moto's, of the call's Region."""
    if not backend.resource_policies:
        return None
    for operation, table in _asked(call.target_operation, json.loads(call.http.body)):
        arn = f"arn:aws:dynamodb:{call.region}:{account}:table/{table.rpartition('/')[2]}"
        policy, action = backend.resource_policies.get(arn), f"dynamodb:{operation}"
        if policy is not None and denies(policy.policy_doc, action):
            return error_reply(call, 400, "AccessDeniedException", refused(account, action, arn))
    return None


def _asked(operation: str, body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(operation, table) of everything that a call needs a right for."""
    if operation in ("BatchGetItem", "BatchWriteItem"):
        yield from ((operation, table) for table in body.get("RequestItems", {}))
    elif operation in ("TransactWriteItems", "TransactGetItems"):
        for item in body.get("TransactItems", []):
            yield from ((_PARTS[part], str(asked["TableName"])) for part, asked in item.items())
    elif "TableName" in body:
        yield operation, str(body["TableName"])
