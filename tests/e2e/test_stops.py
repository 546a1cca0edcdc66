"""What ends a drill before its scenario does, each in the lab: stop conditions that come true, and a full disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drill.aws import Aws
from lab.launch import LabInfo, launch
from tests.e2e.drilling import LIMIT_S, ROOT, Drilled, assert_nothing_left, lab_folders, start, wait_for_phase

pytestmark = [pytest.mark.alone, pytest.mark.long]

TWIN = ("--twin", "tests/twins/core_banking.py", "-k", "rule_left_disabled")
"""Nothing fails over, so the lab is as before after each drill."""
SHIPPED = (ROOT / "targets" / "core-banking.toml").read_text()
OREGON, PARAMETER = "us-west-2", "/drills/core-banking"
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
import pytest
sys.exit(pytest.main(sys.argv[2:]))
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[LabInfo]:
    """A lab that is up, with a parameter that says run."""
    with launch("core-banking", 20.0) as made:
        ssm = Aws(made.info.aws_endpoint).client("ssm", OREGON)
        ssm.put_parameter(Name=PARAMETER, Value="run", Type="String")
        yield made.info


def options(folder: Path, lab: LabInfo, *safety: str) -> tuple[str, ...]:
    """Those of a drill in that lab, of the shipped target with these lines in its [safety]."""
    state, target = folder / "lab.json", folder / "changed.toml"
    state.write_text(json.dumps(lab.to_json()))
    kept = SHIPPED.replace("max_duration_s = 7200.0", "") if "max_duration_s" in "".join(safety) else SHIPPED
    target.write_text(kept.replace("[safety]\n", "\n".join(["[safety]", *safety, ""]), 1))
    return (*TWIN, f"--target={target}", f"--lab-attach={state}", "--set=timings.baseline_s=120")


def forbid(lab: LabInfo) -> None:
    """The operator changes the parameter."""
    ssm = Aws(lab.aws_endpoint).client("ssm", OREGON)
    ssm.put_parameter(Name=PARAMETER, Value="no more today", Type="String", Overwrite=True)


def nothing(lab: LabInfo) -> None:
    """It comes by itself."""


@pytest.mark.parametrize(
    ("safety", "does", "words"),
    [
        ("error_budget_s = 40.0", nothing, "the error budget is spent"),
        ("max_duration_s = 400.0", nothing, "safety.max_duration_s is 400"),
        (f'stop_parameter = "{PARAMETER}"', forbid, "says 'no more today', not 'run'"),
        ('stop_alarms = ["observer_alarm"]', nothing, "alarm canaryAlerm-us-west-2 in us-west-2 is ALARM"),
    ],
)
def test_each_stop_condition_ends_a_drill_of_the_lab(
    tmp_path: Path, lab: LabInfo, safety: str, does: Callable[[LabInfo], None], words: str
) -> None:
    """In order: put back, INVALID, exit 11, with the reason in the evidence, nothing left."""
    before, runs = lab_folders(), tmp_path / "runs"
    process = start(runs, *options(tmp_path, lab, safety))
    try:
        wait_for_phase(runs, "in_force", process)
        does(lab)
        output, _ = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
    assert_nothing_left(process.pid, before, runs)
    ended = Drilled(process.returncode, output, runs)
    assert ended.code == 11, output
    assert words in ended.events("stopped")[0]["reason"]
    assert any(words in event["reason"] for event in ended.events("invalid"))
    assert set(ended.journal().values()) == {"restored"}
    assert words in (ended.folder / "report.html").read_text().replace("&#x27;", "'").replace("&#39;", "'")


@pytest.mark.parametrize("size", [1_500, 60_000])
def test_a_full_disk_is_no_pass_and_no_traceback(tmp_path: Path, lab: LabInfo, size: int) -> None:
    """From the begin, nothing is begun; in the middle, all is put back: one sentence, exit 11 or 20."""
    before, runs = lab_folders(), tmp_path / "runs"
    process = subprocess.Popen(
        [sys.executable, "-c", LIMITED, str(size), f"--runs={runs}", *options(tmp_path, lab)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
    assert_nothing_left(process.pid, before, runs)
    assert process.returncode in (11, 20), said
    assert "Traceback" not in said
    assert "File too large" in said
    ecs = Aws(lab.aws_endpoint).client("ecs", "ap-northeast-1")
    cluster = ecs.list_clusters()["clusterArns"][0]
    services = ecs.describe_services(cluster=cluster, services=ecs.list_services(cluster=cluster)["serviceArns"])
    assert {service["desiredCount"] for service in services["services"]} == {1}
