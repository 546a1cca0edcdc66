"""The consumer of a Region: an API destination posts events to it, and it tells what it has.

It is idempotent by the event's id, as consumers behind an at-least-once bus must be, and takes from a replay only
what it does not know. `copies` counts different events
of one business id: a producer that sent twice, or a loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from lab import web
from lab.task_server import serve

MAX_KEPT = 200_000


@dataclass
class Kept:
    """What is known of one business id. region: of the bus that was the first to take it."""

    region: str
    detail: Mapping[str, Any]
    ids: set[str] = field(default_factory=set)


class Consumer:
    """Handles POST /events and GET /events/{business id}; region: its own.

    The same of /archive only writes down which business ids a replay of the archive has shown.
    """

    def __init__(self, region: str) -> None:
        self._region = region
        self._kept: dict[str, Kept] = {}
        self._archived: set[str] = set()

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        path = request.path.partition("?")[0]
        if (request.method, path) == ("POST", "/events"):
            return self._take(request.json())
        if (request.method, path) == ("POST", "/archive"):
            return self._note(request.json())
        if request.method == "GET" and path.startswith("/archive/"):
            reference = unquote(path.removeprefix("/archive/"))
            known = reference in self._archived
            return web.json_response(200 if known else 404, {"reference": reference, "archived": known})
        if request.method == "GET" and path.startswith("/events/"):
            return self._tell(unquote(path.removeprefix("/events/")))
        return web.json_response(404, {"message": f"no such resource: {request.method} {request.path}"})

    def _note(self, event: Any) -> web.Response:
        _, reference = _detail(event)
        if reference is None:
            return _NO_REFERENCE
        if len(self._archived) < MAX_KEPT:
            self._archived.add(reference)
        return web.json_response(200, {"reference": reference})

    def _take(self, event: Any) -> web.Response:
        detail, reference = _detail(event)
        if reference is None:
            return _NO_REFERENCE
        if len(self._kept) >= MAX_KEPT and reference not in self._kept:
            return web.json_response(503, {"message": f"more than {MAX_KEPT} orders"})
        if "replay-name" in event and reference in self._kept:
            return web.json_response(200, {"reference": reference})
        kept = self._kept.setdefault(reference, Kept(str(event.get("region", "")), detail))
        kept.ids.add(str(event.get("id", "")))
        return web.json_response(200, {"reference": reference})

    def _tell(self, reference: str) -> web.Response:
        kept = self._kept.get(reference)
        if kept is None:
            return web.json_response(404, {"message": f"no order {reference}"})
        status = "HANDLED" if kept.region == self._region else "COPIED"
        told = {"status": status, "region": kept.region, "copies": len(kept.ids)}
        return web.json_response(200, {**kept.detail, **told})


_NO_REFERENCE = web.json_response(400, {"message": "an event with detail.reference is needed"})


def _detail(event: Any) -> tuple[dict[str, Any], str | None]:
    """(the detail, its business id); None for an event without."""
    detail = event.get("detail") if isinstance(event, dict) else None
    reference = detail.get("reference") if isinstance(detail, dict) else None
    return (detail, reference) if isinstance(detail, dict) and isinstance(reference, str) else ({}, None)


async def run(config: Mapping[str, Any], listening: Callable[[int], None]) -> None:
    """Run one task."""
    await serve(str(config["host"]), Consumer(str(config["region"])).handle, listening)
