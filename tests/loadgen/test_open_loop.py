"""Load that keeps its promise: demand goes on while the system hangs, and nothing is sent a second time."""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from drill.errors import UsageError
from drill.target import load_target
from drill.timeline import Outcome, Request
from loadgen.schedule import UNSERVED, pauses
from tests.loadgen.loopback import Bank
from tests.loadgen.test_load import CORE_BANKING, World, until, world

RATE_PER_S = 40.0
HANG_S = 1.5


@dataclass
class Hanging:
    """A bank that, for HANG_S from the call of `hang`, takes every request and answers none of them, ever."""

    bank: Bank = field(default_factory=lambda: Bank(reads_to_settle=1))
    begin_s: float = float("inf")

    def __call__(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        """Handle one request."""
        if self.begin_s <= time.monotonic() < self.begin_s + HANG_S:
            time.sleep(HANG_S + 2)
            request.close_connection = True
            return
        self.bank(request, body)

    def hang(self) -> None:
        """From now on, for HANG_S."""
        self.begin_s = time.monotonic()


def open_world(system: World, **load: object) -> None:
    """Make the load of a world an open loop of single deposits."""
    fields = {"kind": "open", "arrival_rate_per_s": RATE_PER_S, "arrivals": "constant", "task": ("deposit",), **load}
    known = system.target.load.model_copy(update=fields)
    system.target = system.target.model_copy(update={"load": known})


@pytest.mark.parametrize("users", [150, 4])
def test_the_demand_of_a_hang_is_reported_whole(tmp_path: Path, users: int) -> None:
    """Whether clients hang in timeouts or there are none left: what was due in the hang failed, the rest did not."""
    bank = Hanging()
    with world(tmp_path, bank) as system:
        open_world(system, users=users)
        load = system.load()
        until(lambda: len(system.requests()) > 30, "a load under way")
        bank.hang()
        until(lambda: time.monotonic() > bank.begin_s + 2 * HANG_S, "the end of the hang and as long again")
        load.stop()
        due, summary = [r for r in system.requests() if r.name == "deposit"], system.summary()
    inside = [r for r in due if bank.begin_s + 0.1 < r.due_s < bank.begin_s + HANG_S - 0.1]
    assert len(inside) == pytest.approx((HANG_S - 0.2) * RATE_PER_S, abs=2)
    assert {r.outcome for r in inside} == {Outcome.FAIL}
    # A client that hangs at the end of the hang has its deadline (1 s) still to wait: only then is it free again.
    outside = [r for r in due if r.due_s < bank.begin_s - 0.1 or r.due_s > bank.begin_s + HANG_S + 1.1]
    assert sum(r.outcome is Outcome.OK for r in outside) > 0.5 * len(outside)
    unserved = [r for r in due if r.detail == UNSERVED]
    assert bool(unserved) is (users == 4)
    assert (summary["model"], summary["unserved"]) == ("open loop", len(unserved))
    assert 0 <= summary["arrivals"] - len(due) <= users + 1
    _are_due_on_schedule(due)


def _are_due_on_schedule(due: list[Request]) -> None:
    """Constant arrivals are equally far apart, whatever became of them; latency counts from there."""
    starts = sorted(r.due_s for r in due)
    gaps = [b - a for a, b in itertools.pairwise(starts)]
    assert statistics.median(gaps) == pytest.approx(1 / RATE_PER_S, rel=0.01)
    assert max(gaps) < 2.5 / RATE_PER_S
    assert all(r.sent_s >= r.due_s for r in due)


@dataclass
class Dropping:
    """A bank that closes every second connection without an answer, after it has read the request."""

    bank: Bank = field(default_factory=lambda: Bank(reads_to_settle=1))
    seen: list[str] = field(default_factory=list)
    dropped: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        """Handle one request."""
        with self.lock:
            self.seen.append(f"{request.command} {request.path} {request.headers.get('X_ACCOUNT_ID')}")
            drop = len(self.seen) % 2 == 0
            self.dropped += drop
        if drop:
            request.close_connection = True
            return
        self.bank(request, body)


def test_nothing_is_sent_again_on_a_connection_that_the_server_closed(tmp_path: Path) -> None:
    """A service that drops half of its requests is reported to drop half, by every cohort of users."""
    bank = Dropping()
    with world(tmp_path, bank) as system:
        open_world(system, users=40, cohorts=("task", "kept", "aged", "fresh"), task=("deposit", "deposit"))
        load = system.load()
        until(lambda: len(bank.seen) > 150, "150 requests")
        load.stop()
        requests, total = system.requests(), system.summary()["total"]
    assert 0 <= len(bank.seen) - len(requests) <= 40
    failed = [r for r in requests if r.outcome is Outcome.FAIL]
    assert 0 <= bank.dropped - len(failed) <= 40
    assert len(failed) == pytest.approx(len(requests) / 2, rel=0.1)
    assert (total["requests"], total["failures"]) == (len(requests), len(failed))
    assert Counter(r.detail for r in failed).most_common(1)[0][0] == "reset"
    assert {r.cohort for r in failed} == {"task", "kept", "aged", "fresh"}
    # One deposit of a task may follow another, but no deposit is made a third time.
    assert max(Counter(line for line in bank.seen if line.startswith("POST")).values()) <= 2


def test_cohorts_keep_their_connections_as_they_say_and_look_names_up_by_themselves(tmp_path: Path) -> None:
    """Kept: one connection for ever; of limited age: a new one when it is old; fresh: one for each request."""
    with world(tmp_path, Bank(reads_to_settle=1)) as system:
        load = system.target.load.model_copy(
            update={"users": 4, "cohorts": ("task", "kept", "aged", "fresh"), "max_age_s": 80.0, "task": ("deposit",)}
        )
        system.target = system.target.model_copy(update={"load": load})
        child = system.load()
        until(lambda: Counter(r.cohort for r in system.requests()).get("aged", 0) >= 8, "eight requests of a user")
        child.stop()
        requests, queries = system.requests(), system.zone.queries["udp"]
    new = Counter(r.cohort for r in requests if not r.reused)
    every = Counter(r.cohort for r in requests)
    assert new["kept"] == 1
    assert new["fresh"] == every["fresh"]
    # The deposit of a task closes its connection; its one read opens the one that the rest of the task would share.
    assert new["task"] == every["task"]
    assert 2 <= new["aged"] < every["aged"]
    # Four users, four caches: nobody finds a name in another's.
    assert queries >= 4


def test_arrivals_are_what_they_are_called() -> None:
    """Constant ones are equal; Poisson ones have the mean and the spread of an exponential; a seed repeats them."""
    assert list(itertools.islice(pauses(50.0, "constant", "a"), 3)) == [0.02] * 3
    found = list(itertools.islice(pauses(50.0, "poisson", "a"), 20_000))
    assert statistics.fmean(found) == pytest.approx(0.02, rel=0.05)
    assert statistics.stdev(found) == pytest.approx(0.02, rel=0.05)
    assert found == list(itertools.islice(pauses(50.0, "poisson", "a"), 20_000))
    assert found[:5] != list(itertools.islice(pauses(50.0, "poisson", "b"), 5))


@pytest.mark.parametrize("line", ['kind = "open"', "arrival_rate_per_s = 5.0"])
def test_a_rate_belongs_to_an_open_loop(tmp_path: Path, line: str) -> None:
    """A target that says one without the other is told so before anything starts."""
    path = tmp_path / "core-banking.toml"
    path.write_text(CORE_BANKING.read_text().replace("users = 10\n", f"users = 10\n{line}\n"))
    with pytest.raises(UsageError, match=r"arrival_rate_per_s is (missing|given)"):
        load_target(path)
