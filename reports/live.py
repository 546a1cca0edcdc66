"""Live progress of a drill: one line that is rewritten on a terminal, sparse plain lines anywhere else.

It reads no clock: a Snapshot carries the instant at which it was taken.
"""

from __future__ import annotations

import itertools
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TextIO, TypeVar

from drill.target import Target
from drill.timeline import Event, Followed, Observation, Outcome, Request
from reports.ink import CONTROL
from reports.run import place

T = TypeVar("T")
RATE_WALL_S = 2.0
"""Rates and Regions are those of the last two wall seconds."""
STALE_WALL_S = 5.0
"""A DNS answer older than this says nothing about now."""
PLAIN_WALL_S = 10.0
"""Without a terminal: a line at each change of phase, and after this long without one."""
TAIL = 5000
"""How many of the newest records are looked at: enough for 2 s of any load this harness makes."""


@dataclass(frozen=True)
class Snapshot:
    """What is true of a running drill.

    at_s: monotonic wall seconds; elapsed_s, recovery_clock_s: target seconds since the start of the run and since
    the fault (it stands still at recovery; None outside a window); dns_region, http_region: where they answer,
    "none" when nobody serves, "?" when nobody knows; requests_per_s, errors_per_s: per wall second;
    unit: what a target second is called.
    """

    at_s: float
    phase: str
    elapsed_s: float
    recovery_clock_s: float | None
    dns_region: str
    http_region: str
    requests_per_s: float
    errors_per_s: float
    note: str = ""
    unit: str = "s"

    def __str__(self) -> str:
        clock = "-" if self.recovery_clock_s is None else f"{self.recovery_clock_s:.0f} {self.unit}"
        words = (
            f"{self.elapsed_s:5.0f} {self.unit}  {self.phase:<10}  recovery clock {clock}  dns {self.dns_region}  "
            f"http {self.http_region}  {self.requests_per_s:.0f} req/s  {self.errors_per_s:.0f} err/s  {self.note}"
        )
        return CONTROL.sub("?", words).rstrip()


class LiveLine:
    """Writes snapshots to a stream.

    isatty: rewrite one line in place, cut to the width that `columns` answers; otherwise one plain line per phase
    and every PLAIN_WALL_S. quiet: write nothing. A stream that is gone (OSError, ValueError when closed) never ends a
    drill: progress stops, the measurement goes on.
    """

    def __init__(
        self,
        stream: TextIO,
        isatty: bool,
        quiet: bool = False,
        columns: Callable[[], int] = lambda: shutil.get_terminal_size().columns,
    ) -> None:
        self._stream, self._isatty, self._quiet, self._columns = stream, isatty, quiet, columns
        self._phase: str | None = None
        self._said_s = float("-inf")
        self._open = False
        self._begun = False

    def update(self, snapshot: Snapshot) -> None:
        """Show a snapshot, or not, as the kind of stream demands."""
        if self._quiet:
            return
        if self._isatty:
            self._rewrite(str(snapshot))
        elif snapshot.phase != self._phase or snapshot.at_s - self._said_s >= PLAIN_WALL_S:
            self._phase, self._said_s = snapshot.phase, snapshot.at_s
            self._write(f"{snapshot}\n")

    def close(self) -> None:
        """End the line that is being rewritten, so that what follows stands on its own."""
        if self._open:
            self._open = False
            self._write("\n")

    def _rewrite(self, words: str) -> None:
        # One column stays free: a full line would wrap and scroll on some terminals.
        self._open = True
        self._write(f"\r{words[: max(self._columns() - 1, 10)]}\x1b[K")

    def _write(self, words: str) -> None:
        # The line that pytest has begun for the test stays as it is.
        lead, self._begun = "" if self._begun else "\n", True
        try:
            self._stream.write(lead + words)
            self._stream.flush()
        except (OSError, ValueError):
            self._quiet = True


def snapshot(timeline: Followed, target: Target, note: str = "") -> Snapshot:
    """What the timeline, as last refreshed, says about now."""
    now_s, speed = timeline.clock.monotonic_s(), timeline.clock.speed
    began_s = timeline.events[0].at_s if timeline.events else now_s
    recent = [r for r in _tail(timeline.requests) if r.done_s >= now_s - RATE_WALL_S]
    errors = sum(r.outcome is Outcome.FAIL for r in recent)
    return Snapshot(
        at_s=now_s,
        phase=_phase(timeline.events),
        elapsed_s=(now_s - began_s) * speed,
        recovery_clock_s=_recovery_clock(timeline.events, now_s, speed),
        dns_region=_dns_region(timeline.observations, target, now_s - STALE_WALL_S),
        http_region=_http_region(recent, target),
        requests_per_s=len(recent) / RATE_WALL_S,
        errors_per_s=errors / RATE_WALL_S,
        note=note,
        unit=target.unit,
    )


def _tail(records: list[T]) -> list[T]:
    return records[-TAIL:]


def _phase(events: list[Event]) -> str:
    return next((str(e.data["phase"]) for e in reversed(events) if e.name == "phase"), "starting")


def _recovery_clock(events: list[Event], now_s: float, speed: float) -> float | None:
    """Target seconds since the window's fault (since the window began, while there is none)."""
    begin = next((e for e in reversed(events) if e.name == "window.begin"), None)
    if begin is None:
        return None
    after = [e for e in events if e.at_s >= begin.at_s]
    since_s = next((e.at_s for e in after if e.name in ("fault.injected", "action")), begin.at_s)
    recovered = next((e for e in after if e.name == "window.recovered"), None)
    if recovered is None and any(e.name == "window.end" for e in after):
        return None
    until_s = now_s if recovered is None else float(recovered.data.get("first_good_s") or recovered.at_s)
    return max(0.0, until_s - since_s) * speed


def dns_regions(timeline: Followed, target: Target) -> dict[str, str]:
    """Vantage -> the Region that its newest answer names; "none" without an answer, "?" when nobody knows."""
    since_s = timeline.clock.monotonic_s() - STALE_WALL_S
    newest = {o.vantage: o for o in sorted(_tail(timeline.observations), key=lambda o: o.done_s) if o.probe == "dns"}
    return {
        vantage: _answered(look if look.done_s >= since_s else None, target)
        for vantage, look in sorted(newest.items())
    }


def http_regions(timeline: Followed, target: Target) -> dict[str, float]:
    """Region -> requests per wall second that it served in the last two wall seconds."""
    since_s = timeline.clock.monotonic_s() - RATE_WALL_S
    recent = (r for r in _tail(timeline.requests) if r.done_s >= since_s)
    regions = Counter(place(target.region_of(r.peer) or "elsewhere") for r in recent if _served(r))
    return {region: count / RATE_WALL_S for region, count in sorted(regions.items())}


def _dns_region(observations: list[Observation], target: Target, since_s: float) -> str:
    looks = [o for o in _tail(observations) if o.probe == "dns" and o.done_s >= since_s]
    first = [o for o in looks if o.vantage == "authoritative"] or looks
    return _answered(max(first, key=lambda o: o.done_s, default=None), target)


def _answered(look: Observation | None, target: Target) -> str:
    if look is None or look.outcome is Outcome.UNKNOWN:
        return "?"
    return "none" if look.outcome is Outcome.FAIL else _named(look.value.split(","), target)


def _served(request: Request) -> bool:
    return bool(request.peer) and request.outcome is Outcome.OK


def _http_region(requests: Sequence[Request], target: Target) -> str:
    served = [r.peer for r in requests if _served(r)]
    return _named(served, target) if served else "none" if requests else "?"


def _named(addresses: Iterable[str], target: Target) -> str:
    """The Regions of these addresses, the most frequent first."""
    counted = Counter(addresses)
    regions: Counter[str] = Counter()
    for address, count in itertools.islice(counted.items(), 100):
        regions[target.region_of(address) or "elsewhere"] += count
    return "+".join(place(region) for region, _ in regions.most_common())
