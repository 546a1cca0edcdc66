"""DynamoDB global tables: asynchronous replication between Regions with a lag, and links that can be cut.

By the developer guide ("Global tables: how it works", version 2019.11.21): every replica takes writes, each
write reaches the others asynchronously, transactions do not span Regions, and of two writes to one item the
last writer wins. Not played: writes by PartiQL (ExecuteStatement and its batch forms) stay in their Region.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from moto.dynamodb.models.dynamo_type import Item

from lab.aws import dynamodb_store as store
from lab.aws.dynamodb_policy import install, refusal
from lab.aws.protocol import ApiCall
from lab.aws.server import AwsServer
from lab.aws.wire import HttpReply
from lab.clock import LabClock
from lab.truth import Truth

TABLE_VERSION = "2019.11.21"
MAX_QUEUED = 200_000
"""Writes waiting for all links together; beyond this the lab refuses writes rather than grow."""
STOP_WALL_S = 3.0
_IDLE_WALL_S = 60.0


@dataclass(frozen=True)
class Write:
    """An item as one Region left it. item None is a deletion; lab_s is when it was written."""

    table: str
    key: store.Key
    item: Item | None
    region: str
    lab_s: float


@dataclass(frozen=True)
class Link:
    """Replication of a table out of one Region into another."""

    source: str
    target: str
    table: str


class GlobalTables:
    """Serves DynamoDB for `server` and replicates the tables that have replicas.

    lag_s: lab seconds from a write to its arrival in the other Regions; may be set at any time and then also
    holds for what is under way.
    """

    def __init__(self, server: AwsServer, clock: LabClock, truth: Truth, lag_s: float) -> None:
        self._server = server
        self._clock = clock
        self._truth = truth
        self._lag_s = lag_s
        self._wake = threading.Condition()
        self._replicas: dict[str, frozenset[str]] = {}
        self._queues: dict[Link, deque[Write]] = {}
        self._cut: set[str] = set()
        self._paused: dict[tuple[str, str], float] = {}
        self._late_since_s: dict[Link, float] = {}
        # Who wrote an item last, by (Region, table, key): what last-writer-wins compares.
        self._stamps: dict[tuple[str, str, str], tuple[float, str]] = {}
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="dynamodb-replication", daemon=True)
        store.install()
        install()
        server.serve("dynamodb", self._answer)

    def start(self) -> None:
        """Begin to replicate."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what is queued is dropped."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(STOP_WALL_S)

    @property
    def lag_s(self) -> float:
        """Lab seconds from a write to its arrival elsewhere."""
        return self._lag_s

    @lag_s.setter
    def lag_s(self, value: float) -> None:
        with self._wake:
            self._lag_s = value
            self._wake.notify()

    def replicate(self, table: str, regions: Sequence[str]) -> None:
        """Make the tables of that name, which exist in each of the Regions, replicas of each other.

        Writes made before stay where they are. KeyError naming the Region in which there is no such table.
        """
        for region in regions:
            if store.find_table(self._backend(region), table) is None:
                raise KeyError(f"no table {table} in {region}")
        with store.LOCK:
            self._replicas[table] = frozenset(regions)

    def cut(self, region: str) -> None:
        """From now on no write of that Region arrives elsewhere; writes queue up."""
        with self._wake:
            self._cut.add(region)
        self._truth.record("dynamodb.cut", region=region)

    def mend(self, region: str) -> None:
        """Undo `cut`: what queued up arrives at once, in order."""
        with self._wake:
            self._cut.discard(region)
            for link in self._queues:
                if link.source == region:
                    self._late_since_s[link] = self._clock.now_s()
            self._wake.notify()
        self._truth.record("dynamodb.mend", region=region)

    def pause(self, table: str, region: str, from_s: float) -> None:
        """From that lab instant on no write of the table leaves the Region or reaches it; writes queue up."""
        with self._wake:
            self._paused[table, region] = from_s
            self._wake.notify()
        self._truth.record("dynamodb.pause", table=table, region=region, from_lab_s=from_s)

    def resume(self, table: str, region: str) -> None:
        """Undo `pause`: what queued up arrives at once, in order. The truth notes what the others have lacked."""
        with self._wake:
            self._paused.pop((table, region), None)
            links = [link for link in self._queues if link.table == table and region in (link.source, link.target)]
            lacking = [
                list(write.key.values()) for link in links if link.source == region for write in self._queues[link]
            ]
            self._late_since_s.update(dict.fromkeys(links, self._clock.now_s()))
            self._wake.notify()
        keys = sorted({" ".join(str(v) for part in key for v in part.values()) for key in lacking})
        self._truth.record("dynamodb.resume", table=table, region=region, lacking=keys)

    def pending(self, region: str) -> int:
        """How many writes of that Region have not arrived in some other Region yet."""
        with self._wake:
            return sum(len(queue) for link, queue in self._queues.items() if link.source == region)

    def _backend(self, region: str) -> Any:
        return store.backend_of(self._server.account, region)

    def _answer(self, call: ApiCall) -> HttpReply:
        target = call.http.headers.get("x-amz-target", "")
        if not target.startswith("DynamoDB_20120810."):
            return self._server.to_moto(call)
        with store.LOCK:
            if denied := refusal(call, self._backend(call.region), self._server.account):
                return denied
            reply = store.answer(call)
            if reply.status != 200:
                return reply
            if call.target_operation in _WRITES:
                self._capture(call.region, call.target_operation, json.loads(call.http.body))
            elif call.target_operation in _TABLE_OPERATIONS:
                return self._table_operation(call, reply)
        return reply

    def _capture(self, region: str, operation: str, body: dict[str, Any]) -> None:
        backend = self._backend(region)
        now_s = self._clock.now_s()
        for table_name, key in _touched(backend, operation, body):
            others = self._replicas.get(table_name, frozenset()) - {region}
            if others:
                item = store.image(backend.tables[table_name], key)
                self._stamps[(region, table_name, _text(key))] = (now_s, region)
                self._enqueue(Write(table_name, key, item, region, now_s), others)

    def _enqueue(self, write: Write, targets: frozenset[str]) -> None:
        with self._wake:
            if sum(len(queue) for queue in self._queues.values()) >= MAX_QUEUED:
                raise MemoryError(f"{MAX_QUEUED} writes wait for replication")
            for target in targets:
                self._queues.setdefault(Link(write.region, target, write.table), deque()).append(write)
            self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                due = self._take_due()
                while not due and not self._stopping:
                    self._wake.wait(self._wait_wall_s())
                    due = self._take_due()
                if self._stopping:
                    return
            for link, write in due:
                self._arrive(link, write)

    def _take_due(self) -> list[tuple[Link, Write]]:
        limit_s = self._clock.now_s() - self._lag_s
        found = []
        for link, queue in self._queues.items():
            while queue and not self._held(link, queue[0]) and queue[0].lab_s <= limit_s:
                found.append((link, queue.popleft()))
        return found

    def _held(self, link: Link, write: Write) -> bool:
        """Whether that write does not get through, for as long as things are as they are."""
        paused = [self._paused.get((link.table, region)) for region in (link.source, link.target)]
        arrives_s = write.lab_s + self._lag_s
        return link.source in self._cut or any(from_s is not None and from_s <= arrives_s for from_s in paused)

    def _wait_wall_s(self) -> float:
        heads = [q[0].lab_s for link, q in self._queues.items() if q and not self._held(link, q[0])]
        if not heads:
            return _IDLE_WALL_S
        return max(0.001, self._clock.wall_s(min(heads) + self._lag_s - self._clock.now_s()))

    def _arrive(self, link: Link, write: Write) -> None:
        with store.LOCK:
            table = store.find_table(self._backend(link.target), write.table)
            stamp = (link.target, write.table, _text(write.key))
            mine = (write.lab_s, write.region)
            # Ties go to the Region's name, so that every replica decides alike.
            if table is not None and self._stamps.get(stamp, (0.0, "")) < mine:
                self._stamps[stamp] = mine
                store.put_image(table, write.key, write.item)
        since_s = max(write.lab_s, self._late_since_s.get(link, 0.0))
        self._truth.took("dynamodb.replication", self._lag_s, self._clock.now_s() - since_s)

    def _table_operation(self, call: ApiCall, reply: HttpReply) -> HttpReply:
        body = json.loads(call.http.body)
        shown = json.loads(reply.body)
        name = str(body["TableName"]).rpartition("/")[2]
        if call.target_operation == "DeleteTable":
            self._replicas[name] = self._replicas.get(name, frozenset()) - {call.region}
        for update in body.get("ReplicaUpdates", []):
            self._update_replica(call.region, name, update)
        for key in ("Table", "TableDescription"):
            if key in shown:
                shown[key].update(self._shown_replicas(call.region, name))
        # The checksum that moto computed is that of its own body.
        headers = {k: v for k, v in reply.headers.items() if k.lower() not in _BODY_HEADERS}
        return replace(reply, headers=headers, body=json.dumps(shown).encode())

    def _update_replica(self, region: str, name: str, update: dict[str, Any]) -> None:
        here = self._replicas.get(name) or frozenset({region})
        if made := update.get("Create"):
            there = self._backend(made["RegionName"])
            there.tables[name] = store.clone_table(self._backend(region).tables[name], made["RegionName"])
            self._replicas[name] = here | {made["RegionName"]}
        if gone := update.get("Delete"):
            self._backend(gone["RegionName"]).tables.pop(name, None)
            self._replicas[name] = here - {gone["RegionName"]}

    def _shown_replicas(self, region: str, name: str) -> dict[str, Any]:
        others = sorted(self._replicas.get(name, frozenset()) - {region})
        if not others:
            return {}
        replicas = [{"RegionName": other, "ReplicaStatus": "ACTIVE"} for other in others]
        return {"GlobalTableVersion": TABLE_VERSION, "Replicas": replicas}


_WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"})
_TABLE_OPERATIONS = frozenset({"DescribeTable", "UpdateTable", "DeleteTable"})
_BODY_HEADERS = frozenset({"x-amz-crc32", "content-length"})


def _text(key: store.Key) -> str:
    return json.dumps(key, sort_keys=True)


def _touched(backend: Any, operation: str, body: dict[str, Any]) -> Iterator[tuple[str, store.Key]]:
    """(table name, key) of each item that a write named; unwritten ones among them do no harm."""
    if operation == "TransactWriteItems":
        yield from store.touched_by_transaction(backend, body["TransactItems"])
        return
    requests = {str(body.get("TableName")): [body]}
    if operation == "BatchWriteItem":
        requests = {
            name: [next(iter(entry.values())) for entry in entries] for name, entries in body["RequestItems"].items()
        }
    for name, entries in requests.items():
        table = store.find_table(backend, name)
        for entry in entries:
            key = table and store.key_of(table, entry.get("Item") or entry.get("Key") or {})
            if table is not None and key:
                yield table.name, key
