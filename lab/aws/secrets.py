"""Secrets Manager: moto's secrets and replicas, with resource policies that deny reading obeyed.

Secrets Manager user guide, "Resource-based policies": an explicit Deny holds against everybody; a replica has the
policy of the secret that it copies. Played of a policy: statements that deny GetSecretValue to every principal. A
Region that has a replica gets no second one (moto would list it twice).
"""

from __future__ import annotations

import json
from typing import Any

from moto.secretsmanager.models import secretsmanager_backends
from moto.secretsmanager.responses import SecretsManagerResponse

from lab.aws.protocol import AwsError
from lab.aws.resource_policy import denies, refused
from lab.aws.server import AwsServer

READ = "secretsmanager:GetSecretValue"


class Secrets:
    """Serves Secrets Manager for `server`."""

    def __init__(self, server: AwsServer) -> None:
        server.serve_class("secretsmanager", type("Secrets", (_Secrets,), {}))


class _Secrets(SecretsManagerResponse):
    """moto's Secrets Manager, which stores policies and obeys none."""

    def get_secret_value(self) -> Any:
        secret = self._secret()
        if secret is not None and denies(getattr(secret, "source", secret).policy, READ):
            raise AwsError("AccessDeniedException", refused(self.current_account, READ, secret.arn))
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
