"""The whole store: its published names, and what it does by itself and by its runbooks once it is up."""

from __future__ import annotations

import http.client
import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import dns.resolver
import pytest
from botocore.config import Config

from lab.launch import Lab, LabInfo, launch
from lab.retail_store import names, runbooks
from lab.retail_store.names import EAST, PLACES, WEST

SPEED = 20.0
OVER = {"Success", "Failed", "TimedOut", "Cancelled"}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """One store for the tests that leave it as it was."""
    with launch("retail-store", SPEED) as running:
        yield running


def aws(info: LabInfo, service: str, region: str, url: str | None = None) -> Any:
    """A boto3 client of the lab."""
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=url or info.aws_endpoint,
        aws_access_key_id="lab",
        aws_secret_access_key="lab",
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )


def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> bool:
    """Poll every 50 ms; what the condition says at the end."""
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def resolve(info: LabInfo, name: str, region: str) -> set[str]:
    """What the Region's resolver answers."""
    resolver = dns.resolver.Resolver(configure=False)
    host, resolver.port = info.resolvers[region]
    resolver.nameservers = [host]
    return {str(record) for record in resolver.resolve(name, "A", lifetime=5)}


def ask(info: LabInfo, region: str, method: str, path: str, body: object | None = None) -> tuple[int, Any]:
    """A customer's request at the Region's load balancer: status and JSON."""
    connection = http.client.HTTPConnection(PLACES[region].ui[0], info.http_port, timeout=10)
    try:
        connection.request(method, path, json.dumps(body) if body else None, {"X-Customer-Id": "test"})
        response = connection.getresponse()
        content = response.read()
        return response.status, json.loads(content) if content[:1] in (b"{", b"[") else content
    finally:
        connection.close()


def execute(info: LabInfo, document: str, region: str = WEST) -> dict[str, Any]:
    """Run a runbook to its end; the execution."""
    ssm = aws(info, "ssm", region)
    made = ssm.start_automation_execution(DocumentName=document)["AutomationExecutionId"]
    shown: dict[str, Any] = {}

    def over() -> bool:
        shown.update(ssm.get_automation_execution(AutomationExecutionId=made)["AutomationExecution"])
        return shown["AutomationExecutionStatus"] in OVER

    assert until(over), shown
    return shown


def controls(info: LabInfo) -> dict[str, str]:
    """The routing controls' states by name, from the main endpoint."""
    shown = aws(info, "route53-recovery-cluster", EAST).list_routing_controls()["RoutingControls"]
    return {control["RoutingControlName"]: control["RoutingControlState"] for control in shown}


WRITES = (
    ("/api/checkout/submit", "/api/orders/"),
    ("/api/carts/items", "/api/carts/items/"),
    ("/api/catalog/products", "/api/catalog/products/"),
)


@pytest.mark.parametrize(("write", "read"), WRITES)
@pytest.mark.parametrize("region", [EAST, WEST])
def test_what_is_written_in_one_region_arrives_in_both(lab: Lab, region: str, write: str, read: str) -> None:
    """Both Regions take orders, cart lines and products; us-west-2 forwards what its databases cannot write."""
    status, answer = ask(lab.info, region, "POST", write, {"quantity": 2})
    assert status == 200, answer
    for place in (EAST, WEST):
        assert until(lambda place=place: ask(lab.info, place, "GET", read + answer["id"])[0] == 200)  # type: ignore[misc]
    assert ask(lab.info, region, "GET", read + answer["id"])[1]["quantity"] == 2


@pytest.mark.parametrize("body", [{}, {"quantity": 0}, {"quantity": "1"}, {"quantity": True}, []])
def test_an_order_that_makes_no_sense_is_400(lab: Lab, body: object) -> None:
    """Nothing is written for it; what nobody ordered is 404."""
    assert ask(lab.info, EAST, "POST", "/api/checkout/submit", body or {"other": 1})[0] == 400
    assert ask(lab.info, EAST, "GET", f"/api/orders/{uuid.uuid4()}")[0] == 404


def test_each_vpc_has_its_own_answer(lab: Lab) -> None:
    """Latency records: a client's own Region, while both controls are On; balancers' own names bypass them."""
    assert set(controls(lab.info).values()) == {"On"}
    for region in (EAST, WEST):
        assert resolve(lab.info, names.STORE_NAME, region) == set(PLACES[region].ui)
    own = "retail-store-ui-standby-1.us-west-2.elb.amazonaws.com"
    assert resolve(lab.info, own, EAST) == set(PLACES[WEST].ui)


def test_the_published_runbooks_are_in_both_regions(lab: Lab) -> None:
    """Eight documents, of which the two that enable lack the others' prefix; no alarm watches the store.

    The one that is there is not the system's: it would stop an experiment.
    """
    for region in (EAST, WEST):
        shown = aws(lab.info, "ssm", region).get_paginator("list_documents").paginate()
        found = {document["Name"] for page in shown for document in page["DocumentIdentifiers"]}
        assert found == set(runbooks.documents())
        assert {name for name in found if not name.startswith("mr-app-")} == {
            "EnableApplication_PrimaryRegion",
            "EnableApplication_StandbyRegion",
        }
        alarms = aws(lab.info, "cloudwatch", region).describe_alarms()["MetricAlarms"]
        assert [alarm["AlarmName"] for alarm in alarms] == (["drills-stop"] if region == EAST else [])


def test_the_canaries_pass(lab: Lab) -> None:
    """Twelve in each Region: local, remote and global looks at four pages."""
    for region in (EAST, WEST):
        synthetics = aws(lab.info, "synthetics", region)

        def passed(synthetics: Any = synthetics) -> bool:
            runs = synthetics.describe_canaries_last_run()["CanariesLastRun"]
            return {r["CanaryName"] for r in runs if r["LastRun"]["Status"]["State"] == "PASSED"} == set(
                names.canary_names()
            )

        assert until(passed)


def test_disabling_a_region_sends_its_clients_to_the_other(lab: Lab) -> None:
    """The runbook turns one control Off and says so; the cache of the Region's resolver lasts for its TTL."""
    assert resolve(lab.info, names.STORE_NAME, EAST) == set(PLACES[EAST].ui)
    shown = execute(lab.info, runbooks.disable_name(EAST))
    try:
        assert shown["Outputs"]["UpdateRoutingControl.UPDATED_ROUTING_CONTROL_STATE"] == ["Off"]
        assert until(lambda: resolve(lab.info, names.STORE_NAME, EAST) == set(PLACES[WEST].ui))
    finally:
        execute(lab.info, runbooks.enable_name(EAST))
    assert until(lambda: resolve(lab.info, names.STORE_NAME, EAST) == set(PLACES[EAST].ui))


@pytest.mark.long
def test_a_lossy_failover_forgets_what_had_not_arrived() -> None:
    """With a lag the newest order is gone with the old writer's future, which the record of the truth names.

    One of five endpoints down costs the runbook nothing.
    """
    settings = ["rds.replication_lag_s=200", "arc.endpoints_down=1", "rds.failover_s=20"]
    with launch("retail-store", SPEED, settings=settings) as lab:
        order = ask(lab.info, EAST, "POST", "/api/checkout/submit", {"quantity": 1})[1]["id"]
        assert execute(lab.info, "mr-app-FailoverOrders_PrimaryRegion")["AutomationExecutionStatus"] == "Success"
        assert controls(lab.info)["retail-store-ar-RoutingControlPrimary"] == "Off"
        assert until(lambda: order in lost(lab.info))
        assert until(lambda: ask(lab.info, EAST, "GET", f"/api/orders/{order}")[0] == 404)
        assert until(lambda: ask(lab.info, WEST, "POST", "/api/checkout/submit", {"quantity": 1})[0] == 200)
        # Published: only the template of us-west-2 turns write forwarding on.
        assert ask(lab.info, EAST, "POST", "/api/checkout/submit", {"quantity": 1})[0] == 500


def lost(info: LabInfo) -> set[str]:
    """The orders that the lab itself saw go."""
    records = map(json.loads, info.truth.read_text().splitlines())
    return {i for r in records if r["what"] == "rds.lost" and r["database"] == "orders" for i in r["ids"]}


@pytest.mark.long
def test_with_every_endpoint_down_the_runbook_says_success_and_turns_nothing() -> None:
    """As published: the function swallows the errors, and the database moves although the traffic does not."""
    with launch("retail-store", SPEED, settings=["arc.endpoints_down=5", "rds.failover_s=20"]) as lab:
        shown = execute(lab.info, "mr-app-FailoverOrders_PrimaryRegion")
        assert shown["AutomationExecutionStatus"] == "Success"
        assert set(controls(lab.info).values()) == {"On"}
        rds = aws(lab.info, "rds", WEST)

        def moved() -> bool:
            (cluster,) = rds.describe_global_clusters(GlobalClusterIdentifier="orders-global-db-cluster")[
                "GlobalClusters"
            ]
            return [m["DBClusterArn"] for m in cluster["GlobalClusterMembers"] if m["IsWriter"]] == [
                names.database_arn("orders", WEST)
            ]

        assert until(moved)


def test_a_setting_that_does_not_exist_is_refused_by_name() -> None:
    """The message names what there is."""
    with pytest.raises(Exception, match=r"not a setting of retail-store; the settings are: .*rds.replication_lag_s"):
        launch("retail-store", SPEED, settings=["rds.lag=1"])
