"""An event bus behind an EventBridge global endpoint as a write path: boto3's PutEvents in, HTTP at consumers out.

boto3 builds the request for `EndpointId` and signs it for all Regions (SigV4A, by the AWS CRT), as any producer's
does; it is sent by this client's own HTTP (drill/client.py), which resolves by itself, tries once, and knows which
address answered. A write is acknowledged when PutEvents took its one entry (FailedEntryCount 0, an EventId). Event
ids differ from Region to Region, so what is read back is the business id in the event's detail, at the consumers.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from drill.aws import BEFORE_SEND, Aws, AwsFailed
from drill.call import Call
from drill.client import LOOK_TIMEOUT_WALL_S, HttpClient, Reply
from drill.errors import UsageError
from drill.filling import filled_path
from drill.limits import Limits
from drill.rights import Rights
from drill.target import Target

ONCE = Limits(attempts=1)
"""Nothing is sent twice: a write that is tried again is another write."""


@dataclass
class _Sending:
    """One PutEvents on its way: by which client it is to be sent, and what came of it."""

    client: HttpClient
    timeout_wall_s: float
    fresh: bool
    reply: Reply | None = None


_sending: ContextVar[_Sending] = ContextVar("sending")


class _Unanswered(Exception):
    """There was no whole reply; the `_Sending` has what is known."""


@dataclass(frozen=True)
class _Body:
    """A reply's body as botocore reads it."""

    content: bytes

    def stream(self, *_: Any, **__: Any) -> list[bytes]:
        return [self.content]


def _send(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
    """In place of botocore's own sending."""
    sending = _sending.get()
    headers = {name: _text(value) for name, value in request.headers.items()}
    reply = sending.client.request(
        "POST",
        request.url,
        timeout_wall_s=sending.timeout_wall_s,
        headers=headers,
        body=_bytes(request.body),
        fresh=sending.fresh,
    )
    sending.reply = reply
    if reply.error:
        raise _Unanswered(reply.detail)
    return AWSResponse(request.url, reply.status, {}, _Body(reply.body))


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _bytes(body: str | bytes | None) -> bytes:
    return body.encode() if isinstance(body, str) else body or b""


@functools.lru_cache(maxsize=8)
def _producer(aws_endpoint: str | None, rights: Rights, observer: str, home: str, url: str) -> Aws:
    """Calls that are sent by `_send`; one serves all clients of a process (to make a client takes a while)."""
    aws = Aws(aws_endpoint, ONCE, rights, observer)
    if aws_endpoint is not None:
        aws.endpoint_url = url  # on AWS boto3 makes the same host out of the endpoint's id
    aws.client("events", home).meta.events.register_last(f"{BEFORE_SEND}.eventbridge.PutEvents", _send)
    return aws


@dataclass
class EventDoor:
    """Writes by PutEvents to the target's endpoint, reads over HTTP at consumers.

    region: at whose consumers to read; None: of the Region to which the endpoint leads this client at that moment.
    timeout_wall_s: deadline of each request.
    """

    target: Target
    client: HttpClient
    timeout_wall_s: float
    region: str | None = None

    def write(self, kind: str, names: Mapping[str, str], body: bytes, *, fresh: bool) -> Reply:
        """One PutEvents of one entry. The reply is 200 only if the entry was taken; it carries the event's detail."""
        sending = _Sending(self.client, self.timeout_wall_s, fresh)
        token = _sending.set(sending)
        params = {"EndpointId": self._endpoint_id, "Entries": [self._entry(kind, body)]}
        try:
            said = self._producer().run(Call("events", "PutEvents", params, self.target.regions.primary))
        except (_Unanswered, AwsFailed) as error:
            if sending.reply is None:
                raise UsageError(f"PutEvents cannot be made: {error}") from error
            said = {}
        finally:
            _sending.reset(token)
        assert sending.reply is not None  # whatever was said came in one
        return _told(sending.reply, said, body)

    def read(self, store: str, names: Mapping[str, str], *, fresh: bool) -> Reply:
        """GET the store's path at the consumers."""
        path = filled_path(self.target.writes.reader(store).read_path, names)
        headers = {self.target.writes.account_header: names["account"]}
        url = self.target.url(self.target.regional_endpoints[self.region or self._leads_to()]) + path
        return self.client.request("GET", url, timeout_wall_s=self.timeout_wall_s, headers=headers, fresh=fresh)

    def balance(self, account: str, *, fresh: bool) -> Reply:
        """There is no balance of events."""
        raise UsageError("[writes] balance_path: a write path of protocol 'events' has no balances; take it out")

    def with_pinned(self, reply: Reply) -> Reply:
        """A kept connection is pinned once the endpoint leads to another Region."""
        if not reply.reused:
            return reply
        return replace(reply, pinned=self.target.region_of(reply.peer) != self._leads_to())

    def close(self) -> None:
        """Drop the kept connections."""
        self.client.close()

    @property
    def _endpoint_id(self) -> str:
        return self._host.partition(".endpoint.")[0]

    @property
    def _host(self) -> str:
        return urlsplit(self.target.endpoint).hostname or ""

    def _entry(self, kind: str, body: bytes) -> dict[str, str]:
        events = self.target.writes.events
        assert events is not None  # the schema asks for it
        detail_type = self.target.writes.kinds[kind].path
        return {
            "Source": events.source,
            "DetailType": detail_type,
            "Detail": body.decode(),
            "EventBusName": events.bus,
        }

    def _producer(self) -> Aws:
        target = self.target
        where = target.connection.aws_endpoint, target.access.rights, target.regions.observer
        return _producer(*where, target.regions.primary, target.url(target.endpoint))

    def _leads_to(self) -> str:
        """The Region of the address that this client's resolver has for the endpoint; the primary if it has none."""
        addresses = self.client.resolver.would_answer(self._host, LOOK_TIMEOUT_WALL_S)
        found = (self.target.region_of(address) for address in sorted(addresses or ()))
        regions = self.target.regional_endpoints
        return next((region for region in found if region in regions), self.target.regions.primary)


def _told(reply: Reply, said: Mapping[str, Any], body: bytes) -> Reply:
    """What PutEvents said of its one entry, as WriteClient reads replies."""
    entry: Mapping[str, Any] = next(iter(said.get("Entries", ())), {})
    if said.get("FailedEntryCount") == 0 and entry.get("EventId"):
        return replace(reply, body=json.dumps(json.loads(body) | {"EventId": entry["EventId"]}).encode())
    if said:  # a 200 that did not take the entry says no
        return replace(reply, status=400, detail=f"{entry.get('ErrorCode')}: {entry.get('ErrorMessage')}")
    return reply
