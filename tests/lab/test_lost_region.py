"""What a Region takes along when all of its network is gone."""

from __future__ import annotations

import socket

import pytest
from botocore.config import Config
from botocore.exceptions import ReadTimeoutError

from lab.aws.arc import ENDPOINT_REGIONS, Arc
from lab.aws.dynamodb import GlobalTables
from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.lost_region import LostRegions
from lab.truth import Truth
from tests.checks.worlds import eventually

TOKYO, OSAKA = "ap-northeast-1", "ap-northeast-3"
SUBNETS = ["127.100.0.0/22", "127.100.4.0/22"]
HOSTS = {TOKYO: ["127.100.3.10", "127.100.5.165"], OSAKA: ["127.101.3.10", "127.101.5.165"]}
ONCE = Config(read_timeout=0.3, retries={"total_max_attempts": 1})


def answers(server: AwsServer, region: str) -> bool:
    """Whether the Region's API answers somebody from outside."""
    try:
        server.client_at("dynamodb", region, config=ONCE).list_tables()
    except ReadTimeoutError:
        return False
    return True


def listening(address: tuple[str, int]) -> bool:
    """Whether somebody takes connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(address) == 0


@pytest.fixture
def tables(server: AwsServer, clock: LabClock, truth: Truth) -> GlobalTables:
    """A global table "t" of both Regions."""
    tables = GlobalTables(server, clock, truth, 0.0)
    keys = {"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "PK", "AttributeType": "S"}
    for region in (TOKYO, OSAKA):
        server.client("dynamodb", region).create_table(
            TableName="t", KeySchema=[keys[0]], AttributeDefinitions=[keys[1]], BillingMode="PAY_PER_REQUEST"
        )
    tables.replicate("t", [TOKYO, OSAKA])
    return tables


def test_a_region_without_any_network_is_gone_as_a_whole_and_comes_back(
    server: AwsServer, truth: Truth, tables: GlobalTables
) -> None:
    """Its API hangs, its ARC endpoint refuses, its writes stay there; the other Region is as ever. A Region that has
    one subnet left has lost nothing but subnets."""
    arc = Arc(server, truth)
    endpoints = arc.create_cluster("c").endpoints
    lost = LostRegions(server, arc, tables, truth, HOSTS)
    tables.start()
    try:
        lost.heard(SUBNETS[:1])
        assert (answers(server, TOKYO), lost.is_lost(TOKYO)) == (True, False)
        lost.heard(SUBNETS)
        assert (answers(server, TOKYO), answers(server, OSAKA), lost.is_lost(TOKYO)) == (False, True, True)
        assert [region for region in ENDPOINT_REGIONS if not listening(endpoints[region])] == [TOKYO]
        # By an engine's client: nobody else can write there now.
        server.client("dynamodb", TOKYO).put_item(TableName="t", Item={"PK": {"S": "stays"}})
        assert tables.pending(TOKYO) == 1
        lost.heard([])
        assert (answers(server, TOKYO), lost.is_lost(TOKYO)) == (True, False)
        assert all(map(listening, endpoints.values()))
        eventually(lambda: server.client("dynamodb", OSAKA).scan(TableName="t")["Items"], 5.0)
    finally:
        tables.stop()
