"""The retail-store drills, whole: the evacuation that passes, the loss that is named, and what must not pass."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import pytest

from lab.launch import launch
from lab.retail_store.names import EAST, WEST
from tests.e2e.drilling import ROOT, Drilled, drill, steady, verb

pytestmark = pytest.mark.alone

TARGET = ("--target", "retail-store")
LAG_S = 200.0
"""Longer than from the onset to the promotion (decision 60, runbook 6, failover 60): so orders are lost."""
QUICK = "--lab-speed=20"
"""For drills that must not pass: a machine too slow for it adds INVALID, which is below FAIL."""
BEYOND = (f"--lab-set=rds.replication_lag_s={LAG_S}", "--set", "objectives.rpo_s=20")
"""The oldest order that is lost was acknowledged when the load began, a baseline of 75 s before the onset."""
SHORT = ("--set", "objectives.rto_s=200", "--set", "objectives.failback_rto_s=200", "--set", "timings.window_s=260")


@pytest.mark.long
def test_an_evacuation_through_the_runbooks_passes(tmp_path: Path) -> None:
    """Within the objectives there and back, nothing lost, everything as before; the decision is shown apart."""
    passed = steady(lambda n: drill(tmp_path / f"{n}", "-m", "failover and headline", *TARGET))
    assert passed.code == 0, passed.output
    assert passed.verdict["verdict"] == "PASS"
    assert set(passed.journal().values()) == {"restored", "reached"}
    assert "clients recovered" in passed.output
    assert "which was given 60 lab s" in json.dumps(passed.verdict)
    stores = {row["store"] for row in passed.finding("recovery point, failover")["data"]["stores"]}
    assert stores == {"orders", "carts"}


@pytest.mark.long
def test_a_lossy_failover_loses_exactly_the_orders_that_it_names(tmp_path: Path) -> None:
    """The recovery point is above zero and within its limit, and the orders named as lost are those that really are.

    The truth also holds orders whose answer no client ever got: nobody was promised those.
    """
    truths = []

    def attempt(number: int) -> Drilled:
        with launch("retail-store", 10.0, settings=[f"rds.replication_lag_s={LAG_S}"]) as lab:
            state = tmp_path / "lab.json"
            state.write_text(json.dumps(lab.info.to_json()))
            found = drill(
                tmp_path / f"{number}",
                "-m",
                "failover",
                "-k",
                "test_lossy_failover",
                *TARGET,
                f"--lab-attach={state}",
            )
            truths.append(list(map(json.loads, lab.info.truth.read_text().splitlines())))
        return found

    drilled = steady(attempt)
    assert drilled.code == 0, drilled.output
    finding = drilled.finding("recovery point, failover")
    assert 0 < finding["interval"]["low_s"] <= finding["interval"]["high_s"] < 300.0
    assert _named(finding, "orders")
    assert _named(finding, "orders") == _gone(truths[-1], "orders") & _acknowledged(drilled)
    assert _named(finding, "carts") == set()


@pytest.mark.long
def test_a_lost_region_loses_exactly_the_orders_products_and_carts_that_it_names(tmp_path: Path) -> None:
    """Each store's list is that of the truth, and of nothing else: Aurora's lag, and a table that FIS had paused.

    What us-west-2 forwarded to the old writer was acknowledged after the onset, and is lost all the same: FAIL.
    """
    own = tmp_path / "retail-store.toml"
    text = (ROOT / "targets" / "retail-store.toml").read_text()
    own.write_text(text.replace('task = ["order", "cart", "order"]', 'task = ["order", "cart", "product"]'))
    truths = []

    def attempt(number: int) -> Drilled:
        with launch("retail-store", 10.0, settings=[f"rds.replication_lag_s={LAG_S}"]) as lab:
            state = tmp_path / "lab.json"
            state.write_text(json.dumps(lab.info.to_json()))
            options = ("-k", "test_region_loss", f"--target={own}", f"--lab-attach={state}")
            found = drill(tmp_path / f"{number}", "-m", "failover", *options)
            truths.append(list(map(json.loads, lab.info.truth.read_text().splitlines())))
        return found

    drilled = steady(attempt)
    assert drilled.code == 1, drilled.output
    finding, acknowledged = drilled.finding("recovery point, failover"), _acknowledged(drilled)
    for database in ("orders", "catalog"):
        snapshot = tmp_path / f"{database}.txt"
        snapshot.write_text("\n".join(sorted(_gone(truths[-1], database))))
        code, told = verb("reconcile", str(drilled.folder), "--store", database, f"--snapshot={snapshot}")
        assert code == 0, told
        assert _named(finding, database)
        assert _named(finding, database) == _gone(truths[-1], database) & acknowledged
    (resumed,) = [t for t in truths[-1] if t["what"] == "dynamodb.resume"]
    assert _named(finding, "carts")
    assert _named(finding, "carts") == set(resumed["lacking"]) & acknowledged  # type: ignore[call-overload]
    named = json.loads((drilled.folder / "missing-transactions.json").read_text())
    assert all(row["id"] in json.dumps(named) for row in finding["data"]["lost"])


@pytest.mark.long
def test_without_the_pause_no_cart_is_lost(tmp_path: Path) -> None:
    """So the carts that the Region loss names are lost by the pause, and by nothing else of that drill."""
    twin = ("--twin", "tests/twins/retail_store.py", "-k", "everything_replicated")
    drilled = steady(lambda n: drill(tmp_path / f"{n}", *twin, *TARGET))
    finding = drilled.finding("recovery point, failover")
    (carts,) = [row for row in finding["data"]["stores"] if row["store"] == "carts"]
    assert carts["acknowledged"] > 0, drilled.output
    assert _named(finding, "carts") == set(), drilled.output


@pytest.mark.long
def test_a_disabled_health_check_keeps_clients_where_nothing_works(tmp_path: Path) -> None:
    """FAIL for that reason alone: the runbooks reach their ends, the control is Off, the writer has moved, and the
    names have not. Everything is as before afterwards. The same steps with the check at work are lossy_failover."""
    left = ("-m", "failover", "-k", "test_health_check_left_disabled", *TARGET, *SHORT)
    drilled = steady(lambda n: drill(tmp_path / f"{n}", *left))
    assert drilled.code == 1, drilled.output
    bad = {f["name"]: f["reason"] for f in drilled.verdict["findings"] if f["verdict"] != "PASS"}
    assert bad.keys() <= {"recovery time, failover", "recovery point, failover", "lab speed"}, drilled.output
    assert "never recovered" in bad["recovery time, failover"]
    assert "could not be read back" in bad["recovery point, failover"]  # no name leads to the survivor
    assert set(drilled.journal().values()) == {"restored", "reached"}
    assert _turns(drilled, "aws.control.primary", "On", "Off") == ["On", "Off", "On"]
    assert _turns(drilled, "aws.writer.orders", EAST, WEST) == [EAST, WEST, EAST]
    assert re.search(r"failover: data promoted,\s+\[\d", drilled.output)
    assert re.search(r"failover: traffic switched\s+not measured", drilled.output)


def _turns(drilled: Drilled, signal: str, *values: str) -> list[str]:
    """What a signal turned to, of those values, one after the other."""
    return [value for value, _ in itertools.groupby(v for v in drilled.seen(signal) if v in values)]


def _named(finding: dict[str, object], store: str) -> set[str]:
    rows = finding["data"]["lost"]  # type: ignore[index]
    return {str(row["id"]) for row in rows if row["store"] == store}


def _gone(truth: list[dict[str, object]], store: str) -> set[str]:
    """What the lab itself saw go, at the first look at it."""
    return {i for t in truth if t["what"] == "rds.lost" and t["database"] == store for i in t["ids"]}  # type: ignore[attr-defined]


def _acknowledged(drilled: Drilled) -> set[str]:
    from drill.timeline import load_history

    return {str(w.id) for w in load_history(drilled.folder).writes if w.result == "acked"}


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--twin", "tests/twins/retail_store.py", "-k", "test_nobody_decides", *SHORT, QUICK), 1, "never recovered"),
        (("--twin", "tests/twins/retail_store.py", "-k", "test_fault_that_nobody_feels"), 11, "fault without bite"),
        (("-m", "failover and headline", "--lab-set=arc.endpoints_down=5", *SHORT, QUICK), 1, "never recovered"),
        (("-m", "failover", "-k", "test_lossy_failover", *BEYOND, QUICK), 1, "misses the limit of 20 lab s"),
    ],
    ids=["nobody decides", "nobody feels it", "every ARC endpoint down", "lag beyond the RPO"],
)
def test_what_has_not_worked_does_not_pass(tmp_path: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    """Nobody runs the runbooks; the fault bites nobody; the runbooks say success and nothing has moved; more is lost
    than the RPO allows."""
    drilled = drill(tmp_path, *arguments, *TARGET)
    assert drilled.code == code, drilled.output
    assert words in drilled.output
