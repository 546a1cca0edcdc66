"""The front door of the AWS API: stock clients, typed errors, taps, unavailability, lab time, limits."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from lab.aws.server import AwsServer, Tapped
from lab.clock import LabClock

TOKYO, OSAKA = "ap-northeast-1", "ap-northeast-3"


def port_of(server: AwsServer) -> int:
    """The port in the server's URL."""
    return int(server.url.rpartition(":")[2])


def test_stock_boto3_needs_only_the_endpoint(server: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain boto3 client works with AWS_ENDPOINT_URL and dummy credentials and sees the lab's account."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    sts = boto3.client("sts", region_name=OSAKA)
    assert sts.get_caller_identity()["Account"] == "111111111111"


def test_regions_are_apart(server: AwsServer) -> None:
    """What is made in one Region is not seen in another."""
    server.client("ecs", TOKYO).create_cluster(clusterName="main")
    assert len(server.client("ecs", TOKYO).list_clusters()["clusterArns"]) == 1
    assert server.client("ecs", OSAKA).list_clusters()["clusterArns"] == []


@pytest.mark.parametrize(
    ("service", "operation", "params", "name"),
    [
        ("route53", "test_dns_answer", {"HostedZoneId": "Z", "RecordName": "a", "RecordType": "A"}, "TestDNSAnswer"),
        ("synthetics", "stop_canary", {"Name": "canary"}, "StopCanary"),
        ("health", "describe_events", {}, "DescribeEvents"),
        ("rds", "describe_db_engine_versions", {}, "DescribeDBEngineVersions"),
    ],
)
def test_unknown_operation_is_typed(
    server: AwsServer, service: str, operation: str, params: dict[str, Any], name: str
) -> None:
    """An operation that nobody plays is a 501 NotImplemented naming service and operation, in any protocol."""
    client = server.client(service, "us-west-2")
    with pytest.raises(ClientError) as error:
        getattr(client, operation)(**params)
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert error.value.response["Error"]["Code"] == "NotImplemented"
    assert f"{service} {name}" in error.value.response["Error"]["Message"]


def test_bug_in_a_service_is_typed(server: AwsServer) -> None:
    """An exception inside a service is a typed 500 that names it, never an HTML page."""

    def broken(_call: object) -> Any:
        raise ZeroDivisionError("oops")

    server.serve("health", broken)
    with pytest.raises(ClientError, match="ZeroDivisionError: oops") as error:
        server.client("health", "us-east-1").describe_events()
    assert error.value.response["Error"]["Code"] == "InternalFailure"


@pytest.mark.parametrize(
    ("service", "operation", "params"),
    [
        ("ecs", "create_cluster", {"clusterName": "main"}),
        ("rds", "create_global_cluster", {"GlobalClusterIdentifier": "g", "Engine": "aurora-postgresql"}),
        ("route53", "create_hosted_zone", {"Name": "example.com", "CallerReference": "z"}),
        ("cloudwatch", "put_metric_data", {"Namespace": "n", "MetricData": [{"MetricName": "m", "Value": 1.0}]}),
    ],
)
def test_tap_sees_successful_calls(server: AwsServer, service: str, operation: str, params: dict[str, Any]) -> None:
    """A tap gets Region, service, operation and parameters of botocore's model, in every protocol."""
    client = server.client(service, "us-east-1")
    name = client.meta.method_to_api_mapping[operation]
    seen: list[Tapped] = []
    server.tap(service, {name}, seen.append)
    server.tap(service, {"DescribeNothing"}, seen.append)
    getattr(client, operation)(**params)
    assert seen == [Tapped("us-east-1", service, name, params)]


def test_tap_is_silent_for_failed_calls(server: AwsServer) -> None:
    """A call that was refused is not tapped, and a tap that raises does not change the reply."""
    seen: list[Tapped] = []

    def raising(call: Tapped) -> None:
        seen.append(call)
        raise RuntimeError("tap")

    server.tap("ecs", {"CreateCluster", "DeleteCluster"}, raising)
    client = server.client("ecs", TOKYO)
    with pytest.raises(ClientError):
        client.delete_cluster(cluster="nobody")
    assert client.create_cluster(clusterName="main")["cluster"]["clusterName"] == "main"
    assert [call.operation for call in seen] == ["CreateCluster"]


def test_unavailable_region(server: AwsServer) -> None:
    """A Region, or one service of it, answers ServiceUnavailable until it is available again."""
    server.unavailable(TOKYO, "rds")
    with pytest.raises(ClientError, match="ServiceUnavailable"):
        server.client("rds", TOKYO).describe_db_clusters()
    assert server.client("ecs", TOKYO).list_clusters()["clusterArns"] == []
    server.unavailable(TOKYO)
    with pytest.raises(ClientError, match="ServiceUnavailable"):
        server.client("ecs", TOKYO).list_clusters()
    assert server.client("rds", OSAKA).describe_db_clusters()["DBClusters"] == []
    server.available(TOKYO)
    server.available(TOKYO, "rds")
    assert server.client("rds", TOKYO).describe_db_clusters()["DBClusters"] == []


def test_a_silent_region_answers_nobody_but_the_engines(server: AwsServer) -> None:
    """Each service of it hangs but the one that is left, for all but the lab itself; then it answers again."""
    once = Config(read_timeout=0.3, retries={"total_max_attempts": 1})
    server.silence(TOKYO, but=["ec2"])
    for service, ask in (("ecs", "list_clusters"), ("rds", "describe_db_clusters"), ("sts", "get_caller_identity")):
        with pytest.raises(ReadTimeoutError):
            getattr(server.client_at(service, TOKYO, config=once), ask)()
    assert server.client_at("ec2", TOKYO, config=once).describe_vpcs()["Vpcs"]
    assert server.client_at("ecs", OSAKA, config=once).list_clusters()["clusterArns"] == []
    assert server.client("ecs", TOKYO).list_clusters()["clusterArns"] == []
    server.speak(TOKYO)
    assert server.client_at("ecs", TOKYO, config=once).list_clusters()["clusterArns"] == []


def test_timestamps_are_lab_time(clock: LabClock) -> None:
    """Dates of what is made, and the Date header, follow the lab's clock."""
    future = LabClock(clock.speed, clock.origin_monotonic_s, clock.origin_epoch_s + 86400)
    server = AwsServer("127.0.0.1", 0, future)
    server.start()
    try:
        reply = server.client("rds", TOKYO).create_db_cluster(
            DBClusterIdentifier="c", Engine="aurora-mysql", MasterUsername="u", MasterUserPassword="password"
        )
        made = reply["DBCluster"]["ClusterCreateTime"]
        sent = parsedate_to_datetime(reply["ResponseMetadata"]["HTTPHeaders"]["date"])
        assert abs(made - future.now()) < timedelta(minutes=5)
        assert abs(sent - future.now()) < timedelta(minutes=5)
    finally:
        server.stop()


def test_sigv4a_call_reaches_its_service(server: AwsServer) -> None:
    """A request signed for a set of Regions is dispatched by its scope, not taken for S3."""
    auth = (
        "AWS4-ECDSA-P256-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/events/aws4_request, "
        "SignedHeaders=host, Signature=x"
    )
    headers = {
        "Authorization": auth,
        "X-Amz-Region-Set": "*",
        "X-Amz-Target": "AWSEvents.PutEvents",
        "Content-Type": "application/x-amz-json-1.1",
    }
    conn = http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=10)
    entry = {"Source": "app", "DetailType": "t", "Detail": "{}"}
    conn.request("POST", "/", json.dumps({"Entries": [entry]}), headers)
    assert json.loads(conn.getresponse().read())["FailedEntryCount"] == 0
    conn.close()


def test_connection_is_kept(server: AwsServer) -> None:
    """Two calls go over one connection, and `Connection: close` ends it."""
    conn = http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=10)
    headers = {"Authorization": "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/sts/aws4_request"}
    sockets = []
    for more in ({}, {"Connection": "close"}):
        conn.request(
            "POST",
            "/",
            "Action=GetCallerIdentity&Version=2011-06-15",
            {
                **headers,
                "Content-Type": "application/x-www-form-urlencoded",
                **more,
            },
        )
        sockets.append(conn.sock)
        assert b"111111111111" in conn.getresponse().read()
    assert sockets[0] is sockets[1]
    assert conn.sock is None


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", b"431"),
    ],
)
def test_broken_http_is_refused(server: AwsServer, raw: bytes, status: bytes) -> None:
    """What is not HTTP, or beyond a limit, gets its status and the connection ends."""
    with socket.create_connection(("127.0.0.1", port_of(server)), 5) as conn:
        conn.sendall(raw)
        assert conn.makefile("rb").readline().split()[1] == status


def test_chunked_body_with_expectation(server: AwsServer) -> None:
    """The AWS CLI's way to send a large body (Expect: 100-continue, chunked) works."""
    s3 = server.client("s3", "us-east-1")
    s3.create_bucket(Bucket="bucket")
    body = b"x" * 300_000
    s3.put_object(Bucket="bucket", Key="a b/c", Body=body)
    assert s3.get_object(Bucket="bucket", Key="a b/c")["Body"].read() == body


def test_second_listener_comes_and_goes(server: AwsServer) -> None:
    """A further address serves the same state; closed, it refuses; opened again, it is back."""
    host, port = server.listen("127.0.0.1")
    client = boto3.client(
        "ecs",
        region_name=TOKYO,
        endpoint_url=f"http://{host}:{port}",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 1}),
    )
    server.client("ecs", TOKYO).create_cluster(clusterName="main")
    assert len(client.list_clusters()["clusterArns"]) == 1
    server.close_listener((host, port))
    with pytest.raises(EndpointConnectionError):
        client.list_clusters()
    server.listen(host, port)
    assert len(client.list_clusters()["clusterArns"]) == 1


def test_busy_port_is_an_error(server: AwsServer, clock: LabClock) -> None:
    """To start on a port in use is an OSError."""
    second = AwsServer("127.0.0.1", port_of(server), clock)
    with pytest.raises(OSError, match="in use"):
        second.start()


def test_stop_leaves_nothing(clock: LabClock) -> None:
    """After stop the port is free, no thread of the server is left, and a new server begins empty."""
    server = AwsServer("127.0.0.1", 0, clock)
    server.start()
    server.client("ecs", TOKYO).create_cluster(clusterName="main")
    port = port_of(server)
    server.stop()
    names = [thread.name for thread in threading.enumerate() if thread.name.startswith("aws-door")]
    assert names == []
    again = AwsServer("127.0.0.1", port, clock)
    again.start()
    assert again.client("ecs", TOKYO).list_clusters()["clusterArns"] == []
    again.stop()
