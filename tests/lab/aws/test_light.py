"""What makes moto light changes nothing that a caller sees."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from moto.core.serialize import BaseJSONSerializer

from lab.aws import light
from lab.aws.server import AwsServer

REGION = "ap-northeast-1"
EVERY_TYPE: dict[str, dict[str, Any]] = {
    "PK": {"S": "key"},
    "text": {"S": ""},
    "number": {"N": "1.50"},
    "yes": {"BOOL": True},
    "no": {"BOOL": False},
    "nothing": {"NULL": True},
    "texts": {"SS": ["a", "b"]},
    "numbers": {"NS": ["1", "2"]},
    "bytes": {"B": b"\x00\xff"},
    "many bytes": {"BS": [b"a", b"\x01"]},
    "list": {"L": [{"S": "a"}, {"B": b"b"}, {"M": {"n": {"N": "1"}}}]},
    "map": {"M": {"deep": {"M": {"b": {"B": b"c"}, "t": {"S": "d"}}}}},
}


@pytest.fixture
def raw(server: AwsServer) -> Iterator[Callable[[], Any]]:
    """A function that reads the item and returns the reply's body as it was on the wire."""
    client = server.client("dynamodb", REGION)
    client.create_table(
        TableName="t",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "PK", "AttributeType": "S"}],
    )
    client.put_item(TableName="t", Item=EVERY_TYPE)
    bodies: list[bytes] = []
    client.meta.events.register(
        "response-received.dynamodb.GetItem", lambda **kw: bodies.append(kw["response_dict"]["body"])
    )

    def read() -> Any:
        found = client.get_item(TableName="t", Key={"PK": {"S": "key"}}, ConsistentRead=True)
        assert found["Item"] == EVERY_TYPE
        return json.loads(bodies[-1])

    yield read


def test_an_item_of_every_type_is_answered_as_moto_answers_it(
    raw: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same body with the quick way for plain values and without it, and the item that was put."""
    ours = raw()
    monkeypatch.setattr(BaseJSONSerializer, "_serialize_type_structure", light._moto_structure)
    assert raw() == ours
