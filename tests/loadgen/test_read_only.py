"""A target without a declared synthetic identity: load and prober only read, whatever the target's task says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from drill.child import Child
from drill.ledger import read_lines
from drill.timeline import Observation, Outcome, observation_from, request_from
from tests.loadgen.loopback import Bank, Handle
from tests.loadgen.test_load import SPEED, World, until, world


def run(module: str, folder: Path, handle: Handle, enough: Callable[[World], bool]) -> World:
    """Run the load or the prober against a target without identity until it has done enough."""
    with world(folder, handle) as system:
        load = system.target.load.model_copy(update={"synthetic_prefix": ""})
        config = {
            "folder": str(folder),
            "target": system.target.model_copy(update={"load": load}).model_dump(mode="json"),
            "speed": SPEED,
            "run_id": "r1",
            "worker": "it",
        }
        system.children.append(Child("it", module, config, folder))
        until(lambda: enough(system), "enough to look at")
        system.children[-1].stop()
    return system


def observed(folder: Path) -> list[Observation]:
    """What the prober wrote."""
    path = folder / "obs-it.jsonl"
    found = [observation_from(record) for record in read_lines(path)] if path.exists() else []
    return [o for o in found if not o.probe.startswith("dns")]


def test_the_load_reads_as_nobody_and_writes_nothing(tmp_path: Path) -> None:
    """Not one POST, not one ledger, no account that could be somebody's; served reads are on record."""
    bank = Bank()
    run("loadgen.run", tmp_path, bank, lambda _: len(bank.seen) > 30)
    assert {method for method, _, _ in bank.seen} == {"GET"}
    assert all(account.startswith("nobody-r1-") for _, _, account in bank.seen)
    assert not list(tmp_path.glob("ledger-*"))
    requests = [request_from(record) for record in read_lines(tmp_path / "requests-it.jsonl")]
    assert {r.name for r in requests if r.outcome is Outcome.OK} == {"read", "balance"}
    assert json.loads((tmp_path / "load-summary.json").read_text())["read_only"] is True


def test_the_prober_reads_as_nobody_and_makes_one_observation_a_probe(tmp_path: Path) -> None:
    """Its probe is "read", good while the system says "absent" and tells a balance."""
    bank = Bank()
    run("checks.prober", tmp_path, bank, lambda _: len(observed(tmp_path)) > 5)
    looks = [o for o in observed(tmp_path) if o.detail != "in flight at the end"]
    assert {method for method, _, _ in bank.seen} == {"GET"}
    assert not list(tmp_path.glob("ledger-*"))
    assert {(o.probe, o.outcome) for o in looks} == {("read", Outcome.OK)}


def test_a_failing_read_fails_the_probe_and_says_why(tmp_path: Path) -> None:
    """Every second request is answered 500: no probe of two reads is good."""
    bank = Bank(fail_every=2)
    run("checks.prober", tmp_path, bank, lambda _: len(observed(tmp_path)) > 5)
    failed = [o for o in observed(tmp_path) if o.outcome is Outcome.FAIL]
    assert failed
    assert "status 500" in failed[0].detail
