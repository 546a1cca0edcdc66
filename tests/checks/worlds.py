"""Two small Regions on loopback for the tests of the witnesses: a bank in each, and a DNS server between them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drill.child import Child
from drill.clock import SystemClock
from drill.ledger import read_lines
from drill.observations import read_logs
from drill.target import Connection, Target, load_target
from drill.timeline import Observation, observation_from
from tests.loadgen.loopback import Bank, Handle, Zone, dns_server, http_server

SPEED = 10.0
CLOCK = SystemClock(SPEED)
TOKYO, OSAKA = "ap-northeast-1", "ap-northeast-3"
HOSTS = {TOKYO: "127.100.77.7", OSAKA: "127.101.77.7"}
TARGETS = Path(__file__).resolve().parents[2] / "targets"


@dataclass
class Site:
    """One Region's front: `bank` (or `handle`) answers at host:port while it is up."""

    host: str
    port: int = 0
    bank: Bank = field(default_factory=lambda: Bank(reads_to_settle=1))
    handle: Handle | None = None
    _running: contextlib.ExitStack | None = None

    def up(self) -> None:
        """Listen."""
        self._running = contextlib.ExitStack()
        self.port = self._running.enter_context(http_server(self._answer, self.host, self.port))

    def down(self) -> None:
        """Stop listening: new connections are refused when this returns."""
        if self._running is not None:
            self._running.close()
            self._running = None

    def _answer(self, request: Any, body: bytes) -> None:
        (self.handle or self.bank)(request, body)


@dataclass
class World:
    """`target` reaches both sites by names; `zone` is what its resolvers and its authoritative server answer."""

    target: Target
    tokyo: Site
    osaka: Site
    zone: Zone


@contextmanager
def two_regions(**timings: float) -> Iterator[World]:
    """Both Regions up on one port, the public name on Tokyo. timings: target seconds, over the target's own."""
    tokyo, osaka = Site(HOSTS[TOKYO]), Site(HOSTS[OSAKA])
    tokyo.up()
    osaka.port = tokyo.port
    osaka.up()
    zone = Zone({"api.example.com": [tokyo.host]})
    zone.addresses |= {f"api.{TOKYO}.example.com": [tokyo.host], f"api.{OSAKA}.example.com": [osaka.host]}
    try:
        with dns_server(zone) as server:
            yield World(_target(server, tokyo.port, timings), tokyo, osaka, zone)
    finally:
        tokyo.down()
        osaka.down()


def published_target() -> Target:
    """The core-banking target as it is in targets/."""
    return load_target(TARGETS / "core-banking.toml")


def _target(server: str, port: int, timings: dict[str, float]) -> Target:
    target = published_target()
    connection = Connection(authoritative=(server,), resolvers={TOKYO: server, OSAKA: server}, http_port=port)
    changed = target.timings.model_copy(update=timings)
    return target.model_copy(update={"connection": connection, "timings": changed})


@contextmanager
def witness(module: str, name: str, target: Target, folder: Path, speed: float = SPEED) -> Iterator[Child]:
    """A witness process, as the drill starts it; stopped at the end of the block."""
    config = {
        "folder": str(folder),
        "target": target.model_dump(mode="json"),
        "speed": speed,
        "run_id": "r1",
        "worker": name,
    }
    child = Child(name, module, config, folder)
    try:
        yield child
    finally:
        child.stop()


def observed(folder: Path, probe: str | None = None) -> list[Observation]:
    """What the witnesses have written so far, by send time."""
    everything = [observation_from(r) for path in folder.glob("obs-*.jsonl") for r in read_lines(path)]
    everything += read_logs(folder.glob("obs-*.bin"))
    return sorted((o for o in everything if probe in (None, o.probe)), key=lambda o: o.sent_s)


def eventually(look: Callable[[], Any], timeout_s: float = 15.0) -> Any:
    """The first true thing that `look` returns. AssertionError after timeout_s wall seconds."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        seen = look()
        if seen:
            return seen
        time.sleep(0.05)
    raise AssertionError(f"not within {timeout_s} s")
