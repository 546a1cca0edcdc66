"""The sample application's API, as a customer sees it."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from lab.clock import LabClock
from lab.core_banking.service import StopFlag
from lab.dynamodb_client import DynamoDb
from lab.launch import Lab
from tests.lab.core_banking.customer import OSAKA, TOKYO, Customer, aws, until


@pytest.fixture
def customer(lab: Lab) -> Customer:
    return Customer.new(lab.info)


def test_a_deposit_is_accepted_first_and_moves_the_money_later(customer: Customer) -> None:
    """A 200 brings an id; the transaction settles as success and the balance has the money once."""
    assert customer.do("deposit", 700) == "status#success"
    assert customer.balance() == 700


def test_an_account_has_one_open_transaction_at_a_time(customer: Customer) -> None:
    """While a transaction is open the next one of the account is refused with 429."""
    first = customer.begin("deposit", 10)
    status, _ = customer.ask("POST", "/transaction/deposit", {"quantity": 10})
    assert status == 429
    assert customer.settled(first) == "status#success"
    assert customer.do("deposit", 10) == "status#success"


def test_a_withdrawal_of_too_much_is_rolled_back(customer: Customer) -> None:
    """A refused step is compensated: state success_rollback, balance and withdrawal count as before."""
    customer.do("deposit", 100)
    assert customer.do("withdraw", 101) == "status#success_rollback"
    assert customer.balance() == 100
    body = {"transactionId": str(uuid.uuid4())}
    assert customer.ask("PUT", "/count/withdraw", body) == (200, {"count": 1})


def test_the_fourth_withdrawal_costs_a_fee(customer: Customer) -> None:
    """Three withdrawals are free, each further one costs 100."""
    customer.do("deposit", 1000)
    assert [customer.do("withdraw", 100) for _ in range(4)] == ["status#success"] * 4
    assert customer.balance() == 1000 - 4 * 100 - 100


def test_a_step_repeated_with_the_same_id_counts_once(customer: Customer) -> None:
    """Balance and count know the account's last transaction id."""
    body = {"transactionId": str(uuid.uuid4()), "quantity": 50}
    answers = [customer.ask("PUT", "/balance/deposit", body) for _ in range(2)]
    assert answers == [(200, {"balance": 50, "accountId": customer.account})] * 2
    assert [customer.ask("PUT", "/count/withdraw", body) for _ in range(2)] == [(200, {"count": 1})] * 2


def test_unknown_and_foreign_transactions_are_404(lab: Lab, customer: Customer) -> None:
    """A transaction is visible to its own account only."""
    transaction_id = customer.begin("deposit", 10)
    assert customer.ask("GET", f"/transaction/{uuid.uuid4()}")[0] == 404
    assert Customer.new(lab.info).ask("GET", f"/transaction/{transaction_id}")[0] == 404


@pytest.mark.parametrize("body", [{}, {"quantity": 0}, {"quantity": -1}, {"quantity": "1"}, {"quantity": True}, []])
def test_a_quantity_that_is_no_positive_whole_number_is_400(customer: Customer, body: object) -> None:
    """Nothing is written for a request that makes no sense."""
    assert customer.ask("POST", "/transaction/deposit", body)[0] == 400


def test_the_stopped_region_answers_503_to_everything(lab: Lab) -> None:
    """Osaka's stop flag is set: POST and GET are 503 with the published sentence; balances can be read."""
    osaka = Customer.new(lab.info, OSAKA)
    said = {"message": "transaction service is temporarily stopped"}
    assert osaka.ask("POST", "/transaction/deposit", {"quantity": 1}) == (503, said)
    assert osaka.ask("GET", f"/transaction/{uuid.uuid4()}") == (503, said)
    assert osaka.balance() == 0


def test_data_reaches_osaka(lab: Lab, customer: Customer) -> None:
    """The transaction's record and the balance arrive in Osaka, by DynamoDB and PostgreSQL replication."""
    transaction_id = customer.begin("deposit", 33)
    customer.settled(transaction_id)
    osaka = Customer(lab.info, "127.101.5.165", customer.account)
    assert until(lambda: osaka.balance() == 33, 5)
    assert until(lambda: record(lab, OSAKA, transaction_id).get("GSI1") == {"S": "status#success"}, 5)


def test_a_settled_transaction_leaves_no_lock_and_no_step(lab: Lab, customer: Customer) -> None:
    """Only the record stays in the table."""
    transaction_id = customer.begin("deposit", 33)
    customer.settled(transaction_id)
    dynamodb, table = aws(lab.info, "dynamodb", TOKYO), main_table(lab)
    lock = {"PK": {"S": f"account#{customer.account}"}, "SK": {"S": "lock"}}
    assert "Item" not in dynamodb.get_item(TableName=table, Key=lock)
    query = dynamodb.query(
        TableName=table,
        KeyConditionExpression="PK = :pk",
        ExpressionAttributeValues={":pk": {"S": f"transaction#{transaction_id}"}},
    )
    assert [item["SK"]["S"] for item in query["Items"]] == ["record"]


def main_table(lab: Lab) -> str:
    tables = aws(lab.info, "dynamodb", TOKYO).list_tables()["TableNames"]
    (name,) = [table for table in tables if "GlobalTable" in table]
    return str(name)


def record(lab: Lab, region: str, transaction_id: str) -> dict[str, Any]:
    key = {"PK": {"S": f"transaction#{transaction_id}"}, "SK": {"S": "record"}}
    found = aws(lab.info, "dynamodb", region).get_item(TableName=main_table(lab), Key=key)
    return dict(found.get("Item", {}))


@pytest.mark.parametrize("default", [True, False])
def test_without_dynamodb_the_stop_flag_is_its_default(default: bool) -> None:
    """The API fails open (False) and the worker stops (True) while DynamoDB does not answer."""
    flag = StopFlag(DynamoDb("127.0.0.1", 1, TOKYO), "t", LabClock.starting_now(10), default)
    assert asyncio.run(flag.is_set()) is default
