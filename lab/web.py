"""The little HTTP/1.1 that the lab's own processes speak: a server and a keep-alive client on asyncio.

Only what the lab needs: bodies with a Content-Length, no chunked coding, a limit on everything. It exists so
that a service process starts in a tenth of a second and holds little memory.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from lab.black_hole import Dark, Filtered
from lab.packet_loss import Loss

MAX_HEAD_BYTES = 16 * 1024
MAX_BODY_BYTES = 256 * 1024
IDLE_CLIENT_S = 3600.0
"""An idle client connection is closed after this many wall seconds (an ALB's client keep-alive is 3600 s)."""
POOL_IDLE_S = 5.0
"""A pooled connection that was idle longer (wall seconds) is not used again: its peer may just be closing it."""
POOL_SIZE = 64


class HttpError(Exception):
    """The peer did not speak the HTTP that this module understands, or spoke too much of it."""


@dataclass(frozen=True)
class Request:
    """One request. `headers` has lower-case names; `path` keeps its query string; `peer` is the client's address."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""
    peer: str = ""

    def json(self) -> Any:
        """The body as JSON; HttpError when it is none."""
        try:
            return json.loads(self.body or b"{}")
        except ValueError as error:
            raise HttpError(f"the body of {self.method} {self.path} is not JSON") from error


@dataclass(frozen=True)
class Response:
    """One response. `headers` has lower-case names when it was received."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        """The body as JSON; HttpError when it is none."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise HttpError(f"a response with status {self.status} carries no JSON") from error


Handler = Callable[[Request], Awaitable[Response]]


def json_response(status: int, value: object) -> Response:
    """`value` as a JSON response."""
    return Response(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def encode_response(response: Response, close: bool) -> bytes:
    """A response as bytes on the wire; `close` announces that the connection ends with it."""
    lines = [f"HTTP/1.1 {response.status} {_reason(response.status)}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items() if name.lower() not in _HOP_BY_HOP]
    lines.append(f"Content-Length: {len(response.body)}")
    lines.append(f"Connection: {'close' if close else 'keep-alive'}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + response.body


def encode_request(request: Request, host: str) -> bytes:
    """A request as bytes on the wire. A Host header of the request wins over `host`."""
    lines = [f"{request.method} {request.path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP]
    if not any(name.lower() == "host" for name in request.headers):
        lines.append(f"Host: {host}")
    lines.append(f"Content-Length: {len(request.body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + request.body


_HOP_BY_HOP = frozenset({"connection", "keep-alive", "content-length", "transfer-encoding", "proxy-connection"})


async def _read_head(reader: asyncio.StreamReader) -> list[str]:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise HttpError(f"a header of more than {MAX_HEAD_BYTES} bytes") from error
    return head[:-4].decode("latin-1").split("\r\n")


def _parse_headers(lines: list[str]) -> dict[str, str]:
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise HttpError(f"a header line without a colon: {line[:80]!r}")
        headers[name.strip().lower()] = value.strip()
    return headers


async def _read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if "transfer-encoding" in headers:
        raise HttpError("Transfer-Encoding is not understood here: send a Content-Length")
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > MAX_BODY_BYTES:
        raise HttpError(f"Content-Length {length!r} is not a number up to {MAX_BODY_BYTES}")
    return await reader.readexactly(int(length)) if int(length) else b""


async def read_request(reader: asyncio.StreamReader, peer: str) -> Request:
    """Read one request; IncompleteReadError at the end of the connection, HttpError for what is no request."""
    first, *rest = await _read_head(reader)
    parts = first.split(" ")
    if len(parts) != 3:
        raise HttpError(f"not a request line: {first[:80]!r}")
    headers = _parse_headers(rest)
    return Request(parts[0], parts[1], headers, await _read_body(reader, headers), peer)


async def read_response(reader: asyncio.StreamReader) -> Response:
    """Read one response; IncompleteReadError when the peer ends before it is whole."""
    first, *rest = await _read_head(reader)
    parts = first.split(" ", 2)
    if len(parts) < 2 or not parts[1].isdigit():
        raise HttpError(f"not a status line: {first[:80]!r}")
    headers = _parse_headers(rest)
    return Response(int(parts[1]), await _read_body(reader, headers), headers)


class Server:
    """Serves `handler` on one or several listening addresses; keeps connections alive."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._servers: list[asyncio.Server] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._dark = Dark()

    def cut_off(self, networks: Sequence[str]) -> None:
        """Be a black hole at the addresses in these networks and answer at all others; see lab.black_hole."""
        self._dark.set(networks, self._sockets())

    def lose(self, loss: Loss | None) -> None:
        """Lose packets so, or none any more; see lab.packet_loss."""
        self._dark.lose(loss, self._sockets())

    def _sockets(self) -> list[Filtered]:
        listening = [sock for server in self._servers for sock in server.sockets]
        return [*listening, *(writer.get_extra_info("socket") for writer in self._writers)]

    async def listen(self, host: str, port: int) -> int:
        """Listen on host:port (0 = any free one) and return the port; OSError when it is taken."""
        server = await asyncio.start_server(self._connection, host, port, limit=MAX_HEAD_BYTES, backlog=512)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        for server in self._servers:
            server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        self._writers.add(writer)
        self._dark.admit(writer.get_extra_info("socket"))
        try:
            await self._serve(reader, writer, peer[0] if peer else "")
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass  # the client went away, which is its right
        except asyncio.CancelledError:
            pass  # the process ends; to re-raise here would only make asyncio log it
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str) -> None:
        close = False
        while not close:
            try:
                async with asyncio.timeout(IDLE_CLIENT_S):
                    request = await read_request(reader, peer)
                close = request.headers.get("connection", "").lower() == "close"
                response = await self._handler(request)
            except HttpError as error:
                response, close = json_response(400, {"message": str(error)}), True
            await self._dark.lifted(writer.get_extra_info("sockname")[0])
            writer.write(encode_response(response, close))
            await writer.drain()


class Client:
    """Requests to one host:port over pooled keep-alive connections. own: the address to connect from, "" for any."""

    def __init__(self, host: str, port: int, own: str = "") -> None:
        self.host, self.port = host, port
        self._own = (own, 0) if own else None
        self._idle: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def request(self, request: Request, timeout_s: float) -> Response:
        """The response within `timeout_s` wall seconds.

        OSError when the peer refuses or drops the connection, TimeoutError when it is too slow, HttpError when
        it talks nonsense. Nothing is sent twice.
        """
        async with asyncio.timeout(timeout_s):
            reader, writer = await self._connection()
            try:
                writer.write(encode_request(request, f"{self.host}:{self.port}"))
                response = await read_response(reader)
            except asyncio.IncompleteReadError as error:
                writer.transport.abort()
                raise ConnectionResetError(f"{self.host}:{self.port} closed before it answered") from error
            except BaseException:
                writer.transport.abort()
                raise
        self._give_back(response, reader, writer)
        return response

    async def close(self) -> None:
        """Close every pooled connection."""
        while self._idle:
            self._idle.pop()[2].close()

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            since, reader, writer = self._idle.pop()
            if time.monotonic() - since < POOL_IDLE_S and not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        return await asyncio.open_connection(self.host, self.port, limit=MAX_HEAD_BYTES, local_addr=self._own)

    def _give_back(self, response: Response, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        closing = response.headers.get("connection", "").lower() == "close"
        if closing or len(self._idle) >= POOL_SIZE:
            writer.close()
        else:
            self._idle.append((time.monotonic(), reader, writer))
