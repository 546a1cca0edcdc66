"""The private-link-replication drills, whole: the failover that passes, and the states that the system sticks in."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.e2e.drilling import Drilled, drill, interrupted, verb
from tests.mariadb import needs_mariadb

pytestmark = [pytest.mark.alone, pytest.mark.long]

TARGET = ("--target", "private-link-replication")
QUICK = ("--lab-speed=20", "--set", "timings.baseline_s=120")
"""For drills that must not pass: a machine too slow for it adds INVALID, which is below FAIL."""
ONCE = ("--set", "objectives.rto_s=200", "--set", "objectives.failback_rto_s=200", "--set", "timings.window_s=240")
TWINS = ("--twin", "tests/twins/private_link_replication.py")
STUCK = {
    "event_is_missing": "the one registered target is not the writer",
    "ends_with_a_full_stop": "the one registered target is not the writer",
    "failover_is_cancelled": "the one registered target is not the writer",
    "another_order": "the one registered target is not the writer",
    "instance_was_replaced": "the one registered target is not the writer",
    "registration_fails": "the target group is empty",
    "two_targets": "several targets are registered",
    "taken_out": "the target group is empty",
}


def test_the_replica_follows_a_failover_there_and_back(tmp_path: Path) -> None:
    """Within the objectives both times, nothing lost, the true writer registered, everything as before."""
    passed = drill(tmp_path, "-m", "failover and headline", *TARGET)
    assert passed.code == 0, passed.output
    assert set(passed.journal().values()) == {"reached"}
    for window in ("failover", "failback"):
        assert passed.finding(f"switch, {window}")["verdict"] == "PASS"
        assert passed.finding(f"recovery time, {window}")["interval"]["low_s"] > 0
    assert_cleaned(passed)


def assert_cleaned(drilled: Drilled) -> None:
    """All markers were there, are gone at the writer and at the replica, and `drill verify` says the same."""
    residue = drilled.finding("data residue")
    assert (residue["verdict"], residue["data"]["kept"]) == ("PASS", []), residue
    assert residue["data"]["cleaned"] == residue["data"]["asked"] >= residue["data"]["found"] > 0
    assert "gone at the replica too" in residue["reason"]
    assert verb("verify", str(drilled.folder))[0] == 0


@needs_mariadb
def test_a_replica_that_follows_by_gtid_follows_there_and_back(tmp_path: Path) -> None:
    """The headline on MariaDB: as on the default databases."""
    passed = drill(tmp_path, "-m", "failover and headline", *TARGET, "--lab-set=engine=mariadb")
    assert passed.code == 0, passed.output
    for window in ("failover", "failback"):
        assert passed.finding(f"switch, {window}")["verdict"] == "PASS"
        assert passed.finding(f"recovery time, {window}")["interval"]["low_s"] > 0
    assert_cleaned(passed)


@needs_mariadb
def test_a_replica_that_follows_by_file_and_position_stops(tmp_path: Path) -> None:
    """The balancer is turned rightly, and still nothing arrives: FAIL, with what would have prevented it."""
    failed = drill(
        tmp_path, "-m", "failover and headline", *TARGET, *QUICK, *ONCE, "--lab-set=engine=mariadb-anonymous"
    )
    assert failed.code == 1, failed.output
    assert failed.finding("switch, failover")["verdict"] == "PASS"
    assert failed.finding("recovery time, failover")["verdict"] == "FAIL"
    found = failed.finding("replica, failover")
    assert (found["verdict"], "GTID" in found["advice"]) == ("FAIL", True)


@pytest.mark.parametrize("scenario", ["twice", "other_link"])
def test_what_the_system_bears_passes(tmp_path: Path, scenario: str) -> None:
    """Events that come more than once, or with the other link."""
    passed = drill(tmp_path, "-m", "failover", "-k", scenario, *TARGET)
    assert passed.code == 0, passed.output


@pytest.mark.parametrize(("scenario", "state"), STUCK.items(), ids=STUCK.keys())
def test_the_report_names_the_state_that_it_is_stuck_in(tmp_path: Path, scenario: str, state: str) -> None:
    """FAIL, with the state in words and what would have prevented it."""
    failed = drill(tmp_path, "-m", "failover", "-k", scenario, *TARGET, *QUICK, *ONCE)
    assert failed.code == 1, failed.output
    window = "failback" if scenario == "another_order" else "failover"
    found = failed.finding(f"switch, {window}")
    assert found["verdict"] == "FAIL"
    assert state in found["reason"]
    assert "reconciliation" in found["advice"]


def test_a_late_event_misses_the_objective_and_is_no_stuck_state(tmp_path: Path) -> None:
    """It recovers in the end, later than promised, and fails over again as soon as it has."""
    failed = drill(tmp_path, "-m", "failover", "-k", "event_is_late", *TARGET, *QUICK)
    assert failed.code == 1, failed.output
    assert set(failed.journal().values()) == {"restored", "reached"}
    assert failed.finding("recovery time, failover")["verdict"] == "FAIL"
    assert failed.finding("switch, failover")["verdict"] == "PASS"


@pytest.mark.parametrize(
    ("twin", "code", "words"),
    [
        ("test_nothing_fails_over", 11, "did not bite"),
        ("test_no_load", 11, "load"),
        ("test_automation_disarmed", 1, "never recovered"),
    ],
)
def test_what_has_not_worked_does_not_pass(tmp_path: Path, twin: str, code: int, words: str) -> None:
    """No failover, no load, no automation."""
    drilled = drill(tmp_path, *TWINS, "-k", twin, *TARGET, *QUICK, *ONCE)
    assert drilled.code == code, drilled.output
    assert words in drilled.output


def test_what_cannot_be_cleaned_up_is_dirty(tmp_path: Path) -> None:
    """The failover passes, and then somebody locks the table: no marker can be deleted, and the report says so."""
    drilled = drill(tmp_path, *TWINS, "-k", "test_table_is_locked", *TARGET)
    assert drilled.code == 20, drilled.output
    residue = drilled.finding("data residue")
    assert residue["verdict"] == "DIRTY"
    assert len(residue["data"]["left"]) >= residue["data"]["found"] > 0  # of unknown outcome: some were never there
    assert "drill clean" in drilled.output
    assert drilled.finding("recovery time, failover")["verdict"] == "PASS"
    assert verb("verify", str(drilled.folder))[0] == 0


def test_a_drill_that_is_stopped_cleans_up_too(tmp_path: Path) -> None:
    """SIGTERM in the middle of the outage: INVALID, and no marker of the run is left."""
    options = ("-m", "failover and headline", *TARGET)
    stopped = interrupted(tmp_path, signal.SIGTERM, "recovering", *options)
    assert stopped.code == 11, stopped.output
    residue = stopped.finding("data residue")
    assert residue["verdict"] == "PASS", residue
    assert residue["data"]["found"] > 0
