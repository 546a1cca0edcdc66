"""Secrets Manager: moto's secrets and replicas, with resource policies that deny reading obeyed.

Secrets Manager user guide, "Resource-based policies": an explicit Deny holds against everybody; a replica has the
policy of the secret that it copies. Played of a policy: statements that deny GetSecretValue to every principal. A
Region that has a replica gets no second one (moto would list it twice).
"""

from __future__ import annotations

import fnmatch
import json
from typing import Any

from moto.secretsmanager.models import secretsmanager_backends
from moto.secretsmanager.responses import SecretsManagerResponse

from lab.aws.protocol import AwsError
from lab.aws.server import AwsServer

READ = "secretsmanager:GetSecretValue"


class Secrets:
    """Serves Secrets Manager for `server`."""

    def __init__(self, server: AwsServer) -> None:
        server.serve_class("secretsmanager", type("Secrets", (_Secrets,), {}))


def denies_reading(policy: str | None) -> bool:
    """Whether a resource policy denies the value to everybody."""
    return any(_denies(statement) for statement in json.loads(policy or "{}").get("Statement", []))


def _denies(statement: dict[str, Any]) -> bool:
    actions = statement.get("Action", [])
    patterns = [actions] if isinstance(actions, str) else actions
    everybody = statement.get("Principal") in ("*", {"AWS": "*"}) and "Condition" not in statement
    return statement.get("Effect") == "Deny" and everybody and any(fnmatch.fnmatchcase(READ, p) for p in patterns)


class _Secrets(SecretsManagerResponse):
    """moto's Secrets Manager, which stores policies and obeys none."""

    def get_secret_value(self) -> Any:
        secret = self._secret()
        if secret is not None and denies_reading(getattr(secret, "source", secret).policy):
            who = f"arn:aws:iam::{self.current_account}:role/lab"
            why = f"User: {who} is not authorized to perform: {READ} on resource: {secret.arn}"
            raise AwsError("AccessDeniedException", f"{why} with an explicit deny in a resource-based policy")
        return super().get_secret_value()

    def replicate_secret_to_regions(self) -> Any:
        secret, wanted = self._secret(), {r["Region"] for r in self._get_param("AddReplicaRegions")}
        there = {replica.region: replica for replica in getattr(secret, "replicas", ())}
        if wanted <= there.keys():
            statuses = [replica.config for replica in there.values()]
            return json.dumps({"ARN": getattr(secret, "arn", ""), "ReplicationStatus": statuses})
        return super().replicate_secret_to_regions()

    def _secret(self) -> Any:
        return secretsmanager_backends[self.current_account][self.region].secrets.get(self._get_param("SecretId"))
