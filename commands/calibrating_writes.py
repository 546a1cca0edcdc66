"""Writes with known fates through the real ledger, the real read-back and the real arithmetic: how many are right.

The victim (lab/victim_bank.py) decides the fate of each write and writes it down; nobody here reads that before
everything has been classified from the ledger and from what the bank answers.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from checks.looks import RECOVERY_PASS, SETTLED_PASS, final_states
from checks.recovery_point import recovery_point
from checks.windows import Places, windows_of
from checks.written_data import read_back
from commands.world import TARGETS
from drill.client import HttpClient
from drill.clock import Clock
from drill.doors import HttpDoor
from drill.errors import Invalid
from drill.ledger import STORE, LedgerWriter, read_ledger, read_lines
from drill.resolver import CachingClient
from drill.target import Connection, Target, load_target
from drill.timeline import Event, History
from drill.writing import WriteClient
from lab import processes
from lab.victim_bank import LATE_S

HOST = "127.66.9.1"
TIMEOUT_S = 5.0
WINDOW = "failover"
EXPECTED = {
    "kept": "settled",
    "late": "late",
    "lost": "lost",
    "compensated": "refused after acceptance",
    "refused": "refused",
    "cut-kept": "indeterminate",
    "cut-lost": "indeterminate",
}
"""What each fate has to be called."""


@dataclass(frozen=True)
class Classified:
    """How many writes were planted, and how many were called what they are; wrong: (fate, called) -> how many."""

    writes: int
    right: int
    wrong: dict[tuple[str, str], int]


def calibrate_writes(count: int, seed: int, folder: Path, clock: Clock) -> Classified:
    """Plant `count` writes in `folder` (empty) and classify them. Invalid when the bank does not serve."""
    with _bank(folder, seed) as port:
        target = _target(port)
        _write(count, target, folder, clock)
        called = _called(target, folder, clock)
    truth = {str(line["account"]): str(line["fate"]) for line in read_lines(folder / "fates.jsonl")}
    pairs = Counter((fate, called.get(account, "missing")) for account, fate in truth.items())
    right = sum(n for (fate, name), n in pairs.items() if EXPECTED[fate] == name)
    wrong = {pair: n for pair, n in sorted(pairs.items()) if EXPECTED[pair[0]] != pair[1]}
    return Classified(len(truth), right, wrong)


@contextmanager
def _bank(folder: Path, seed: int) -> Iterator[int]:
    path = folder / "bank.json"
    path.write_text(json.dumps({"host": HOST, "seed": seed, "truth": str(folder / "fates.jsonl")}))
    process: subprocess.Popen[bytes] = processes.spawn(processes.python("-m", "lab.victim_bank", str(path)))
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise Invalid(f"the bank with planted writes did not start (exit code {process.poll()})")
        yield int(json.loads(line)["port"])
    finally:
        processes.stop(process, 3.0)


def _target(port: int) -> Target:
    target = load_target(TARGETS / "core-banking.toml")
    here = dict.fromkeys(target.regional_endpoints, f"http://{HOST}")
    connection = Connection(http_port=port)
    return target.model_copy(update={"regional_endpoints": here, "connection": connection})


def _write(count: int, target: Target, folder: Path, clock: Clock) -> None:
    client = HttpClient(CachingClient([HOST], clock), clock)
    ledger = LedgerWriter(folder / "ledger-c.bin")
    door = HttpDoor(target.writes, client, target.url(f"http://{HOST}"), TIMEOUT_S)
    writer = WriteClient(target.writes, door, ledger, clock=clock)
    for number in range(count):
        writer.submit(target.writes.probe, f"calibration-{number}")
    ledger.close()


def _called(target: Target, folder: Path, clock: Clock) -> dict[str, str]:
    """Account -> what its write is called, by the ledger and the two passes of the read-back."""
    writes = read_ledger(folder.glob("ledger-*.bin"))
    standby, now_s = target.regions.standby, clock.monotonic_s
    begin = Event(writes[0].sent_s, "window.begin", {"window": WINDOW, "survivor": standby})
    recovered_s = now_s()
    marks = [begin, Event(recovered_s, "window.recovered", {"window": WINDOW, "first_good_s": recovered_s})]
    early = read_back(target, clock, writes, standby, WINDOW, RECOVERY_PASS)
    clock.sleep(2 * LATE_S * clock.speed)
    marks.append(Event(now_s(), "readback", {"window": WINDOW, "pass_": SETTLED_PASS, "region": standby}))
    late = read_back(target, clock, writes, standby, WINDOW, SETTLED_PASS, early)
    history = History({}, tuple(marks), writes=tuple(writes), readbacks=(*early, *late))
    window = windows_of(history, Places(target.regions))[0]
    point = recovery_point(history, window, None, clock.speed)
    states, lost = final_states(history.readbacks, WINDOW), {w.key for w in point.lost}
    absent = {r.key for r in early if r.state in ("absent", "pending")}
    called: dict[str, str] = {}
    for write in writes:
        state = states.get((write.key, STORE), "unknown")
        if write.result != "acked":
            called[write.account] = write.result
        elif write.key in lost:
            called[write.account] = "lost"
        elif state == "settled":
            called[write.account] = "late" if write.key in absent else "settled"
        else:
            called[write.account] = "refused after acceptance" if state == "refused" else state
    if point.late != sum(name == "late" for name in called.values()):
        raise Invalid(f"the recovery point counts {point.late} late writes, the read-back shows another number")
    return called
