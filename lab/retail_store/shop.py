"""What customers meet, and what stands between them and the stores: the user interface and the checkout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lab import web

CUSTOMER = "x-customer-id"
CALL_TIMEOUT_S = 4.0
"""A call to another service may take this long (wall seconds: it measures this machine)."""
ROUTES: Mapping[str, str] = {
    "/api/carts": "/carts",
    "/api/catalog": "/catalogue",
    "/api/orders": "/orders",
    "/api/checkout": "/checkout",
    "/assets": "/assets",
    "/cart": "/carts/mine",
    "/catalog": "/catalogue",
    "/orders": "/orders",
}
"""Path of the user interface -> path of the service behind it; the first that fits."""


async def forward(inside: web.Client, request: web.Request, path: str) -> web.Response:
    """The answer of the service at `path`; 502 or 504 when it gives none."""
    headers = {k: v for k, v in request.headers.items() if k in (CUSTOMER, "content-type")}
    try:
        answer = await inside.request(replace(request, path=path, headers=headers), CALL_TIMEOUT_S)
    except TimeoutError:
        return web.json_response(504, {"message": f"{path} did not answer in time"})
    except (OSError, web.HttpError) as error:
        return web.json_response(502, {"message": f"{path}: {type(error).__name__}"})
    return web.Response(answer.status, answer.body, {"Content-Type": "application/json"})


class UiService:
    """The user interface: the home page itself, everything else from the service behind it."""

    def __init__(self, inside: web.Client) -> None:
        self._inside = inside

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one customer's request."""
        if request.path in ("/", "/home"):
            return await self._home(request)
        for mine, theirs in ROUTES.items():
            if request.path == mine or request.path.startswith((f"{mine}/", f"{mine}?")):
                return await forward(self._inside, request, theirs + request.path[len(mine) :])
        return web.json_response(404, {"message": f"no such page: {request.path}"})

    async def _home(self, request: web.Request) -> web.Response:
        """A page of the catalogue's size and a picture: it needs both services."""
        for path in ("/catalogue/size", "/assets/logo"):
            answer = await forward(self._inside, request, path)
            if answer.status != 200:
                return answer
        return web.json_response(200, {"page": "home"})


class CheckoutService:
    """Turns a checkout into an order: its answer is that of the orders service."""

    def __init__(self, inside: web.Client) -> None:
        self._inside = inside

    async def handle(self, request: web.Request) -> web.Response:
        """POST /checkout/submit."""
        if (request.method, request.path) != ("POST", "/checkout/submit"):
            return web.json_response(404, {"message": f"no such resource: {request.method} {request.path}"})
        return await forward(self._inside, request, "/orders")
