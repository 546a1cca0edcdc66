"""Secrets Manager: give a secret a value that opens nothing. Its former value is not read: only a label is moved."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Change, Effect
from drill.errors import Refused
from drill.find import find_one
from drill.target import Resource

CURRENT = "AWSCURRENT"
NOWHERE = {"username": "drill", "password": "drill", "host": "drill.invalid", "port": 5432, "dbname": "drill"}
"""A database that there is not: ".invalid" is nobody's (RFC 2606)."""


@dataclass(frozen=True)
class SetWrongSecret:
    """Make `value` (JSON-able) the current version of the one secret that `resource` matches, in its own Region.

    effect: what clients see: errors, where each request reads it; none, where it is cached for longer than a drill.
    """

    resource: Resource
    value: dict[str, object] = field(default_factory=lambda: dict(NOWHERE))
    effect: Effect = "errors"

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault. Refused for a replica, and for a secret without a current value."""
        found = find_one(aws, "secretsmanager.secret", self.resource)
        region, name = self.resource.region, {"SecretId": found.arn}
        look = Call("secretsmanager", "DescribeSecret", name, region)
        shown = aws.run(look)
        if shown.get("PrimaryRegion", region) != region:
            raise Refused(f"secret {found.name} in {region} is a replica: it is changed in {shown['PrimaryRegion']}")
        before = [version for version, labels in shown["VersionIdsToStages"].items() if CURRENT in labels]
        if not before:
            raise Refused(f"secret {found.name} in {region} has no current value: there is nothing to put back")
        ours = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{found.arn}#{run_id}"))
        put = {**name, "ClientRequestToken": ours, "SecretString": json.dumps(self.value)}
        move = {**name, "VersionStage": CURRENT, "MoveToVersionId": before[0], "RemoveFromVersionId": ours}
        path = f"VersionIdsToStages.\"{before[0]}\" | contains(not_null(@, `[]`), '{CURRENT}')"
        return Change(
            kind="secretsmanager.value",
            target=target,
            run_id=run_id,
            resources=(found.arn,),
            effect=self.effect,
            inject=(Call("secretsmanager", "PutSecretValue", put, region),),
            restore=(Call("secretsmanager", "UpdateSecretVersionStage", move, region),),
            faulted=(Fact(look, path, False),),
            before=(Fact(look, path, True),),
        )
