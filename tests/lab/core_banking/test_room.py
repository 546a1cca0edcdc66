"""The whole system: its published names, and what it does by itself once it is up."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.core_banking import infra, names
from lab.launch import Lab, LabInfo, launch
from tests.lab.core_banking.customer import OREGON, OSAKA, TOKYO, Customer, addresses, aws, until

TOKYO_ADDRESSES = {"127.100.5.165", "127.100.9.84"}
OSAKA_ADDRESSES = {"127.101.5.165", "127.101.9.84"}
SPEED = 20.0


def transaction_service(info: LabInfo) -> tuple[str, str]:
    """Cluster and service ARN, found as the public procedure does."""
    ecs = aws(info, "ecs", TOKYO)
    cluster = ecs.list_clusters()["clusterArns"][0]
    arns = ecs.list_services(cluster=cluster)["serviceArns"]
    (service,) = [arn for arn in arns if "SampleMultiRegionAppTransactionFargateService" in arn]
    return cluster, service


def rule_name(info: LabInfo) -> str:
    (rule,) = aws(info, "events", OSAKA).list_rules()["Rules"]
    return str(rule["Name"])


def machine(info: LabInfo, prefix: str) -> str:
    found = aws(info, "stepfunctions", OSAKA).list_state_machines()["stateMachines"]
    (arn,) = [m["stateMachineArn"] for m in found if m["name"].startswith(f"{prefix}StateMachine")]
    return str(arn)


def executions(info: LabInfo, prefix: str) -> list[str]:
    states = aws(info, "stepfunctions", OSAKA)
    found = states.list_executions(stateMachineArn=machine(info, prefix))["executions"]
    return [execution["status"] for execution in found]


def deposits(info: LabInfo, region: str) -> bool:
    """Whether a new deposit is accepted and settled in the Region."""
    customer = Customer.new(info, region)
    status, answer = customer.ask("POST", "/transaction/deposit", {"quantity": 5})
    return status == 200 and customer.settled(answer["transactionId"]) == "status#success"


def test_the_published_search_finds_exactly_the_transaction_service(lab: Lab) -> None:
    """The worker's name does not match, and the service has one running task."""
    cluster, service = transaction_service(lab.info)
    found = aws(lab.info, "ecs", TOKYO).describe_services(cluster=cluster, services=[service])["services"][0]
    assert (found["desiredCount"], found["runningCount"], found["pendingCount"]) == (1, 1, 0)
    assert len(aws(lab.info, "ecs", TOKYO).list_services(cluster=cluster)["serviceArns"]) == 4


def test_the_rule_is_disabled_and_matches_the_published_pattern(lab: Lab) -> None:
    """Automatic failover is off until somebody enables it; it starts the initiator only."""
    events, name = aws(lab.info, "events", OSAKA), rule_name(lab.info)
    rule = events.describe_rule(Name=name)
    assert rule["State"] == "DISABLED"
    detail = json.loads(rule["EventPattern"])["detail"]
    assert detail["alarmName"] == ["canaryAlerm-ap-northeast-3"]
    assert detail["previousState"] == {"value": ["OK"]}
    (target,) = events.list_targets_by_rule(Rule=name)["Targets"]
    assert target["Arn"] == machine(lab.info, "FailoverInitiator")


def test_both_controls_are_off_and_dns_answers_the_primary(lab: Lab) -> None:
    """After a deployment no control is On: both unhealthy answers primary; the regional names bypass it."""
    config = aws(lab.info, "route53-recovery-control-config", OREGON)
    (cluster,) = config.list_clusters()["Clusters"]
    endpoints = config.describe_cluster(ClusterArn=cluster["ClusterArn"])["Cluster"]["ClusterEndpoints"]
    assert len(endpoints) == 5
    panels = config.list_control_panels(ClusterArn=cluster["ClusterArn"])["ControlPanels"]
    (panel,) = [p["ControlPanelArn"] for p in panels if p["Name"] == "CoreBanking-ControlPanel"]
    controls = config.list_routing_controls(ControlPanelArn=panel)["RoutingControls"]
    assert sorted(control["Name"] for control in controls) == ["rc-osaka", "rc-tokyo"]
    assert addresses(lab.info) == TOKYO_ADDRESSES
    assert addresses(lab.info, f"api.{OSAKA}.example.com") == OSAKA_ADDRESSES


def test_every_region_resolves(lab: Lab) -> None:
    """Each VPC has a resolver of its own."""
    assert {region: addresses(lab.info, region=region) for region in lab.info.resolvers} == dict.fromkeys(
        (TOKYO, OSAKA, OREGON), TOKYO_ADDRESSES
    )


def test_the_stop_flags_are_regional(lab: Lab) -> None:
    """Tokyo runs and Osaka is stopped, each by its own parameter table."""
    flags = {}
    for region in (TOKYO, OSAKA):
        item = aws(lab.info, "dynamodb", region).get_item(
            TableName=names.param_table(region), Key={"PK": {"S": "stopFlag"}}
        )["Item"]
        flags[region] = item["value"]["S"]
    assert flags == {TOKYO: "false", OSAKA: "true"}


def test_targets_show_their_true_health(lab: Lab) -> None:
    """DescribeTargetHealth shows the task behind the transaction rule as healthy."""
    elb = aws(lab.info, "elbv2", TOKYO)
    groups = elb.describe_target_groups()["TargetGroups"]
    (arn,) = [group["TargetGroupArn"] for group in groups if "Transaction" in group["TargetGroupName"]]
    (target,) = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    assert target["TargetHealth"]["State"] == "healthy"
    assert target["Target"]["Id"].startswith("127.100.")


def test_paths_of_the_balancer_are_those_of_the_api() -> None:
    """The rules in the API and in the balancer process come from one table."""
    assert set(names.PATHS) == set(infra.PATHS)
    assert set(names.PATHS.values()) == {"/balance", "/count", "/transaction"}


# -- what happens --------------------------------------------------------------------------------------------


def test_a_task_that_dies_is_replaced() -> None:
    """kill -9 of the transaction task: ECS starts another one and deposits work again."""
    import psutil

    with launch("core-banking", SPEED) as lab:
        truth = [json.loads(line) for line in lab.info.truth.read_text().splitlines()]
        (pid,) = [
            entry["pid"]
            for entry in truth
            if entry["what"] == "task.started" and entry["service"] == names.service_name(TOKYO, "Transaction")
        ]
        psutil.Process(pid).kill()
        assert until(lambda: Customer.new(lab.info).ask("GET", f"/transaction/{uuid.uuid4()}")[0] in (502, 503), 5)
        assert until(lambda: deposits(lab.info, TOKYO), 15)


def test_a_speed_beyond_the_machine_is_admitted() -> None:
    """At speed 300 the shortest real pauses are longer than what they stand for, and the lab says so."""
    with launch("core-banking", 300.0) as lab:
        said = lab.info.overruns.read_text()
    assert "health check interval" in said
    assert "worker pause" in said


def test_its_opening_does_not_count(lab: Lab) -> None:
    """Opening takes longer than what is declared; a lab admits only what came after it was ready."""
    [ready_s] = [r["monotonic_s"] for r in records(lab.info.truth) if r["what"] == "lab.ready"]
    assert [record for record in records(lab.info.overruns) if record["monotonic_s"] < ready_s] == []


def records(path: Path) -> list[dict[str, Any]]:
    """The lines of one of the lab's files."""
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.long
def test_a_lab_can_start_broken_and_cut_off() -> None:
    """Settings: no transaction task in Tokyo, Tokyo's writes never reach Osaka, and an API that misbehaves."""
    settings = ["ecs.transaction_desired_count=0", f"dynamodb.cut_from={TOKYO}", "misbehave=expired synthetics"]
    with launch("core-banking", SPEED, settings=settings) as lab:
        with pytest.raises(ClientError, match="ExpiredToken"):
            aws(lab.info, "synthetics", OREGON).describe_canaries()
        assert Customer.new(lab.info).ask("GET", f"/transaction/{uuid.uuid4()}")[0] == 503
        key = {"PK": {"S": "probe"}, "SK": {"S": "probe"}}
        aws(lab.info, "dynamodb", TOKYO).put_item(TableName=names.main_table(), Item=key)
        time.sleep(0.5)
        assert not stored(lab, OSAKA, key)
        assert stored(lab, TOKYO, key)


def stored(lab: Lab, region: str, key: dict[str, Any]) -> bool:
    return "Item" in aws(lab.info, "dynamodb", region).get_item(TableName=names.main_table(), Key=key)


@pytest.mark.long
def test_fixed_ports_are_where_they_were_asked_for() -> None:
    """port_base N: the API on N, DNS on N+1, HTTP on N+2."""
    base = 15300
    try:
        lab = launch("core-banking", SPEED, port_base=base)
    except Exception as error:
        if "taken" in str(error):
            pytest.skip(f"ports from {base} are in use on this machine")
        raise
    with lab:
        assert lab.info.aws_endpoint == f"http://127.102.0.10:{base}"
        assert lab.info.dns_authoritative == ("127.102.0.53", base + 1)
        assert lab.info.resolvers[TOKYO] == ("127.100.0.2", base + 1)
        assert lab.info.http_port == base + 2
