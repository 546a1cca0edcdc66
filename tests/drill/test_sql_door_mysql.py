"""A write path of SQL against a real MariaDB: what is acknowledged, what is refused, what nobody can know."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from drill.ledger import LedgerWriter
from lab.mariadb_server import DATABASE, MariadbServer, Seed
from lab.ports import free_port_on
from lab.private_link.on_mariadb import MARKERS
from tests.drill import sql
from tests.drill.sql import HOST, client, ledger
from tests.mariadb import needs_mariadb

__all__ = ["ledger"]

pytestmark = needs_mariadb


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariadbServer]:
    """One server with the table, which takes writes."""
    folder = tmp_path_factory.mktemp("mariadb")
    made = MariadbServer(folder / "one", HOST, free_port_on([HOST]), Seed(folder / "seed"))
    try:
        made.start(1, MARKERS)
        made.run("SET GLOBAL read_only = 0")
        yield made
    finally:
        made.stop()


@pytest.mark.parametrize("fresh", [True, False])
def test_a_committed_row_is_acknowledged_and_read_back(
    server: MariadbServer, ledger: LedgerWriter, fresh: bool
) -> None:
    """By its name; what nobody wrote is absent; a kept connection is used again."""
    writer = client(server.port, ledger, scheme="mysql")
    for turn in range(2):
        done = writer.submit("marker", f"drill-{fresh}", fresh=fresh)
        assert (done.result, done.reply.peer, done.reply.reused) == ("acked", HOST, not fresh and turn > 0)
        assert done.id is not None
        assert writer.read(done.id, "drill-1", fresh=fresh).state == "settled"
    assert writer.read("nobody", "drill-1", fresh=fresh).state == "absent"
    writer.door.close()


def test_what_the_server_refuses_is_refused(server: MariadbServer, ledger: LedgerWriter) -> None:
    """A server that only reads says no, and says nothing of a write that it may have done."""
    server.run("SET GLOBAL read_only = 1")
    try:
        done = client(server.port, ledger, scheme="mysql").submit("marker", "drill-2")
    finally:
        server.run("SET GLOBAL read_only = 0")
    assert (done.result, done.reply.status) == ("refused", 503)


def test_nobody_there_is_refused_and_a_silent_server_is_indeterminate(
    server: MariadbServer, ledger: LedgerWriter
) -> None:
    """Without a connection nothing was sent; a commit that is not answered in time may have happened."""
    nobody = free_port_on([HOST])
    assert client(nobody, ledger, scheme="mysql").submit("marker", "drill-3").result == "refused"
    server.run("LOCK TABLES drill_marker WRITE")
    try:
        done = client(server.port, ledger, timeout_s=1.0, scheme="mysql").submit("marker", "drill-4")
    finally:
        server.run("UNLOCK TABLES")
    assert (done.result, done.reply.error) == ("indeterminate", "timeout")


def test_a_connection_that_is_cut_in_the_middle_is_indeterminate(server: MariadbServer, ledger: LedgerWriter) -> None:
    """As when the writer's host is gone: the statement waits, and the server ends the connection."""
    writer = client(server.port, ledger, scheme="mysql")
    server.run("LOCK TABLES drill_marker WRITE")
    cut = threading.Thread(target=_kill_when_waiting, args=(server,))
    cut.start()
    try:
        done = writer.submit("marker", "drill-5")
        cut.join()
    finally:
        server.run("UNLOCK TABLES")
    assert (done.result, done.reply.error) == ("indeterminate", "reset")
    assert writer.submit("marker", "drill-5").acked


def _kill_when_waiting(server: MariadbServer) -> None:
    """End the client's connection once its statement waits for the table."""
    query = "SELECT id FROM information_schema.processlist WHERE user = 'drill' AND command = 'Query'"
    for _ in range(200):
        for (thread,) in server.run(query):
            server.run(f"KILL {thread}")
            return
        threading.Event().wait(0.02)


@pytest.mark.parametrize(("section", "result"), [(HOST, "acked"), ("another.example", "refused")])
def test_a_password_stands_in_the_hosts_own_section(
    server: MariadbServer,
    ledger: LedgerWriter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    section: str,
    result: str,
) -> None:
    """Of ~/.my.cnf; what is for one host goes to no other."""
    (tmp_path / ".my.cnf").write_text(f"[{section}]\npassword = only-in-this-test\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    server.run("ALTER USER drill@'127.%' IDENTIFIED BY 'only-in-this-test'")
    try:
        done = client(server.port, ledger, scheme="mysql").submit("marker", "drill-6")
    finally:
        server.run("ALTER USER drill@'127.%' IDENTIFIED BY ''")
    assert done.result == result


def test_a_runs_own_rows_are_deleted_and_nobody_elses(server: MariadbServer, tmp_path: Path) -> None:
    """In batches, each row by its id and its account; once more does no harm."""
    sql.own_rows_go(server.port, "mysql", tmp_path)


def test_rows_that_may_not_be_deleted_are_told(server: MariadbServer, tmp_path: Path) -> None:
    """The role may not: all are there still, with the server's own words."""
    server.run(f"REVOKE DELETE ON {DATABASE}.drill_marker FROM drill@'127.%'")
    try:
        sql.refusal_is_told(server.port, "mysql", tmp_path, "DELETE command denied")
    finally:
        server.run(f"GRANT DELETE ON {DATABASE}.drill_marker TO drill@'127.%'")


def test_a_table_that_is_busy_is_cleaned_once_it_is_free(server: MariadbServer, tmp_path: Path) -> None:
    """Nobody can read or delete behind somebody's lock; it is tried again."""
    lock = partial(server.run, "LOCK TABLES drill_marker WRITE")
    sql.waits_for_a_lock(server.port, "mysql", tmp_path, lock, partial(server.run, "UNLOCK TABLES"))
