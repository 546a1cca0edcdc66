"""What a balanced service task does besides its own work: it listens, says where, and answers /health."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lab import web


async def serve(host: str, handler: web.Handler, listening: Callable[[int], None]) -> None:
    """Serve `handler` and /health on any free port of `host` until cancelled."""

    async def with_health(request: web.Request) -> web.Response:
        if request.path == "/health":
            return web.json_response(200, {"status": "ok"})
        return await handler(request)

    server = web.Server(with_health)
    listening(await server.listen(host, 0))
    try:
        await asyncio.Event().wait()
    finally:
        await server.close()
