"""`drill plan` and `pytest --drill-dry-run`: told in order, as lines to paste, and nothing is touched or kept."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commands.main import main
from commands.planning import scenario_id, scenario_ids
from commands.world import RUNS, TARGETS
from drill.aws import Aws
from drill.errors import UsageError
from drill.find import find
from drill.plan import SAFETY, plan_from
from drill.target import Target, load_target
from lab.launch import launch

ROOT = Path(__file__).resolve().parents[2]
HEADLINE = "scenarios/test_core_banking.py::test_service_loss_and_return"
FILE = HEADLINE.partition("::")[0]
SPEED = 20.0


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state file of a lab that is up."""
    with launch("core-banking", SPEED) as lab:
        path = tmp_path_factory.mktemp("lab") / "lab.json"
        path.write_text(json.dumps(lab.info.to_json()))
        yield path


def breakable(state: Path) -> list[Any]:
    """What the scenario would touch, as it is."""
    aws = Aws(json.loads(state.read_text())["aws_endpoint"])
    target: Target = load_target(TARGETS / "core-banking.toml")
    service, rule = find(aws, target, "transaction"), find(aws, target, "auto_failover_rule")
    machine = find(aws, target, "failback_machine")
    ecs, states = aws.client("ecs", service.region), aws.client("stepfunctions", machine.region)
    described = ecs.describe_services(cluster=service.extra["cluster"], services=[service.arn])["services"][0]
    return [
        described["desiredCount"],
        described["runningCount"],
        aws.client("events", rule.region).describe_rule(Name=rule.name)["State"],
        states.list_executions(stateMachineArn=machine.arn)["executions"],
    ]


def dry_run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """pytest --drill-dry-run, as a person types it."""
    command = [sys.executable, "-m", "pytest", "--drill-dry-run", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    "name", ["test_service_loss_and_return", "service_loss_and_return", "service-loss-and-return", HEADLINE]
)
def test_a_scenario_is_known_by_its_test_its_name_and_its_node_id(name: str) -> None:
    """Whichever of them a person has at hand."""
    assert scenario_id(name) == HEADLINE
    assert HEADLINE in scenario_ids()


@pytest.mark.parametrize("name", ["test_service_los", "scenarios/test_core_banking.py::test_x", "no/such.py::test_x"])
def test_an_unknown_scenario_is_a_usage_error_that_names_the_known_ones(name: str) -> None:
    """Never the nearest one, and never all of them."""
    with pytest.raises(UsageError, match=r"is no scenario; known: .*test_service_loss_and_return"):
        scenario_id(name)


def test_a_plan_is_told_and_touches_nothing(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Lines to paste, in order; no run folder; the system as it was."""
    before, runs = breakable(state), sorted(RUNS.glob("*"))
    assert main(["plan", "service-loss-and-return", f"--lab-attach={state}"]) == 0
    told = capsys.readouterr().out
    places = [
        told.index(words) for words in ("enable-rule", "--desired-count 0", "--desired-count 1", "disable-rule")
    ]
    assert places == sorted(places)
    assert "Nothing was touched." in told
    assert "primary serving: would look" in told
    assert breakable(state) == before
    assert sorted(RUNS.glob("*")) == runs


def test_a_plan_as_data_is_the_same_plan(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON with every call, fact and resource, and the line of each call."""
    assert main(["plan", HEADLINE, "--json", f"--lab-attach={state}"]) == 0
    record = json.loads(capsys.readouterr().out)
    plan = plan_from(record)
    assert json.loads(json.dumps(plan.to_json())) == record
    assert (plan.scenario, plan.ended, plan.problems, plan.holes) == ("service-loss-and-return", "", (), ())
    assert plan.found.keys() == load_target(TARGETS / "core-banking.toml").resources.keys()
    assert [s["lines"][0].split()[2] for s in record["steps"] if s["lines"] and s["does"] not in SAFETY] == [
        "enable-rule",
        "update-service",
        "update-service",
        "disable-rule",
        "start-execution",
    ]


def test_a_dry_run_without_a_marker_is_of_the_drills(state: Path) -> None:
    """`pytest --drill-dry-run` is enough, and its page and run folders are not made."""
    done = dry_run(FILE, f"--lab-attach={state}", f"--runs={state.parent / 'runs'}")
    assert done.returncode == 0, done.stdout
    assert "PLAN  service-loss-and-return on core-banking (LAB, account 111111111111)" in done.stdout
    assert not (state.parent / "runs").exists()


def test_what_is_outside_the_blast_radius_is_refused_in_the_plan(state: Path, tmp_path: Path) -> None:
    """Exit code 12, as the drill would have, and the plan shows how far it came."""
    text = (TARGETS / "core-banking.toml").read_text()
    narrow = tmp_path / "narrow.toml"
    service = '    "*SampleMultiRegionAppTransactionFargateService*", "*SampleMultiRegionAppParamTable*",'
    assert text.count(service) == 1, "what this test takes out of the blast radius is not written so any more"
    narrow.write_text(text.replace(service, '    "*SampleMultiRegionAppParamTable*",'))
    done = dry_run(FILE, f"--lab-attach={state}", f"--target={narrow}")
    assert done.returncode == 12, done.stdout
    assert "The plan ends here: REFUSED: " in done.stdout
    assert "is outside the blast radius" in done.stdout


def test_a_lab_that_is_not_there_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the session's own words."""
    assert main(["plan", HEADLINE, f"--lab-attach={tmp_path / 'none.json'}"]) == 4
    assert "no lab to attach to" in capsys.readouterr().err


def test_the_target_of_a_plan_is_checked_as_a_drills(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown one names the known ones."""
    assert main(["plan", HEADLINE, "--target=nowhere"]) == 4
    assert "unknown target 'nowhere'" in capsys.readouterr().err
