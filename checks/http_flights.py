"""Looks over HTTP: a connection for each look, or kept ones, as two kinds of client.

A *fresh* aim is a new client each time: it connects to where the name points now. A *kept* aim is a client that has
been there for long: it holds its connections, and resolves again only after one of them broke. While a kept
connection is busy (its request unanswered) the next look opens another to the same address, so that a slow answer
never delays the next look.
"""

from __future__ import annotations

import errno
import re
import select
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from checks.flights import FAIL, OK, SO_TIMESTAMPNS, UNKNOWN, Aim, Ancillary, Flight, Loop

IN, OUT = select.EPOLLIN, select.EPOLLOUT
MAX_REPLY_BYTES = 64 * 1024
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)
CLOSING = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)
RESET_AT_CLOSE = struct.pack("ii", 1, 0)

Resolve = Callable[[], tuple[str, str]]
"""The address to connect to now and "", or "" and why there is none. Must not block."""


@dataclass
class HttpAim:
    """One URL from one vantage. See checks.flights.Aim.

    resolve, port: where to connect; request: the bytes to send; good: statuses that say it is well; kept: whether
    connections are kept; tls: a context and the name to verify, None for plain HTTP; abrupt: close by a reset (at
    hundreds of connections a second the polite way would use up all ports).
    """

    probe: str
    vantage: str
    interval_s: float
    quick_interval_s: float
    deadline_s: float
    resolve: Resolve
    port: int
    request: bytes
    good: frozenset[int]
    kept: bool = False
    offset_s: float = 0.0
    tls: tuple[ssl.SSLContext, str] | None = None
    abrupt: bool = False
    _idle: list[socket.socket] = field(default_factory=list)
    _held: str = ""

    def begin(self, loop: Loop, now_s: float) -> None:
        """See checks.flights.Aim."""
        if self._idle:
            HttpFlight(self, now_s, self._held, loop, self._idle.pop()).send()
            return
        address, why = (self._held, "") if self._held else self.resolve()
        flight = HttpFlight(self, now_s, address, loop, None)
        if address:
            flight.connect()
        else:
            flight.end(FAIL, f"dns: {why}")

    def keep(self, sock: socket.socket, address: str) -> None:
        """A connection that may be used again."""
        self._held = address
        self._idle.append(sock)

    def broke(self) -> None:
        """A connection broke: this client lets go of its others too and resolves again, as clients do."""
        self._held = ""
        while self._idle:
            self._idle.pop().close()


class HttpFlight(Flight):
    """One request and its reply."""

    __slots__ = ("_data", "_loop", "_reused", "_sock", "_wrapped")
    aim: HttpAim

    def __init__(self, aim: HttpAim, sent_s: float, address: str, loop: Loop, sock: socket.socket | None) -> None:
        super().__init__(aim, sent_s, address)
        self._loop, self._sock, self._reused, self._data = loop, sock, sock is not None, b""
        self._wrapped = sock is not None
        loop.flew(self)

    def connect(self) -> None:
        """Open a connection; on a near network it is there at once, else the loop tells."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._sock = sock
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        if self.aim.abrupt:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
        error = sock.connect_ex((self.value, self.aim.port))
        if error not in (0, errno.EINPROGRESS):
            self._failed(OSError(error, ""))
        elif error and self.aim.tls is not None:
            # ssl makes nothing of a socket that is still connecting, and closes it.
            self._loop.watch(sock.fileno(), OUT, self._writable)
        else:
            self.send()

    def send(self) -> None:
        """Send the request, or ask to be told when that is possible."""
        assert self._sock is not None
        try:
            if self.aim.tls is not None and not self._shaken(*self.aim.tls):
                return
            self._sock.send(self.aim.request)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            self._loop.watch(self._sock.fileno(), OUT, self._writable)
        except OSError as error:
            # Not connected yet looks like a broken pipe when the peer has refused meanwhile: ask the socket.
            if error.errno == errno.ENOTCONN:
                self._loop.watch(self._sock.fileno(), OUT, self._writable)
            else:
                self._failed(error)
        else:
            self._loop.watch(self._sock.fileno(), IN, self._readable)

    def _shaken(self, context: ssl.SSLContext, name: str) -> bool:
        """Whether the TLS handshake is over; otherwise it goes on when the socket is ready."""
        assert self._sock is not None
        if not self._wrapped:
            self._sock = context.wrap_socket(self._sock, server_hostname=name, do_handshake_on_connect=False)
            self._wrapped = True
        assert isinstance(self._sock, ssl.SSLSocket)
        try:
            self._sock.do_handshake()
        except ssl.SSLWantReadError:
            self._loop.watch(self._sock.fileno(), IN, self._writable)
            return False
        return True

    def _writable(self, mask: int) -> None:
        assert self._sock is not None
        error = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self._failed(OSError(error, ""))
        elif not self.over:
            self.send()

    def _readable(self, mask: int) -> None:
        assert self._sock is not None
        extra: Ancillary = ()
        try:
            if self.aim.tls is None:
                data, extra, _, _ = self._sock.recvmsg(16384, 64)
            else:
                data = self._sock.recv(16384)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            self._failed(error)
            return
        self._data += data
        whole, status, closing = _reply(self._data, at_end=not data)
        if whole:
            self._arrived(status, closing, extra)
        elif not data or len(self._data) > MAX_REPLY_BYTES:
            self._over(FAIL, "reset" if not data else "protocol: too long a reply", keep=False)

    def _arrived(self, status: int, closing: bool, extra: Ancillary) -> None:
        good = status in self.aim.good
        outcome, detail = (OK, "") if good else (FAIL, f"status {status}")
        self._over(outcome, detail, keep=self.aim.kept and not closing, extra=extra)

    def _failed(self, error: OSError) -> None:
        refused = error.errno in (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL)
        what = "refused" if refused and not self._reused else "reset"
        if isinstance(error, ssl.SSLError):
            what = f"protocol: tls: {_tls_reason(error)}"
        if error.errno in (errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE):
            what = f"prober: {errno.errorcode[error.errno]}"
        self._over(FAIL, what, keep=False)

    def _over(self, outcome: int, detail: str, keep: bool, extra: Ancillary = ()) -> None:
        self.end(outcome, detail, extra)
        assert self._sock is not None
        self._loop.forget(self._sock.fileno(), closing=not keep)
        if keep:
            self.aim.keep(self._sock, self.value)
            return
        self._sock.close()
        if self.aim.kept:
            self.aim.broke()

    def end(self, outcome: int, detail: str, extra: Ancillary = ()) -> None:
        """Tell the loop; what is wrong with ourselves is no failure of anybody's."""
        self._loop.ended(self, UNKNOWN if detail.startswith("prober:") else outcome, detail, extra)

    def gone(self) -> None:
        """See Flight."""
        if self._sock is not None:
            self._loop.forget(self._sock.fileno(), closing=True)
            self._sock.close()
            if self.aim.kept:
                self.aim.broke()


def _tls_reason(error: ssl.SSLError) -> str:
    """What is wrong with the handshake or the certificate, in the library's words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return error.reason or type(error).__name__


def _reply(data: bytes, at_end: bool) -> tuple[bool, int, bool]:
    """Whether the reply is whole, its status, and whether the connection ends with it."""
    head_end = data.find(b"\r\n\r\n")
    if head_end < 0 or not data.startswith(b"HTTP/1.") or not data[9:12].isdigit():
        return False, 0, True
    status, closing = int(data[9:12]), at_end or CLOSING.search(data, 0, head_end) is not None
    length = LENGTH.search(data, 0, head_end)
    if length is not None:
        return len(data) - head_end - 4 >= int(length[1]), status, closing
    if CHUNKED.search(data, 0, head_end):
        return data.endswith(b"0\r\n\r\n"), status, closing
    return at_end or status in (204, 304), status, closing


def as_aim(aim: HttpAim) -> Aim:
    """The aim as the loop sees it; mypy holds the two together here."""
    return aim
