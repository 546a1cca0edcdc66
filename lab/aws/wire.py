"""The HTTP/1.1 server under the AWS API: several listeners, keep-alive, one thread for each connection.

Written out because the servers at hand do not fit: werkzeug's closes the connection after every reply, and
`http.server` parses headers with the e-mail package, which alone costs more than a DynamoDB call may.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import BinaryIO

MAX_BODY_BYTES = 64 * 1024 * 1024
"""Largest request body: above every published AWS request limit that a lab meets (Lambda zip 50 MB)."""
MAX_HEADER_LINES = 100
MAX_LINE_BYTES = 65536
MAX_CONNECTIONS = 512
"""Connections at once, over all listeners; the next one is closed unread."""
IDLE_WALL_S = 120.0
"""A connection silent for this long (wall seconds) is closed."""
STOP_WALL_S = 3.0


class BadRequestError(Exception):
    """The peer did not speak HTTP/1.x, or went beyond a limit; args: HTTP status, sentence."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True)
class HttpRequest:
    """One request; header names are lower case, the target is as it arrived (still percent-encoded)."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The target without its query, still percent-encoded."""
        return self.target.split("?", 1)[0]


@dataclass(frozen=True)
class HttpReply:
    """One reply; Content-Length and Connection are added when it is written."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class NoReply:
    """The request is not answered. silent: the connection stays open until the peer gives up; else it is cut."""

    silent: bool


Handler = Callable[[HttpRequest], HttpReply | NoReply]


def read_request(stream: BinaryIO, send: Callable[[bytes], object]) -> tuple[HttpRequest, bool] | None:
    """The next request and whether the connection stays open after it; None when the peer is done.

    `send` takes the interim "100 Continue" that the AWS CLI waits for before it sends a large body.
    Raises BadRequestError.
    """
    line = stream.readline(MAX_LINE_BYTES)
    if not line:
        return None
    parts = line.decode("latin-1").split()
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise BadRequestError(400, f"not an HTTP/1.x request line: {line[:80]!r}")
    headers = _read_headers(stream)
    if headers.get("expect", "").lower() == "100-continue":
        send(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = _read_body(stream, headers)
    connection = headers.get("connection", "").lower()
    keep = connection == "keep-alive" if parts[2] == "HTTP/1.0" else connection != "close"
    return HttpRequest(parts[0], parts[1], headers, body), keep


def _read_headers(stream: BinaryIO) -> dict[str, str]:
    headers: dict[str, str] = {}
    for _ in range(MAX_HEADER_LINES):
        line = stream.readline(MAX_LINE_BYTES)
        if line in {b"\r\n", b"\n", b""}:
            return headers
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    raise BadRequestError(431, f"more than {MAX_HEADER_LINES} header lines")


def _read_body(stream: BinaryIO, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return _read_chunks(stream)
    length = _size(headers.get("content-length", "0"), 10)
    return stream.read(length) if length else b""


def _read_chunks(stream: BinaryIO) -> bytes:
    body = bytearray()
    while size := _size(stream.readline(MAX_LINE_BYTES).split(b";")[0].decode("latin-1"), 16):
        body += stream.read(_size(str(len(body) + size), 10) - len(body))
        stream.readline(MAX_LINE_BYTES)
    _read_headers(stream)
    return bytes(body)


def _size(text: str, base: int) -> int:
    try:
        size = int(text.strip(), base)
    except ValueError as error:
        raise BadRequestError(400, f"not a length: {text[:40]!r}") from error
    if not 0 <= size <= MAX_BODY_BYTES:
        raise BadRequestError(413, f"body of {size} bytes is larger than {MAX_BODY_BYTES}")
    return size


def reply_bytes(method: str, reply: HttpReply, keep: bool) -> bytes:
    """What goes on the wire, in one piece: two small writes would meet Nagle's delay."""
    reason = HTTPStatus(reply.status).phrase
    lines = [f"HTTP/1.1 {reply.status} {reason}"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    if "content-length" not in {name.lower() for name in reply.headers}:
        lines.append(f"Content-Length: {len(reply.body)}")
    lines.append(f"Connection: {'keep-alive' if keep else 'close'}")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    return head if method == "HEAD" else head + reply.body


class Door:
    """Listeners that share one handler. Thread-safe; nothing runs until the first `open`."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._lock = threading.Lock()
        self._listeners: dict[tuple[str, int], socket.socket] = {}
        self._connections: dict[socket.socket, tuple[str, int]] = {}
        self._selector = selectors.DefaultSelector()
        self._wake_r, self._wake_w = socket.socketpair()
        self._selector.register(self._wake_r, selectors.EVENT_READ)
        self._acceptor = threading.Thread(target=self._accept_forever, name="aws-door", daemon=True)
        self._stopping = False

    def open(self, host: str, port: int) -> tuple[str, int]:
        """Listen on host:port (0 = any free one) and return the address bound; OSError when it is taken."""
        listener = socket.create_server((host, port), backlog=128)
        # Blocking would hang the accept loop when a peer gives up between select and accept.
        listener.setblocking(False)
        address: tuple[str, int] = listener.getsockname()[:2]
        with self._lock:
            self._listeners[address] = listener
            self._selector.register(listener, selectors.EVENT_READ, address)
            if not self._acceptor.is_alive():
                self._acceptor.start()
        self._wake()
        return address

    def close(self, address: tuple[str, int]) -> None:
        """Stop listening on `address` and cut its connections: new ones are refused. No-op when closed."""
        with self._lock:
            listener = self._listeners.pop(address, None)
            if listener is None:
                return
            self._selector.unregister(listener)
            listener.close()
            cut = [conn for conn, via in self._connections.items() if via == address]
        for conn in cut:
            _cut(conn)
        self._wake()

    def stop(self) -> None:
        """Close every listener and connection and end the threads, within STOP_WALL_S wall seconds."""
        self._stopping = True
        for address in list(self._listeners):
            self.close(address)
        self._wake()
        if self._acceptor.is_alive():
            self._acceptor.join(STOP_WALL_S)
        self._selector.close()
        self._wake_r.close()
        self._wake_w.close()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._wake_w.send(b"x")

    def _accept_forever(self) -> None:
        while not self._stopping:
            for key, _ in self._selector.select():
                if key.fileobj is self._wake_r:
                    self._wake_r.recv(4096)
                elif isinstance(key.fileobj, socket.socket):
                    self._accept(key.fileobj, key.data)

    def _accept(self, listener: socket.socket, address: tuple[str, int]) -> None:
        try:
            conn, _ = listener.accept()
        except OSError:
            return  # the peer gave up, or this listener was closed a moment ago
        with self._lock:
            full = len(self._connections) >= MAX_CONNECTIONS or address not in self._listeners
            if not full:
                self._connections[conn] = address
        if full:
            conn.close()
            return
        threading.Thread(target=self._serve, args=(conn,), name="aws-connection", daemon=True).start()

    def _serve(self, conn: socket.socket) -> None:
        try:
            conn.settimeout(IDLE_WALL_S)
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._converse(conn)
        except OSError:
            pass  # peer gone, idle too long, or cut by close()
        finally:
            with self._lock:
                self._connections.pop(conn, None)
            conn.close()

    def _converse(self, conn: socket.socket) -> None:
        with conn.makefile("rb") as reader:
            keep = True
            while keep:
                try:
                    got = read_request(reader, conn.sendall)
                except BadRequestError as error:
                    refusal = HttpReply(error.status, {}, str(error).encode())
                    conn.sendall(reply_bytes("GET", refusal, keep=False))
                    return
                if got is None:
                    return
                request, keep = got
                reply = self._handler(request)
                if isinstance(reply, NoReply):
                    leave = _await_end if reply.silent else _reset
                    leave(conn)
                    return
                conn.sendall(reply_bytes(request.method, reply, keep))


def _await_end(conn: socket.socket) -> None:
    """Until the peer gives up, the listener is closed, or the connection has been idle too long (OSError)."""
    while conn.recv(4096):
        pass


def _reset(conn: socket.socket) -> None:
    """Closing then sends RST: the peer sees a reset, not an orderly end."""
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _cut(conn: socket.socket) -> None:
    with contextlib.suppress(OSError):
        conn.shutdown(socket.SHUT_RDWR)
