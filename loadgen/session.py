"""One load process from start to end: Locust's environment, the files it writes, and how it is told to stop."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent
import gevent.event
import gevent.signal
import gevent.socket
from gevent import monkey
from locust.env import Environment
from locust.stats import RequestStats, StatsEntry

from drill.client import wall_timeout_s
from drill.clock import Clock, SystemClock
from drill.ledger import LedgerWriter, ledger_path
from drill.target import Target
from drill.timeline import RequestFile
from loadgen.arrivals import Arrivals
from loadgen.users import ClosedUser

POLL_FLOOR_WALL_S = 0.5
"""A user waits at least this long between two looks (wall seconds), however fast the target runs."""
PATIENCE_S = 60.0
"""A user stops asking what became of a write after this long (target seconds), but not before MIN_POLLS."""
MIN_POLLS = 10
STOP_LIMIT_S = 2
"""From the word to stop: whatever still hangs then is killed by the kernel (whole wall seconds)."""
FLUSH_S = 0.1
"""Requests reach the run folder at least this often (wall seconds): a load that is killed loses those since. The
ledger loses nothing: its records are on disk at once."""
SUMMARY = "load-summary.json"


@dataclass(frozen=True)
class Session:
    """What the users of one load process share.

    run_id, worker: part of every account's name, so that no two runs or processes touch the same one. ledger: None
    when the target declares no synthetic identity: then its users only read, and have nothing to write with.
    """

    folder: Path
    target: Target
    clock: Clock
    run_id: str
    worker: str
    ledger: LedgerWriter | None
    requests: RequestFile

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Session:
        """From the configuration that the drill wrote: folder, target, speed, run_id, worker."""
        folder, worker = Path(config["folder"]), str(config["worker"])
        target = Target.model_validate(config["target"])
        return cls(
            folder=folder,
            target=target,
            clock=SystemClock(float(config["speed"])),
            run_id=str(config["run_id"]),
            worker=worker,
            ledger=ledger_of(folder, worker) if target.load.synthetic_prefix else None,
            requests=RequestFile(folder, worker),
        )

    @property
    def poll_s(self) -> float:
        """Target seconds between two looks of one user, the wall floor included."""
        return max(self.target.load.poll_s, POLL_FLOOR_WALL_S * self.clock.speed)

    @property
    def max_polls(self) -> int:
        """How often a user looks at one write before it gives up."""
        return max(MIN_POLLS, math.ceil(PATIENCE_S / self.poll_s))

    @property
    def delivery_wall_s(self) -> float:
        """How long an acknowledged write may be absent without anything being wrong, in wall seconds.

        Events are delivered after they were acknowledged, within the time that a probe waits for one; elsewhere what
        was acknowledged is there.
        """
        if self.target.writes.protocol != "events":
            return 0.0
        return wall_timeout_s(self.target.timings.probe_timeout_s, self.clock.speed)

    def close(self) -> None:
        """Close the files."""
        if self.ledger is not None:
            self.ledger.close()
        self.requests.close()


def ledger_of(folder: Path, worker: str) -> LedgerWriter:
    """The ledger of a load process.

    Its lock is the interpreter's own and not gevent's, which costs a tenth of a record: users are greenlets, and none
    gives way to another within one.
    """
    lock = monkey.get_original("_thread", "allocate_lock")()
    return LedgerWriter(ledger_path(folder, worker), lock=lock)


def run(session: Session) -> int:
    """Keep the target's users running until told to stop, then write the summary.

    0 when it ended as told; 1 when a user broke (a full disk, a mistake in here): then the load is not what it
    claims to be, and ends.
    """
    stop = stop_event()
    broken: list[BaseException] = []
    load = session.target.load
    made = type("Client", (Arrivals if load.kind == "open" else ClosedUser,), {"session": session})
    environment = Environment(user_classes=[made])

    def on_error(exception: BaseException, **_: Any) -> None:
        broken.append(exception)
        stop.set()

    environment.events.user_error.add_listener(on_error)  # type: ignore[no-untyped-call]
    runner = environment.create_local_runner()
    if load.kind == "open":
        runner.start(1, spawn_rate=1)
    else:
        runner.start(load.users, spawn_rate=load.spawn_rate * session.clock.speed)
    flusher = gevent.spawn(keep_flushed, session.requests, on_error)
    stop.wait()
    signal.alarm(STOP_LIMIT_S)
    runner.quit()
    flusher.kill()
    _write_summary(session, environment.stats, _demand(made))
    session.close()
    for error in broken[:1]:
        traceback.print_exception(error, file=sys.stderr)
    return 1 if broken else 0


def keep_flushed(requests: RequestFile, on_error: Callable[..., None]) -> None:
    """Flush every FLUSH_S until killed; on_error: told of a full disk."""
    try:
        while True:
            gevent.sleep(FLUSH_S)
            requests.flush()
    except OSError as error:
        on_error(error)


def stop_event() -> gevent.event.Event:
    """An event that is set when stdin closes or SIGTERM comes; Ctrl-C is the owner's business.

    As drill.child.stop_event, but on gevent: there a thread is a greenlet, and its blocking read would stop all.
    """
    stop = gevent.event.Event()
    gevent.signal.signal(signal.SIGINT, signal.SIG_IGN)
    gevent.signal_handler(signal.SIGTERM, stop.set)
    gevent.spawn(_watch_owner, stop)
    return stop


def _watch_owner(stop: gevent.event.Event) -> None:
    while True:
        gevent.socket.wait_read(0)
        if not os.read(0, 4096):
            break
    stop.set()


def _demand(user: type) -> dict[str, Any]:
    """What an open loop had planned and could not serve, and how late it kept its schedule (wall milliseconds)."""
    if not issubclass(user, Arrivals):
        return {"model": "closed loop"}
    late = sorted(user.late_s) or [0.0]
    lateness = {f"late_p{part:g}_ms": late[int(part / 100 * (len(late) - 1))] * 1000 for part in (50, 99, 100)}
    return {"model": "open loop", "arrivals": user.planned, "unserved": user.unserved, **lateness}


def _write_summary(session: Session, stats: RequestStats, demand: dict[str, Any]) -> None:
    summary = {
        **demand,
        "read_only": session.ledger is None,
        "unit": "wall milliseconds",
        "users": session.target.load.users,
        "total": _entry(stats.total),
        "requests": [_entry(entry) for _, entry in sorted(stats.entries.items())],
        "errors": [
            {"name": error.name, "error": str(error.error), "count": error.occurrences}
            for error in stats.errors.values()
        ],
    }
    part = session.folder / f"{SUMMARY}.part"
    part.write_text(json.dumps(summary, indent=1) + "\n")
    part.replace(session.folder / SUMMARY)


def _entry(entry: StatsEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "method": entry.method or "",
        "requests": entry.num_requests,
        "failures": entry.num_failures,
        "p50_ms": entry.get_response_time_percentile(0.5),
        "p95_ms": entry.get_response_time_percentile(0.95),
        "max_ms": entry.max_response_time,
    }
