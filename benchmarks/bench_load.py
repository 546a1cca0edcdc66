"""The load: what recording costs, what a hang does to demand, and what silent re-sends hide.

`python benchmarks/bench_load.py`. Three tables, each measured within one run:

1. requests per second of closed Locust users with the ledger and the request file, and without, in turns;
2. a 20 s window with a 10 s hang: Locust's own clients at their defaults, and our open loop;
3. a server that drops half of its requests: Locust's FastHttpUser, and our client.
"""

from gevent import monkey

monkey.patch_all()

import argparse  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from dataclasses import dataclass, replace  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
from locust import FastHttpUser, HttpUser, task  # noqa: E402
from locust.env import Environment  # noqa: E402
from table import show, verdict  # noqa: E402

from drill import writing  # noqa: E402
from drill.clock import SystemClock  # noqa: E402
from drill.target import Target, load_target  # noqa: E402
from drill.timeline import RequestFile  # noqa: E402
from loadgen.arrivals import Arrivals  # noqa: E402
from loadgen.clients import Client  # noqa: E402
from loadgen.session import Session, keep_flushed, ledger_of  # noqa: E402
from loadgen.users import ClosedUser  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
TURNS, TURN_S, USERS = 40, 0.5, 10
WINDOW_S, HANG_FROM_S, HANG_S, RATE_PER_S = 20.0, 5.0, 10.0, 100.0
LEAST_RATIO = 0.95
SHA256 = writing.sha256


class Nothing:
    """In place of a ledger and of a request file: keeps nothing."""

    next_number = 1

    def __init__(self, lock: Any) -> None:
        self.lock = lock

    def add_intent(self, *_: object) -> int:
        """As the ledger's."""
        return 1

    def outcome(self, *_: object, **__: object) -> None:
        """As the ledger's."""

    def put(self, *_: object) -> None:
        """As the request file's."""


def no_digest(_: bytes) -> bytes:
    """In place of drill.writing.sha256."""
    return b""


@dataclass(frozen=True)
class Sides:
    """One load that is now recorded, now not. Its clients are told which; no class is changed, because the
    interpreter would have to learn its ways anew after each turn.

    recorded, bare: the same session, but for what it records into; clients: those of the load; environment: Locust's.
    """

    recorded: Session
    bare: Session
    clients: list[Client]
    environment: Environment

    def choose(self, keeps: bool) -> None:
        """From now on record everything, or nothing."""
        session = self.recorded if keeps else self.bare
        writing.sha256 = SHA256 if keeps else no_digest
        for client in self.clients:
            client.session, client._writes._ledger = session, session.ledger

    def on_record(self) -> tuple[int, int]:
        """Bytes of requests, and writes."""
        assert self.recorded.ledger is not None
        paths = self.recorded.folder.glob("requests-*")
        return sum(path.stat().st_size for path in paths), self.recorded.ledger.next_number


@contextmanager
def victim(mode: str) -> Iterator[tuple[int, Any]]:
    """(port, process) of a server in that mode."""
    command = [sys.executable, str(ROOT / "benchmarks" / "victim.py"), mode]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdin
        try:
            yield int(process.stdout.readline()), process
        finally:
            process.stdin.close()


def target_of(port: int, **load: Any) -> Target:
    """The core-banking target, served by the victim, with that load."""
    known = load_target(ROOT / "targets" / "core-banking.toml")
    return known.model_copy(
        update={"endpoint": f"http://127.0.0.1:{port}", "load": known.load.model_copy(update=load)}
    )


def session_of(folder: Path, target: Target) -> Session:
    """One load session that records into `folder`."""
    files = ledger_of(folder, "a"), RequestFile(folder, "a")
    return Session(folder, target, SystemClock(), "r1", "a", *files)


def driven(user: type, users: int, seconds: float) -> Environment:
    """Locust's statistics after that many seconds of these users."""
    environment = Environment(user_classes=[user])
    runner = environment.create_local_runner()
    runner.start(users, spawn_rate=1000)
    gevent.sleep(seconds)
    runner.quit()
    return environment


def recording() -> None:
    """Table 1: one run of users, with recording and without in short turns, each compared with the one beside it."""
    with victim("ok") as (port, _), tempfile.TemporaryDirectory() as name:
        session, clients = session_of(Path(name), target_of(port)), list[Client]()

        class Known(ClosedUser):
            def __init__(self, environment: Environment) -> None:
                super().__init__(environment)
                clients.append(self._client)

        user = type("Client", (Known,), {"session": session, "wait_time": lambda _: 0})
        environment = Environment(user_classes=[user])
        runner = environment.create_local_runner()
        runner.start(USERS, spawn_rate=100)
        flusher = gevent.spawn(keep_flushed, session.requests, lambda error: sys.exit(str(error)))
        gevent.sleep(2)
        session.requests.flush()
        # Any lock will do; there is nothing that costs less and can stand behind "with".
        nothing: Any = Nothing(monkey.get_original("_thread", "allocate_lock")())
        sides = Sides(session, replace(session, ledger=nothing, requests=nothing), clients, environment)
        pairs = [_pair(sides, first=bool(n % 2)) for n in range(TURNS)]
        runner.quit()
        flusher.kill()
        session.close()
    rows = [_compared(*row, pairs) for row in (("per wall second", 0), ("per second of processor", 1))]
    header = ["requests", "without recording", "with", f"ratio (at least {LEAST_RATIO})", "reached"]
    show(f"Recording: {USERS} closed users, {TURNS} pairs of turns of {TURN_S:g} s, medians", header, rows)


Rates = tuple[float, float]
"""Requests per wall second, and per second of processor."""


def _pair(sides: Sides, first: bool) -> tuple[Rates, Rates]:
    """One turn with recording and one without. first: the one with comes first, or else the other."""
    found = {keeps: _turn(sides, keeps) for keeps in (first, not first)}
    return found[True], found[False]


def _turn(sides: Sides, keeps: bool) -> Rates:
    """One turn; what it has recorded is flushed within it."""
    sides.choose(keeps)
    had, total = sides.on_record(), sides.environment.stats.total
    begun = total.num_requests, time.monotonic(), time.process_time()
    gevent.sleep(TURN_S)
    sides.recorded.requests.flush()
    done = total.num_requests - begun[0]
    found = done / (time.monotonic() - begun[1]), done / (time.process_time() - begun[2])
    if [now > before for before, now in zip(had, sides.on_record(), strict=True)] != [keeps, keeps]:
        sys.exit(f"a turn {'with' if keeps else 'without'} recording has not recorded what it should")
    return found


def _compared(label: str, which: int, pairs: list[tuple[Rates, Rates]]) -> list[object]:
    kept, bare = ([pair[side][which] for pair in pairs] for side in (0, 1))
    ratio = statistics.median(k / b for k, b in zip(kept, bare, strict=True))
    figures = [f"{statistics.median(rates):,.0f}" for rates in (bare, kept)]
    return [label, *figures, f"{ratio:.3f}", verdict(ratio >= LEAST_RATIO)]


def hanging(process: Any) -> None:
    """Let the victim hang in the middle of the window."""
    for pause_s in (HANG_FROM_S, HANG_S):
        gevent.sleep(pause_s)
        process.stdin.write(b"\n")
        process.stdin.flush()


def of_locust(base: type, host: str, method: str) -> type:
    """Locust's own user at its defaults, as fast as it goes."""

    def ask(self: Any) -> None:
        getattr(self.client, method)("/", name="ask")

    return type("Stock", (base,), {"host": host, "ask": task(ask)})


def child(what: str) -> dict[str, Any]:
    """One measurement in a process of its own: Locust does not start twice from scratch."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, __file__, "--only", what], env=environment, stdout=subprocess.PIPE, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def one(what: str) -> dict[str, Any]:
    """In such a process. what: "hang" or "drop", and whose client."""
    mode, _, who = what.partition(".")
    with victim(mode) as (port, process), tempfile.TemporaryDirectory() as name:
        if mode == "hang":
            gevent.spawn(hanging, process)
        seconds = WINDOW_S if mode == "hang" else 5.0
        if who == "ours":
            return ours(Path(name), port, seconds, every=mode == "drop")
        base = FastHttpUser if who == "FastHttpUser" else HttpUser
        total = driven(of_locust(base, f"http://127.0.0.1:{port}", "get"), USERS, seconds).stats.total
        return {"requests": total.num_requests, "failed": total.num_failures, "unserved": 0}


def ours(folder: Path, port: int, seconds: float, every: bool) -> dict[str, Any]:
    """Our open loop: single deposits, a deadline of one second. every: count the reads that follow them too."""
    load = {"kind": "open", "arrival_rate_per_s": RATE_PER_S, "arrivals": "constant", "users": 300}
    session = session_of(folder, target_of(port, task=("deposit",), cohorts=("kept",), timeout_s=1.0, **load))
    user = type("Open", (Arrivals,), {"session": session})
    stats = driven(user, 1, seconds).stats
    entry = stats.total if every else stats.entries["deposit", "POST"]
    late = sorted(user.late_s)  # type: ignore[attr-defined]
    return {
        "requests": entry.num_requests,
        "failed": entry.num_failures,
        "unserved": user.unserved,  # type: ignore[attr-defined]
        "late_p99_ms": late[int(0.99 * (len(late) - 1))] * 1000,
    }


def rows_of(mode: str, truth: float, rows: tuple[tuple[str, str], ...]) -> list[list[object]]:
    """One row per client: what it says against the truth."""
    found = []
    for who, label in rows:
        said = child(f"{mode}.{who}")
        share = said["failed"] / said["requests"]
        reached = verdict(abs(share - truth) < 0.02) if who == "ours" else ""
        found.append([label, f"{said['requests']:,}", f"{share:.1%}", f"{truth:.1%}", reached])
    return found


def main() -> None:
    """Print the tables."""
    recording()
    header = ["client", "requests", "reported failing", "truth", "reached"]
    stock = (("FastHttpUser", f"Locust FastHttpUser, {USERS} users"), ("HttpUser", f"Locust HttpUser, {USERS} users"))
    loop = f"ours, open loop, {RATE_PER_S:g}/s, 1 s deadline"
    show("A 20 s window with a 10 s hang", header, rows_of("hang", 0.5, (*stock, ("ours", loop))))
    show("A server that drops half of its requests", header, rows_of("drop", 0.5, (*stock, ("ours", loop))))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="one measurement in this process: recording, or MODE.WHO")
    given = parser.parse_args()
    if given.only == "recording":
        recording()
    elif given.only:
        sys.stdout.write(json.dumps(one(given.only)))
    else:
        main()
