"""The load process as a whole: started as the drill starts it, against real servers on loopback."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from drill.child import Child
from drill.ledger import Write, read_ledger, read_lines
from drill.target import Target, load_target
from drill.timeline import Outcome, Request, request_from
from tests.loadgen.loopback import Bank, Handle, Zone, dns_server, http_server

NAME = "api.example.com"
TOKYO, OSAKA = "127.100.5.165", "127.101.7.20"
CORE_BANKING = Path(__file__).parents[2] / "targets" / "core-banking.toml"
SPEED = 100.0


@dataclass
class World:
    """A system of two addresses behind one name, and a run folder."""

    folder: Path
    target: Target
    zone: Zone
    children: list[Child] = field(default_factory=list)

    def load(self) -> Child:
        """Start the load process."""
        config = {
            "folder": str(self.folder),
            "target": self.target.model_dump(mode="json"),
            "speed": SPEED,
            "run_id": "r1",
            "worker": "load",
        }
        self.children.append(Child("load", "loadgen.run", config, self.folder))
        return self.children[-1]

    def requests(self) -> list[Request]:
        """What the load has recorded so far."""
        path = self.folder / "requests-load.jsonl"
        return [request_from(record) for record in read_lines(path)] if path.exists() else []

    def writes(self) -> list[Write]:
        """What the ledger says so far."""
        return read_ledger(self.folder.glob("ledger-*.bin"))

    def summary(self) -> dict[str, Any]:
        """Locust's own statistics."""
        found = json.loads((self.folder / "load-summary.json").read_text())
        assert isinstance(found, dict)
        return found


def until(true: Callable[[], object], what: str, limit_s: float = 20.0) -> None:
    """Wait until `true()`; fail after `limit_s`."""
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, f"waited {limit_s} s for: {what}"
        time.sleep(0.05)


@contextmanager
def world(folder: Path, handle: Handle, users: int = 3, ttl: int = 60) -> Iterator[World]:
    """Two servers with the same `handle`, DNS that points at Tokyo, and the real target's load in small."""
    zone = Zone({NAME: [TOKYO]}, ttl=ttl)
    with ExitStack() as stack:
        dns = stack.enter_context(dns_server(zone))
        port = stack.enter_context(http_server(handle, TOKYO))
        stack.enter_context(http_server(handle, OSAKA, port))
        target = load_target(CORE_BANKING)
        connection = {"resolvers": {"ap-northeast-1": dns}, "http_port": port}
        known = target.model_copy(
            update={
                "connection": target.connection.model_copy(update=connection),
                "load": target.load.model_copy(update={"users": users}),
            }
        )
        made = World(folder, known, zone)
        try:
            yield made
        finally:
            for child in made.children:
                child.stop()


def test_every_write_is_made_followed_and_accounted_for(tmp_path: Path) -> None:
    """Server, ledger, request file and Locust's own statistics tell the same story, failures included."""
    bank = Bank(fail_every=5)
    with world(tmp_path, bank, users=8) as system:
        load = system.load()
        until(lambda: len(bank.seen) > 40, "40 requests")
        load.stop()
        requests, writes, total = system.requests(), system.writes(), system.summary()["total"]
    failed = [r for r in requests if r.outcome is Outcome.FAIL]
    assert total["requests"] == len(requests)
    assert total["failures"] == len(failed)
    # A request may be cut off by the end of the load; then no client saw its result.
    assert 0 <= len(bank.seen) - len(requests) <= 8
    assert abs(len(failed) - len(bank.seen) // 5) <= 1
    assert {r.status for r in failed} == {500}
    acked = {w.id: w.account for w in writes if w.result == "acked"}
    assert acked.items() <= bank.acked.items()
    assert len(bank.acked) - len(acked) <= 8
    assert {r.peer for r in requests} == {TOKYO}


def test_each_task_is_one_new_synthetic_account_with_the_published_sequence(tmp_path: Path) -> None:
    """Deposit, then three withdrawals, each settled before the next; the first request asks to close."""
    bank = Bank()
    with world(tmp_path, bank, users=1) as system:
        load = system.load()
        until(lambda: len({a for _, _, a in bank.seen}) > 1, "a second account")
        load.stop()
    account = bank.seen[0][2]
    assert account == "drill-r1-loadu1-1"
    mine = [(method, path) for method, path, a in bank.seen if a == account]
    assert [path for method, path in mine if method == "POST"] == [
        "/transaction/deposit",
        *["/transaction/withdraw"] * 3,
    ]
    assert [method for method, _ in mine] == ["POST", "GET", "GET"] * 4
    assert bank.closing[: len(mine)] == [True] + [False] * 11


def test_a_killed_load_has_every_accepted_write_in_its_ledger(tmp_path: Path) -> None:
    """SIGKILL in full flight loses no write that the server has accepted, and no request that was flushed."""
    bank = Bank(reads_to_settle=1)
    with world(tmp_path, bank, users=8) as system:
        load = system.load()
        until(lambda: len(bank.acked) > 20, "20 accepted writes")
        until(system.requests, "requests on record while the load runs")
        flushed = system.requests()
        os.kill(load.pid, signal.SIGKILL)
        until(load.died, "the end of the process")
        writes, requests = system.writes(), system.requests()
    assert requests[: len(flushed)] == flushed
    assert sum(r.name != "read" and r.outcome is Outcome.OK for r in requests) <= len(bank.acked)
    intended = {w.account for w in writes}
    assert set(bank.acked.values()) <= intended
    assert len(writes) >= len(bank.acked)
    assert {w.id for w in writes if w.result == "acked"} <= bank.acked.keys()


def test_connections_pinned_to_the_old_region_are_counted(tmp_path: Path) -> None:
    """After DNS has moved, while the old servers still answer, polling users stay pinned; their next task moves."""
    bank = Bank(reads_to_settle=10_000)
    with world(tmp_path, bank, users=3, ttl=30) as system:
        load = system.load()
        until(lambda: any(r.reused for r in system.requests()), "a kept connection in use")
        assert not any(r.pinned for r in system.requests())
        system.zone.addresses[NAME] = [OSAKA]
        until(lambda: any(r.peer == OSAKA for r in system.requests()), "a user in the new Region")
        load.stop()
        requests = system.requests()
    pinned = [r for r in requests if r.pinned]
    assert pinned
    assert all(r.reused and r.peer == TOKYO and r.name == "read" for r in pinned)
    # A write that never settles is not followed for ever: ten looks, then the next task.
    (reads,) = {len([r for r in requests if r.peer == TOKYO and r.name == "read"]) / 3}
    assert reads <= 10


def hang(request: Any, _body: bytes) -> None:
    """Take a request and never answer."""
    time.sleep(8)
    request.close_connection = True


@pytest.mark.parametrize("how", ["stdin closes", "SIGTERM"])
def test_the_load_ends_soon_and_leaves_nothing(tmp_path: Path, how: str) -> None:
    """Owner gone or told to stop, in the middle of requests that hang: no process stays, the summary is there."""
    with world(tmp_path, hang) as system:
        load = system.load()
        until(lambda: (tmp_path / "ledger-load.bin").exists() and system.writes(), "a write")
        process = psutil.Process(load.pid)
        begin = time.monotonic()
        if how == "SIGTERM":
            process.terminate()
            until(load.died, "the end of the process", 6)
            assert load.died() == "exit code 0: no output"
        load.stop()
        assert time.monotonic() - begin < 6
    assert not process.is_running()
    # Only an orderly end writes it.
    assert system.summary()["model"] == "closed loop"
    assert {w.result for w in system.writes()} == {"indeterminate"}


def test_ctrl_c_is_the_owners_business(tmp_path: Path) -> None:
    """SIGINT does not end the load: the drill ends it in its own order."""
    bank = Bank()
    with world(tmp_path, bank, users=1) as system:
        load = system.load()
        until(lambda: bank.seen, "a request")
        os.kill(load.pid, signal.SIGINT)
        seen = len(bank.seen)
        until(lambda: len(bank.seen) > seen + 1, "more requests")
        assert load.died() is None


def test_a_system_that_refuses_is_not_stormed(tmp_path: Path) -> None:
    """Users of a dead system try about twice a second each, and every failure is recorded."""
    with world(tmp_path, Bank(), users=3) as system:
        system.zone.addresses[NAME] = ["127.100.1.1"]
        load = system.load()
        until(system.requests, "a first failure")
        time.sleep(2)
        load.stop()
        requests = system.requests()
    assert 6 <= len(requests) <= 18
    assert {(r.outcome, r.detail, r.status, r.peer) for r in requests} == {
        (Outcome.FAIL, "refused", 0, "127.100.1.1")
    }
    # What the end of the load cut off has no result.
    assert {w.result for w in system.writes() if w.result_s is not None} == {"refused"}


def test_a_full_disk_ends_the_load_loudly(tmp_path: Path) -> None:
    """Load that cannot be accounted for is not made: the process says why and exits 1."""
    bank = Bank()
    (tmp_path / "ledger-load.bin").symlink_to("/dev/full")
    with world(tmp_path, bank) as system:
        load = system.load()
        until(load.died, "the end of the process")
    assert "No space left" in (load.died() or "")
    assert "exit code 1" in (load.died() or "")
    assert not bank.seen
