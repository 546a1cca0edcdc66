"""core-banking's table that does not replicate, whole: the transfers named as lost are those that Osaka never got."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from drill.aws import Aws
from drill.journal import begun, outstanding
from drill.timeline import load_history
from lab.launch import launch
from tests.e2e.drilling import Drilled, drill, interrupted, killed, steady, verb

pytestmark = [pytest.mark.alone, pytest.mark.long]


def test_transfers_left_behind_are_named(tmp_path: Path) -> None:
    """Served within the RTO, and FAIL all the same: by the recovery point alone, over exactly those transfers."""
    truths = []

    def attempt(number: int) -> Drilled:
        with launch("core-banking", 10.0) as lab:
            state = tmp_path / "lab.json"
            state.write_text(json.dumps(lab.info.to_json()))
            options = ("-k", "test_transfers_left_behind", "--target", "core-banking", f"--lab-attach={state}")
            found = drill(tmp_path / f"{number}", "-m", "failover", *options)
            truths.append(list(map(json.loads, lab.info.truth.read_text().splitlines())))
        return found

    drilled = steady(attempt)
    assert drilled.code == 1, drilled.output
    assert drilled.finding("recovery time, failover")["verdict"] == "PASS"
    finding = drilled.finding("recovery point, failover")
    acknowledged = {w.id for w in load_history(drilled.folder).writes if w.result == "acked"}
    (resumed,) = [t for t in truths[-1] if t["what"] == "dynamodb.resume"]
    lacking = {i for i in acknowledged if any(str(i) in key for key in resumed["lacking"])}
    assert lacking
    assert {row["id"] for row in finding["data"]["lost"]} == lacking
    assert set(drilled.journal().values()) == {"restored", "reached"}


def test_without_the_pause_the_same_drill_passes(tmp_path: Path) -> None:
    """An experiment that was stopped before leaves no transfer behind."""
    twin = ("--twin", "tests/twins/core_banking_replication.py", "-k", "replication_resumed")
    drilled = steady(lambda n: drill(tmp_path / f"{n}", *twin, "--target", "core-banking"))
    assert drilled.code == 0, drilled.output
    assert set(drilled.journal().values()) == {"restored", "reached"}


def test_a_drill_that_is_aborted_or_killed_leaves_no_experiment(tmp_path: Path) -> None:
    """Ctrl-C while replication is paused: stopped by its block. SIGKILL: by the watchdog; nobody types anything."""
    with launch("core-banking", 20.0) as lab:
        state = tmp_path / "lab.json"
        state.write_text(json.dumps(lab.info.to_json()))
        fis = Aws(lab.info.aws_endpoint).client("fis", "ap-northeast-1")
        drilled = ("-m", "failover", "-k", "test_transfers_left_behind", "--target=core-banking")
        again = (*drilled, f"--lab-attach={state}")

        aborted = interrupted(tmp_path / "aborted", signal.SIGINT, "baseline", *again)
        assert (aborted.code, set(aborted.journal().values())) == (11, {"restored"}), aborted.output
        assert [one["state"]["status"] for one in fis.list_experiments()["experiments"]] == ["stopped"]

        folder = killed(tmp_path / "killed", "baseline", *again)
        assert [one["state"]["status"] for one in fis.list_experiments()["experiments"]] == ["stopped", "stopped"]
        assert outstanding(folder / "journal.jsonl") == []
        assert {entry.change.kind for entry in begun(folder / "journal.jsonl")} == {"dynamodb.pause", "events.rule"}
        code, said = verb("verify", str(folder))
        assert (code, "restored by the watchdog" in said) == (11, True), said
