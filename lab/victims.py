"""Victims: small servers that break and heal at instants that they alone know, to calibrate a prober by.

`python -m lab.victims CONFIG.json` plants the outages of one kind, one after the other, and appends to `truth`, per
outage, {"kind", "onset": [low, high], "recovery": [low, high]}: monotonic wall seconds read just before and just
after the action that made the service stop or serve again, by the process that did it. Nobody who measures reads it.

    refuse     the listening socket is closed, and opened again
    503        every request is answered 503
    reset      every connection is reset
    hang       the server process is stopped (SIGSTOP); its end is the first answer that reached anybody again: a
               process that goes on first meets the queue of those who have given up
    blackhole  the kernel drops what comes in (a socket filter); without that right nothing is answered any more
    dns        the name points elsewhere (UDP)
    brownout   each request fails with probability `ratio`
    flapping   down, with short good spells in between; the truth is the first and the last edge

Config: kind, host, port, truth, seed, outages, healthy_s, outage_s (each [least, most]), ratio. It says {"port"} on
stdout when it serves, waits for a line on stdin before it plants anything, says {"done": n} after the last outage,
and then stays healthy until its stdin closes.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import processes
from lab.victim_servers import DnsVictim, HttpVictim

KINDS = ("refuse", "503", "reset", "hang", "blackhole", "dns", "brownout", "flapping")
HANG = "hang"
SPELL_S = (0.025, 0.06)
"""Flapping: how long a good spell and a bad one last; shorter than any sustained time that is calibrated with."""
SETTLE_S = 0.3
IDLE_TRIES = 200
Edge = tuple[float, float]


@dataclass(frozen=True)
class Config:
    """See the module. The ranges are wall seconds."""

    kind: str
    host: str
    port: int
    truth: Path
    seed: int
    outages: int
    healthy_s: tuple[float, float]
    outage_s: tuple[float, float]
    ratio: float

    @classmethod
    def read(cls, path: Path) -> Config:
        """From a JSON file."""
        raw = json.loads(path.read_text())
        ranges = {key: (float(raw[key][0]), float(raw[key][1])) for key in ("healthy_s", "outage_s")}
        return cls(**{**raw, **ranges, "truth": Path(raw["truth"])})


class Truth:
    """Appends what really happened."""

    def __init__(self, path: Path, kind: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._kind = kind

    def add(self, onset: Edge, recovery: Edge) -> None:
        """One outage."""
        line = {"kind": self._kind, "onset": onset, "recovery": recovery}
        os.write(self._fd, json.dumps(line).encode() + b"\n")


def say(line: dict[str, Any]) -> None:
    """One line on stdout."""
    os.write(1, json.dumps(line).encode() + b"\n")


def stamped(action: Callable[[], None]) -> Edge:
    """The bracket around an action."""
    before_s = time.monotonic()
    action()
    return before_s, time.monotonic()


def plan(config: Config, rng: random.Random, began_s: float) -> Iterator[tuple[float, bool, bool, bool]]:
    """(when, down, first edge of an outage, last edge of it), in order of time."""
    at_s = began_s
    for _ in range(config.outages):
        at_s += rng.uniform(*config.healthy_s)
        end_s = at_s + rng.uniform(*config.outage_s)
        yield at_s, True, True, False
        if config.kind == "flapping":
            flap_s, down = at_s + rng.uniform(*SPELL_S), False
            while flap_s < end_s or down:  # until the next edge is the one that heals
                yield flap_s, down, False, False
                flap_s, down = flap_s + rng.uniform(*SPELL_S), not down
            end_s = flap_s
        yield end_s, False, False, True
        at_s = end_s


class Planter:
    """Applies the planned edges in a server's own loop, between two requests."""

    def __init__(self, config: Config, server: HttpVictim | DnsVictim) -> None:
        self._server, self._config = server, config
        self._truth = Truth(config.truth, config.kind)
        self._plan: Iterator[tuple[float, bool, bool, bool]] = iter(())
        self._next: tuple[float, bool, bool, bool] | None = None
        self._onset: Edge = (0.0, 0.0)

    def begin(self) -> None:
        """Somebody is looking: make the plan, from now on."""
        self._plan = plan(self._config, random.Random(self._config.seed), time.monotonic() + SETTLE_S)
        self._next = next(self._plan, None)

    def due_s(self) -> float | None:
        """When the next edge is due; None when all are planted."""
        return self._next[0] if self._next else None

    def act(self) -> None:
        """Apply the edge that is due."""
        assert self._next is not None
        _, down, first, last = self._next
        edge = stamped(self._server.down if down else self._server.up)
        if first:
            self._onset = edge
        if last:
            self._truth.add(self._onset, edge)
        self._next = next(self._plan, None)
        if self._next is None:
            say({"done": self._config.outages})


def serve(config: Config) -> None:
    """Serve and plant, in this process, until stdin closes."""
    server: HttpVictim | DnsVictim
    if config.kind == "dns":
        server = DnsVictim(config.host, config.port)
    else:
        server = HttpVictim(config.host, config.port, config.kind, config.ratio, random.Random(config.seed + 1))
    server.watch_input(0)
    planter = Planter(config, server)
    say({"port": server.port, "how": server.how})
    begun = False
    while server.alive:
        if server.told and not begun:
            begun = True
            planter.begin()
        due_s = planter.due_s()
        left_s = 0.2 if due_s is None else due_s - time.monotonic()
        if left_s <= 0:
            planter.act()
        else:
            server.turn(min(left_s, 0.2))


def hang(config: Config) -> None:
    """A server in a process of its own, stopped and continued from here. It tells when it really goes on."""
    argv = processes.python("-m", "lab.victim_servers", config.host, str(config.port))
    child = processes.spawn(argv)
    assert child.stdout is not None
    say({"port": int(child.stdout.readline()), "how": ""})
    over = threading.Event()
    try:
        if not os.read(0, 4096):
            return
        processes.at_eof(0, over.set)
        _stop_and_go(config, child.pid, child.stdout.fileno(), over)
        over.wait()
    finally:
        processes.kill(child)


def _stop_and_go(config: Config, pid: int, says: int, over: threading.Event) -> None:
    truth, onset = Truth(config.truth, HANG), (0.0, 0.0)
    for at_s, down, _, last in plan(config, random.Random(config.seed), time.monotonic() + SETTLE_S):
        if over.wait(max(0.0, at_s - time.monotonic())):
            return
        if down:
            onset = _stopped_while_idle(pid)
        elif last:
            os.kill(pid, signal.SIGCONT)
            truth.add(onset, _served_again(says))
    say({"done": config.outages})


def _stopped_while_idle(pid: int) -> Edge:
    """Stop it when it waits for work: one that already waits for the processor has ceased to serve before."""
    for _ in range(IDLE_TRIES):
        before_s = time.monotonic()
        if _state(pid) == "S":
            _stop(pid)
            return before_s, time.monotonic()
        time.sleep(0.001)
    return stamped(lambda: _stop(pid))


def _state(pid: int) -> str:
    """The kernel's letter for what a process does: S waits for work, R runs or waits for the processor."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _stop(pid: int) -> None:
    """Stop it, and see it stopped."""
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED)


def _served_again(says: int) -> Edge:
    """The server's own word. RuntimeError when it never serves again."""
    if not select.select([says], [], [], 10.0)[0]:
        raise RuntimeError("the server went on and answered nobody")
    low_s, high_s = os.read(says, 4096).split()[-2:]
    return float(low_s), float(high_s)


def main() -> int:
    """One victim."""
    config = Config.read(Path(sys.argv[1]))
    if config.kind not in KINDS:
        sys.stderr.write(f"lab.victims: no kind {config.kind!r}; known: {', '.join(KINDS)}\n")
        return 2
    (hang if config.kind == HANG else serve)(config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
