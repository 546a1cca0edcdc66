"""DynamoDB as a service task speaks to it: its JSON protocol over one keep-alive connection, without an SDK.

An SDK would cost each of a lab's many task processes tens of megabytes and half a second.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lab import web

CALL_TIMEOUT_S = 5.0
"""A call may take this long (wall seconds: it measures this machine)."""


class DynamoDbError(Exception):
    """DynamoDB refused a call. `kind` is the exception's short name, `reasons` those of a cancelled transaction."""

    def __init__(self, kind: str, message: str, reasons: list[str]) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind, self.reasons = kind, reasons


class DynamoDb:
    """One Region's DynamoDB endpoint, spoken to in its JSON 1.0 protocol over a keep-alive connection."""

    def __init__(self, host: str, port: int, region: str) -> None:
        self._client = web.Client(host, port)
        self._headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Date": "20260101T000000Z",
            # The lab checks no signature; the scope says which Region and service are meant.
            "Authorization": f"AWS4-HMAC-SHA256 Credential=LAB/20260101/{region}/dynamodb/aws4_request, "
            "SignedHeaders=host;x-amz-date, Signature=0",
        }

    async def call(self, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """The response; DynamoDbError when it is refused, OSError or TimeoutError when there is none."""
        headers = {**self._headers, "X-Amz-Target": f"DynamoDB_20120810.{operation}"}
        request = web.Request("POST", "/", headers, json.dumps(params).encode())
        response = await self._client.request(request, CALL_TIMEOUT_S)
        body = response.json() if response.body else {}
        if response.status == 200:
            return dict(body)
        raise _refusal(response.status, body)


def _refusal(status: int, body: Mapping[str, Any]) -> DynamoDbError:
    kind = str(body.get("__type", f"HTTP{status}")).rpartition("#")[2]
    reasons = [str(reason.get("Code", "None")) for reason in body.get("CancellationReasons", [])]
    return DynamoDbError(kind, str(body.get("message") or body.get("Message") or ""), reasons)


UNREACHABLE = (DynamoDbError, OSError, TimeoutError, web.HttpError)
"""What a call to DynamoDB raises when it brings no answer."""
