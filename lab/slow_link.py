"""A TCP link that takes its time: what a server sends arrives at its client only after a delay.

It stands between a PostgreSQL standby and its writer and is the distance between two Regions. Only the replication
stream is delayed, not the few messages that open it: those have time-outs that mean this machine. What is under way
when the link is cut never arrives.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque

from lab.tcp_thread import TcpThread

STEP_S = 0.02
"""How finely the delay is kept (wall seconds)."""
STREAM_BEGINS = b"START_REPLICATION"
CHUNK = 64 * 1024
MAX_HELD_BYTES = 256 * 1024 * 1024
"""More than this under way and the sender is made to wait."""
START_TIMEOUT_S = 5.0


class SlowLink(TcpThread):
    """Listens on `host` and hands on to `target` (host, port). delay_s: wall seconds, may be set at any time."""

    def __init__(self, host: str, target: tuple[str, int], delay_s: float = 0.0) -> None:
        super().__init__(host, 0, "slow-link")
        self._target = target
        self.delay_s = delay_s
        self._open = True

    def cut(self) -> None:
        """Drop what is under way and refuse new connections; returns when that holds."""
        self._open = False
        if self._loop.is_running():
            asyncio.run_coroutine_threadsafe(self._drop(), self._loop).result(START_TIMEOUT_S)

    def mend(self) -> None:
        """Let connections through again."""
        self._open = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.transport.abort()
            return
        self._keep(asyncio.current_task())
        try:
            await _Connection(self).run(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # cut, or an end of it is gone; to re-raise would only make asyncio log it
        finally:
            writer.transport.abort()

    @property
    def target(self) -> tuple[str, int]:
        """Where the link leads."""
        return self._target


class _Connection:
    """One connection through the link."""

    def __init__(self, link: SlowLink) -> None:
        self._link = link
        self._streams = False
        self._held: deque[tuple[float, bytes]] = deque()
        self._bytes = 0
        self._over = False

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand on both ways until either end is done."""
        there_reader, there_writer = await asyncio.open_connection(*self._link.target)
        pumps = [
            asyncio.create_task(self._up(reader, there_writer)),
            asyncio.create_task(self._hold(there_reader)),
            asyncio.create_task(self._down(writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            there_writer.transport.abort()

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                self._streams = self._streams or STREAM_BEGINS in data
                writer.write(data)
                await writer.drain()

    async def _hold(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                self._held.append((time.monotonic(), data))
                self._bytes += len(data)
                while self._bytes > MAX_HELD_BYTES:
                    await asyncio.sleep(STEP_S)
        self._over = True
        await asyncio.Event().wait()  # what is held still arrives; `_down` ends the connection

    async def _down(self, writer: asyncio.StreamWriter) -> None:
        while self._held or not self._over:
            if not self._held or self._left_s() > 0:
                await asyncio.sleep(min(STEP_S, max(0.001, self._left_s())) if self._held else STEP_S)
                continue
            _, data = self._held.popleft()
            self._bytes -= len(data)
            writer.write(data)
            await writer.drain()

    def _left_s(self) -> float:
        """Wall seconds until the first of what is held is due."""
        if not self._held or not self._streams:
            return 0.0
        return self._held[0][0] + self._link.delay_s - time.monotonic()
