"""An AWS service with a JSON protocol as a task speaks to it: over one keep-alive connection, without an SDK.

An SDK would cost each of a lab's many task processes tens of megabytes and half a second.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lab import web

CALL_TIMEOUT_S = 5.0
"""A call may take this long (wall seconds: it measures this machine)."""


class ApiError(Exception):
    """The service refused a call. `kind` is the exception's short name, `body` the whole reply."""

    def __init__(self, kind: str, message: str, body: Mapping[str, Any]) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind, self.body = kind, body


UNREACHABLE = (ApiError, OSError, TimeoutError, web.HttpError)
"""What a call raises when it brings no answer."""


class JsonApi:
    """One Region's endpoint of a service.

    service: its signing name; prefix: what stands before the operation in X-Amz-Target; version: of the protocol.
    """

    def __init__(self, host: str, port: int, region: str, service: str, prefix: str, version: str = "1.1") -> None:
        self._client = web.Client(host, port)
        self._prefix = prefix
        self._headers = {"Content-Type": f"application/x-amz-json-{version}", **scope_headers(region, service)}

    async def call(self, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """The response; ApiError when it is refused, OSError or TimeoutError when there is none."""
        headers = {**self._headers, "X-Amz-Target": f"{self._prefix}.{operation}"}
        request = web.Request("POST", "/", headers, json.dumps(params).encode())
        response = await self._client.request(request, CALL_TIMEOUT_S)
        body = response.json() if response.body else {}
        if response.status == 200:
            return dict(body)
        kind = str(body.get("__type", f"HTTP{response.status}")).rpartition("#")[2]
        raise ApiError(kind, str(body.get("message") or body.get("Message") or ""), body)


def scope_headers(region: str, service: str) -> dict[str, str]:
    """What says which Region and service are meant; the lab checks no signature."""
    return {
        "X-Amz-Date": "20260101T000000Z",
        "Authorization": f"AWS4-HMAC-SHA256 Credential=LAB/20260101/{region}/{service}/aws4_request, "
        "SignedHeaders=host;x-amz-date, Signature=0",
    }
