"""A network load balancer: TCP connections handed on to registered targets, by the rules that AWS publishes.

Elastic Load Balancing user guide (Network Load Balancers): a target takes connections once its registration is
through and its first health checks are over; while no target is healthy all of them take connections (fail open);
with connection termination on deregistration and a delay of 0 a deregistered target's connections end at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lab.clock import LabClock
from lab.tcp_thread import STOP_WALL_S, TcpThread

CHUNK = 64 * 1024
CONNECT_WALL_S = 3.0
CHECK_FLOOR_WALL_S = 0.2

Address = tuple[str, int]
Told = Callable[[Mapping[Address, str]], None]


@dataclass(frozen=True)
class NlbConfig:
    """host, port: where it listens; check_port: of the targets, 0 for the traffic port; the rest in lab seconds."""

    host: str
    port: int
    clock: LabClock
    check_port: int = 0
    registration_s: float = 60.0
    check_interval_s: float = 30.0


@dataclass(eq=False)
class _Target:
    address: Address
    state: str = "initial"
    pumps: set[asyncio.Task[None]] = field(default_factory=set)


class NetworkBalancer(TcpThread):
    """The balancer. told: all targets' states, at every change."""

    def __init__(self, config: NlbConfig, told: Told) -> None:
        super().__init__(config.host, config.port, "nlb")
        self._config, self._told = config, told
        self._targets: dict[Address, _Target] = {}
        self._turn = itertools.count()

    def register(self, target: Address, at_once: bool = False) -> None:
        """Take a target in; at_once: without the time that a registration takes, for what was there before."""
        self._do(self._register, target, at_once)

    def deregister(self, target: Address) -> None:
        """Let a target go; its connections end."""
        self._do(self._deregister, target)

    def states(self) -> dict[Address, str]:
        """The targets and their states, as DescribeTargetHealth names them."""
        return {address: target.state for address, target in list(self._targets.items())}

    def _do(self, act: Callable[..., None], *arguments: object) -> None:
        done = threading.Event()

        def run() -> None:
            act(*arguments)
            done.set()

        self._loop.call_soon_threadsafe(run)
        done.wait(STOP_WALL_S)

    # -- inside the loop --------------------------------------------------------------------------------------

    def _register(self, address: Address, at_once: bool) -> None:
        if address in self._targets:
            return
        self._targets[address] = target = _Target(address)
        self._keep(
            self._loop.create_task(self._check_forever(target, 0.0 if at_once else self._config.registration_s))
        )
        self._tell()

    def _deregister(self, address: Address) -> None:
        target = self._targets.pop(address, None)
        if target is not None:
            for pump in target.pumps:
                pump.cancel()
            self._tell()

    def _tell(self) -> None:
        self._told(self.states())

    async def _check_forever(self, target: _Target, registration_s: float) -> None:
        clock = self._config.clock
        await asyncio.sleep(clock.wall_s(registration_s))
        while self._targets.get(target.address) is target:
            state = "healthy" if await self._answers(target.address) else "unhealthy"
            if state != target.state and self._targets.get(target.address) is target:
                target.state = state
                self._tell()
            await asyncio.sleep(max(CHECK_FLOOR_WALL_S, clock.wall_s(self._config.check_interval_s)))

    async def _answers(self, address: Address) -> bool:
        host, port = address[0], self._config.check_port or address[1]
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), CONNECT_WALL_S)
        except (OSError, TimeoutError):
            return False
        writer.transport.abort()
        return True

    def _choose(self) -> _Target | None:
        """In turn over the healthy targets, over the unhealthy ones when none is healthy (fail open)."""
        able = [t for t in self._targets.values() if t.state == "healthy"] or [
            t for t in self._targets.values() if t.state == "unhealthy"
        ]
        return able[next(self._turn) % len(able)] if able else None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task, target = asyncio.current_task(), self._choose()
        self._keep(task)
        assert task is not None
        try:
            if target is not None:
                target.pumps.add(task)
                await _hand_on(reader, writer, target.address)
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass  # an end of it is gone, or the target is; to re-raise would only make asyncio log it
        finally:
            if target is not None:
                target.pumps.discard(task)
            writer.transport.abort()


async def _hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: Address) -> None:
    """Both ways, until either end is done."""
    there = await asyncio.wait_for(asyncio.open_connection(*address), CONNECT_WALL_S)
    pumps = [asyncio.create_task(_pump(reader, there[1])), asyncio.create_task(_pump(there[0], writer))]
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        there[1].transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
