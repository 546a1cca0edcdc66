"""A Region's API Gateway: throttle, token authorizer, integration; and the functions, in one process of the Region.

API Gateway developer guide, "Gateway response types" (status, error type and body of each refusal), "Use API Gateway
Lambda authorizers" (answers are cached by token), Lambda's "Reserved concurrency" (0: every invocation is throttled,
which a proxy integration answers with 500).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import web
from lab.clock import LabClock
from lab.knobs import KnobsReader
from lab.remittance import names
from lab.remittance.functions import Remittances, Runbooks
from lab.remittance.sign_on import AuthorizerLost, TokenAuthorizer
from lab.task_server import serve

INTEGRATION_TIMEOUT_S = 29.0
TIMEOUT_FLOOR_S = 10.0
"""A function gets at least this long (wall seconds): its calls are work of this machine."""
MAX_TOKENS = 1000
ROUTES: Mapping[tuple[str, str], str] = {
    ("POST", "create-remittance"): names.CREATE,
    ("GET", "get-remittances"): names.READ_ALL,
    ("GET", "get-remittance"): names.READ,
    ("POST", "execute-runbook"): names.EXECUTE,
}
"""Method and first part of the path -> function."""


@dataclass(frozen=True)
class GatewayConfig:
    """What the process is told at its start.

    knobs: file of what the control plane has set (see lab.knobs); pool: the user pool's id; authorizer_ttl_s: how
    long an answer of the authorizer is believed (lab seconds); addresses: by the database endpoints' names.
    """

    region: str
    task: str
    host: str
    clock: LabClock
    aws_host: str
    aws_port: int
    knobs: str
    pool: str
    authorizer_ttl_s: float
    addresses: Mapping[str, str]

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> GatewayConfig:
        """From the JSON that a task gets."""
        return cls(**{**config, "clock": LabClock(**config["clock"])})


def refusal(status: int, kind: str, message: str | None) -> web.Response:
    """A gateway response: its error type stands in a header."""
    made = web.json_response(status, {"message": message})
    return web.Response(made.status, made.body, {**made.headers, "x-amzn-ErrorType": kind})


class Gateway:
    """Answers the API's requests of one Region."""

    def __init__(self, config: GatewayConfig) -> None:
        where = (config.aws_host, config.aws_port)
        remittances = Remittances(*where, config.addresses)
        self._config, self._knobs = config, KnobsReader(Path(config.knobs))
        self._authorizer = TokenAuthorizer(*where, config.pool)
        self._believed: dict[str, tuple[float, bool]] = {}
        self._functions: Mapping[str, web.Handler] = {
            names.CREATE: remittances.create,
            names.READ: remittances.read,
            names.READ_ALL: remittances.read_all,
            names.EXECUTE: Runbooks(*where).execute,
        }

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        knobs = self._knobs.values().get(self._config.region, {})
        function = ROUTES.get((request.method, first_part(request.path)))
        if function is None:
            return refusal(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
        if knobs.get("throttle") == 0:
            return refusal(429, "TooManyRequestsException", "Too Many Requests")
        token = request.headers.get("authorization", "")
        if not token:
            return refusal(401, "UnauthorizedException", "Unauthorized")
        try:
            allowed = await self._allows(token, knobs)
        except AuthorizerLost:
            return refusal(500, "AuthorizerConfigurationException", None)
        if not allowed:
            return refusal(401, "UnauthorizedException", "Unauthorized")
        return await self._integrate(function, request, knobs)

    async def _allows(self, token: str, knobs: Mapping[str, Any]) -> bool:
        """What the authorizer says, now or no longer ago than it is believed."""
        now_s = self._config.clock.now_s()
        since_s, good = self._believed.get(token, (float("-inf"), False))
        if now_s - since_s < self._config.authorizer_ttl_s:
            return good
        if stopped(names.AUTHORIZER, knobs):
            raise AuthorizerLost("throttled")
        good = await self._authorizer.good(token)
        if len(self._believed) >= MAX_TOKENS:
            self._believed.clear()
        self._believed[token] = (now_s, good)
        return good

    async def _integrate(self, function: str, request: web.Request, knobs: Mapping[str, Any]) -> web.Response:
        if stopped(function, knobs):
            return refusal(500, "InternalServerErrorException", "Internal server error")
        limit_s = max(TIMEOUT_FLOOR_S, self._config.clock.wall_s(INTEGRATION_TIMEOUT_S))
        try:
            async with asyncio.timeout(limit_s):
                return await self._functions[function](request)
        except TimeoutError:
            return refusal(504, "IntegrationTimeoutException", "Endpoint request timed out")


def first_part(path: str) -> str:
    """What names the method: the first part of the path, behind the stage's name if that stands there."""
    parts = path.partition("?")[0].strip("/").split("/")
    return parts[1] if parts[0] == names.STAGE and len(parts) > 1 else parts[0]


def stopped(function: str, knobs: Mapping[str, Any]) -> bool:
    """Whether the function's reserved concurrency is 0."""
    return bool(knobs.get("concurrency", {}).get(function) == 0)


async def run(config: Mapping[str, Any], listening: Callable[[int], None]) -> None:
    """Run one Region's gateway."""
    typed = GatewayConfig.of(config)
    await serve(typed.host, Gateway(typed).handle, listening)
