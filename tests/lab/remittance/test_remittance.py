"""The whole remittance system: what it answers, and what its one runbook does to it, its weak points included."""

from __future__ import annotations

import http.client
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import dns.resolver
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from drill.sign_on import signed_on
from drill.target import Connection, load_target
from lab.launch import Lab, LabInfo, launch
from lab.remittance import names
from lab.remittance.edge import ORIGIN_HEADER
from lab.remittance.functions import NO_CONNECTION, NO_SECRET
from lab.remittance.names import EAST, PLACES, WEST
from tests.checks.worlds import TARGETS, eventually

SPEED = 20.0
OVER = {"Success", "Failed", "TimedOut", "Cancelled"}
READ_ONLY = "cannot execute INSERT in a read-only transaction"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """One system for the tests that leave it as it was; its authorizer is asked for every request."""
    with launch("remittance", SPEED, settings=["apigateway.authorizer_ttl_s=0"]) as running:
        yield running


def aws(info: LabInfo, service: str, region: str) -> Any:
    """A boto3 client of the lab."""
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=info.aws_endpoint,
        aws_access_key_id="lab",
        aws_secret_access_key="lab",
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )


def token_of(info: LabInfo) -> dict[str, str]:
    """The headers of who has signed on as a drill does, with the client id that the target file names."""
    target = load_target(TARGETS / "remittance.toml")
    return signed_on(target.model_copy(update={"connection": Connection(aws_endpoint=info.aws_endpoint)}))


def ask(
    info: LabInfo, region: str, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    """A client's request at the Region's gateway: status and JSON."""
    connection = http.client.HTTPConnection(PLACES[region].gateways[0], info.http_port, timeout=10)
    try:
        sent = json.dumps(body) if body is not None else None
        connection.request(method, path, sent, token_of(info) if headers is None else headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def create(info: LabInfo, region: str, account: str = "") -> tuple[int, Any]:
    """Make a remittance of that sender's account."""
    body = dict.fromkeys(("senderName", "senderBank", "receiverName", "receiverBank", "receiverAccount"), "x")
    made = {**body, "senderAccount": account or f"a-{uuid.uuid4()}", "amount": 7}
    return ask(info, region, "POST", "/create-remittance", made)


def resolve(info: LabInfo) -> set[str]:
    """Where the API's name leads, by the authoritative server."""
    resolver = dns.resolver.Resolver(configure=False)
    host, resolver.port = info.dns_authoritative
    resolver.nameservers = [host]
    return {str(record) for record in resolver.resolve(names.API_NAME, "A", lifetime=5)}


def controls(info: LabInfo) -> tuple[str, str]:
    """The states of Region 1's and Region 2's control."""
    shown = aws(info, "route53-recovery-cluster", EAST).list_routing_controls()["RoutingControls"]
    states = {control["RoutingControlName"]: control["RoutingControlState"] for control in shown}
    return states["Remittance-Region1"], states["Remittance-Region2"]


def secret_host(info: LabInfo, region: str = WEST) -> str:
    """The host in the database secret."""
    return str(
        json.loads(aws(info, "secretsmanager", region).get_secret_value(SecretId="database")["SecretString"])["host"]
    )


def writer(info: LabInfo) -> str:
    """The Region of the writer; "" while the cluster moves or is not whole."""
    cluster = aws(info, "rds", WEST).describe_global_clusters(GlobalClusterIdentifier="remittance")["GlobalClusters"][
        0
    ]
    members = cluster["GlobalClusterMembers"]
    if cluster["Status"] != "available" or any(m["SynchronizationStatus"] != "connected" for m in members):
        return ""
    return next(m["DBClusterArn"].split(":")[3] for m in members if m["IsWriter"])


def run_book(info: LabInfo) -> dict[str, Any]:
    """Run the runbook to its end; the execution."""
    ssm = aws(info, "ssm", EAST)
    made = ssm.start_automation_execution(DocumentName=names.DOCUMENT)["AutomationExecutionId"]

    def ended() -> dict[str, Any] | None:
        shown = ssm.get_automation_execution(AutomationExecutionId=made)["AutomationExecution"]
        return dict(shown) if shown["AutomationExecutionStatus"] in OVER else None

    return dict(eventually(ended, 60.0))


@contextmanager
def said_meanwhile(look: Callable[[], Any]) -> Iterator[list[Any]]:
    """What `look` said, each word once in the order of its first, while the block runs."""
    said: list[Any] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.05):
            if (word := look()) not in said:
                said.append(word)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield said
    finally:
        stop.set()
        thread.join(15.0)


@pytest.mark.parametrize("region", [EAST, WEST])
def test_what_is_made_in_one_region_is_read_in_both(lab: Lab, region: str) -> None:
    """Both Regions write to the one writer; the reply tells no id, as published, and the account finds it."""
    account = f"made-{region}-{uuid.uuid4()}"
    assert create(lab.info, region, account) == (200, "")
    for place in (EAST, WEST):
        status, found = ask(lab.info, place, "GET", f"/get-remittance/{account}")
        assert (status, found["senderAccount"], found["amount"], found["copies"]) == (200, account, 7, 1)
    assert account in {row["senderAccount"] for row in ask(lab.info, region, "GET", "/dev/get-remittances")[1]}
    assert ask(lab.info, region, "GET", "/get-remittance/nobody")[0] == 404


def test_a_remittance_that_makes_no_sense_is_refused_as_published(lab: Lab) -> None:
    """No body is 400; a missing field is a 500 with the field's name; nothing is written."""
    assert ask(lab.info, EAST, "POST", "/create-remittance") == (400, "Error, incorrect post body")
    assert ask(lab.info, EAST, "POST", "/create-remittance", {"amount": 1}) == (500, "'senderName'")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "not.a.token"}], ids=["none", "forged"])
def test_nobody_is_served_without_a_token_of_the_pool(lab: Lab, headers: dict[str, str]) -> None:
    """401 in both Regions, whatever was asked."""
    for region in (EAST, WEST):
        assert ask(lab.info, region, "GET", "/get-remittances", headers=headers) == (401, {"message": "Unauthorized"})


def test_a_function_without_concurrency_is_an_internal_error_in_its_region_alone(lab: Lab) -> None:
    """Put back, it serves again."""
    lambdas = aws(lab.info, "lambda", EAST)
    lambdas.put_function_concurrency(FunctionName=names.CREATE, ReservedConcurrentExecutions=0)
    try:
        assert create(lab.info, EAST) == (500, {"message": "Internal server error"})
        assert create(lab.info, WEST)[0] == 200
    finally:
        lambdas.delete_function_concurrency(FunctionName=names.CREATE)
    assert create(lab.info, EAST)[0] == 200


def test_a_stage_throttled_to_nothing_refuses_everything(lab: Lab) -> None:
    """429 for every method; put back, it serves again."""
    gateway = aws(lab.info, "apigateway", WEST)
    api = gateway.get_rest_apis()["items"][0]["id"]
    before = gateway.get_stage(restApiId=api, stageName="dev")["methodSettings"]["*/*"]["throttlingRateLimit"]

    def throttle(rate: float) -> None:
        patch = {"op": "replace", "path": "/*/*/throttling/rateLimit", "value": f"{rate:g}"}
        gateway.update_stage(restApiId=api, stageName="dev", patchOperations=[patch])

    throttle(0)
    try:
        assert create(lab.info, WEST) == (429, {"message": "Too Many Requests"})
        assert create(lab.info, EAST)[0] == 200
    finally:
        throttle(before)
    assert create(lab.info, WEST)[0] == 200


def test_a_denied_secret_stops_both_regions(lab: Lab) -> None:
    """The policy holds against everybody, for the replica too; a statement about something else denies nothing."""
    secrets = aws(lab.info, "secretsmanager", EAST)
    for action, status in (("secretsmanager:GetSecretValue", 500), ("secretsmanager:PutSecretValue", 200)):
        statement = {"Effect": "Deny", "Principal": "*", "Action": action, "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        secrets.put_resource_policy(SecretId="database", ResourcePolicy=policy)
        try:
            assert [create(lab.info, region)[0] for region in (EAST, WEST)] == [status] * 2
            if status == 500:
                assert create(lab.info, WEST) == (500, NO_SECRET)
                with pytest.raises(ClientError, match="explicit deny"):
                    secret_host(lab.info)
        finally:
            secrets.delete_resource_policy(SecretId="database")
    assert create(lab.info, WEST)[0] == 200


def test_the_page_has_one_origin_as_published(lab: Lab) -> None:
    """The origin group is there and nothing uses it: without the bucket of us-east-1 there is no page."""

    def page() -> tuple[int, str | None]:
        connection = http.client.HTTPConnection(names.EDGE[0], lab.info.http_port, timeout=10)
        connection.request("GET", "/")
        response = connection.getresponse()
        response.read()
        return response.status, response.getheader(ORIGIN_HEADER)

    assert page() == (200, EAST)
    with misbehaving(lab.info, f"unavailable s3@{EAST}"):
        assert page() == (503, EAST)


def test_without_the_sign_on_of_us_east_1_nobody_is_served_in_us_west_2(lab: Lab) -> None:
    """The keys of the user pool lie in us-east-1 alone: the other Region's authorizer is lost with them."""
    token = token_of(lab.info)
    with misbehaving(lab.info, f"unavailable cognito-idp@{EAST}"):
        assert ask(lab.info, WEST, "GET", "/get-remittances", headers=token) == (500, {"message": None})
    assert ask(lab.info, WEST, "GET", "/get-remittances", headers=token)[0] == 200


def test_without_the_secrets_of_us_east_1_us_west_2_serves_nobody_and_the_runbook_cannot_begin(lab: Lab) -> None:
    """Functions and the runbook's first step read them in us-east-1, whatever the Region: nothing moves."""
    with misbehaving(lab.info, f"unavailable secretsmanager@{EAST}"):
        assert create(lab.info, WEST) == (500, NO_SECRET)
        shown = run_book(lab.info)
    assert shown["AutomationExecutionStatus"] == "Failed"
    assert [s["StepName"] for s in shown["StepExecutions"] if s["StepStatus"] == "Failed"] == ["GetRegions"]
    assert (controls(lab.info), writer(lab.info)) == (("On", "Off"), EAST)


@contextmanager
def misbehaving(info: LabInfo, rule: str) -> Iterator[None]:
    """The API misbehaves by that rule in the block."""
    host, port = info.aws_endpoint.removeprefix("http://").split(":")

    def tell(method: str, body: str | None = None) -> None:
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        connection.request(method, "/_lab/misbehave", body)
        assert connection.getresponse().status == 200
        connection.close()

    tell("POST", json.dumps({"rules": [rule]}))
    try:
        yield
    finally:
        tell("DELETE")


def test_the_runbook_goes_there_and_back_and_clients_meet_its_windows_in_their_order(lab: Lab) -> None:
    """ARC first, then the writer, the secret last: the old writer is gone, then it is a reader, then all is well.

    What was made before is there after; the secret's host does not return to what it was.
    """
    account, first_host = f"kept-{uuid.uuid4()}", secret_host(lab.info)
    assert create(lab.info, EAST, account)[0] == 200
    assert first_host.startswith("dbcluster1-instance1.")
    for there, states in ((WEST, ("Off", "On")), (EAST, ("On", "Off"))):
        with said_meanwhile(lambda: create(lab.info, there)) as said:  # noqa: B023 - it ends with the block
            assert run_book(lab.info)["AutomationExecutionStatus"] == "Success"
            eventually(lambda: create(lab.info, there)[0] == 200)  # noqa: B023
        # One that is in the air while the old writer stops may meet other words between these.
        windows = [(200, ""), (500, NO_CONNECTION), (500, READ_ONLY)]
        assert [word for word in said if word in windows] == windows
        assert controls(lab.info) == states
        eventually(lambda: resolve(lab.info) == set(PLACES[there].gateways))  # noqa: B023
        eventually(lambda: writer(lab.info) == there)  # noqa: B023
        assert ask(lab.info, there, "GET", f"/get-remittance/{account}")[0] == 200
        assert secret_host(lab.info).startswith(f"{PLACES[there].cluster}.cluster-")
    assert secret_host(lab.info) != first_host


@pytest.mark.long
@pytest.mark.parametrize(
    ("setting", "failed", "host"),
    [("arc.first_fails_after=1", [], "dbcluster2."), ("arc.start=off", ["UpdateDatabaseSecret"], "dbcluster1-")],
    ids=["an endpoint fails between the toggles", "both off"],
)
def test_the_runbook_can_leave_both_controls_on(setting: str, failed: list[str], host: str) -> None:
    """The writer moves, and Route 53 goes on answering with the primary Region. With both Off at first us-west-2
    counts as active, so the last step looks for the writer's cluster in us-east-1, and the secret stays stale."""
    with launch("remittance", SPEED, settings=[setting]) as lab:
        shown = run_book(lab.info)
        assert [s["StepName"] for s in shown["StepExecutions"] if s["StepStatus"] != "Success"] == failed
        assert secret_host(lab.info).startswith(host)
        assert controls(lab.info) == ("On", "On")
        assert resolve(lab.info) == set(PLACES[EAST].gateways)
        assert writer(lab.info) in (WEST, "")


@pytest.mark.long
def test_the_button_pressed_twice_turns_the_controls_back() -> None:
    """No id is told and none is asked for: the second run turns back what the first has turned, and then fails."""
    with launch("remittance", SPEED) as lab:
        for _ in range(2):
            body = {"region": EAST, "document": names.DOCUMENT}
            assert ask(lab.info, WEST, "POST", "/execute-runbook", body) == (200, "")
        ssm = aws(lab.info, "ssm", EAST)

        def ended() -> list[str]:
            shown = ssm.describe_automation_executions()["AutomationExecutionMetadataList"]
            states = [e["AutomationExecutionStatus"] for e in shown]
            return sorted(states) if len(states) == 2 and set(states) <= OVER else []

        assert eventually(ended, 60.0) == ["Failed", "Success"]
        assert resolve(lab.info) == set(PLACES[EAST].gateways)
        eventually(lambda: writer(lab.info) == WEST)
