"""The functions behind the API, with what the public code answers when something fails.

As published: the secret is read anew for each request, from us-east-1 in both Regions; a database that cannot be
connected to is noticed only by what comes after; errors are 500 with the exception's text as a JSON string. Not as
published: GetRemittance, which reads those of one sender's account (the public API reads all at once, or nothing),
and that a connection is closed after the request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import psycopg
from psycopg.rows import dict_row

from lab import web
from lab.json_client import UNREACHABLE, ApiError, JsonApi
from lab.remittance import names

CONNECT_TIMEOUT_S = 2
"""Wall seconds: it measures this machine."""
SECRETS_REGION = names.EAST
RAISED = frozenset(
    {
        "DecryptionFailure",
        "InternalServiceError",
        "InvalidParameterException",
        "InvalidRequestException",
        "ResourceNotFoundException",
    }
)
"""The errors of Secrets Manager that the public code passes on; any other leaves it without a secret."""
NO_SECRET = "the JSON object must be str, bytes or bytearray, not NoneType"
NO_CONNECTION = "'NoneType' object has no attribute 'cursor'"
FIELDS: Mapping[str, str] = {
    "senderName": "sender_name",
    "senderBank": "sender_bank",
    "senderAccount": "sender_account",
    "receiverName": "receiver_name",
    "receiverBank": "receiver_bank",
    "receiverAccount": "receiver_account",
    "amount": "amount",
}
"""Field of the API -> column."""
SCHEMA = """
CREATE TABLE remittance (
    id BIGSERIAL PRIMARY KEY,
    sender_name varchar(100) NOT NULL,
    sender_bank varchar(100) NOT NULL,
    sender_account varchar(100) NOT NULL,
    receiver_name varchar(100) NOT NULL,
    receiver_bank varchar(100) NOT NULL,
    receiver_account varchar(100) NOT NULL,
    amount integer NOT NULL CHECK (amount > 0),
    creation_timestamp timestamp NOT NULL
);
CREATE INDEX remittance_sender_account ON remittance (sender_account);
"""
INSERT = (
    "INSERT INTO remittance (sender_name, sender_bank, sender_account, receiver_name, receiver_bank, "
    "receiver_account, amount, creation_timestamp) VALUES (%s, %s, %s, %s, %s, %s, %s, current_timestamp)"
)
Connection = psycopg.AsyncConnection[dict[str, Any]]


class FunctionError(Exception):
    """What the public code catches and answers with, as text."""


class Remittances:
    """CreateRemittance, GetRemittance and GetRemittances of one Region.

    addresses: by the names of the database's endpoints, as DNS has them.
    """

    def __init__(self, aws_host: str, aws_port: int, addresses: Mapping[str, str]) -> None:
        self._secrets = JsonApi(aws_host, aws_port, SECRETS_REGION, "secretsmanager", "secretsmanager")
        self._addresses = addresses

    async def create(self, request: web.Request) -> web.Response:
        """POST /create-remittance: 200 and an empty text; no id, as published."""
        if not request.body:
            return web.json_response(400, "Error, incorrect post body")
        try:
            body = request.json()
            values = [body[field] for field in FIELDS]
            async with await self._connect() as connection:
                await connection.execute(INSERT, values)
        except (FunctionError, psycopg.Error, KeyError, TypeError, web.HttpError) as error:
            return web.json_response(500, str(error))
        return web.json_response(200, "")

    async def read_all(self, request: web.Request) -> web.Response:
        """GET /get-remittances: all there are."""
        return await self._read("SELECT * FROM remittance", ())

    async def read(self, request: web.Request) -> web.Response:
        """GET /get-remittance/SENDER_ACCOUNT: the first of that account with `copies`, how many there are; or 404."""
        account = unquote(request.path.partition("?")[0].rpartition("/")[2])
        found = await self._read("SELECT * FROM remittance WHERE sender_account = %s ORDER BY id", (account,))
        rows = json.loads(found.body)
        if found.status != 200:
            return found
        if not rows:
            return web.json_response(404, f"no remittance of {account}")
        return web.json_response(200, {**rows[0], "status": "STORED", "copies": len(rows)})

    async def _read(self, query: str, values: tuple[str, ...]) -> web.Response:
        try:
            async with await self._connect() as connection:
                rows = await (await connection.execute(query.encode(), values)).fetchall()
        except (FunctionError, psycopg.Error) as error:
            return web.json_response(500, str(error))
        shown = [{field: row[column] for field, column in {"id": "id", **FIELDS}.items()} for row in rows]
        return web.json_response(200, shown)

    async def _connect(self) -> Connection:
        """A connection to the host that the secret names now."""
        secret = await self._secret()
        host = self._addresses.get(str(secret["host"]).lower())
        if host is None:  # a name that DNS does not know
            raise FunctionError(NO_CONNECTION)
        try:
            return await psycopg.AsyncConnection.connect(
                host=host,
                port=secret["port"],
                dbname=secret["dbname"],
                user=secret["username"],
                password=secret["password"],
                connect_timeout=CONNECT_TIMEOUT_S,
                row_factory=dict_row,
            )
        except psycopg.Error as error:
            raise FunctionError(NO_CONNECTION) from error

    async def _secret(self) -> dict[str, Any]:
        try:
            reply = await self._secrets.call("GetSecretValue", {"SecretId": "database"})
        except ApiError as error:
            said = f"An error occurred ({error.kind}) when calling the GetSecretValue operation: {error}"
            raise FunctionError(said if error.kind in RAISED else NO_SECRET) from error
        except UNREACHABLE as error:
            url = f"https://secretsmanager.{SECRETS_REGION}.amazonaws.com/"
            raise FunctionError(f'Could not connect to the endpoint URL: "{url}"') from error
        return dict(json.loads(reply["SecretString"]))


class Runbooks:
    """ExecuteRunbook: starts the named document in the named Region; the execution's id is told to nobody."""

    def __init__(self, aws_host: str, aws_port: int) -> None:
        self._host, self._port = aws_host, aws_port

    async def execute(self, request: web.Request) -> web.Response:
        """POST /execute-runbook {"region", "document"}."""
        try:
            body = request.json()
            ssm = JsonApi(self._host, self._port, str(body["region"]), "ssm", "AmazonSSM")
            await ssm.call("StartAutomationExecution", {"DocumentName": body["document"]})
        except (*UNREACHABLE, KeyError, TypeError) as error:
            return web.json_response(500, str(error))
        return web.json_response(200, "")
