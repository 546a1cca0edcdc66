"""Small service apps for the tests of the task runner."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import Any

from lab import web


async def echo(config: Mapping[str, Any], listening: Callable[[int], None]) -> None:
    """Answers every request with its process id."""

    async def handle(request: web.Request) -> web.Response:
        return web.json_response(200, {"pid": os.getpid(), "task": config["task"]})

    server = web.Server(handle)
    listening(await server.listen(config["host"], 0))
    await asyncio.Event().wait()


async def stubborn(config: Mapping[str, Any], listening: Callable[[int], None]) -> None:
    """Ignores SIGTERM: it starts again what was cancelled."""
    listening(0)
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            continue


async def broken(config: Mapping[str, Any], listening: Callable[[int], None]) -> None:
    """Fails before it listens."""
    raise RuntimeError("out of order")
