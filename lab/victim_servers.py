"""The servers of lab/victims.py: one thread, only sockets, and a switch that takes effect between two requests.

`python -m lab.victim_servers HOST PORT` is the one that is stopped from outside: it says its port on stdout, and
after every SIGCONT the instants before and after the first answer that reached its client.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import select
import signal
import socket
import struct
import sys
import time

SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
RESET = struct.pack("ii", 1, 0)
BACKLOG = 1024
BUFFER_BYTES = 1024 * 1024
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
BAD = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
HERE, ELSEWHERE = "127.0.0.1", "127.0.0.2"
"""What the DNS victim answers when it is well, and when it is not."""


class Reactor:
    """Waits for sockets. alive: until the input that is watched ends."""

    how = ""
    """What is done otherwise than its kind says, because this machine does not allow it; "" usually."""

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.alive = True
        self.told = False
        """Whether the input that is watched has said anything."""
        self._input = -1

    def watch_input(self, fd: int) -> None:
        """End when `fd` reads EOF."""
        self._input = fd
        self.epoll.register(fd, select.EPOLLIN)

    def turn(self, wait_s: float) -> None:
        """Serve what comes within `wait_s` wall seconds (select waits finer than epoll)."""
        select.select((self.epoll.fileno(),), (), (), wait_s)
        for fd, _ in self.epoll.poll(0):
            if fd == self._input:
                self.alive = bool(os.read(fd, 4096))
                self.told = True
            else:
                self.ready(fd)

    def ready(self, fd: int) -> None:
        """`fd` is ready."""


class HttpVictim(Reactor):
    """Answers every request with 200 and closes, until it is down, in the way of its kind."""

    def __init__(self, host: str, port: int, kind: str, ratio: float, rng: random.Random) -> None:
        super().__init__()
        self._kind, self._ratio, self._rng = kind, ratio, rng
        self._down = self.went_on = False
        self._open: dict[int, socket.socket] = {}
        self._held: list[socket.socket] = []
        self._listener = self._listening(host, port)
        self._host, self.port = self._listener.getsockname()
        if kind == "blackhole" and not self._may_filter():
            self.how = "without the right to filter: nothing is answered any more"

    def down(self) -> None:
        """The service stops."""
        if self._kind == "refuse":
            self.epoll.unregister(self._listener.fileno())
            self._listener.close()
            self._drop_open()
        elif self._kind == "blackhole":
            if not self.how:
                _filter(self._listener)
            self._hold_open()
        self._down = True

    def up(self) -> None:
        """The service serves again."""
        if self._kind == "refuse":
            self._listener = self._listening(self._host, self.port)
        elif self._kind == "blackhole":
            self._unhole()
        self._down = False

    def ready(self, fd: int) -> None:
        """See Reactor."""
        if fd == self._listener.fileno():
            self._accept_all()
        elif fd in self._open:
            self._answer(self._open.pop(fd), registered=True)

    def _listening(self, host: str, port: int) -> socket.socket:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        self.epoll.register(listener.fileno(), select.EPOLLIN)
        return listener

    def _accept_all(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            sock.setblocking(False)
            self._answer(sock, registered=False)

    def _answer(self, sock: socket.socket, registered: bool) -> None:
        try:
            request = sock.recv(4096)
        except BlockingIOError:
            self._open[sock.fileno()] = sock
            self.epoll.register(sock.fileno(), select.EPOLLIN)
            return
        except OSError:
            request = b""
        if registered:
            self.epoll.unregister(sock.fileno())
        if request:
            self._reply(sock)
        else:
            sock.close()

    def _reply(self, sock: socket.socket) -> None:
        if self._down and self._kind == "blackhole":
            self._held.append(sock)
            return
        bad = self._down and (self._kind != "brownout" or self._rng.random() < self._ratio)
        if bad and self._kind == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        else:
            self._send(sock, BAD if bad else GOOD)
        sock.close()

    def _send(self, sock: socket.socket, reply: bytes) -> None:
        first, before_s = self.went_on, time.monotonic()
        try:
            sock.send(reply)
        except OSError:  # its client has given up
            return
        if first:
            self.went_on = False
            tell(f"{before_s!r} {time.monotonic()!r}")

    def _drop_open(self) -> None:
        while self._open:
            _, sock = self._open.popitem()
            self.epoll.unregister(sock.fileno())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            sock.close()

    def _hold_open(self) -> None:
        """What has connected before will get no answer either."""
        while self._held:
            self._held.pop().close()
        while self._open:
            _, sock = self._open.popitem()
            self.epoll.unregister(sock.fileno())
            self._held.append(sock)

    def _unhole(self) -> None:
        """What came into the hole stays there: no answer, no end of the connection."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._held.append(self._listener.accept()[0])
        if not self.how:
            self._listener.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)

    def _may_filter(self) -> bool:
        try:
            _filter(self._listener)
            self._listener.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
        except OSError:
            return False
        return True


def _filter(sock: socket.socket) -> None:
    """Let the kernel drop every packet for this socket: a BPF program that keeps 0 bytes."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(program)))


class DnsVictim(Reactor):
    """Answers every A question with HERE, or with ELSEWHERE while it is down."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__()
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self._sock.bind((host, port))
        self.port: int = self._sock.getsockname()[1]
        self.epoll.register(self._sock.fileno(), select.EPOLLIN)
        self._address = HERE

    def down(self) -> None:
        """The name points elsewhere."""
        self._address = ELSEWHERE

    def up(self) -> None:
        """The name points here."""
        self._address = HERE

    def ready(self, fd: int) -> None:
        """See Reactor."""
        with contextlib.suppress(BlockingIOError):
            while True:
                question, peer = self._sock.recvfrom(2048)
                if len(question) > 16:
                    self._sock.sendto(self._reply(question), peer)

    def _reply(self, question: bytes) -> bytes:
        """The question, answered by one A record with a TTL of 1 s."""
        end = question.index(b"\0", 12) + 5
        head = question[:2] + b"\x84\x00\x00\x01\x00\x01\x00\x00\x00\x00"
        record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x01\x00\x04" + socket.inet_aton(self._address)
        return head + question[12:end] + record


def main() -> int:
    """A healthy server that is stopped from outside; it tells when it serves again."""
    server = HttpVictim(sys.argv[1], int(sys.argv[2]), "503", 1.0, random.Random(0))

    def went_on(*_: object) -> None:
        server.went_on = True

    signal.signal(signal.SIGCONT, went_on)
    tell(str(server.port))
    server.watch_input(0)
    while server.alive:
        server.turn(0.2)
    return 0


def tell(words: str) -> None:
    """One line on stdout."""
    os.write(1, words.encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
