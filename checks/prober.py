"""The witness of what clients get: a new deposit, read back settled, again and again, whatever the last one does.

`python -m checks.prober CONFIG.json` (keys: folder, target, speed, run_id, worker). An open loop on an absolute
schedule: a slow answer never delays the next probe, so an outage cannot thin out the evidence of itself. Each
probe is a client of its own: synthetic account, fresh connections, no retry. Resolution is shared, through one
cache that honours the TTL, as on one client machine. Where the machine's own resolver is a vantage, the same process
asks it (checks/dns_watch.py).

Two observations per probe: "write.accept" (the POST) and "write.settle" (the same write, until it was read back
settled, or the first thing that went wrong). value: the peer address; where that lies, the Region's CIDRs tell.

A target without a declared synthetic identity is never written: there each probe only reads (drill/reading.py) and
makes one observation, "read".
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from checks import dns_watch
from checks.open_window import OpenWindow
from checks.schedule import Missed, die_together, keep_schedule
from drill.child import read_config, stop_event
from drill.client import Reply, wall_timeout_s
from drill.clock import Clock, SystemClock
from drill.doors import open_door
from drill.ledger import LedgerWriter, ledger_path
from drill.probes import READ
from drill.reading import NOBODY, Answer, answers
from drill.target import Target
from drill.timeline import Observation, ObservationFile, Outcome
from drill.writing import ReadState, Submitted, WriteClient, error_named

ACCEPT, SETTLE, VANTAGE = "write.accept", "write.settle", "client"
WRITING, READING = (ACCEPT, SETTLE), (READ,)
"""The observations of one probe that writes, and of one that may not."""
INTERVAL_FLOOR_S = 0.1
POLL_FLOOR_S = 0.03
POLL_SHARE = 5
"""A read follows the one before it after at most this part of the time that the probe has taken: many probes that
wait for a slow system, each at full pace, would be a load of their own that keeps it slow."""
MAX_IN_FLIGHT = 64
OWN_ERROR = "own"
"""See drill.client.Reply: a probe that could not be made is neither good nor bad."""
GRACE_S = 1.0
"""Wall seconds that probes in flight have to finish when the prober is told to end."""


@dataclass(frozen=True)
class Pace:
    """How fast probes go, in wall seconds.

    interval_s: between two probes; poll_s: between two reads of one, at least; request_s: deadline of one request;
    probe_s: after this a probe that is not settled has failed; in_flight: how many may be under way;
    quick_interval_s: between two probes while a window of the drill is open.
    """

    interval_s: float
    poll_s: float
    request_s: float
    probe_s: float
    in_flight: int
    quick_interval_s: float

    @classmethod
    def of(cls, target: Target, speed: float) -> Pace:
        """The target's timings at that speed, with their wall floors."""
        interval_s = max(INTERVAL_FLOOR_S, target.timings.probe_interval_s / speed)
        request_s = wall_timeout_s(target.load.timeout_s, speed)
        probe_s = wall_timeout_s(target.timings.probe_timeout_s, speed)
        quick_s = min(interval_s, 1 / target.probing.write_hz) if target.probing.write_hz else interval_s
        needed = math.ceil((probe_s + request_s) / quick_s) + 1
        poll_s = max(POLL_FLOOR_S, target.load.poll_s / speed)
        return cls(interval_s, poll_s, request_s, probe_s, min(needed, MAX_IN_FLIGHT), quick_s)

    def before_next(self, waited_s: float) -> float:
        """The pause before the next read of a probe that has waited so long; 0 when none would be in time.

        The last read comes as late as it may: what settles just in time is seen to.
        """
        left_s = self.probe_s - waited_s
        last_s = max(self.poll_s, left_s - self.poll_s)
        return min(last_s, max(self.poll_s, waited_s / POLL_SHARE)) if left_s > self.poll_s else 0.0


@dataclass
class Open:
    """The observations that are owed: exactly one for each probe begun, by its end or by the prober's.

    Keys are (probe number, observation's probe), values the send instant (monotonic wall seconds).
    """

    _sent: dict[tuple[int, str], float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, n: int, sent_s: float, probes: Sequence[str] = WRITING) -> None:
        """Probe `n` begins: all its observations are owed."""
        with self._lock:
            self._sent |= {(n, probe): sent_s for probe in probes}

    def take(self, n: int, probe: str) -> bool:
        """Whether that observation is still owed; it is not from now on."""
        with self._lock:
            return self._sent.pop((n, probe), None) is not None

    def take_all(self) -> list[tuple[str, float]]:
        """(probe, sent_s) of everything that is owed; nothing is from now on."""
        with self._lock:
            left = [(probe, sent_s) for (_, probe), sent_s in self._sent.items()]
            self._sent.clear()
            return left

    def __len__(self) -> int:
        with self._lock:
            return len(self._sent)


class Prober:
    """Probes one target. writer: shared by all probes, with the prober's own ledger, or none if it may only read."""

    def __init__(self, target: Target, run_id: str, writer: WriteClient, file: ObservationFile, clock: Clock) -> None:
        self.pace = Pace.of(target, clock.speed)
        self._target, self._writer, self._file, self._clock = target, writer, file, clock
        self._read_only = not target.load.synthetic_prefix
        self._probes = READING if self._read_only else WRITING
        self._store = target.writes.store_of(target.writes.probe)
        self._prefix = f"{target.load.synthetic_prefix or NOBODY}{run_id}-p"
        self._room = threading.BoundedSemaphore(self.pace.in_flight)
        self._open = Open()
        self._n = 0

    def fire(self) -> None:
        """Begin one probe, now, in a thread of its own; UNKNOWN when too many are under way."""
        self._n += 1
        now_s = self._clock.monotonic_s()
        if not self._room.acquire(blocking=False):
            self._unknown(now_s, now_s, "prober saturated")
            return
        self._open.begin(self._n, now_s, self._probes)
        probe = self._read if self._read_only else self._probe
        threading.Thread(target=probe, args=(self._n,), name=f"probe-{self._n}", daemon=True).start()

    def missed(self, missed: Missed) -> None:
        """Slots that nobody probed in: unknown from the first of them until now."""
        self._unknown(missed.first_s, missed.now_s, str(missed))

    def finish(self) -> None:
        """Give probes in flight GRACE_S to end, then call what is left unknown. Nothing is recorded after."""
        end_s = self._clock.monotonic_s() + GRACE_S
        while len(self._open) and self._clock.monotonic_s() < end_s:
            self._clock.sleep(POLL_FLOOR_S * self._clock.speed)
        now_s = self._clock.monotonic_s()
        for probe, sent_s in self._open.take_all():
            self._file.add(Observation(sent_s, now_s, probe, VANTAGE, Outcome.UNKNOWN, "", "in flight at the end"))

    def _probe(self, n: int) -> None:
        try:
            account = f"{self._prefix}{n}"
            submitted = self._writer.submit(self._target.writes.probe, account, fresh=True)
            outcome = Outcome.OK if submitted.acked else Outcome.FAIL
            self._add(n, ACCEPT, submitted.reply.sent_s, submitted.reply, outcome, self._told(submitted.reply))
            self._settle(n, account, submitted)
        finally:
            self._room.release()

    def _read(self, n: int) -> None:
        try:
            seen = list(_until_bad(answers(self._writer, f"{self._prefix}{n}")))
            last = seen[-1]
            outcome = Outcome.OK if last.good else Outcome.FAIL
            detail = f"{last.name}: {last.said}, {self._told(last.reply)}"
            self._add(n, READ, seen[0].reply.sent_s, last.reply, outcome, detail)
        finally:
            self._room.release()

    def _settle(self, n: int, account: str, submitted: Submitted) -> None:
        sent_s = submitted.reply.sent_s
        if submitted.id is None:
            self._add(
                n, SETTLE, sent_s, submitted.reply, Outcome.FAIL, f"not accepted: {self._told(submitted.reply)}"
            )
            return
        deadline_s = sent_s + self.pace.probe_s
        read = self._writer.read(submitted.id, account, store=self._store)
        while not _final(read) and (pause_s := self.pace.before_next(read.reply.done_s - sent_s)):
            self._clock.sleep(pause_s * self._clock.speed)
            read = self._writer.read(submitted.id, account, store=self._store)
        good = read.state == "settled" and read.reply.done_s <= deadline_s
        detail = "" if good else self._why_not(read, deadline_s)
        self._add(n, SETTLE, sent_s, read.reply, Outcome.OK if good else Outcome.FAIL, detail)

    def _why_not(self, read: ReadState, deadline_s: float) -> str:
        if read.state == "refused":
            return "refused"
        if read.state == "unknown":
            return f"read: {self._told(read.reply)}"
        late = "" if read.reply.done_s <= deadline_s else ", too late"
        return f"timeout: {read.state}{late}"

    def _told(self, reply: Reply) -> str:
        """What a reply says when it is not the one that was hoped for, in one bounded line."""
        if reply.error:
            return f"{reply.error}: {reply.detail}"[:200]
        name = error_named(self._target.writes, reply)
        return f"status {reply.status}: {name}" if name else f"status {reply.status}"

    def _add(self, n: int, probe: str, sent_s: float, reply: Reply, outcome: Outcome, detail: str) -> None:
        if self._open.take(n, probe):
            outcome = Outcome.UNKNOWN if reply.error == OWN_ERROR else outcome
            why = "" if outcome is Outcome.OK else detail
            self._file.add(Observation(sent_s, reply.done_s, probe, VANTAGE, outcome, reply.peer, why))

    def _unknown(self, sent_s: float, done_s: float, detail: str) -> None:
        for probe in self._probes:
            self._file.add(Observation(sent_s, done_s, probe, VANTAGE, Outcome.UNKNOWN, "", detail))


def _until_bad(answers: Iterable[Answer]) -> Iterator[Answer]:
    for answer in answers:
        yield answer
        if not answer.good:
            return


def _final(read: ReadState) -> bool:
    """Nothing better can follow: a terminal state, or a failed read. Absent may be a replica that lags."""
    return read.state not in ("pending", "absent")


def run(config: dict[str, Any], stop: threading.Event) -> list[str]:
    """Probe until `stop` is set; returns why a thread died, if one did (then all stop)."""
    target = Target.model_validate(config["target"])
    folder, worker = Path(config["folder"]), str(config["worker"])
    clock = SystemClock(float(config["speed"]))
    deaths = die_together(stop)
    file = ObservationFile(folder, worker)
    prober = Prober(target, str(config["run_id"]), _writer(target, folder, clock), file, clock)
    # The files stay open: threads that are still in a request end with the process, and must not meet a closed,
    # or worse a reused, descriptor.
    dns_watch.start(target, clock, stop, file.add, OpenWindow(folder).open)
    pace, windows = prober.pace, OpenWindow(folder)

    def interval_s() -> float:
        return pace.quick_interval_s if windows.open() else pace.interval_s

    keep_schedule(clock, interval_s, stop, prober.fire, prober.missed)
    prober.finish()
    return deaths


def _writer(target: Target, folder: Path, clock: SystemClock) -> WriteClient:
    pace = Pace.of(target, clock.speed)
    # Without a ledger the client cannot write at all.
    ledger = LedgerWriter(ledger_path(folder, "p")) if target.load.synthetic_prefix else None
    return WriteClient(target.writes, open_door(target, clock, pace.request_s), ledger, clock=clock)


def main() -> int:
    """The process: 0 when it was told to stop, 1 when a thread died."""
    config = read_config()
    stop = stop_event()
    deaths = run(config, stop)
    for death in deaths:
        sys.stderr.write(f"prober: {death}\n")
    return 1 if deaths else 0


if __name__ == "__main__":
    sys.exit(main())
