"""moto's DynamoDB tables, made fit for load: cheap queries, cheap transactions, one lock.

As shipped, every Query sorts the whole table and every TransactWriteItems copies it, twice a second per
thousand items; and no lock keeps two threads from both passing one condition. All reads of moto's private
table state are in this module.
"""

from __future__ import annotations

import copy
import inspect
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from moto.dynamodb.models import DynamoDBBackend, dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler

from lab.aws.protocol import ApiCall, dispatch
from lab.aws.wire import HttpReply

LOCK = threading.RLock()
"""Held around every DynamoDB call and every replicated write: conditions and transactions are atomic."""

_moto_query = Table.query
_QUERY = inspect.signature(_moto_query)
_moto_all_items = Table.all_items
_moto_transact = DynamoDBBackend.transact_write_items
_candidates: list[list[Item]] = []

Key = dict[str, dict[str, Any]]
"""A primary key as the API shows it: {"PK": {"S": "a"}}."""


def install() -> None:
    """Put the faster methods in place. Idempotent."""
    Table.query = _query  # type: ignore[method-assign]
    Table.all_items = _all_items  # type: ignore[method-assign]
    DynamoDBBackend.transact_write_items = _transact  # type: ignore[method-assign]


def answer(call: ApiCall) -> HttpReply:
    """Answer one DynamoDB call, alone."""
    with LOCK:
        return dispatch(DynamoHandler, call)


def _all_items(self: Table) -> list[Item]:
    return _candidates[-1] if _candidates else _moto_all_items(self)


def _query(self: Table, *args: Any, **kwargs: Any) -> Any:
    """As moto's, over the items of the wanted partition only."""
    asked = _QUERY.bind(self, *args, **kwargs).arguments
    if asked.get("index_name") is None and asked["hash_key"] is not None:
        found = _partition(self, asked["hash_key"])
    elif wanted := asked.get("hash_key_conditions"):
        found = _with_attributes(self, wanted)
    else:
        return _moto_query(self, *args, **kwargs)
    with LOCK:
        _candidates.append(found)
        try:
            return _moto_query(self, *args, **kwargs)
        finally:
            _candidates.pop()


def _partition(table: Table, hash_key: DynamoType) -> list[Item]:
    held: Any = table.items.get(hash_key)
    if held is None:
        return []
    return list(held.values()) if table.range_key_attr else [held]


def _with_attributes(table: Table, wanted: list[tuple[str, DynamoType]]) -> list[Item]:
    name, first = wanted[0]
    return [
        item
        for item in _stored(table)
        # Values before types: it settles almost every item without a method call.
        if (value := item.attrs.get(name)) is not None and value.value == first.value and value == first
    ]


def _stored(table: Table) -> Iterator[Item]:
    held: Any  # a dict by range key, or the item itself in a table without one
    for held in table.items.values():
        if table.range_key_attr:
            yield from held.values()
        else:
            yield held


def _transact(self: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
    """As moto's, but what it takes back on failure is the items named, not a copy of each table."""
    with LOCK:
        before = [
            (table_name, key, copy.deepcopy(_find(self.tables[table_name], key)))
            for table_name, key in touched_by_transaction(self, transact_items)
        ]
        try:
            with _tables_not_copied():
                _moto_transact(self, transact_items)
        except Exception:
            for table_name, key, item in before:
                _store(self.tables[table_name], key, item)
            raise


@contextmanager
def _tables_not_copied() -> Iterator[None]:
    Table.__deepcopy__ = lambda table, memo: table  # type: ignore[attr-defined]
    try:
        yield
    finally:
        del Table.__deepcopy__  # type: ignore[attr-defined]


def touched_by_transaction(backend: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> list[tuple[str, Key]]:
    """(table name, key) of each item that a TransactWriteItems names, in tables that exist."""
    found = []
    for entry in transact_items:
        kind, op = next(iter(entry.items()))
        table = find_table(backend, op.get("TableName", ""))
        if table is not None and (key := key_of(table, op.get("Item" if kind == "Put" else "Key", {}))):
            found.append((table.name, key))
    return found


def find_table(backend: DynamoDBBackend, name_or_arn: str) -> Table | None:
    """The table of that name or ARN, or None."""
    return backend.tables.get(name_or_arn.rpartition("/")[2])


def key_of(table: Table, attributes: dict[str, Any]) -> Key | None:
    """The primary key among these attributes; None when one is missing (moto will refuse the call)."""
    if not all(name in attributes for name in table.table_key_attrs):
        return None
    return {name: attributes[name] for name in table.table_key_attrs}


def _typed(table: Table, key: Key) -> tuple[DynamoType, DynamoType | None]:
    hash_key = DynamoType(key[table.hash_key_attr])
    return hash_key, DynamoType(key[table.range_key_attr]) if table.range_key_attr else None


def _find(table: Table, key: Key) -> Item | None:
    return table.get_item(*_typed(table, key))


def _store(table: Table, key: Key, item: Item | None) -> None:
    hash_key, range_key = _typed(table, key)
    if item is None:
        table.delete_item(hash_key, range_key)
    elif range_key is None:
        table.items[hash_key] = item  # type: ignore[assignment]
    else:
        table.items[hash_key][range_key] = item


def backend_of(account: str, region: str) -> DynamoDBBackend:
    """moto's store of one Region."""
    return dynamodb_backends[account][region]


def image(table: Table, key: Key) -> Item | None:
    """A copy of the item as it is now, None when there is none."""
    return copy.deepcopy(_find(table, key))


def put_image(table: Table, key: Key, item: Item | None) -> None:
    """Make the item equal to the image (a copy of it), None deletes."""
    _store(table, key, copy.deepcopy(item))


def clone_table(source: Table, region: str) -> Table:
    """The same table, with its items, for another Region; without a stream."""
    twin = copy.deepcopy(source)
    twin.region_name = region
    twin.table_arn = twin._generate_arn(source.name)
    twin.set_stream_specification(None)
    twin.stream_shard = None
    return twin
