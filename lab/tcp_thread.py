"""A TCP server of asyncio in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading

STOP_WALL_S = 5.0


class TcpThread:
    """Listens on `host` and `port` (0: any free one) from `start` to `stop`; subclasses serve each connection."""

    def __init__(self, host: str, port: int, name: str) -> None:
        self._socket = socket.create_server((host, port))
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self._socket.getsockname()[:2]
        return str(host), int(port)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Close everything; bounded, may be called twice."""
        if self._loop.is_running():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(STOP_WALL_S)
        self._socket.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection; its task is to be kept."""
        raise NotImplementedError

    def _keep(self, task: asyncio.Task[None] | None) -> None:
        """End that task with the server."""
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, sock=self._socket))
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(self._drop())
        self._loop.close()

    async def _drop(self) -> None:
        mine = [task for task in self._tasks if not task.done()]
        for task in mine:
            task.cancel()
        await asyncio.gather(*mine, return_exceptions=True)
