"""Live progress is one line on a terminal, sparse lines in a log, and never the end of a drill."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from drill.clock import FakeClock
from drill.timeline import Observation, Outcome, Request, Timeline
from reports.live import LiveLine, Snapshot, dns_regions, http_regions, snapshot
from tests.reports.runs import OSAKA, STANDBY, TARGET, TOKYO, header

CALM = Snapshot(100.0, "baseline", 12.0, None, "Tokyo", "Tokyo", 20.0, 0.0)


@pytest.fixture
def clock() -> FakeClock:
    """A clock at speed 10."""
    return FakeClock(speed=10.0)


@pytest.fixture
def timeline(tmp_path: Path, clock: FakeClock) -> Iterator[Timeline]:
    """An open run folder."""
    created = Timeline.create(tmp_path / "run", clock, header())
    yield created
    created.close()


def test_terminal_line_is_rewritten_and_cut_to_the_width() -> None:
    """On a terminal each update overwrites the one before and never wraps."""
    stream = io.StringIO()
    live = LiveLine(stream, isatty=True, columns=lambda: 30)
    live.update(CALM)
    live.update(replace(CALM, at_s=100.1))
    live.close()
    assert stream.getvalue().startswith("\n")  # what the test runner has begun stays as it is
    first, *rest = stream.getvalue().removesuffix("\n").split("\r")[1:]
    assert first == rest[0]
    assert len(first.removesuffix("\x1b[K")) <= 29
    assert stream.getvalue().count("\n") == 2


def test_log_gets_a_line_per_phase_and_per_ten_seconds() -> None:
    """Without a terminal there is a plain line at each phase and after ten wall seconds, and nothing between."""
    stream = io.StringIO()
    live = LiveLine(stream, isatty=False)
    for tenth in range(120):
        live.update(replace(CALM, at_s=100 + tenth / 10, phase="baseline" if tenth < 5 else "in_force"))
    live.close()
    before, *lines = stream.getvalue().splitlines()
    assert before == ""
    assert [line.split()[2] for line in lines] == ["baseline", "in_force", "in_force"]
    assert "\r" not in stream.getvalue()


def test_quiet_writes_nothing() -> None:
    """Quiet is quiet."""
    stream = io.StringIO()
    live = LiveLine(stream, isatty=True, quiet=True)
    live.update(CALM)
    live.close()
    assert stream.getvalue() == ""


def test_closed_stream_does_not_end_the_drill() -> None:
    """When nobody reads the progress any more, it stops and the drill goes on."""
    stream = io.StringIO()
    live = LiveLine(stream, isatty=False)
    stream.close()
    live.update(CALM)
    live.update(replace(CALM, phase="in_force"))
    live.close()


def test_fresh_run_knows_nothing(timeline: Timeline) -> None:
    """Before anything was seen, Regions are unknown and there is no recovery clock."""
    seen = snapshot(timeline, TARGET)
    assert (seen.phase, seen.recovery_clock_s, seen.dns_region, seen.http_region) == ("starting", None, "?", "?")


def test_rates_are_those_of_the_last_two_wall_seconds(timeline: Timeline, clock: FakeClock) -> None:
    """Requests and errors per wall second forget what is older than two seconds."""
    now = clock.monotonic_s()
    old = [Request(now - 9, now - 8, "deposit", Outcome.FAIL)] * 50
    new = [Request(now - 1, now - 0.5, "deposit", Outcome.OK, 200, TOKYO)] * 6
    failed = [Request(now - 1, now - 0.5, "deposit", Outcome.FAIL)] * 2
    timeline.requests += [*old, *new, *failed]
    seen = snapshot(timeline, TARGET)
    assert (seen.requests_per_s, seen.errors_per_s, seen.http_region) == (4.0, 1.0, "Tokyo")


def test_regions_are_where_dns_and_http_answer_now(timeline: Timeline, clock: FakeClock) -> None:
    """The authoritative answer of now and the addresses that served are shown as Regions, the larger share first."""
    now = clock.monotonic_s()
    timeline.observations += [
        Observation(now - 3, now - 3, "dns", "authoritative", Outcome.OK, TOKYO),
        Observation(now - 1, now - 1, "dns", "authoritative", Outcome.OK, OSAKA),
        Observation(now, now, "dns", "resolver:us-west-2", Outcome.OK, TOKYO),
    ]
    timeline.requests += [Request(now, now, "deposit", Outcome.OK, 200, peer) for peer in (OSAKA, TOKYO, OSAKA)]
    seen = snapshot(timeline, TARGET)
    assert (seen.dns_region, seen.http_region) == ("Osaka", "Osaka+Tokyo")


@pytest.mark.parametrize(
    ("age_s", "outcome", "shown"),
    [(0, Outcome.UNKNOWN, "?"), (30, Outcome.OK, "?"), (0, Outcome.FAIL, "none")],
)
def test_what_nobody_knows_is_a_question_mark(
    timeline: Timeline, clock: FakeClock, age_s: float, outcome: Outcome, shown: str
) -> None:
    """A DNS answer that failed to come, or is stale, is unknown; no address is none."""
    at = clock.monotonic_s() - age_s
    timeline.observations.append(Observation(at, at, "dns", "authoritative", outcome, TOKYO))
    assert snapshot(timeline, TARGET).dns_region == shown


def test_recovery_clock_runs_from_the_fault_and_stops_at_recovery(timeline: Timeline, clock: FakeClock) -> None:
    """The recovery clock counts target seconds from the injection and stands still at the first good write."""
    timeline.mark("window.begin", window="failover", survivor=STANDBY)
    clock.sleep(20)
    timeline.mark("fault.injected", window="failover", kind="ScaleEcsService", effect="errors")
    clock.sleep(100)
    assert snapshot(timeline, TARGET).recovery_clock_s == pytest.approx(100)
    timeline.mark("window.recovered", window="failover", first_good_s=clock.monotonic_s())
    timeline.mark("window.end", window="failover", reason="recovered")
    clock.sleep(500)
    assert snapshot(timeline, TARGET).recovery_clock_s == pytest.approx(100)
    timeline.mark("window.begin", window="failback")
    assert snapshot(timeline, TARGET).recovery_clock_s == pytest.approx(0)


def test_window_that_timed_out_has_no_clock(timeline: Timeline, clock: FakeClock) -> None:
    """After a window that ended without recovery there is no clock to show."""
    timeline.mark("window.begin", window="failover")
    clock.sleep(900)
    timeline.mark("window.end", window="failover", reason="timeout")
    assert snapshot(timeline, TARGET).recovery_clock_s is None


def test_dns_and_http_are_told_per_vantage_and_region(timeline: Timeline, clock: FakeClock) -> None:
    """The newest answer of each vantage, "?" for a stale one; requests that were served, by Region."""
    now = clock.monotonic_s()
    timeline.observations += [
        Observation(now - 2, now - 2, "dns", "authoritative", Outcome.OK, TOKYO),
        Observation(now - 1, now - 1, "dns", "authoritative", Outcome.OK, OSAKA),
        Observation(now - 1, now - 1, "dns", "resolver:a", Outcome.FAIL, ""),
        Observation(now - 60, now - 60, "dns", "resolver:b", Outcome.OK, TOKYO),
        Observation(now, now, "write.settle", "client", Outcome.OK, TOKYO),
    ]
    timeline.requests += [Request(now, now, "deposit", Outcome.OK, 200, peer) for peer in (OSAKA, TOKYO, OSAKA)]
    timeline.requests += [Request(now, now, "deposit", Outcome.FAIL, 503, TOKYO)]
    timeline.requests += [Request(now - 9, now - 9, "deposit", Outcome.OK, 200, TOKYO)]
    assert dns_regions(timeline, TARGET) == {"authoritative": "Osaka", "resolver:a": "none", "resolver:b": "?"}
    assert http_regions(timeline, TARGET) == {"Osaka": 1.0, "Tokyo": 0.5}
