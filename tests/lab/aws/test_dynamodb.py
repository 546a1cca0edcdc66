"""DynamoDB as the lab serves it: atomic transactions, queries, global tables with lag and cut links."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.aws.dynamodb import GlobalTables
from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.truth import Truth

TOKYO, OSAKA = "ap-northeast-1", "ap-northeast-3"
TABLE = "main"


@pytest.fixture
def tables(server: AwsServer, clock: LabClock, truth: Truth) -> Iterator[GlobalTables]:
    """One global table (PK, SK, GSI1) in two Regions with 10 lab seconds of lag: 0.1 s."""
    tables = GlobalTables(server, clock, truth, lag_s=10.0)
    tables.start()
    for region in (TOKYO, OSAKA):
        create(server, region, TABLE)
    tables.replicate(TABLE, [TOKYO, OSAKA])
    yield tables
    tables.stop()


def create(server: AwsServer, region: str, name: str) -> None:
    """A table with the keys of the core-banking system."""
    server.client("dynamodb", region).create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": a, "AttributeType": "S"} for a in ("PK", "SK", "status")],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "GSI1",
                "KeySchema": [{"AttributeName": "status", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )


def key(name: str) -> dict[str, Any]:
    """The key of a test item."""
    return {"PK": {"S": name}, "SK": {"S": "tx"}}


def read(server: AwsServer, region: str, name: str) -> dict[str, Any] | None:
    """The item in that Region, or None."""
    found = server.client("dynamodb", region).get_item(TableName=TABLE, Key=key(name))
    item: dict[str, Any] | None = found.get("Item")
    return item


def put(server: AwsServer, region: str, name: str, status: str) -> None:
    """Write the item in that Region."""
    item = {**key(name), "status": {"S": status}}
    server.client("dynamodb", region).put_item(TableName=TABLE, Item=item)


def within(wall_s: float, check: Callable[[], bool]) -> bool:
    """Whether `check` comes true before `wall_s` wall seconds are over."""
    end_s = time.monotonic() + wall_s
    while time.monotonic() < end_s:
        if check():
            return True
        time.sleep(0.01)
    return check()


def test_write_arrives_after_the_lag(server: AwsServer, tables: GlobalTables, clock: LabClock) -> None:
    """A write is read at once in its own Region and only after the lag in the other."""
    tables.lag_s = 40.0
    before_s = clock.now_s()
    put(server, TOKYO, "a", "new")
    assert read(server, TOKYO, "a")
    there_at_once = read(server, OSAKA, "a") is not None
    looked_after_s = clock.now_s() - before_s
    assert not there_at_once or looked_after_s >= 40.0  # this machine may have stalled for longer than the lag
    assert within(3, lambda: read(server, OSAKA, "a") is not None)
    assert clock.now_s() - before_s >= 40.0


def test_every_kind_of_write_replicates(server: AwsServer, tables: GlobalTables) -> None:
    """Put, update, delete, batch and transaction all reach the other Region in their order."""
    client = server.client("dynamodb", TOKYO)
    put(server, TOKYO, "a", "new")
    client.update_item(
        TableName=TABLE,
        Key=key("a"),
        UpdateExpression="SET #s = :s",
        ExpressionAttributeNames={"#s": "status"},
        ExpressionAttributeValues={":s": {"S": "updated"}},
    )
    client.batch_write_item(RequestItems={TABLE: [{"PutRequest": {"Item": key("b")}}]})
    client.transact_write_items(TransactItems=[{"Put": {"TableName": TABLE, "Item": key("c")}}])
    client.delete_item(TableName=TABLE, Key=key("b"))
    assert within(3, lambda: tables.pending(TOKYO) == 0 and read(server, OSAKA, "c") is not None)
    arrived = read(server, OSAKA, "a")
    assert arrived is not None
    assert arrived["status"] == {"S": "updated"}
    assert read(server, OSAKA, "b") is None


def test_cut_region_keeps_its_writes(server: AwsServer, tables: GlobalTables) -> None:
    """Nothing leaves a cut Region until it is mended; what comes the other way still arrives."""
    tables.cut(TOKYO)
    put(server, TOKYO, "a", "new")
    put(server, OSAKA, "b", "new")
    assert within(3, lambda: read(server, TOKYO, "b") is not None)
    assert read(server, OSAKA, "a") is None
    assert tables.pending(TOKYO) == 1
    tables.mend(TOKYO)
    assert within(3, lambda: read(server, OSAKA, "a") is not None)


def test_last_writer_wins(server: AwsServer, tables: GlobalTables) -> None:
    """An older write that arrives late does not replace a newer one, and both Regions end alike."""
    tables.cut(TOKYO)
    put(server, TOKYO, "a", "older")
    put(server, OSAKA, "a", "newer")
    tables.mend(TOKYO)
    assert within(3, lambda: tables.pending(TOKYO) + tables.pending(OSAKA) == 0)
    time.sleep(0.05)
    assert [read(server, region, "a") for region in (TOKYO, OSAKA)] == [{**key("a"), "status": {"S": "newer"}}] * 2


def test_regional_table_stays_regional(server: AwsServer, tables: GlobalTables) -> None:
    """A table that was not made global is not replicated."""
    for region in (TOKYO, OSAKA):
        create(server, region, "params")
    server.client("dynamodb", TOKYO).put_item(TableName="params", Item=key("stopFlag"))
    put(server, TOKYO, "a", "new")
    assert within(3, lambda: read(server, OSAKA, "a") is not None)
    assert server.client("dynamodb", OSAKA).scan(TableName="params")["Items"] == []


def test_replica_by_update_table(server: AwsServer, tables: GlobalTables) -> None:
    """UpdateTable ReplicaUpdates makes the table in the other Region with its items, and describes it."""
    client = server.client("dynamodb", TOKYO)
    create(server, TOKYO, "later")
    client.put_item(TableName="later", Item=key("old"))
    client.update_table(TableName="later", ReplicaUpdates=[{"Create": {"RegionName": OSAKA}}])
    described = client.describe_table(TableName="later")["Table"]
    assert [replica["RegionName"] for replica in described["Replicas"]] == [OSAKA]
    there = server.client("dynamodb", OSAKA)
    assert there.describe_table(TableName="later")["Table"]["TableArn"].split(":")[3] == OSAKA
    client.put_item(TableName="later", Item=key("new"))
    assert within(3, lambda: there.scan(TableName="later")["Count"] == 2)


def test_failed_transaction_changes_nothing(server: AwsServer, tables: GlobalTables) -> None:
    """A transaction of which one condition fails leaves every item as it was and replicates nothing."""
    client = server.client("dynamodb", TOKYO)
    put(server, TOKYO, "a", "old")
    assert within(3, lambda: tables.pending(TOKYO) == 0)
    fresh = {"TableName": TABLE, "Item": {**key("a"), "status": {"S": "changed"}}}
    locked = {"TableName": TABLE, "Item": key("a2"), "ConditionExpression": "attribute_exists(PK)"}
    with pytest.raises(client.exceptions.TransactionCanceledException) as error:
        client.transact_write_items(TransactItems=[{"Put": fresh}, {"Put": locked}])
    codes = [reason["Code"] for reason in error.value.response["CancellationReasons"]]
    assert codes == ["None", "ConditionalCheckFailed"]
    found = read(server, TOKYO, "a")
    assert found is not None
    assert found["status"] == {"S": "old"}
    assert tables.pending(TOKYO) == 0


def test_lock_is_taken_once(server: AwsServer, tables: GlobalTables) -> None:
    """Of many simultaneous conditional transactions on one lock exactly one succeeds."""
    client = server.client("dynamodb", TOKYO)
    lock = {"TableName": TABLE, "Item": key("lock"), "ConditionExpression": "attribute_not_exists(PK)"}
    won: list[str] = []

    def take(name: str) -> None:
        try:
            client.transact_write_items(TransactItems=[{"Put": lock}])
        except client.exceptions.TransactionCanceledException:
            return
        won.append(name)

    threads = [threading.Thread(target=take, args=(str(n),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(won) == 1


def test_index_query_finds_only_its_partition(server: AwsServer, tables: GlobalTables) -> None:
    """A query of GSI1 returns the items of that status and a table query those of that key."""
    client = server.client("dynamodb", TOKYO)
    for n in range(6):
        put(server, TOKYO, f"t{n}", "pending" if n % 2 else "done")
    by_index = client.query(
        TableName=TABLE,
        IndexName="GSI1",
        KeyConditionExpression="#s = :s",
        ExpressionAttributeNames={"#s": "status"},
        ExpressionAttributeValues={":s": {"S": "pending"}},
    )
    assert [item["PK"]["S"] for item in by_index["Items"]] == ["t1", "t3", "t5"]
    by_key = client.query(
        TableName=TABLE, KeyConditionExpression="PK = :p", ExpressionAttributeValues={":p": {"S": "t4"}}
    )
    assert [item["status"]["S"] for item in by_key["Items"]] == ["done"]
