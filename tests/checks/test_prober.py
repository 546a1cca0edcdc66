"""The prober against real servers on loopback whose outages are planted at known instants."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from checks.prober import POLL_SHARE, Pace, Prober
from drill.child import Child
from drill.client import Reply
from drill.doors import open_door
from drill.ledger import LedgerWriter, read_ledger
from drill.timeline import Observation, ObservationFile, Outcome
from drill.writing import WriteClient
from tests.checks.worlds import CLOCK, SPEED, World, eventually, observed, published_target, two_regions, witness
from tests.loadgen.loopback import Bank, answer

INTERVAL_S = 0.2
"""Wall seconds between probes at speed 10."""


def good(folder: Path, since_s: float = 0.0) -> list[Observation]:
    """Settled probes that were sent after an instant."""
    return [o for o in observed(folder, "write.settle") if o.outcome is Outcome.OK and o.sent_s > since_s]


def bad(folder: Path, since_s: float = 0.0) -> list[Observation]:
    """Failed probes that were sent after an instant."""
    return [o for o in observed(folder, "write.settle") if o.outcome is Outcome.FAIL and o.sent_s > since_s]


def one_probe(world: World, folder: Path) -> dict[str, Observation]:
    """The two observations of a single probe made in this process."""
    ledger = LedgerWriter(folder / "ledger-p.bin")
    door = open_door(world.target, CLOCK, Pace.of(world.target, SPEED).request_s)
    writer = WriteClient(world.target.writes, door, ledger, clock=CLOCK)
    prober = Prober(world.target, "r1", writer, ObservationFile(folder, "prober"), CLOCK)
    prober.fire()
    eventually(lambda: len(observed(folder)) == 2)
    ledger.close()
    return {o.probe: o for o in observed(folder)}


def _assert_ends_soon(child: Child) -> None:
    began_s = time.monotonic()
    child.stop()
    assert time.monotonic() - began_s < 6.0


def test_a_planted_outage_lies_inside_what_the_probes_saw(tmp_path: Path) -> None:
    """The server's stop and start lie inside the bounds that good and bad probes leave for them."""
    with two_regions() as world, witness("checks.prober", "prober", world.target, tmp_path):
        eventually(lambda: len(good(tmp_path)) >= 3)
        stopping_s = time.monotonic()
        world.tokyo.down()
        stopped_s = time.monotonic()
        time.sleep(1.0)
        starting_s = time.monotonic()
        world.tokyo.up()
        started_s = time.monotonic()
        eventually(lambda: len(good(tmp_path, started_s)) >= 3)
    failures = bad(tmp_path)
    assert failures
    assert failures[0].done_s > stopping_s
    assert failures[-1].sent_s < started_s
    assert not [o for o in good(tmp_path) if stopped_s < o.sent_s and o.done_s < starting_s]
    before = [o for o in good(tmp_path) if o.done_s <= failures[0].done_s]
    assert before[-1].sent_s <= stopped_s
    assert failures[0].sent_s - before[-1].sent_s < 2 * INTERVAL_S + 0.1
    assert good(tmp_path, failures[-1].sent_s)[0].done_s > starting_s
    assert all(o.detail.startswith("not accepted: refused") or "reset" in o.detail for o in failures)


def test_a_hanging_server_never_delays_the_next_probe(tmp_path: Path) -> None:
    """While every request hangs, probes are still sent at their interval, and each fails after its deadline."""
    with two_regions() as world, witness("checks.prober", "prober", world.target, tmp_path):
        eventually(lambda: good(tmp_path))
        hanging_s = time.monotonic()
        world.tokyo.handle = lambda request, body: time.sleep(30)
        time.sleep(2.6)
    sent = [o.sent_s for o in observed(tmp_path, "write.accept") if hanging_s < o.sent_s < hanging_s + 2.0]
    assert len(sent) in range(9, 12)
    assert max(b - a for a, b in pairwise(sent)) < 2 * INTERVAL_S
    failed = [o for o in bad(tmp_path, hanging_s) if "timeout" in o.detail]
    assert failed
    assert all(1.0 <= o.done_s - o.sent_s < 1.3 for o in failed)


def test_it_ends_within_three_seconds_and_owns_up_to_what_was_in_flight(tmp_path: Path) -> None:
    """At the end of its input every probe has exactly one outcome, the ones in flight UNKNOWN, with their intent."""
    with two_regions() as world:
        patient = world.target.load.model_copy(update={"timeout_s": 50.0})
        target = world.target.model_copy(update={"load": patient})
        with witness("checks.prober", "prober", target, tmp_path) as child:
            eventually(lambda: good(tmp_path))
            world.tokyo.handle = lambda request, body: time.sleep(30)
            time.sleep(0.6)
            _assert_ends_soon(child)
        assert not (tmp_path / "log-prober.txt").exists()  # it said nothing: no thread died
    for probe in ("write.accept", "write.settle"):
        sent = [o.sent_s for o in observed(tmp_path, probe)]
        assert len(sent) == len(set(sent))
    assert len(observed(tmp_path, "write.accept")) == len(observed(tmp_path, "write.settle"))
    assert len([o for o in observed(tmp_path, "write.accept") if o.detail == "in flight at the end"]) >= 2
    writes = read_ledger([tmp_path / "ledger-p.bin"])
    assert len(writes) == len(observed(tmp_path, "write.accept"))
    assert len({w.account for w in writes}) == len(writes)
    assert all(w.account.startswith("drill-r1-p") for w in writes)


def test_sigterm_ends_it_too(tmp_path: Path) -> None:
    """SIGTERM is as good an end as the closed pipe."""
    with two_regions() as world, witness("checks.prober", "prober", world.target, tmp_path) as child:
        eventually(lambda: good(tmp_path))
        os.kill(child.pid, signal.SIGTERM)
        assert "exit code 0" in eventually(child.died, 3.0)


def test_a_stopped_process_records_what_it_missed(tmp_path: Path) -> None:
    """A prober that was stopped says UNKNOWN for the slots that passed, and does not make up for them."""
    with two_regions() as world, witness("checks.prober", "prober", world.target, tmp_path) as child:
        eventually(lambda: good(tmp_path))
        os.kill(child.pid, signal.SIGSTOP)
        stopped_s = time.monotonic()
        time.sleep(1.1)
        os.kill(child.pid, signal.SIGCONT)
        resumed_s = time.monotonic()
        eventually(lambda: len(good(tmp_path, resumed_s)) >= 3)
    unknown = [o for o in observed(tmp_path, "write.settle") if "missed" in o.detail]
    assert unknown
    assert unknown[0].outcome is Outcome.UNKNOWN
    assert unknown[0].sent_s < stopped_s + 2 * INTERVAL_S
    assert unknown[0].done_s > resumed_s - 0.01
    burst = [o for o in observed(tmp_path, "write.accept") if resumed_s <= o.sent_s < resumed_s + INTERVAL_S * 0.9]
    assert len([o for o in burst if o.outcome is Outcome.OK]) <= 2


def test_a_settled_write_names_the_address_that_served_it(tmp_path: Path) -> None:
    """A good probe is OK twice; the settling read's address is its value."""
    with two_regions() as world:
        seen = one_probe(world, tmp_path)
    assert seen["write.accept"].outcome is Outcome.OK
    assert seen["write.settle"].outcome is Outcome.OK
    assert seen["write.settle"].value == world.tokyo.host
    assert seen["write.settle"].sent_s == seen["write.accept"].sent_s
    assert seen["write.settle"].done_s > seen["write.accept"].done_s


class NoDescriptor:
    """A door of a process that has no descriptor left (tests/drill/test_client.py has the real one)."""

    def write(self, kind: str, names: Mapping[str, str], body: bytes, *, fresh: bool) -> Reply:
        """Nothing was sent."""
        now_s = time.monotonic()
        return Reply(now_s, now_s, error="own", detail="Too many open files")

    def with_pinned(self, reply: Reply) -> Reply:
        """As it is."""
        return reply


def test_a_probe_that_this_machine_could_not_make_is_unknown(tmp_path: Path) -> None:
    """Out of descriptors: no failure of the system, so no bite and no outage; the words say whose fault it was."""
    ledger = LedgerWriter(tmp_path / "ledger-p.bin")
    target = published_target()
    writer = WriteClient(target.writes, NoDescriptor(), ledger, clock=CLOCK)  # type: ignore[arg-type]
    Prober(target, "r1", writer, ObservationFile(tmp_path, "prober"), CLOCK).fire()
    eventually(lambda: len(observed(tmp_path)) == 2)
    ledger.close()
    assert {(o.outcome, o.detail.partition(": ")[2].endswith("Too many open files")) for o in observed(tmp_path)} == {
        (Outcome.UNKNOWN, True)
    }


def test_a_write_refused_after_acceptance_fails_as_refused(tmp_path: Path) -> None:
    """A saga that was compensated was accepted and did not settle: FAIL, with that word."""
    with two_regions() as world:
        bank = Bank()

        def compensate(request: Any, body: bytes) -> None:
            if request.command == "POST":
                bank(request, body)
            else:
                answer(request, 200, {"status": "status#success_rollback"})

        world.tokyo.handle = compensate
        seen = one_probe(world, tmp_path)
    assert seen["write.accept"].outcome is Outcome.OK
    assert (seen["write.settle"].outcome, seen["write.settle"].detail) == (Outcome.FAIL, "refused")


def test_a_write_that_never_settles_fails_at_its_deadline(tmp_path: Path) -> None:
    """Accepted and pending for ever is a failure, after the probe's time."""
    with two_regions(probe_timeout_s=12.0) as world:
        world.tokyo.bank.reads_to_settle = 10_000
        seen = one_probe(world, tmp_path)
    settle = seen["write.settle"]
    assert seen["write.accept"].outcome is Outcome.OK
    assert settle.outcome is Outcome.FAIL
    # The last look is sent before the deadline; whether its answer comes before it too is the machine's affair.
    assert settle.detail in ("timeout: pending", "timeout: pending, too late")
    assert 0.9 < settle.done_s - settle.sent_s < 4.0


def test_a_server_error_at_the_read_fails_at_once(tmp_path: Path) -> None:
    """The first failed read ends the probe: a client would have seen it."""
    with two_regions() as world:
        world.tokyo.bank.fail_every = 2
        seen = one_probe(world, tmp_path)
    assert seen["write.settle"].outcome is Outcome.FAIL
    assert seen["write.settle"].detail == "read: status 500"


def test_more_probes_than_there_is_room_for_are_unknown(tmp_path: Path) -> None:
    """A prober that cannot probe says so: UNKNOWN, not good and not bad."""
    with two_regions() as world:
        world.tokyo.handle = lambda request, body: time.sleep(5)
        ledger = LedgerWriter(tmp_path / "ledger-p.bin")
        writer = WriteClient(world.target.writes, open_door(world.target, CLOCK, 1.0), ledger, clock=CLOCK)
        prober = Prober(world.target, "r1", writer, ObservationFile(tmp_path, "prober"), CLOCK)
        for _ in range(prober.pace.in_flight + 1):
            prober.fire()
        saturated = [o for o in observed(tmp_path) if o.detail == "prober saturated"]
        assert [o.outcome for o in saturated] == [Outcome.UNKNOWN] * 2
        eventually(lambda: len(observed(tmp_path, "write.settle")) == prober.pace.in_flight + 1)
        ledger.close()


def test_the_pace_keeps_its_wall_floors_at_any_speed() -> None:
    """However fast the lab, probes are 0.1 s apart and a request has a second."""
    pace = Pace.of(published_target(), 1000.0)
    assert (pace.interval_s, pace.poll_s, pace.request_s, pace.probe_s) == (0.1, 0.03, 1.0, 1.0)
    assert Pace.of(published_target(), 1.0).interval_s == 2.0


def test_clients_follow_the_name_when_its_answer_changes(tmp_path: Path) -> None:
    """After a DNS switch, probes land in the other Region within the TTL, which is in target seconds."""
    with (
        two_regions() as world,
        witness("checks.prober", "prober", world.target, tmp_path),
        witness("checks.pulse", "pulse", world.target, tmp_path),
    ):
        world.zone.ttl = 10
        eventually(lambda: good(tmp_path))
        world.zone.addresses["api.example.com"] = [world.osaka.host]
        switched_s = time.monotonic()
        moved = eventually(lambda: [o for o in good(tmp_path) if o.value == world.osaka.host])
        dns = eventually(lambda: [o for o in observed(tmp_path, "dns") if o.value == world.osaka.host])
    # a TTL of 60 (before it was lowered) or 10 target seconds is at most 6 wall seconds at speed 10
    assert switched_s < moved[0].sent_s < switched_s + 6.5
    assert switched_s < dns[0].done_s < switched_s + 1.0
    assert {o.vantage for o in observed(tmp_path, "dns")} == {
        "authoritative",
        "resolver:ap-northeast-1",
        "resolver:ap-northeast-3",
    }


def test_reads_of_a_slow_probe_come_at_longer_and_longer_pauses_and_once_more_just_before_its_time() -> None:
    """At first at the full pace, then a fifth of the time taken; the last one a pause before the deadline."""
    pace = Pace.of(published_target(), 15.0)
    waited_s, pauses = 0.01, list[float]()
    while pause_s := pace.before_next(waited_s):
        pauses.append(pause_s)
        waited_s += pause_s
    assert pauses[0] == pace.poll_s and max(pauses) <= pace.probe_s / POLL_SHARE
    assert all(pause_s >= pace.poll_s for pause_s in pauses)
    assert pace.probe_s - pace.poll_s * 1.001 <= waited_s <= pace.probe_s
    assert len(pauses) < pace.probe_s / pace.poll_s / 2
