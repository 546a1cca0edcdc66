"""A small fast HTTP server for the load benchmarks, in a process of its own: answers, hangs, or drops.

`python benchmarks/victim.py MODE`, MODE one of ok, hang, drop; prints its port; ends when its stdin closes. hang: a
line on stdin begins a stretch in which requests are taken and never answered, the next line ends it. drop: every
second request is read and its connection closed without an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys

BODY = b'{"transactionId":"t-1","status":"status#success"}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY


class Victim(asyncio.Protocol):
    """One connection; the class holds the mode of all."""

    mode = "ok"
    hanging = False
    seen = itertools.count(1)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers go to."""
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.data = transport, b""

    def data_received(self, data: bytes) -> None:
        """Answer whole requests."""
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            head = self.data[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.data) < end + 4 + length:
                return
            self.data = self.data[end + 4 + length :]
            self._answer()

    def _answer(self) -> None:
        if Victim.mode == "drop" and next(Victim.seen) % 2 == 0:
            self.transport.close()
        elif not Victim.hanging:
            self.transport.write(ANSWER)


async def main() -> None:
    """Serve until stdin closes."""
    Victim.mode = sys.argv[1]
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Victim, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.readline():
        Victim.hanging = not Victim.hanging
    server.close()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
