"""The content delivery network before the static page: one origin, or a group of two of which the second helps out.

CloudFront developer guide, "Optimize high availability with CloudFront origin failover": each request tries the
primary first; for GET, HEAD and OPTIONS alone the secondary is asked when the primary cannot be connected to (after
three attempts), does not answer in time, or answers with one of the group's status codes. As published the page's
behaviour names its origin and not the group, so the group is never used; a setting of the lab uses it. Nothing is
cached here, so that an origin that is gone shows at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lab import web
from lab.json_client import scope_headers
from lab.task_server import serve

ATTEMPTS = 3
TIMEOUT_S = 3.0
"""One attempt may take this long (wall seconds: it measures this machine)."""
FAILOVER_CODES = frozenset({500, 502, 503, 504})
FAILS_OVER = ("GET", "HEAD", "OPTIONS")
ORIGIN_HEADER = "X-Lab-Origin"


@dataclass(frozen=True)
class Origin:
    """A Region's bucket, behind the API's address."""

    region: str
    bucket: str
    client: web.Client

    async def ask(self, request: web.Request) -> web.Response:
        """Its answer; 502 when it cannot be connected to, 504 when it does not answer in time."""
        path = "/index.html" if request.path == "/" else request.path
        asked = replace(request, path=f"/{self.bucket}{path}", headers=scope_headers(self.region, "s3"))
        answer = web.Response(502, b"")
        for _ in range(ATTEMPTS):
            try:
                answer = await self.client.request(asked, TIMEOUT_S)
                break
            except TimeoutError:
                return web.Response(504, b"")
            except (OSError, web.HttpError):
                continue
        return replace(answer, headers={"Content-Type": "text/html", ORIGIN_HEADER: self.region})


class Edge:
    """Answers for the page. origins: the one that is used, or the primary and the secondary of a group."""

    def __init__(self, origins: Sequence[Origin]) -> None:
        self._origins = origins

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        answer = await self._origins[0].ask(request)
        helps = len(self._origins) > 1 and request.method in FAILS_OVER and answer.status in FAILOVER_CODES
        return await self._origins[1].ask(request) if helps else answer


async def run(config: Mapping[str, Any], listening: Callable[[int], None]) -> None:
    """Run the network's one process. config: host, aws_host, aws_port, origins (Region -> bucket, in order)."""
    client = web.Client(config["aws_host"], config["aws_port"])
    origins = [Origin(region, bucket, client) for region, bucket in config["origins"].items()]
    await serve(config["host"], Edge(origins).handle, listening)
