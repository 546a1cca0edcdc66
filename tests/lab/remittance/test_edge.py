"""The content delivery network's rules, over real sockets and without a lab."""

from __future__ import annotations

import asyncio

import pytest

from lab import web
from lab.remittance.edge import ORIGIN_HEADER, Edge, Origin

ANSWERS = {"good": 200, "broken": 503, "absent": 404}


def asked(origins: list[str], method: str = "GET") -> tuple[int, str]:
    """Status and origin of the answer to one request; origins: words of ANSWERS, "gone" listens nowhere."""

    async def ask() -> tuple[int, str]:
        seen = []

        async def handle(request: web.Request) -> web.Response:
            seen.append(request)
            return web.Response(ANSWERS[request.path.split("/")[1]], b"page")

        server = web.Server(handle)
        port = await server.listen("127.0.0.1", 0)
        refusing = web.Client("127.0.0.1", 1)
        made = [
            Origin(f"r{number}", word, refusing if word == "gone" else web.Client("127.0.0.1", port))
            for number, word in enumerate(origins)
        ]
        answer = await Edge(made).handle(web.Request(method, "/", {}))
        await server.close()
        return answer.status, str(answer.headers[ORIGIN_HEADER])

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("origins", "method", "expected"),
    [
        (["good", "good"], "GET", (200, "r0")),
        (["broken", "good"], "GET", (200, "r1")),
        (["gone", "good"], "HEAD", (200, "r1")),
        (["absent", "good"], "GET", (404, "r0")),
        (["broken", "good"], "POST", (503, "r0")),
        (["broken", "gone"], "GET", (502, "r1")),
        (["broken"], "GET", (503, "r0")),
        (["gone"], "GET", (502, "r0")),
    ],
)
def test_the_secondary_helps_out_by_the_groups_rules(
    origins: list[str], method: str, expected: tuple[int, str]
) -> None:
    """Only for what reads, only when the primary is gone or says so, and only where there is a group."""
    assert asked(origins, method) == expected
