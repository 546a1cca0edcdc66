"""A write path of SQL against a real server, whichever engine it has: what the tests of each engine share."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drill.cleaning import GONE, STILL_THERE, UNKNOWN, Cleaned, Units, clean, look
from drill.clock import SystemClock
from drill.ledger import LedgerWriter, ledger_path, read_ledger
from drill.resolver import CachingClient
from drill.sql_door import SqlDoor
from drill.write_path import WritePath
from drill.writing import WriteClient
from lab.postgres import Extra, free_port
from lab.postgres_seed import Seed
from lab.postgres_server import PostgresServer
from lab.private_link.on_postgres import HBA, MARKERS

HOST = "127.105.9.40"
WRITES = WritePath.model_validate(
    {
        "protocol": "sql",
        "user": "drill",
        "id_field": "id",
        "read_path": "drill_marker/{key}",
        "state_field": "",
        "settled": [],
        "payload": {"quantity": "quantity"},
        "probe": "marker",
        "kinds": {"marker": {"path": "drill_marker", "body": {"quantity": 7}, "amount": 1.0}},
    }
)


@contextlib.contextmanager
def postgres(host: str, folder: Path) -> Iterator[PostgresServer]:
    """A server with the table."""
    made = PostgresServer(folder / "one", host, free_port(host), Seed(folder / "seed"), Extra({}, HBA))
    try:
        made.start(MARKERS)
        yield made
    finally:
        made.stop()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[LedgerWriter]:
    """A ledger that is closed at the end."""
    made = LedgerWriter(tmp_path / "ledger-p.bin")
    yield made
    made.close()


def client(port: int, ledger: LedgerWriter | None, timeout_s: float = 5.0, scheme: str = "postgresql") -> WriteClient:
    """Writes to and reads from that port."""
    url, clock = f"{scheme}://{HOST}:{port}", SystemClock()
    return WriteClient(WRITES, SqlDoor(WRITES, CachingClient([]), url, url, timeout_s, clock), ledger)
    return WriteClient(WRITES, door(port, scheme, timeout_s), ledger)


def door(port: int, scheme: str, timeout_s: float = 5.0) -> SqlDoor:
    """Of the server at that port, which is its own replica."""
    url = f"{scheme}://{HOST}:{port}"
    return SqlDoor(WRITES, CachingClient([]), url, url, timeout_s, SystemClock())


def own_rows_go(port: int, scheme: str, folder: Path) -> None:
    """Several batches of one run's rows go; another run's stay, and so does a row of that very id on its account."""
    mine, others = _written(folder, port, scheme, "drill-r1-a", 450), _written(folder, port, scheme, "drill-r2-a", 1)
    done = _cleaned(port, scheme, mine)
    assert (len(done.found), done.left, done.why) == (450, (), "")
    assert not _cleaned(port, scheme, mine).found
    eraser = door(port, scheme)
    assert eraser.erase("marker", [{"key": "drill-r2-a-1", "account": "drill-r1-a"}]).ok
    for replica in (False, True):
        assert set(look(eraser, others, replica)[0].values()) == {STILL_THERE}
    eraser.close()


def refusal_is_told(port: int, scheme: str, folder: Path, words: str) -> None:
    """A role that may not delete."""
    mine = _written(folder, port, scheme, "drill-r4-a", 2)
    done = _cleaned(port, scheme, mine, limit_wall_s=600.0)
    assert (len(done.found), len(done.left)) == (2, 2)
    assert set(done.states.values()) == {STILL_THERE}
    assert words in done.why


def waits_for_a_lock(
    port: int, scheme: str, folder: Path, lock: Callable[[], object], unlock: Callable[[], object]
) -> None:
    """The table is locked when cleaning begins, and free some time after the first attempt was cut off."""
    mine = _written(folder, port, scheme, "drill-r5-a", 2)
    lock()
    timer = threading.Timer(1.6, unlock)
    timer.start()
    try:
        done = _cleaned(port, scheme, mine)
    finally:
        timer.join()
    assert set(done.states.values()) == {GONE}


def nobody_answers(port: int, scheme: str, folder: Path, nobody: int) -> None:
    """Without a server nothing is known, and nothing is called clean."""
    mine = _written(folder, port, scheme, "drill-r6-a", 2)
    done = _cleaned(nobody, scheme, mine, limit_wall_s=0.5)
    assert (done.found, set(done.states.values())) == (frozenset(), {UNKNOWN})
    assert len(done.left) == 2
    assert done.why.startswith("refused")


def _written(folder: Path, port: int, scheme: str, account: str, count: int) -> Units:
    """So many rows of that account, through the ledger."""
    ledger = LedgerWriter(ledger_path(folder, account))
    writer = client(port, ledger, scheme=scheme)
    for _ in range(count):
        assert writer.submit("marker", account, fresh=False).acked
    writer.door.close()
    ledger.close()
    return [(write, "main") for write in read_ledger([ledger_path(folder, account)])]


def _cleaned(port: int, scheme: str, units: Units, limit_wall_s: float = 60.0) -> Cleaned:
    """What came of cleaning these up."""
    eraser = door(port, scheme, timeout_s=1.0)
    try:
        return clean(eraser, SystemClock(), units, limit_wall_s)
    finally:
        eraser.close()
