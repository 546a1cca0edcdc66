"""The services that keep data: orders and catalog in Aurora, carts in DynamoDB; and the assets, which keep none."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import psycopg

from lab import web
from lab.dynamodb_client import UNREACHABLE, DynamoDb
from lab.retail_store.shop import CUSTOMER
from lab.sql import Connection, Database

SCHEMAS = {
    "orders": "CREATE TABLE customer_order (id text PRIMARY KEY, customer text NOT NULL, quantity int NOT NULL)",
    "catalog": "CREATE TABLE product (id text PRIMARY KEY, owner text NOT NULL, quantity int NOT NULL)",
}
"""What is created in each database."""
TABLES = {"orders": "customer_order", "catalog": "product"}
"""Database -> the table whose ids name its writes."""
STORED = "STORED"


def _not_found(request: web.Request) -> web.Response:
    return web.json_response(404, {"message": f"no such resource: {request.method} {request.path}"})


def _quantity(request: web.Request) -> int | None:
    body = request.json()
    value = body.get("quantity") if isinstance(body, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


class _Rows:
    """One table of ids: POST adds a row, GET of an id tells whether it is there.

    Every Region reads and writes at its own cluster's endpoint. reads, writes: libpq strings; where the cluster is a
    secondary with write forwarding, `writes` also names where its endpoint forwards to.
    """

    table, owner = "", ""

    def __init__(self, reads: str, writes: str) -> None:
        self._reads, self._writes = Database(reads), Database(writes)
        # A connection does one thing at a time.
        self._read_turn, self._write_turn = asyncio.Lock(), asyncio.Lock()

    async def add(self, request: web.Request) -> web.Response:
        """Store a row under a new id; 200 with the id once it is committed."""
        customer, quantity = request.headers.get(CUSTOMER, ""), _quantity(request)
        if not customer or quantity is None:
            return web.json_response(400, {"message": "a customer (header) and a quantity above 0 are needed"})
        made = str(uuid.uuid4())

        async def insert(connection: Connection) -> None:
            # psycopg takes text only as it stands in the source, and the table's name is not from outside.
            query = f"INSERT INTO {self.table} (id, {self.owner}, quantity) VALUES (%s, %s, %s)".encode()
            await connection.execute(query, (made, customer, quantity))

        try:
            async with self._write_turn:
                await self._writes.transaction(insert)
        except psycopg.Error as error:
            return _failed(error)
        return web.json_response(200, {"id": made})

    async def find(self, made: str) -> web.Response:
        """200 when the row is here, 404 when it is not."""
        row = await self._one(f"SELECT quantity FROM {self.table} WHERE id = %s", (made,))
        if isinstance(row, web.Response):
            return row
        if row is None:
            return web.json_response(404, {"message": f"no {self.table} {made}"})
        return web.json_response(200, {"id": made, "status": STORED, "quantity": row[0]})

    async def size(self) -> web.Response:
        """How many rows there are."""
        row = await self._one(f"SELECT count(*) FROM {self.table}", ())
        return row if isinstance(row, web.Response) else web.json_response(200, {"size": row[0] if row else 0})

    async def _one(self, query: str, values: tuple[Any, ...]) -> tuple[Any, ...] | web.Response | None:
        async def select(connection: Connection) -> tuple[Any, ...] | None:
            return await (await connection.execute(query.encode(), values)).fetchone()

        try:
            async with self._read_turn:
                return await self._reads.transaction(select)
        except psycopg.Error as error:
            return _failed(error)


def _failed(error: psycopg.Error) -> web.Response:
    return web.json_response(500, {"message": f"{type(error).__name__}: {error}"})


class OrdersService(_Rows):
    """Handles /orders: POST /orders, GET /orders (how many), GET /orders/{id}."""

    table, owner = TABLES["orders"], "customer"

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        path = request.path.partition("?")[0].rstrip("/")
        if (request.method, path) == ("POST", "/orders"):
            return await self.add(request)
        if request.method == "GET":
            return await (self.size() if path == "/orders" else self.find(path.removeprefix("/orders/")))
        return _not_found(request)


class CatalogService(_Rows):
    """Handles /catalogue: GET of its size and of one product, POST of a product."""

    table, owner = TABLES["catalog"], "owner"

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        path = request.path.partition("?")[0].rstrip("/")
        if (request.method, path) == ("POST", "/catalogue/products"):
            return await self.add(request)
        if request.method == "GET" and path.startswith("/catalogue/products/"):
            return await self.find(path.removeprefix("/catalogue/products/"))
        if request.method == "GET" and path in ("/catalogue", "/catalogue/size"):
            return await self.size()
        return _not_found(request)


class CartsService:
    """Handles /carts: lines of customers' carts in the global table, at the Region's own replica."""

    def __init__(self, host: str, port: int, region: str, table: str) -> None:
        self._dynamodb, self._table = DynamoDb(host, port, region), table

    async def handle(self, request: web.Request) -> web.Response:
        """POST /carts/items, GET /carts/items/{id}, GET /carts/mine."""
        path = request.path.partition("?")[0].rstrip("/")
        try:
            if (request.method, path) == ("POST", "/carts/items"):
                return await self._add(request)
            if request.method == "GET" and path.startswith("/carts/items/"):
                return await self._find(path.removeprefix("/carts/items/"))
            if (request.method, path) == ("GET", "/carts/mine"):
                return await self._find(f"cart-{request.headers.get(CUSTOMER, '')}", empty=True)
        except UNREACHABLE as error:
            return web.json_response(500, {"message": f"{type(error).__name__}: {error}"})
        return _not_found(request)

    async def _add(self, request: web.Request) -> web.Response:
        customer, quantity = request.headers.get(CUSTOMER, ""), _quantity(request)
        if not customer or quantity is None:
            return web.json_response(400, {"message": "a customer (header) and a quantity above 0 are needed"})
        made = str(uuid.uuid4())
        item = {"id": {"S": made}, "customer": {"S": customer}, "quantity": {"N": str(quantity)}}
        await self._dynamodb.call("PutItem", {"TableName": self._table, "Item": item})
        return web.json_response(200, {"id": made})

    async def _find(self, made: str, empty: bool = False) -> web.Response:
        key = {"TableName": self._table, "Key": {"id": {"S": made}}}
        item = (await self._dynamodb.call("GetItem", key)).get("Item")
        if item is None and not empty:
            return web.json_response(404, {"message": f"no cart line {made}"})
        quantity = int(item["quantity"]["N"]) if item else 0
        return web.json_response(200, {"id": made, "status": STORED, "quantity": quantity})


class AssetsService:
    """Handles /assets: static pictures."""

    async def handle(self, request: web.Request) -> web.Response:
        """GET of anything."""
        if request.method != "GET":
            return _not_found(request)
        return web.Response(200, b'{"picture": true}', {"Content-Type": "application/json"})
