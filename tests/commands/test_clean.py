"""Cleaning up after a drill, and `drill clean`: a run folder, a real PostgreSQL, and what is there afterwards."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from checks.data_residue import cleaning_of, data_residue
from checks.guards import primary_serving
from commands.cleaning import CleanUp
from commands.main import main
from drill.call import Call
from drill.change import Change
from drill.clock import SystemClock
from drill.doors import open_door
from drill.errors import Invalid
from drill.journal import Journal, journal_records
from drill.ledger import LedgerWriter, ledger_path
from drill.reach import Reach
from drill.target import Connection, Target, load_target
from drill.timeline import Readback, Timeline, append_readbacks, load_history
from drill.verdict import REFUSED_EXIT_CODE, USAGE_EXIT_CODE, Finding, Verdict
from drill.writing import WriteClient
from lab.postgres_server import PostgresServer
from lab.private_link.on_postgres import TABLE
from tests.checks.worlds import TARGETS
from tests.drill.sql import postgres

HOST = "127.105.9.41"
CLOCK = SystemClock(20.0)
ACCOUNT = "drill-r1-p"
GONE = 2**22 + 1
"""No process has such a number."""
CALL = Call("sts", "GetCallerIdentity", {}, "us-west-2")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One server with the table."""
    with postgres(HOST, tmp_path_factory.mktemp("postgres")) as made:
        yield made


@dataclass
class Drilled:
    """A drill that has written three rows (load-1 to load-3), and is over but for its cleaning up."""

    folder: Path
    server: PostgresServer
    target: Target
    timeline: Timeline
    journal: Journal

    @property
    def clean_up(self) -> CleanUp:
        """Of that drill."""
        return CleanUp(self.folder, self.timeline, self.journal, self.target, CLOCK, "r1")

    @property
    def finding(self) -> Finding:
        """What the judge says of the data, from the folder alone."""
        history = load_history(self.folder)
        return data_residue(history.writes, history.header["target"]["load"], "r1", cleaning_of(history))

    @property
    def rows(self) -> set[str]:
        """The rows of the drill that are there."""
        return {str(id) for (id,) in self.run(f"SELECT id FROM {TABLE} WHERE account = '{ACCOUNT}'")}

    @property
    def states(self) -> list[str]:
        """What the journal says of written data."""
        return [r["state"] for r in journal_records(self.journal.path) if r["state"] != "claimed"]

    def run(self, statement: str) -> list[tuple[object, ...]]:
        """As the table's owner."""
        with psycopg.connect(self.server.conninfo, autocommit=True) as owner:
            done = owner.execute(statement.encode())
            return list(done.fetchall()) if done.description else []

    def clean(self, *options: str) -> int:
        """The exit code of `drill clean`, typed once all processes that claimed the journal are gone."""
        path = self.journal.path
        path.write_text(re.sub(r'"pid": \d+', f'"pid": {GONE}', path.read_text()))
        return main(["clean", str(self.folder), *options])


@pytest.fixture
def drilled(server: PostgresServer, tmp_path: Path) -> Iterator[Drilled]:
    """A new one for each test."""
    url, region = f"postgresql://{HOST}", "ap-northeast-1"
    reached = {"endpoint": url, "regional_endpoints": {region: url}, "connection": Connection(http_port=server.port)}
    target = load_target(TARGETS / "private-link-replication.toml").model_copy(update=reached)
    header = {"run_id": "r1", "target": target.model_dump(mode="json")}
    timeline = Timeline.create(tmp_path / "run", CLOCK, header)
    journal = Journal(tmp_path / "run" / "journal.jsonl", CLOCK, reach=Reach.of(target, CLOCK.speed))
    made = Drilled(tmp_path / "run", server, target, timeline, journal)
    made.clean_up.announce()
    ledger = LedgerWriter(ledger_path(made.folder, "load"))
    writer = WriteClient(target.writes, open_door(target, CLOCK, 5.0), ledger)
    assert all(writer.submit("marker", ACCOUNT, fresh=False).acked for _ in range(3))
    writer.door.close()
    ledger.close()
    yield made
    timeline.close()
    journal.close()
    made.run(f"DELETE FROM {TABLE}")


def read(key: str, state: str) -> Readback:
    """What the read-back of a window said in the end."""
    return Readback(CLOCK.monotonic_s(), "failover", "settled", key, state)


def test_what_a_drill_wrote_is_gone_and_the_folder_shows_it(drilled: Drilled) -> None:
    """Another run's row is there still; the intent is in the journal before, the end after."""
    drilled.run(f"INSERT INTO {TABLE} (id, account, body) VALUES ('drill-r2-p-1', 'drill-r2-p', '{{}}')")
    assert drilled.states == ["writing"]
    assert drilled.finding.verdict is Verdict.DIRTY
    drilled.clean_up.run()
    assert drilled.rows == set()
    assert drilled.run(f"SELECT id FROM {TABLE}") == [("drill-r2-p-1",)]
    assert drilled.finding.verdict is Verdict.PASS, drilled.finding.reason
    assert "cleaned 3 of 3" in drilled.finding.reason
    assert drilled.states == ["writing", "cleaning", "cleaned"]


def test_evidence_stays_until_a_person_says_otherwise(drilled: Drilled) -> None:
    """A lost write's row is at the writer only: `drill clean` keeps it too, --evidence does not."""
    append_readbacks(drilled.folder, [read("load-1", "settled"), read("load-2", "absent")])
    drilled.clean_up.run()
    assert drilled.rows == {f"{ACCOUNT}-2"}
    assert [row["key"] for row in drilled.finding.data["kept"]] == ["load-2"]
    assert drilled.clean() == 0
    assert drilled.rows == {f"{ACCOUNT}-2"}
    assert drilled.clean("--evidence") == 0
    assert drilled.rows == set()


def test_what_may_not_be_deleted_is_dirty_until_it_may(drilled: Drilled, capsys: pytest.CaptureFixture[str]) -> None:
    """The drill says so, `drill restore` says so, `drill clean` says so; and then cleans."""
    folder = str(drilled.folder)
    drilled.run(f"REVOKE DELETE ON {TABLE} FROM drill")
    try:
        drilled.clean_up.run()
        assert drilled.finding.verdict is Verdict.DIRTY
        assert "permission denied" in drilled.finding.reason
        assert drilled.states[-1] == "unclean"
        assert main(["restore", folder]) == 0
        assert f"did not succeed; once all is put back, type: drill clean {folder}" in capsys.readouterr().out
        assert drilled.clean() == Verdict.DIRTY.exit_code
        assert len(drilled.rows) == 3
    finally:
        drilled.run(f"GRANT DELETE ON {TABLE} TO drill")
    assert drilled.clean() == 0
    assert (drilled.rows, drilled.states[-1]) == (set(), "cleaned")
    assert drilled.clean() == 0  # again: harmless
    capsys.readouterr()
    main(["restore", folder])
    assert "drill clean" not in capsys.readouterr().out


def test_nothing_is_deleted_while_something_is_not_as_before(
    drilled: Drilled, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither by the drill nor by hand: who looks into it may need every record."""
    change = Change("ScaleEcsService", "t", "r1", ("s",), "errors", (CALL,), (CALL,), (), ())
    number = drilled.journal.open_change(change)
    drilled.journal.record(number, "injecting")
    drilled.clean_up.run()
    assert len(drilled.rows) == 3
    assert drilled.finding.verdict is Verdict.DIRTY
    assert "first type drill restore" in drilled.finding.reason
    assert drilled.clean() == REFUSED_EXIT_CODE
    assert "First type: drill restore" in capsys.readouterr().err
    assert len(drilled.rows) == 3


def test_a_killed_drill_is_cleaned_by_hand(drilled: Drilled, capsys: pytest.CaptureFixture[str]) -> None:
    """It never came to it; a dry run touches nothing, and while the drill still runs nobody cleans."""
    folder = str(drilled.folder)
    assert main(["clean", folder]) == REFUSED_EXIT_CODE
    assert main(["restore", folder, "--dry-run"]) == 0
    assert "nobody has begun" in capsys.readouterr().out
    assert drilled.clean("--dry-run") == 0
    assert "3 records on accounts drill-r1-* would be deleted" in capsys.readouterr().out
    assert len(drilled.rows) == 3
    assert drilled.clean() == 0
    assert drilled.rows == set()
    assert drilled.finding.verdict is Verdict.PASS


def test_a_target_that_leaves_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`drill clean` deletes nothing that the target did not say is to be cleaned."""
    target = load_target(TARGETS / "core-banking.toml")
    Timeline.create(tmp_path / "run", CLOCK, {"run_id": "r1", "target": target.model_dump(mode="json")}).close()
    assert main(["clean", str(tmp_path / "run")]) == USAGE_EXIT_CODE
    assert "is left" in capsys.readouterr().err


def test_what_a_guard_writes_for_a_look_is_deleted_at_once(drilled: Drilled) -> None:
    """Twice, since each writes a record of its own; one that cannot be deleted ends the drill before it begins."""
    drilled.run(f"DELETE FROM {TABLE}")
    for _ in range(2):
        assert primary_serving(drilled.target, CLOCK) == HOST
        assert drilled.run(f"SELECT id FROM {TABLE}") == []
    drilled.run(f"REVOKE DELETE ON {TABLE} FROM drill")
    try:
        with pytest.raises(Invalid, match=r"cannot be \(409: permission denied .*\): let drill delete it"):
            primary_serving(drilled.target, CLOCK)
    finally:
        drilled.run(f"GRANT DELETE ON {TABLE} TO drill")
