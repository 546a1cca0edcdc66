"""AskedOnce: the same answers as a client gives, each fetched once; against a real API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from drill.asked_once import AskedOnce
from drill.aws import Aws
from drill.find import find_all
from drill.target import Resource
from lab.aws.misbehave import parse
from lab.aws.server import AwsServer
from lab.clock import LabClock

TOKYO, OSAKA = "ap-northeast-1", "ap-northeast-3"
RULES = 60
"""More than moto lists on one page."""


@pytest.fixture(scope="module")
def server() -> Iterator[AwsServer]:
    """An account with many rules in Tokyo and a table in Osaka."""
    made = AwsServer("127.0.0.1", 0, LabClock.starting_now(100.0))
    made.start()
    for number in range(RULES):
        made.client("events", TOKYO).put_rule(Name=f"r{number:02}", EventPattern='{"source":["x"]}')
    made.client("dynamodb", OSAKA).create_table(
        TableName="t",
        AttributeDefinitions=[{"AttributeName": "PK", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    yield made
    made.stop()


@pytest.fixture
def sent() -> list[str]:
    """Region and operation of each request."""
    return []


@pytest.fixture
def aws(server: AwsServer, sent: list[str]) -> Aws:
    """Clients of it, whose requests are noted."""
    clients = Aws(server.url)
    clients.admit = lambda call: sent.append(f"{call.region} {call.operation}")
    return clients


@pytest.mark.parametrize(
    ("kind", "resource"),
    [
        ("events.rule", Resource(region=TOKYO, name="r*")),
        ("events.rule", Resource(region=OSAKA, name="r*")),
        ("dynamodb.table", Resource(region=OSAKA, name="*")),
    ],
    ids=lambda value: value if isinstance(value, str) else value.region,
)
def test_it_says_what_the_api_says_and_asks_no_more(aws: Aws, sent: list[str], kind: str, resource: Resource) -> None:
    """All pages, of another Region other ones; looked through again without a request."""
    plain = find_all(aws, kind, resource)
    asked = list(sent)
    looking = AskedOnce(aws)
    assert [find_all(looking, kind, resource) for _ in range(3)] == [plain] * 3
    assert sent == asked * 2
    assert len(plain) == {"events.rule": RULES if resource.region == TOKYO else 0, "dynamodb.table": 1}[kind]


def test_what_was_asked_otherwise_is_asked(aws: Aws, sent: list[str]) -> None:
    """Other parameters are another question."""
    events = AskedOnce(aws).client("events", TOKYO)
    names = [events.describe_rule(Name=name)["Name"] for name in ("r01", "r02", "r01")]
    assert names == ["r01", "r02", "r01"]
    assert len(sent) == 2


def test_an_error_is_not_remembered(aws: Aws, server: AwsServer) -> None:
    """Of a page or of a reply: the next to ask gets what AWS says then, not an empty list."""
    looking, rules = AskedOnce(aws), Resource(region=TOKYO, name="r*")
    events = looking.client("events", TOKYO)
    server.misbehave(parse("expired"))
    try:
        with pytest.raises(ClientError):
            find_all(looking, "events.rule", rules)
        with pytest.raises(ClientError):
            events.describe_rule(Name="r01")
    finally:
        server.behave()
    assert len(find_all(looking, "events.rule", rules)) == RULES
    assert events.describe_rule(Name="r01")["Name"] == "r01"
