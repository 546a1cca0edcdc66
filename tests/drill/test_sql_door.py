"""A write path of SQL against a real server: what is acknowledged, what is refused, what nobody can know."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from drill.ledger import LedgerWriter, read_ledger
from lab.postgres import free_port
from lab.postgres_server import PostgresServer
from tests.drill import sql
from tests.drill.sql import HOST, client, ledger, postgres

__all__ = ["ledger"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One server with the table."""
    with postgres(HOST, tmp_path_factory.mktemp("postgres")) as made:
        yield made


@pytest.mark.parametrize("fresh", [True, False])
def test_a_committed_row_is_acknowledged_and_read_back_whole(
    server: PostgresServer, ledger: LedgerWriter, tmp_path: Path, fresh: bool
) -> None:
    """By its id and by the client's key, with the digest of what was sent; what nobody wrote is absent."""
    writer = client(server.port, ledger)
    for turn in range(2):
        done = writer.submit("marker", f"drill-{fresh}", fresh=fresh)
        assert (done.result, done.reply.peer, done.reply.reused) == ("acked", HOST, not fresh and turn > 0)
        assert done.id is not None
        for how in ({"id": done.id}, {"id": "", "key": done.id}):
            read = writer.read(account="drill-1", fresh=fresh, **how)  # type: ignore[arg-type]
            assert read.state == "settled"
            assert read.digest == read_ledger([tmp_path / "ledger-p.bin"])[turn].digest
    assert writer.read("nobody", "drill-1", fresh=fresh).state == "absent"
    writer.door.close()


def test_what_the_server_refuses_is_refused(server: PostgresServer, ledger: LedgerWriter) -> None:
    """A server that only reads says no, and says nothing of a write that it may have done."""
    with psycopg.connect(server.conninfo, autocommit=True) as admin:
        admin.execute("ALTER ROLE drill SET default_transaction_read_only = on")
        try:
            done = client(server.port, ledger).submit("marker", "drill-2")
        finally:
            admin.execute("ALTER ROLE drill RESET default_transaction_read_only")
    assert (done.result, done.reply.status) == ("refused", 503)


def test_nobody_there_is_refused_and_a_silent_server_is_indeterminate(
    server: PostgresServer, ledger: LedgerWriter
) -> None:
    """Without a connection nothing was sent; a commit that is not answered in time may have happened."""
    assert client(free_port(HOST), ledger).submit("marker", "drill-3").result == "refused"
    with psycopg.connect(server.conninfo) as blocking:
        blocking.execute("LOCK TABLE drill_marker IN EXCLUSIVE MODE")
        done = client(server.port, ledger, timeout_s=1.0).submit("marker", "drill-4")
    assert (done.result, done.reply.error) == ("indeterminate", "timeout")


def test_a_connection_that_is_cut_in_the_middle_is_indeterminate(
    server: PostgresServer, ledger: LedgerWriter
) -> None:
    """As when the writer's host is gone."""
    writer = client(server.port, ledger)
    assert writer.submit("marker", "drill-5", fresh=False).acked
    with psycopg.connect(server.conninfo, autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'drill'")
    done = writer.submit("marker", "drill-5", fresh=False)
    assert (done.result, done.reply.error) == ("indeterminate", "reset")
    assert writer.submit("marker", "drill-5", fresh=False).acked
    writer.door.close()


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_server_that_never_speaks_holds_nobody(ledger: LedgerWriter, scheme: str) -> None:
    """A port that takes connections and says nothing."""
    with socket.create_server((HOST, 0)) as mute:
        done = client(int(mute.getsockname()[1]), ledger, timeout_s=1.0, scheme=scheme).submit("marker", "drill-6")
    assert done.result == "refused"
    assert done.reply.error == "timeout"


def test_a_runs_own_rows_are_deleted_and_nobody_elses(server: PostgresServer, tmp_path: Path) -> None:
    """In batches, each row by its id and its account; once more does no harm."""
    sql.own_rows_go(server.port, "postgresql", tmp_path)


def test_rows_that_may_not_be_deleted_are_told(server: PostgresServer, tmp_path: Path) -> None:
    """The role may not: all are there still, with the server's own words, and nobody waits for long."""
    with _owner(server) as admin:
        admin.execute("REVOKE DELETE ON drill_marker FROM drill")
        try:
            sql.refusal_is_told(server.port, "postgresql", tmp_path, "permission denied")
        finally:
            admin.execute("GRANT DELETE ON drill_marker TO drill")


def test_a_table_that_is_busy_is_cleaned_once_it_is_free(server: PostgresServer, tmp_path: Path) -> None:
    """Deleting waits behind somebody's lock, is cut off, and is tried again."""
    with psycopg.connect(server.conninfo) as blocking:
        sql.waits_for_a_lock(
            server.port,
            "postgresql",
            tmp_path,
            lambda: blocking.execute("LOCK TABLE drill_marker IN EXCLUSIVE MODE"),
            blocking.rollback,
        )


def test_without_an_answer_nothing_is_called_clean(server: PostgresServer, tmp_path: Path) -> None:
    """A server that is gone."""
    sql.nobody_answers(server.port, "postgresql", tmp_path, free_port(HOST))


def _owner(server: PostgresServer) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(server.conninfo, autocommit=True)
