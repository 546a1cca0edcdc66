"""The HTTP server of a live board: one page, its status as JSON, two things that people may say. Nothing is logged.

Without a token it answers only on loopback, and only to who asks for it by a loopback name: a page of somebody else
in the same browser can neither read it nor release a hold. With one, a browser types it once into a form and then
holds a cookie; the token itself is never in a URL. With a token for each role, what people say comes with the role
whose token they have (reports/board_access.py).
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from drill.errors import DrillError
from reports.board import FILES, POLICY, board_page, login_page
from reports.board_access import COOKIE, Access
from reports.look import asset

MARK = "X-Failover-Drill"
"""A header that no form and no other site's script can send without being asked first (CORS)."""
LONGEST_BODY = 16_384
MOST_CONNECTIONS = 64
IDLE_WALL_S = 10.0
"""A connection that says nothing for so long is closed."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Board(Protocol):
    """What stands behind a board. DrillError says why something is not done; OSError that it cannot be kept.

    proven: the role whose token was used, "" for none.
    """

    @property
    def title(self) -> str:
        """The page's heading."""

    def status(self) -> dict[str, Any]:
        """Everything that it shows now."""

    def release(self, step: str, role: str, who: str, proven: str) -> None:
        """Let the game day go on."""

    def observe(self, text: str, who: str, proven: str) -> None:
        """Keep what somebody saw."""


class BoardServer(ThreadingHTTPServer):
    """Bound when it is made: OSError when it cannot be. token: None for a board without; roles: role -> token.

    board: to be set before it serves.
    """

    board: Board

    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], token: str | None, roles: Mapping[str, str] | None = None) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.access = Access(token, roles)
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind, without asking anybody for the name of the address."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    @property
    def url(self) -> str:
        """Where it is."""
        host, port = self.server_address[:2]
        return f"http://{f'[{host!s}]' if ':' in str(host) else str(host)}:{port}/"

    def named_so(self, host: str) -> bool:
        """Whether the board may be asked for by that name: without a token only by one that means this machine."""
        if not self.access.free:
            return True
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        return name in (*LOOPBACK, str(self.server_address[0]))

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread of its own, while there are not too many."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self._open.add(request)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.discard(request)
            self._free.release()

    def server_close(self) -> None:
        """Close the door, and every connection that a browser keeps open."""
        super().server_close()
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away is no news, and nobody's terminal is for its traceback."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "failover-drill", ""
    timeout = IDLE_WALL_S
    server: BoardServer

    def do_GET(self) -> None:
        """The page, its files, its status."""
        path = urlsplit(self.path).path
        if not self._named():
            return
        if path in FILES:
            name, kind = FILES[path]
            self._send(200, asset(name).encode(), kind)
        elif path == "/favicon.ico":
            self._send(204, b"", "image/x-icon")
        elif path not in ("/", "/status", "/login"):
            self._refuse(404, "there is nothing of that name")
        elif path == "/login":
            self._login(wrong=False, status=200)
        elif (role := self._caller()) is None:
            self._login(wrong=False) if path == "/" else self._refuse(401, "the token is needed")
        elif path == "/":
            self._html(200, board_page(self.server.board.title))
        else:
            self._json(200, self.server.board.status() | ({"you": role} if self.server.access.by_role else {}))

    def do_POST(self) -> None:
        """What people say."""
        body = self._body()
        if body is None or not self._named():
            return
        path = urlsplit(self.path).path
        if path not in ("/login", "/release", "/observe"):
            self._refuse(404, "there is nothing of that name")
        elif not self._same_origin():
            self._refuse(403, "asked from another page")
        elif path == "/login":
            self._let_in(body)
        elif (role := self._caller()) is None:
            self._refuse(401, "the token is needed")
        elif self.headers.get(MARK) is None:
            self._refuse(403, f"the header {MARK} is missing")
        else:
            self._do(path, body, role)

    def log_message(self, *_: Any) -> None:
        """Nothing is logged: what people send may hold a token."""

    def _do(self, path: str, body: bytes, proven: str) -> None:
        board = self.server.board
        try:
            said = json.loads(body)
            if not isinstance(said, dict) or not all(isinstance(v, str) for v in said.values()):
                raise ValueError("an object of texts is needed")
            who = said.get("who", "")
            if path == "/release":
                board.release(said.get("step", ""), said.get("role", ""), who, proven)
            else:
                board.observe(said.get("text", ""), who, proven)
        except ValueError as error:
            self._refuse(400, str(error))
        except DrillError as error:
            self._refuse(409, str(error))
        except OSError as error:
            self._refuse(500, f"it cannot be kept: {error}")
        else:
            self._json(200, {"said": "released" if path == "/release" else "noted"})

    def _let_in(self, body: bytes) -> None:
        token = parse_qs(body.decode(errors="replace")).get("token", [""])[0]
        role = self.server.access.role_of(token.strip())
        if role is None:
            self._login(wrong=True)
            return
        self._send(303, b"", "text/plain", {"Location": "/", "Set-Cookie": self.server.access.cookie(role)})

    def _login(self, wrong: bool, status: int = 401) -> None:
        self._html(status, login_page(self.server.board.title, wrong))

    def _body(self) -> bytes | None:
        """What was sent; None when it was refused."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LONGEST_BODY:
            self.close_connection = True
            self._refuse(413, f"at most {LONGEST_BODY} bytes, and their number said beforehand")
            return None
        return self.rfile.read(int(length))

    def _named(self) -> bool:
        if self.server.named_so(self.headers.get("Host", "")):
            return True
        self._refuse(403, "this board is asked for by a name of this machine: 127.0.0.1 or localhost")
        return False

    def _same_origin(self) -> bool:
        origin = self.headers.get("Origin")
        return origin is None or origin.partition("://")[2] == self.headers.get("Host", "")

    def _caller(self) -> str | None:
        """The role of who asks, "" for none in particular; None for who is not let in."""
        scheme, _, bearer = self.headers.get("Authorization", "").partition(" ")
        return self.server.access.caller(bearer.strip() if scheme.lower() == "bearer" else "", self._cookie())

    def _cookie(self) -> str:
        try:
            found = SimpleCookie(self.headers.get("Cookie", "")).get(COOKIE)
        except CookieError:
            return ""
        return "" if found is None else found.value

    def _refuse(self, status: int, why: str) -> None:
        self._json(status, {"error": why})

    def _json(self, status: int, record: dict[str, Any]) -> None:
        self._send(status, json.dumps(record).encode(), "application/json")

    def _html(self, status: int, page: str) -> None:
        self._send(status, page.encode(), "text/html; charset=utf-8")

    def _send(self, status: int, body: bytes, kind: str, more: dict[str, str] | None = None) -> None:
        headers = {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",  # with "no-referrer" a form's Origin is "null"
            "Cache-Control": "no-store",
        }
        self.send_response(status)
        for name, text in (headers | (more or {})).items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving(server: BoardServer, board: Board) -> Iterator[str]:
    """Serve that board in a thread of its own until the block ends; yields the URL."""
    server.board = board
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="board", daemon=True)
    thread.start()
    try:
        yield server.url
    finally:
        server.shutdown()
        server.server_close()
        thread.join(IDLE_WALL_S)
