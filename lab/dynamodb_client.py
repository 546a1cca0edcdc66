"""DynamoDB as a service task speaks to it: see lab.json_client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab import web
from lab.json_client import ApiError, JsonApi


class DynamoDbError(Exception):
    """DynamoDB refused a call. `kind` is the exception's short name, `reasons` those of a cancelled transaction."""

    def __init__(self, kind: str, message: str, reasons: list[str]) -> None:
        super().__init__(message)
        self.kind, self.reasons = kind, reasons


class DynamoDb:
    """One Region's DynamoDB endpoint, spoken to in its JSON 1.0 protocol over a keep-alive connection."""

    def __init__(self, host: str, port: int, region: str) -> None:
        self._api = JsonApi(host, port, region, "dynamodb", "DynamoDB_20120810", "1.0")

    async def call(self, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """The response; DynamoDbError when it is refused, OSError or TimeoutError when there is none."""
        try:
            return await self._api.call(operation, params)
        except ApiError as error:
            reasons = [str(reason.get("Code", "None")) for reason in error.body.get("CancellationReasons", [])]
            raise DynamoDbError(error.kind, str(error), reasons) from error


UNREACHABLE = (DynamoDbError, OSError, TimeoutError, web.HttpError)
"""What a call to DynamoDB raises when it brings no answer."""
