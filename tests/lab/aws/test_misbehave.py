"""The AWS API on a bad day: each manner as a stock client meets it, at whom it is aimed, and back to good."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from lab.aws.control import PATH
from lab.aws.misbehave import MANNERS, Misbehaviour, RuleError, parse, parse_all
from lab.aws.server import AwsServer
from lab.clock import LabClock

TOKYO, OSAKA = "ap-northeast-1", "ap-northeast-3"
ONCE = Config(
    retries={"total_max_attempts": 1, "mode": "standard"},
    read_timeout=10,
    connect_timeout=2,
    inject_host_prefix=False,
)
Clients = Callable[..., Any]


@pytest.fixture
def clients(server: AwsServer) -> Iterator[Clients]:
    """Clients of a customer (not the lab's own) that try once."""
    import boto3

    made: list[Any] = []

    def client(service: str, region: str, read_timeout_s: float = 10) -> Any:
        keys = {"aws_access_key_id": "customer", "aws_secret_access_key": "secret"}
        config = ONCE.merge(Config(read_timeout=read_timeout_s))
        made.append(boto3.client(service, region, endpoint_url=server.url, config=config, **keys))
        return made[-1]

    yield client
    for one in made:
        one.close()


READS: dict[str, tuple[str, str]] = {
    "ecs": ("list_clusters", "json"),
    "events": ("list_rules", "json"),
    "stepfunctions": ("list_state_machines", "json"),
    "dynamodb": ("list_tables", "json"),
    "rds": ("describe_global_clusters", "query"),
    "elbv2": ("describe_load_balancers", "query"),
    "cloudwatch": ("describe_alarms", "cbor or query"),
    "route53": ("list_hosted_zones", "rest-xml"),
    "s3": ("list_buckets", "rest-xml"),
    "synthetics": ("describe_canaries", "rest-json"),
    "ec2": ("describe_vpcs", "ec2"),
}


@pytest.mark.parametrize("service", sorted(READS))
def test_refusals_are_typed_in_every_protocol(server: AwsServer, clients: Clients, service: str) -> None:
    """A stock client reads code and status, and takes throttling and 5xx for what it may try again."""
    from botocore.retries.standard import ThrottledRetryableChecker

    codes = {
        "throttle": (ThrottledRetryableChecker._THROTTLED_ERROR_CODES, (400, 429, 503)),
        "expired": (("ExpiredToken", "ExpiredTokenException", "RequestExpired"), (400, 403)),
        "error": (("InternalFailure",), (500,)),
        "unavailable": (("ServiceUnavailable",), (503,)),
    }
    for manner, (known, statuses) in codes.items():
        server.misbehave(parse(f"{manner} {service}"))
        with pytest.raises(ClientError) as caught:
            getattr(clients(service, TOKYO), READS[service][0])()
        assert caught.value.response["Error"]["Code"] in known
        assert caught.value.response["Error"]["Message"]
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in statuses
        server.behave()


def test_throttling_ends_after_its_count(server: AwsServer, clients: Clients) -> None:
    """The next N requests, then as always; requests of another operation, service or Region are not counted."""
    server.misbehave(parse(f"throttle ecs:ListClusters@{TOKYO} count=2"))
    clients("ecs", OSAKA).list_clusters()
    clients("ecs", TOKYO).list_services(cluster=clients("ecs", TOKYO).create_cluster()["cluster"]["clusterArn"])
    tokyo = clients("ecs", TOKYO)
    for _ in range(2):
        with pytest.raises(ClientError, match="Rate exceeded"):
            tokyo.list_clusters()
    assert tokyo.list_clusters()["clusterArns"]


def test_botocore_rides_out_a_short_throttle(server: AwsServer) -> None:
    """What a client tries again counts again: two refusals are within three attempts."""
    import boto3

    server.misbehave(parse("throttle ecs count=2"))
    three = ONCE.merge(Config(retries={"total_max_attempts": 3, "mode": "standard"}))
    keys = {"aws_access_key_id": "customer", "aws_secret_access_key": "secret"}
    client = boto3.client("ecs", TOKYO, endpoint_url=server.url, config=three, **keys)
    assert client.list_clusters()["ResponseMetadata"]["RetryAttempts"] == 2
    client.close()


def test_a_share_hits_some(server: AwsServer, clients: Clients) -> None:
    """Half of forty: neither none nor all."""
    server.misbehave(parse("throttle ecs share=0.5"))
    client, hits = clients("ecs", TOKYO), 0
    for _ in range(40):
        try:
            client.list_clusters()
        except ClientError:
            hits += 1
    assert 5 < hits < 35


def test_a_region_that_hangs_is_given_up_by_the_client(server: AwsServer, clients: Clients) -> None:
    """Taken and never answered, nothing done; the other Region answers, and the lab's own calls are served."""
    server.misbehave(parse(f"hang @{TOKYO}"))
    with pytest.raises(ReadTimeoutError):
        clients("ecs", TOKYO, read_timeout_s=0.5).create_cluster(clusterName="never")
    clients("ecs", OSAKA).list_clusters()
    assert server.client("ecs", TOKYO).list_clusters()["clusterArns"] == []
    server.behave()
    assert clients("ecs", TOKYO).list_clusters()["clusterArns"] == []


def test_a_lab_with_hanging_clients_still_stops(clock: LabClock) -> None:
    """A request that is never answered holds nothing up: its client sees the cut connection."""
    server = AwsServer("127.0.0.1", 0, clock)
    server.start()
    server.misbehave(parse("hang"))
    ended = threading.Event()

    def ask() -> None:
        try:
            urllib.request.urlopen(f"{server.url}/?Action=ListUsers", timeout=20)
        except OSError:
            ended.set()

    threading.Thread(target=ask, daemon=True).start()
    time.sleep(0.2)
    server.stop()
    assert ended.wait(10)


def test_a_reset_does_nothing_and_a_lost_answer_did_it(server: AwsServer, clients: Clients) -> None:
    """The client sees the same, the world does not: that is why nobody may believe an error."""
    server.misbehave(parse("reset ecs:CreateCluster count=1"), parse("lose ecs:CreateCluster count=1"))
    for name in ("reset", "lost"):
        with pytest.raises(ConnectionClosedError):
            clients("ecs", TOKYO).create_cluster(clusterName=name)
    arns = server.client("ecs", TOKYO).list_clusters()["clusterArns"]
    assert [arn.rpartition("/")[2] for arn in arns] == ["lost"]


def test_a_lost_answer_is_seen_by_the_taps(server: AwsServer, clients: Clients) -> None:
    """What was done has its consequences, whoever knows of it."""
    seen = threading.Event()
    server.tap("ecs", {"CreateCluster"}, lambda _: seen.set())
    server.misbehave(parse("lose ecs count=1"))
    with pytest.raises(ConnectionClosedError):
        clients("ecs", TOKYO).create_cluster(clusterName="x")
    assert seen.is_set()


def eventually(look: Callable[[], bool], wall_s: float = 10.0) -> None:
    """Wait for it, bounded."""
    deadline_s = time.monotonic() + wall_s
    while not look():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_stale_reads_show_the_past_and_then_the_present(server: AwsServer, clients: Clients) -> None:
    """What was read before is answered as it was, until delay_s after the change."""
    server.misbehave(parse("stale events delay_s=200"))  # 2 s at this speed
    events, own = clients("events", TOKYO), server.client("events", TOKYO)
    own.put_rule(Name="r", EventPattern='{"source":["x"]}', State="DISABLED")
    assert events.describe_rule(Name="r")["State"] == "DISABLED"
    events.enable_rule(Name="r")
    changed_s = time.monotonic()
    assert own.describe_rule(Name="r")["State"] == "ENABLED"
    assert events.describe_rule(Name="r")["State"] == "DISABLED"
    eventually(lambda: events.describe_rule(Name="r")["State"] == "ENABLED")
    assert time.monotonic() - changed_s >= 1.9


def test_stale_reads_are_of_one_moment(server: AwsServer, clients: Clients) -> None:
    """A change by the operator is late too; a Region or service that the rule does not name is fresh."""
    server.misbehave(parse(f"stale events@{TOKYO} delay_s=1000"))
    pattern = '{"source":["x"]}'
    for region, shown in ((TOKYO, []), (OSAKA, ["r"])):
        events = clients("events", region)
        assert events.list_rules()["Rules"] == []
        server.client("events", region).put_rule(Name="r", EventPattern=pattern)
        assert [rule["Name"] for rule in events.list_rules()["Rules"]] == shown
    server.behave()
    assert len(clients("events", TOKYO).list_rules()["Rules"]) == 1


# -- rules and the control path


@pytest.mark.parametrize(
    "text",
    [
        "",
        "explode ecs",
        "throttle ecs events",
        "throttle ecs:Update:Service",
        "throttle ecs count=0",
        "throttle ecs count=many",
        "throttle ecs share=0",
        "throttle ecs share=2",
        "throttle ecs share=nan",
        "throttle ecs often=3",
        "throttle ecs delay_s=3",
        "stale ecs",
        "stale ecs delay_s=-1",
    ],
)
def test_a_rule_that_says_nothing_is_refused_in_a_sentence(text: str) -> None:
    """Never taken for another rule."""
    with pytest.raises(RuleError):
        parse(text)


@pytest.mark.parametrize("manner", sorted(set(MANNERS) - {"stale"}))
def test_a_rule_in_words_is_the_rule(manner: str) -> None:
    """What is shown can be typed again."""
    rule = parse(f"{manner} ecs:UpdateService@{TOKYO} count=3 share=0.25")
    assert parse(str(rule)) == rule
    assert parse_all(f"{rule}; stale events delay_s=5;") == (rule, parse("stale events delay_s=5"))


def test_rules_are_bounded() -> None:
    """A limit on everything."""
    rules = Misbehaviour()
    with pytest.raises(RuleError, match="more than 32"):
        rules.add(*[parse("hang")] * 33)
    assert not rules


def control(server: AwsServer, method: str, body: object = None, path: str = PATH) -> tuple[int, Any]:
    """Ask the control path."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.url + path, data, method=method)
    try:
        with urllib.request.urlopen(request, timeout=5) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_the_control_path_adds_shows_and_clears(server: AwsServer, clients: Clients) -> None:
    """As an operator of the lab uses it; hits are counted."""
    assert control(server, "GET") == (200, {"rules": []})
    assert control(server, "POST", {"rules": ["throttle ecs count=9"]})[0] == 200
    with pytest.raises(ClientError):
        clients("ecs", TOKYO).list_clusters()
    assert control(server, "GET")[1] == {"rules": [{"rule": "throttle ecs:*@* count=9", "hits": 1}]}
    assert control(server, "DELETE") == (200, {"rules": []})
    clients("ecs", TOKYO).list_clusters()


@pytest.mark.parametrize("body", ["x", {"rules": "hang"}, {"rules": [1]}, {"rules": ["explode"]}, {}, None])
def test_the_control_path_refuses_what_it_does_not_understand(server: AwsServer, body: object) -> None:
    """400 with a sentence, nothing changed."""
    status, said = control(server, "POST", body)
    assert (status, control(server, "GET")[1]) == (400, {"rules": []})
    assert said["error"]


def test_nothing_else_is_under_the_labs_own_path(server: AwsServer) -> None:
    """404, not AWS."""
    assert control(server, "GET", path="/_lab/other")[0] == 404
    assert control(server, "PUT", {})[0] == 404
