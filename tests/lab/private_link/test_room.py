"""The whole system: one lab of each kind of database, which fails over once."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import dns.resolver
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from drill.sql_door import engine_of
from drill.sql_session import NotOpen, SqlServer
from lab.launch import Lab, LabInfo, launch
from lab.private_link import names
from lab.private_link.names import INSTANCES, READER, TOKYO, WRITER
from tests.mariadb import needs_mariadb

SPEED = 30.0
LIMIT_S = 60.0


@pytest.fixture(
    scope="module", params=["postgresql", pytest.param("mariadb", marks=[needs_mariadb, pytest.mark.long])]
)
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """One system for this file."""
    with launch("private-link-replication", SPEED, settings=[f"engine={request.param}"]) as running:
        yield running


def aws(info: LabInfo, service: str) -> Any:
    """A boto3 client of the lab."""
    return boto3.client(
        service,
        region_name=TOKYO,
        endpoint_url=info.aws_endpoint,
        aws_access_key_id="lab",
        aws_secret_access_key="lab",
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )


def until(condition: Callable[[], bool]) -> bool:
    """Poll every 50 ms; what the condition says at the end."""
    deadline = time.monotonic() + LIMIT_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def sql(info: LabInfo, host: str, statement: str, *values: str) -> tuple[Any, ...] | None:
    """Run a statement as a client does; its first row. NotOpen, or an error of `refusals`."""
    engine = engine_of(f"{info.scheme}://{host}")
    with contextlib.closing(engine.open(SqlServer(host, info.http_port, engine.database, "drill"), host, 5.0)) as one:
        return one.run(statement, values)


def refusals(info: LabInfo) -> type[Exception]:
    """What a server raises that does not take a statement."""
    return engine_of(f"{info.scheme}://").errors


def mark(info: LabInfo, host: str) -> str:
    """Commit a marker there."""
    made = str(uuid.uuid4())
    sql(info, host, "INSERT INTO drill_marker (id, account, body) VALUES (%s, 'test', '{}')", made)
    return made


def arrived(info: LabInfo, marker: str) -> bool:
    """Whether it is at the replica."""
    return sql(info, names.REPLICA_ADDRESS, "SELECT id FROM drill_marker WHERE id = %s", marker) is not None


def group(info: LabInfo) -> str:
    """The target group's ARN."""
    return str(aws(info, "elbv2").describe_target_groups()["TargetGroups"][0]["TargetGroupArn"])


def registered(info: LabInfo) -> dict[str, str]:
    """Address -> state."""
    shown = aws(info, "elbv2").describe_target_health(TargetGroupArn=group(info))["TargetHealthDescriptions"]
    return {t["Target"]["Id"]: t["TargetHealth"]["State"] for t in shown}


def cluster(info: LabInfo) -> dict[str, Any]:
    """As DescribeDBClusters shows it."""
    return dict(aws(info, "rds").describe_db_clusters(DBClusterIdentifier=names.CLUSTER)["DBClusters"][0])


def writer(info: LabInfo) -> str:
    """The instance that the cluster names as its writer."""
    return next(m["DBInstanceIdentifier"] for m in cluster(info)["DBClusterMembers"] if m["IsClusterWriter"])


def endpoint(info: LabInfo) -> set[str]:
    """What the cluster's endpoint resolves to."""
    resolver = dns.resolver.Resolver(configure=False)
    host, resolver.port = info.resolvers[TOKYO]
    resolver.nameservers = [host]
    return {str(record) for record in resolver.resolve(names.ENDPOINT, "A", lifetime=5)}


def test_it_is_as_published(lab: Lab) -> None:
    """One target, always unhealthy; the reader takes no writes; no address outside of the VPC can be registered."""
    assert writer(lab.info) == WRITER
    assert endpoint(lab.info) == {INSTANCES[WRITER]}
    assert registered(lab.info) == {INSTANCES[WRITER]: "unhealthy"}
    with pytest.raises(refusals(lab.info), match="read-only"):
        mark(lab.info, INSTANCES[READER])
    with pytest.raises(ClientError, match="InvalidTarget"):
        aws(lab.info, "elbv2").register_targets(TargetGroupArn=group(lab.info), Targets=[{"Id": "192.0.2.1"}])


def test_the_replica_follows_a_failover(lab: Lab) -> None:
    """The start event turns the balancer before the promotion; markers of before and after reach the replica."""
    before, rds = mark(lab.info, INSTANCES[WRITER]), aws(lab.info, "rds")
    rds.failover_db_cluster(DBClusterIdentifier=names.CLUSTER)
    with pytest.raises(ClientError, match="InvalidDBClusterStateFault"):
        rds.failover_db_cluster(DBClusterIdentifier=names.CLUSTER)
    assert until(lambda: writer(lab.info) == READER and cluster(lab.info)["Status"] == "available")
    assert until(lambda: endpoint(lab.info) == {INSTANCES[READER]})
    assert set(registered(lab.info)) == {INSTANCES[READER]}
    after = mark(lab.info, INSTANCES[READER])
    assert until(lambda: arrived(lab.info, after) and arrived(lab.info, before))
    shown = rds.describe_events(SourceType="db-cluster", SourceIdentifier=names.CLUSTER)["Events"]
    assert [e["Message"] for e in shown] == [
        f"Started cross AZ failover to DB instance: {READER}",
        f"Completed failover to DB instance: {READER}",
    ]


def test_pointed_at_the_reader_the_replica_gets_nothing(lab: Lab) -> None:
    """The first instance is the reader now: who follows it is refused, and goes on once that is put right."""
    elb, port = aws(lab.info, "elbv2"), lab.info.http_port
    (right,) = registered(lab.info)
    wrong = next(address for address in INSTANCES.values() if address != right)
    assert until(lambda: reads_only(lab.info, wrong))
    for gone, new in ((right, wrong), (wrong, right)):
        elb.deregister_targets(TargetGroupArn=group(lab.info), Targets=[{"Id": gone, "Port": port}])
        elb.register_targets(TargetGroupArn=group(lab.info), Targets=[{"Id": new, "Port": port}])
        assert until(lambda new=new: registered(lab.info) == {new: "unhealthy"})  # type: ignore[misc]
        if new == wrong:
            stuck = mark(lab.info, right)
            time.sleep(3 * 60 / SPEED)  # longer than the replica waits between two attempts
            assert not arrived(lab.info, stuck)
    assert until(lambda: arrived(lab.info, stuck))


def reads_only(info: LabInfo, host: str) -> bool:
    """Whether a reader answers there."""
    try:
        mark(info, host)
    except NotOpen:
        return False
    except refusals(info) as error:
        return "read-only" in str(error)
    return False


def test_a_setting_that_does_not_exist_is_refused_by_name() -> None:
    """The message names what there is."""
    with pytest.raises(Exception, match=r"not a setting of private-link-replication; .*nlb.registration_s"):
        launch("private-link-replication", SPEED, settings=["nlb.delay=1"])
