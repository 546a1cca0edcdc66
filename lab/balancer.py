"""A Region's application load balancer: path rules, health checks, draining. One process per Region.

`python -m lab.balancer` reads its configuration as the first JSON line on stdin, then commands, and says on
stdout what happens; it ends at EOF. `BalancerProcess` is the owner's side.

Published behaviour that it follows (Elastic Load Balancing user guide): a newly registered target passes one
health check to become healthy; later `threshold` checks in a row change its state; a group of which no target
is healthy routes to all of them; a group without targets answers 503; a refused or broken connection 502; a
target slower than the idle timeout 504; a deregistered target drains for the deregistration delay.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from lab import processes, web
from lab.clock import LabClock
from lab.packet_loss import Loss
from lab.talker import Event, Talker

REGION_HEADER = "X-Lab-Region"
CHECK_FLOOR_S = 0.2
"""Health checks are never closer together than this (wall seconds), however fast the lab runs."""
TIMEOUT_FLOOR_S = 2.0
"""No timeout of a request or a check is shorter than this (wall seconds): it measures this machine's work."""


@dataclass(frozen=True)
class Rule:
    """Requests whose path begins with `prefix` go to `group`; `check_path` is the group's health check."""

    prefix: str
    group: str
    check_path: str = "/health"


@dataclass(frozen=True)
class BalancerConfig:
    """What one balancer is told at start. Durations are lab seconds; port 0 = any that is free on all addresses."""

    region: str
    addresses: Sequence[str]
    port: int
    rules: Sequence[Rule]
    clock: LabClock
    check_interval_s: float = 15.0
    check_timeout_s: float = 5.0
    healthy_threshold: int = 2
    unhealthy_threshold: int = 2
    deregistration_delay_s: float = 10.0
    idle_timeout_s: float = 60.0

    @property
    def check_pause_s(self) -> float:
        """Wall seconds between two health checks of a target."""
        return max(CHECK_FLOOR_S, self.clock.wall_s(self.check_interval_s))

    @classmethod
    def from_json(cls, text: str) -> BalancerConfig:
        """The configuration that `to_json` wrote."""
        fields = json.loads(text)
        fields["rules"] = [Rule(**rule) for rule in fields["rules"]]
        return cls(**{**fields, "clock": LabClock(**fields["clock"])})

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))


@dataclass
class Target:
    """One registered target and what its health checks said. States are those of DescribeTargetHealth."""

    id: str
    port: int
    group: str
    check_path: str
    client: web.Client
    state: str = "initial"
    streak: int = 0
    open_requests: int = 0
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def note(self, good: bool, healthy_after: int, unhealthy_after: int) -> bool:
        """Take in the result of a check; whether the state changed."""
        wanted = "healthy" if good else "unhealthy"
        if self.state in (wanted, "draining"):
            self.streak = 0
            return False
        self.streak += 1
        needed = 1 if self.state == "initial" and good else healthy_after if good else unhealthy_after
        if self.streak < needed:
            return False
        self.state, self.streak = wanted, 0
        return True


class Balancer:
    """The load balancer itself, inside its event loop."""

    def __init__(self, config: BalancerConfig) -> None:
        self._config = config
        self._clock = config.clock
        self._server = web.Server(self.handle)
        self._targets: dict[tuple[str, str, int], Target] = {}
        self._turn = itertools.count()

    # -- requests -----------------------------------------------------------------------------------------

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one client request."""
        response = await self._route(request)
        return replace(response, headers={**response.headers, REGION_HEADER: self._config.region})

    async def _route(self, request: web.Request) -> web.Response:
        rule = next((rule for rule in self._config.rules if request.path.startswith(rule.prefix)), None)
        if rule is None:
            return web.Response(400, b"")
        target = self._choose(rule.group)
        if target is None:
            return web.Response(503, b"<html><body>503 Service Temporarily Unavailable</body></html>")
        return await self._forward(request, target)

    def _choose(self, group: str) -> Target | None:
        """Round robin over the healthy targets, over all when none is healthy (fail open)."""
        able = [t for t in self._targets.values() if t.group == group and t.state != "draining"]
        healthy = [t for t in able if t.state == "healthy"] or able
        return healthy[next(self._turn) % len(healthy)] if healthy else None

    async def _forward(self, request: web.Request, target: Target) -> web.Response:
        seen = request.headers.get("x-forwarded-for")
        forwarded = f"{seen}, {request.peer}" if seen else request.peer
        onward = replace(request, headers={**request.headers, "x-forwarded-for": forwarded})
        timeout_s = max(TIMEOUT_FLOOR_S, self._clock.wall_s(self._config.idle_timeout_s))
        target.open_requests += 1
        try:
            return await target.client.request(onward, timeout_s)
        except TimeoutError:
            return web.Response(504, b"<html><body>504 Gateway Time-out</body></html>")
        except (OSError, web.HttpError):
            return web.Response(502, b"<html><body>502 Bad Gateway</body></html>")
        finally:
            target.open_requests -= 1

    # -- targets ------------------------------------------------------------------------------------------

    def register(self, group: str, target_id: str, port: int) -> None:
        """Add a target; its first health check runs at once."""
        path = next(rule.check_path for rule in self._config.rules if rule.group == group)
        target = Target(target_id, port, group, path, web.Client(target_id, port))
        self._targets[group, target_id, port] = target
        target.tasks.append(asyncio.create_task(self._check_forever(target)))
        self.report()

    def deregister(self, group: str, target_id: str, port: int) -> None:
        """Let a target drain, then forget it; `drained` is reported then."""
        target = self._targets.get((group, target_id, port))
        if target is None:
            say({"event": "drained", "group": group, "id": target_id, "port": port})
        elif target.state != "draining":
            target.state = "draining"
            target.tasks.append(asyncio.create_task(self._drain(target)))
            self.report()

    async def _drain(self, target: Target) -> None:
        """Wait for the deregistration delay: AWS waits it out even when no request is open."""
        await asyncio.sleep(self._clock.wall_s(self._config.deregistration_delay_s))
        del self._targets[target.group, target.id, target.port]
        target.tasks[0].cancel()
        await target.client.close()
        self.report()
        say({"event": "drained", "group": target.group, "id": target.id, "port": target.port})

    async def _check_forever(self, target: Target) -> None:
        pause_s = self._config.check_pause_s
        while True:
            good = await self._check(target)
            if target.note(good, self._config.healthy_threshold, self._config.unhealthy_threshold):
                self.report()
            # A target that is just starting is looked at again soon, so that a lab starts fast.
            await asyncio.sleep(CHECK_FLOOR_S if target.state == "initial" else pause_s)

    async def _check(self, target: Target) -> bool:
        timeout_s = max(TIMEOUT_FLOOR_S, self._clock.wall_s(self._config.check_timeout_s))
        request = web.Request("GET", target.check_path, {"user-agent": "ELB-HealthChecker/2.0"})
        try:
            return (await target.client.request(request, timeout_s)).status == 200
        except (OSError, TimeoutError, web.HttpError):
            return False

    def report(self) -> None:
        """Say the health of every target."""
        health = [{"group": t.group, "id": t.id, "port": t.port, "state": t.state} for t in self._targets.values()]
        say({"event": "health", "targets": health})

    # -- life ---------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Listen, obey the commands on stdin, end at its EOF."""
        commands = await _stdin_lines()
        try:
            port = await self._listen()
        except OSError as error:
            say({"event": "failed", "errno": error.errno, "message": str(error)})
            return
        say({"event": "listening", "port": port})
        while line := await commands.readline():
            self._obey(json.loads(line))
        await self._server.close()

    def _obey(self, command: Mapping[str, Any]) -> None:
        if command["command"] == "cut_off":
            self._server.cut_off(command["networks"])
            return
        if command["command"] == "lose":
            self._server.lose(Loss.from_json(command["loss"]))
            return
        action = {"register": self.register, "deregister": self.deregister}[command["command"]]
        action(command["group"], command["id"], command["port"])

    async def _listen(self) -> int:
        """Listen on all addresses with one port; with port 0 another one is tried when it is taken on one."""
        for attempt in range(20):
            port = self._config.port
            try:
                for address in self._config.addresses:
                    port = await self._server.listen(address, port)
                return port
            except OSError:
                await self._server.close()
                if self._config.port or attempt == 19:
                    raise
                self._server = web.Server(self.handle)
        raise AssertionError("unreachable")


class BalancerProcess:
    """A balancer in a process of its own. `on_health(group, {(id, port): state})` runs at every change."""

    def __init__(self, config: BalancerConfig, on_health: Callable[[str, dict[tuple[str, int], str]], None]) -> None:
        self._config = config
        self._on_health = on_health
        self._changed = threading.Condition()
        self._states: dict[tuple[str, str, int], str] = {}
        self._first: Event | None = None
        self._over = False
        self.port = 0
        argv = processes.python("-m", "lab.balancer", str(os.getpid()))
        self._talker = Talker(argv, self._heard, f"balancer-{config.region}")

    @property
    def pid(self) -> int:
        """The process id."""
        return self._talker.pid

    @property
    def deregistration_delay_s(self) -> float:
        """How long a deregistered target drains (lab seconds)."""
        return self._config.deregistration_delay_s

    def start(self, timeout_s: float = 10.0) -> None:
        """Start and wait until it listens; OSError when a port is taken, ChildError when it does not start."""
        self._talker.start()
        self._talker.tell(self._config.to_json())
        with self._changed:
            self._changed.wait_for(lambda: self._first is not None, timeout_s)
        if self._first is None:
            raise processes.ChildError(f"the balancer of {self._config.region} did not start in {timeout_s} s")
        if self._first["event"] == "failed":
            raise OSError(self._first["errno"], self._first["message"])
        self.port = int(self._first["port"])

    def register(self, group: str, target_id: str, port: int) -> None:
        """Register a target with a group."""
        self._command("register", group, target_id, port)

    def deregister(self, group: str, target_id: str, port: int) -> None:
        """Deregister a target; it drains first (see `await_state` with None)."""
        self._command("deregister", group, target_id, port)

    def cut_off(self, networks: Sequence[str]) -> None:
        """Be a black hole at the addresses in these networks and at no others; see lab.black_hole."""
        self._change_network({"command": "cut_off", "networks": list(networks)})

    def lose(self, loss: Loss | None) -> None:
        """Lose packets so, or none any more; see lab.packet_loss."""
        self._change_network({"command": "lose", "loss": None if loss is None else asdict(loss)})

    def _change_network(self, command: Mapping[str, Any]) -> None:
        with contextlib.suppress(processes.ChildError):  # it has ended: nothing answers there anyway
            self._talker.tell(json.dumps(command))

    def await_state(self, group: str, target_id: str, port: int, state: str | None, timeout_s: float) -> bool:
        """Wait (wall seconds) until a target has `state`, None = it is forgotten; whether it has."""
        key = (group, target_id, port)
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._states.get(key) == state, timeout_s)
            return self._states.get(key) == state

    def stop(self) -> None:
        """End the process; who waits for a state goes on at once."""
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self._talker.stop()

    def _command(self, command: str, group: str, target_id: str, port: int) -> None:
        if command == "register":
            with self._changed:
                self._states[group, target_id, port] = "initial"
        self._talker.tell(json.dumps({"command": command, "group": group, "id": target_id, "port": port}))

    def _heard(self, event: Event) -> None:
        if event["event"] == "health":
            self._take_in(event["targets"])
        with self._changed:
            self._first = self._first or event
            self._changed.notify_all()

    def _take_in(self, targets: list[Mapping[str, Any]]) -> None:
        states = {(t["group"], t["id"], int(t["port"])): str(t["state"]) for t in targets}
        with self._changed:
            self._states = states
        for group in {rule.group for rule in self._config.rules}:
            self._on_health(group, {key[1:]: state for key, state in states.items() if key[0] == group})


def say(event: Mapping[str, object]) -> None:
    """Tell the owner; a pipe that is gone means that there is none any more."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()


async def _stdin_lines() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def main() -> None:
    """Run one balancer process."""
    processes.die_with_parent(int(sys.argv[1]))
    if not (first := sys.stdin.readline()):
        return  # the owner ended, or gave up, before it said what to balance
    config = BalancerConfig.from_json(first)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(Balancer(config).run())


if __name__ == "__main__":
    main()
