"""The public document's manual procedure against the lab, with the tools that a person has: aws and dig."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab.launch import LabInfo, launch

pytestmark = pytest.mark.alone

AWS = os.environ.get("DRILL_AWS_CLI", "")
DIG = shutil.which("dig") or ""
LIMIT_LAB_S = 900.0
OSAKA, TOKYO = "ap-northeast-3", "ap-northeast-1"

needs_dig = pytest.mark.skipif(not DIG, reason="dig is not installed (Debian: apt-get install dnsutils)")
needs_aws = pytest.mark.skipif(not AWS, reason="DRILL_AWS_CLI does not name a stock aws CLI in a venv of its own")


@pytest.fixture(scope="module")
def lab() -> Iterator[LabInfo]:
    """One lab for the whole procedure, three times as fast as a drill's."""
    with launch("core-banking", 30.0) as running:
        yield running.info


def aws(lab: LabInfo, *words: str) -> Any:
    """What the stock CLI prints, as JSON."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PYTHON", "VIRTUAL_ENV"))}
    environment = clean | {
        "AWS_ENDPOINT_URL": lab.aws_endpoint,
        "AWS_ACCESS_KEY_ID": "lab",
        "AWS_SECRET_ACCESS_KEY": "lab",
        "AWS_CONFIG_FILE": os.devnull,
    }
    said = subprocess.run(
        [AWS, *words, "--output", "json"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout) if said.stdout.strip() else {}


def dig(server: tuple[str, int], *options: str) -> str:
    """What dig prints for the name that clients use."""
    said = subprocess.run(
        [DIG, f"@{server[0]}", "-p", str(server[1]), "api.example.com", *options],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return said.stdout


def wait_until_dig_says(lab: LabInfo, prefix: str) -> None:
    """Wait, bounded in lab time, until the authoritative answer lies in a Region."""
    deadline = time.monotonic() + LIMIT_LAB_S / lab.speed
    while not dig(lab.dns_authoritative, "+short").startswith(prefix):
        assert time.monotonic() < deadline, f"DNS did not move to {prefix} within {LIMIT_LAB_S:g} lab s"
        time.sleep(0.5)


@needs_dig
def test_dig_works_against_the_authoritative_server_and_the_resolvers(lab: LabInfo) -> None:
    """Two addresses, TTL 60 at the source, aging at a resolver, over UDP and TCP."""
    for transport in ("+notcp", "+tcp"):
        said = dig(lab.dns_authoritative, transport)
        assert "status: NOERROR" in said
        assert " aa" in said
        lines = [line.split() for line in said.splitlines() if line.startswith("api.example.com.")]
        assert [line[1] for line in lines] == ["60", "60"]
        assert {line[4] for line in lines} == {"127.100.5.165", "127.100.9.84"}
    resolver = lab.resolvers[OSAKA]
    dig(resolver)
    time.sleep(20 / lab.speed)
    left = [line.split()[1] for line in dig(resolver, "+tcp").splitlines() if line.startswith("api.example.com.")]
    assert all(0 <= int(ttl) <= 45 for ttl in left)


@needs_dig
@needs_aws
def test_the_manual_procedure_moves_the_system_to_osaka_and_back(lab: LabInfo) -> None:
    """list-clusters, list-services, enable-rule, desired count 0 and 1, disable-rule, start-execution, by the CLI."""
    rule = aws(lab, "events", "list-rules", "--name-prefix", "BLEAFSI-CoreBanking", "--region", OSAKA)["Rules"][0]
    assert rule["State"] == "DISABLED"
    cluster = aws(lab, "ecs", "list-clusters", "--region", TOKYO)["clusterArns"][0]
    services = aws(lab, "ecs", "list-services", "--cluster", cluster, "--region", TOKYO)["serviceArns"]
    (service,) = [arn for arn in services if "SampleMultiRegionAppTransactionFargateService" in arn]
    wait_for_alarm(lab, "OK")
    aws(lab, "events", "enable-rule", "--name", rule["Name"], "--region", OSAKA)
    scale = ("ecs", "update-service", "--cluster", cluster, "--service", service, "--region", TOKYO)
    assert aws(lab, *scale, "--desired-count", "0")["service"]["desiredCount"] == 0
    wait_until_dig_says(lab, "127.101.")
    aws(lab, *scale, "--desired-count", "1")
    wait_for_execution(lab, "FailoverStateMachine")
    assert writer(lab) == OSAKA
    aws(lab, "events", "disable-rule", "--name", rule["Name"], "--region", OSAKA)
    machine = machine_of(lab, "FailbackStateMachine")
    started = aws(lab, "stepfunctions", "start-execution", "--state-machine-arn", machine, "--region", OSAKA)
    wait_until_dig_says(lab, "127.100.")
    wait_for_execution(lab, "FailbackStateMachine")
    assert writer(lab) == TOKYO
    history = aws(
        lab, "stepfunctions", "get-execution-history", "--execution-arn", started["executionArn"], "--region", OSAKA
    )
    assert history["events"][-1]["type"] == "ExecutionSucceeded"


def wait_for_alarm(lab: LabInfo, state: str) -> None:
    """Wait until Osaka's alarm is in `state`."""

    def there() -> bool:
        found = aws(lab, "cloudwatch", "describe-alarms", "--region", OSAKA)["MetricAlarms"]
        return [alarm["StateValue"] for alarm in found] == [state]

    _wait(lab, there, f"the alarm to be {state}")


def wait_for_execution(lab: LabInfo, prefix: str) -> None:
    """Wait until the machine's newest execution has succeeded."""
    machine = machine_of(lab, prefix)

    def there() -> bool:
        listed = aws(lab, "stepfunctions", "list-executions", "--state-machine-arn", machine, "--region", OSAKA)
        assert listed["executions"][0]["status"] in ("RUNNING", "SUCCEEDED")
        return bool(listed["executions"][0]["status"] == "SUCCEEDED")

    _wait(lab, there, f"{prefix} to succeed")


def machine_of(lab: LabInfo, prefix: str) -> str:
    """The one state machine whose name begins so."""
    listed = aws(lab, "stepfunctions", "list-state-machines", "--region", OSAKA)["stateMachines"]
    (arn,) = [m["stateMachineArn"] for m in listed if m["name"].startswith(prefix)]
    return str(arn)


def writer(lab: LabInfo) -> str:
    """The Region of the global cluster's writer."""
    cluster = aws(lab, "rds", "describe-global-clusters", "--region", OSAKA)["GlobalClusters"][0]
    (arn,) = [m["DBClusterArn"] for m in cluster["GlobalClusterMembers"] if m["IsWriter"]]
    return str(arn).split(":")[3]


def _wait(lab: LabInfo, there: Any, what: str) -> None:
    deadline = time.monotonic() + LIMIT_LAB_S / lab.speed
    while not there():
        assert time.monotonic() < deadline, f"waited {LIMIT_LAB_S:g} lab s for {what}"
        time.sleep(0.5)
