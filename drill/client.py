"""One simulated client's HTTP: it resolves, connects and waits itself, and it never tries twice.

Ordinary HTTP clients hide outages: they send again on a broken connection, go on to the next address, and count
their timeout per read, so that a server that drips a byte now and then is never too slow. Here one call is one
attempt at one address with one deadline, and what broke is told. Blocking sockets on the standard library's
http.client: it works in threads, and under gevent when the process is patched first.
"""

from __future__ import annotations

import errno
import http.client
import io
import itertools
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import urlsplit

from drill.clock import Clock, SystemClock
from drill.resolver import CachingClient

ErrorClass = Literal["", "refused", "reset", "timeout", "dns", "protocol", "own"]
OWN = (errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM)
"""What is wrong with ourselves (no descriptor, no port, no memory left) and with nobody whom we ask."""
TIMEOUT_FLOOR_WALL_S = 1.0
"""A declared timeout, however fast the target runs, leaves the machine at least this long (wall seconds)."""
MAX_BODY_BYTES = 1024 * 1024
LOOK_TIMEOUT_WALL_S = 0.5
"""How long the question "is this connection pinned?" may take, after the request is over (wall seconds)."""
PORTS = {"http": 80, "https": 443}


def wall_timeout_s(target_s: float, speed: float) -> float:
    """A declared timeout (target seconds) in wall seconds, with its floor."""
    return max(TIMEOUT_FLOOR_WALL_S, target_s / speed)


@dataclass(frozen=True)
class Reply:
    """What became of one request.

    sent_s, done_s: monotonic wall seconds, before the name was resolved and when the result was known;
    status: HTTP status, 0 without one; body: as received, decoded by nobody; peer: the address that was tried, ""
    when there was none; reused: sent over a connection that was open already; pinned: that connection's address is
    no longer in the DNS answer that this client would get now (see `with_pinned`); error: "" when the whole reply
    arrived, else refused (no connection), reset (broken before the reply was whole; a kept connection that the
    server has closed meanwhile counts), timeout (the deadline passed), dns (no address), protocol (not HTTP, or a
    body beyond MAX_BODY_BYTES), own (this machine could not ask: see OWN); detail: the error in words;
    maybe_sent: the server may have seen the request. False means that it certainly has not.
    """

    sent_s: float
    done_s: float
    status: int = 0
    body: bytes = b""
    peer: str = ""
    reused: bool = False
    pinned: bool = False
    error: ErrorClass = ""
    detail: str = ""
    maybe_sent: bool = False

    @property
    def ok(self) -> bool:
        """A whole reply with a status below 400 arrived."""
        return not self.error and 0 < self.status < 400


class _NoAddress(Exception):
    """The name has no address, or nobody says which."""


class _BadReply(Exception):
    """The reply is not one that this client can take."""


class _DeadlineSocket:
    """The part of a socket that http.client uses, with one deadline for everything until the next `arm`."""

    def __init__(self, sock: socket.socket, clock: Clock) -> None:
        self._sock = sock
        self._clock = clock
        self._deadline_s = 0.0

    def arm(self, deadline_s: float) -> None:
        """Every operation from now on must end before `deadline_s` (monotonic wall seconds)."""
        self._deadline_s = deadline_s

    def sendall(self, data: bytes) -> None:
        """Send all, within what is left (a socket's timeout is the total of one sendall)."""
        self._sock.settimeout(self._left_s())
        self._sock.sendall(data)

    def recv_into(self, buffer: Any) -> int:
        """Receive some, within what is left."""
        self._sock.settimeout(self._left_s())
        return self._sock.recv_into(buffer)

    def makefile(self, mode: str) -> io.BufferedReader:
        """A reader whose every read is within what is left. http.client asks for "rb" only."""
        assert mode == "rb"
        return _WholeLines(_DeadlineReader(self))

    def close(self) -> None:
        """Nothing: http.client closes its socket before it reads the body of a last reply."""

    def really_close(self) -> None:
        """Close the connection."""
        self._sock.close()

    def _left_s(self) -> float:
        left_s = self._deadline_s - self._clock.monotonic_s()
        if left_s <= 0:
            raise TimeoutError("the deadline passed")
        return left_s


class _DeadlineReader(io.RawIOBase):
    def __init__(self, sock: _DeadlineSocket) -> None:
        self._deadline_sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._deadline_sock.recv_into(buffer)


class _WholeLines(io.BufferedReader):
    """http.client takes a head that ends early for a whole one; here such a line is a broken connection."""

    def readline(self, size: int | None = -1) -> bytes:
        line = super().readline(-1 if size is None else size)
        if not line.endswith(b"\n") and len(line) != size:
            raise ConnectionResetError("the connection ended before the reply was whole")
        return line


@dataclass(frozen=True)
class _Origin:
    scheme: str
    host: str
    port: int

    @property
    def host_header(self) -> str:
        return self.host if self.port == PORTS[self.scheme] else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class _Connection:
    http: http.client.HTTPConnection
    sock: _DeadlineSocket
    peer: str


@dataclass
class _Attempt:
    """What is known of a request while it is under way; whatever ends it, this is what became of it."""

    deadline_s: float
    peer: str = ""
    reused: bool = False
    maybe_sent: bool = False
    status: int = 0
    body: bytes = b""
    reusable: bool = False
    error: ErrorClass = ""
    detail: str = ""

    def failed(self, error: ErrorClass, cause: BaseException) -> None:
        self.error = error
        self.detail = str(cause) or type(cause).__name__


class HttpClient:
    """One client: its resolver's cache, and at most one kept connection per scheme, host and port.

    Requests with `fresh=True` neither use nor touch the kept connections and may come from many threads at once;
    the others must come one after the other.
    """

    def __init__(self, resolver: CachingClient, clock: Clock | None = None) -> None:
        self.resolver = resolver
        self._clock = clock or SystemClock()
        self._kept: dict[_Origin, _Connection] = {}
        self._turn = itertools.count()
        self._tls: ssl.SSLContext | None = None

    def request(
        self,
        method: str,
        url: str,
        *,
        timeout_wall_s: float,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        fresh: bool = False,
    ) -> Reply:
        """Make one attempt; resolving, connecting, sending and reading end within `timeout_wall_s` wall seconds.

        fresh: open a connection for this request alone and close it after (`Connection: close`); else use the kept
        connection, or keep the one that is opened. Redirects are not followed. Never raises for what the network
        or the server does. ValueError: `url` is not http(s) with a host.
        """
        origin, path = _split(url)
        sent_s = self._clock.monotonic_s()
        attempt = _Attempt(sent_s + timeout_wall_s)
        all_headers = {"Host": origin.host_header, "Accept": "*/*", **(headers or {})}
        if fresh:
            all_headers["Connection"] = "close"
        self._attempt(attempt, origin, fresh, (method, path, body, all_headers))
        return Reply(
            sent_s=sent_s,
            done_s=self._clock.monotonic_s(),
            status=attempt.status,
            body=attempt.body,
            peer=attempt.peer,
            reused=attempt.reused,
            error=attempt.error,
            detail=attempt.detail,
            maybe_sent=attempt.maybe_sent,
        )

    def with_pinned(self, url: str, reply: Reply) -> Reply:
        """`reply` with `pinned` found out, which may cost a DNS query; False when DNS tells nothing.

        Apart from `request`, so that a write's outcome can be put down before anything else may block.
        """
        if not reply.reused:
            return reply
        now = self.resolver.would_answer(_split(url)[0].host, LOOK_TIMEOUT_WALL_S)
        return replace(reply, pinned=bool(now) and reply.peer not in now)

    def close(self) -> None:
        """Drop the kept connections: the next request resolves and connects again."""
        while self._kept:
            self._kept.popitem()[1].sock.really_close()

    def _attempt(self, attempt: _Attempt, origin: _Origin, fresh: bool, message: _Message) -> None:
        connection = None if fresh else self._kept.pop(origin, None)
        attempt.reused = connection is not None
        try:
            connection = connection or self._open(origin, attempt)
            attempt.peer = connection.peer
            _exchange(connection, attempt, message)
        except _NoAddress as error:
            attempt.failed("dns", error)
        except TimeoutError as error:
            attempt.failed("timeout", error)
        except (http.client.RemoteDisconnected, http.client.IncompleteRead) as error:
            attempt.failed("reset", error)
        except (http.client.HTTPException, ssl.SSLError, _BadReply) as error:
            attempt.failed("protocol", error)
        except OSError as error:
            own = connection is None and error.errno in OWN
            attempt.failed("own" if own else "reset" if connection else "refused", error)
        finally:
            # Also when the greenlet is killed in the middle: such a connection must not be used again.
            if connection is not None:
                self._put_away(origin, connection, keep=attempt.reusable and not attempt.error and not fresh)

    def _put_away(self, origin: _Origin, connection: _Connection, keep: bool) -> None:
        if keep:
            self._kept[origin] = connection
        else:
            connection.sock.really_close()

    def _open(self, origin: _Origin, attempt: _Attempt) -> _Connection:
        answer = self.resolver.resolve(origin.host, attempt.deadline_s - self._clock.monotonic_s())
        if not answer.addresses:
            raise _NoAddress(f"{origin.host}: {answer.rcode} from {answer.server or 'no server'}")
        # Sorted first: a server that rotates its answers and a client that does would cancel each other out.
        address = sorted(answer.addresses)[next(self._turn) % len(answer.addresses)]
        attempt.peer = address
        left_s = max(0.001, attempt.deadline_s - self._clock.monotonic_s())
        sock = socket.create_connection((address, origin.port), timeout=left_s)
        try:
            # http.client sends head and body apart: Nagle's algorithm would add the peer's delayed ACK (40 ms).
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if origin.scheme == "https":
                sock = self._tls_context().wrap_socket(sock, server_hostname=origin.host)
        except BaseException:
            sock.close()
            raise
        return _connection(origin, _DeadlineSocket(sock, self._clock), address)

    def _tls_context(self) -> ssl.SSLContext:
        self._tls = self._tls or ssl.create_default_context()
        return self._tls


_Message = tuple[str, str, bytes | None, dict[str, str]]


def _split(url: str) -> tuple[_Origin, str]:
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname:
        raise ValueError(f"URL {url!r}: expected http:// or https:// with a host")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _Origin(parts.scheme, parts.hostname, parts.port or PORTS[parts.scheme]), path


def _connection(origin: _Origin, sock: _DeadlineSocket, peer: str) -> _Connection:
    connection = http.client.HTTPConnection(origin.host, origin.port)
    connection.auto_open = 0  # http.client must never connect again on its own
    connection.sock = sock
    return _Connection(connection, sock, peer)


def _exchange(connection: _Connection, attempt: _Attempt, message: _Message) -> None:
    method, path, body, headers = message
    connection.sock.arm(attempt.deadline_s)
    attempt.maybe_sent = True
    connection.http.request(method, path, body=body, headers=headers)
    response = connection.http.getresponse()
    attempt.status = response.status
    attempt.body = _read_body(response)
    attempt.reusable = not response.will_close


def _read_body(response: http.client.HTTPResponse) -> bytes:
    data = response.read(MAX_BODY_BYTES + 1)
    if len(data) > MAX_BODY_BYTES:
        raise _BadReply(f"a body of more than {MAX_BODY_BYTES} bytes")
    # read(n) is content with a body that ends early; a client is not.
    if response.length:
        raise http.client.IncompleteRead(data, response.length)
    return data
