"""Outages with known edges on this machine, and the real prober over them: what `drill calibrate` measures with.

Each victim is a process that breaks and heals by a plan of its own and writes down when it really did
(lab/victims.py); each has a prober process beside it (checks/pulse.py), which knows nothing of the plan. A load of
HTTP requests runs against a further server meanwhile. All of them share one machine and its monotonic clock.
"""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checks.accuracy import Planted, Result, results, thinned
from checks.recovery_time import Look, looks_of
from drill.child import Child
from drill.clock import Clock
from drill.errors import Invalid
from drill.ledger import read_lines
from drill.observations import WHOLE, read_logs
from lab import processes
from lab.victims import KINDS

DEADLINE_S = 0.25
"""Of one look, in wall seconds; hangs and black holes last longer."""
HEALTHY_S = (0.55, 0.85)
OUTAGE_S = (0.3, 0.6)
RATIO = 0.4
"""The share of requests that a brown-out fails."""
RATES_HZ = (1000.0, 100.0, 50.0, 10.0)
START_S = 30.0
NETWORK = "127.66"
PHASES = 0.618
"""Thinned schedules begin at a different part of their period in each victim."""


@dataclass(frozen=True)
class Plan:
    """What to plant. outages: in all; rate_hz: of the prober; load_hz: requests a second beside it, 0 for none;
    parallel: victims at once; seed: of the victims' random plans."""

    outages: int
    rate_hz: float = 1000.0
    load_hz: float = 400.0
    parallel: int = 4
    seed: int = 1
    kinds: tuple[str, ...] = KINDS


@dataclass(frozen=True)
class Job:
    """One victim's share: `outages` of one kind. healthy_s, outage_s: [least, most] wall seconds of each."""

    number: int
    kind: str
    outages: int
    healthy_s: tuple[float, float] = HEALTHY_S
    outage_s: tuple[float, float] = OUTAGE_S

    @property
    def name(self) -> str:
        """Unique in one calibration."""
        return f"{self.number}-{self.kind}"

    @property
    def host(self) -> str:
        """A loopback address of its own."""
        return f"{NETWORK}.{self.number // 250}.{self.number % 250 + 1}"

    @property
    def limit_s(self) -> float:
        """Wall seconds after which it is no longer waited for."""
        return 30 + 3 * self.outages * (self.healthy_s[1] + self.outage_s[1])


@dataclass(frozen=True)
class Calibrated:
    """What came out. by_rate: rate in Hz -> one result per planted outage; notes: what was done otherwise, and why;
    looks: how many were made; gap_share: the share of the slots that the prober missed."""

    by_rate: dict[float, list[Result]]
    notes: tuple[str, ...]
    looks: int
    gap_share: float


def jobs(plan: Plan) -> list[Job]:
    """The outages shared out among the kinds, evenly, the first kinds getting what is left over."""
    share, more = divmod(plan.outages, len(plan.kinds))
    counts = [(kind, share + (n < more)) for n, kind in enumerate(plan.kinds)]
    return [Job(n, kind, count) for n, (kind, count) in enumerate(counts) if count]


def calibrate(plan: Plan, folder: Path, clock: Clock, tell: Callable[[str], None]) -> Calibrated:
    """Plant, probe and compare. folder: empty, for logs and records; tell: progress for people.

    Invalid when a victim or a prober does not come to its end. Nothing is left running.
    """
    found: dict[float, list[Result]] = {rate: [] for rate in rates(plan)}
    notes: list[str] = []
    looks = missed = 0
    with _load(plan, folder):
        for batch in _batched(plan):
            tell(f"planting {', '.join(f'{job.outages} x {job.kind}' for job in batch)}")
            for job, how in _probed(batch, plan, folder, clock):
                notes += [f"{job.kind}: {how}"] if how else []
                seen, gaps = _looks(folder, job.name)
                looks, missed = looks + len(seen), missed + gaps
                for rate, rows in _results(job, seen, folder, plan).items():
                    found[rate] += rows
    return Calibrated(found, tuple(notes), looks, missed / max(1, looks + missed))


def rates(plan: Plan) -> list[float]:
    """The rates that are stated: the prober's own and those below it."""
    return [plan.rate_hz, *(rate for rate in RATES_HZ if rate < plan.rate_hz)]


def _batched(plan: Plan) -> Iterator[tuple[Job, ...]]:
    every = jobs(plan)
    for begin in range(0, len(every), plan.parallel):
        yield tuple(every[begin : begin + plan.parallel])


def _probed(batch: Sequence[Job], plan: Plan, folder: Path, clock: Clock) -> list[tuple[Job, str]]:
    """Run one batch to its end; each job with what its victim had to do otherwise."""
    with contextlib.ExitStack() as stack:
        victims = [stack.enter_context(victim(job, folder, plan.seed + job.number)) for job in batch]
        told = [_told(process, 30.0, job.name) for process, job in zip(victims, batch, strict=True)]
        for job, said in zip(batch, told, strict=True):
            stack.enter_context(prober(job, said["port"], plan.rate_hz, folder))
        for job, process in zip(batch, victims, strict=True):
            _await_looks(folder, job, clock)
            _begin(process)
        for job, process in zip(batch, victims, strict=True):
            _told(process, job.limit_s, job.name)
        clock.sleep((HEALTHY_S[0] + DEADLINE_S) * clock.speed)
    return [(job, str(said["how"])) for job, said in zip(batch, told, strict=True)]


@contextlib.contextmanager
def victim(job: Job, folder: Path, seed: int) -> Iterator[subprocess.Popen[bytes]]:
    """A victim process for the block."""
    config = {
        "kind": job.kind,
        "host": job.host,
        "port": 0,
        "truth": str(folder / f"truth-{job.name}.jsonl"),
        "seed": seed,
        "outages": job.outages,
        "healthy_s": job.healthy_s,
        "outage_s": job.outage_s,
        "ratio": RATIO,
    }
    path = folder / f"victim-{job.name}.json"
    path.write_text(json.dumps(config))
    process = processes.spawn(processes.python("-m", "lab.victims", str(path)))
    try:
        yield process
    finally:
        processes.stop(process, 3.0)


@contextlib.contextmanager
def prober(job: Job, port: int, rate_hz: float, folder: Path) -> Iterator[None]:
    """A prober process over a victim for the block."""
    aim = _aim(job, port, 1 / rate_hz)
    config: dict[str, Any] = {"folder": str(folder), "worker": job.name, "aims": [aim]}
    child = Child(job.name, "checks.pulse", config, folder)
    try:
        yield
        died = child.died()
        if died:
            raise Invalid(f"the prober over {job.name} ended by itself: {died}")
    finally:
        child.stop()


def _await_looks(folder: Path, job: Job, clock: Clock) -> None:
    """Wait until the prober looks: an outage that nobody looks at is no measurement. Invalid when it never does."""
    path, end_s = folder / f"obs-{job.name}.bin", clock.monotonic_s() + START_S
    while not path.exists() or path.stat().st_size < 20 * WHOLE.size:
        if clock.monotonic_s() > end_s:
            raise Invalid(f"the prober over {job.name} did not look at anything within {START_S:g} s")
        clock.sleep(0.02 * clock.speed)


def _begin(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.write(b"begin\n")
    process.stdin.flush()


def _aim(job: Job, port: int, interval_s: float) -> dict[str, Any]:
    where = {"vantage": job.name, "host": job.host, "port": port, "interval_s": interval_s, "deadline_s": DEADLINE_S}
    if job.kind == "dns":
        return {**where, "kind": "dns", "name": "victim.example.com", "good": ["127.0.0.1"]}
    return {**where, "kind": "http"}


@contextlib.contextmanager
def _load(plan: Plan, folder: Path) -> Iterator[None]:
    """Requests against a healthy server, from a process of its own, for the block."""
    if not plan.load_hz:
        yield
        return
    job = Job(999, "503", 0)
    with victim(job, folder, 0) as process:
        port = _told(process, 30.0, "the server under load")["port"]
        config: dict[str, Any] = {"folder": str(folder), "worker": "load"}
        config["aims"] = [{**_aim(job, port, 10 / plan.load_hz), "vantage": f"load {n}"} for n in range(10)]
        child = Child("load", "checks.pulse", config, folder)
        try:
            yield
        finally:
            child.stop()


def _told(process: subprocess.Popen[bytes], limit_s: float, name: str) -> dict[str, Any]:
    """The next line that a victim says. Invalid when there is none in time."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], limit_s)
    line = process.stdout.readline() if ready else b""
    if not line:
        raise Invalid(f"{name} said nothing within {limit_s:.0f} s (exit code {process.poll()})")
    return dict(json.loads(line))


def _looks(folder: Path, name: str) -> tuple[list[Look], int]:
    """The looks of one prober, and how many of its records say that it missed slots."""
    observations = read_logs([folder / f"obs-{name}.bin"])
    return looks_of(observations), sum(o.detail == "missed its schedule" for o in observations)


def _results(job: Job, looks: list[Look], folder: Path, plan: Plan) -> dict[float, list[Result]]:
    truth = [Planted.of(record) for record in read_lines(folder / f"truth-{job.name}.jsonl")]
    if len(truth) != job.outages:
        raise Invalid(f"{job.name} planted {len(truth)} outages instead of {job.outages}")
    phase = (job.number * PHASES) % 1
    found = {}
    for rate in rates(plan):
        rows = thinned(looks, 1 / plan.rate_hz, 1 / rate, phase)
        found[rate] = results(rows, truth, 1 / rate)
    return found
