"""How a client gets to the target's write path: the protocol that the target speaks, behind one small interface.

Every call is one attempt, bounded in time, never raised out of: what became of it is a `Reply`, whose JSON body and
status mean the same whatever the protocol (200 with the id: accepted; 404: absent; see drill/writing.py, which alone
decides what a reply says about a write).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from drill.client import HttpClient, Reply
from drill.clock import Clock
from drill.errors import UsageError
from drill.filling import filled_path
from drill.resolver import CachingClient
from drill.sign_on import signed_on
from drill.target import Target
from drill.write_path import WritePath


class Door(Protocol):
    """One client's way in.

    names: "key" (the client's own name of the write), "account", and for a read "id" (the system's name of it).
    fresh: over a connection of its own, which is closed after; else over the kept one, or one that is kept then.
    """

    def write(self, kind: str, names: Mapping[str, str], body: bytes, *, fresh: bool) -> Reply:
        """Send one write of that kind of the target's, with that JSON body."""

    def read(self, store: str, names: Mapping[str, str], *, fresh: bool) -> Reply:
        """Ask one data store what became of one write."""

    def balance(self, account: str, *, fresh: bool) -> Reply:
        """Ask for the account's balance. Only for a target that declares a balance_path."""

    def with_pinned(self, reply: Reply) -> Reply:
        """`reply` with `pinned` found out, which may cost a DNS query."""

    def close(self) -> None:
        """Drop the kept connections."""


@dataclass(frozen=True)
class HttpDoor:
    """Writes and reads over HTTP.

    base_url: scheme, host and port; timeout_wall_s: deadline of each request; headers: sent with each of them.
    """

    writes: WritePath
    client: HttpClient
    base_url: str
    timeout_wall_s: float
    headers: Mapping[str, str] = field(default_factory=dict)

    def write(self, kind: str, names: Mapping[str, str], body: bytes, *, fresh: bool) -> Reply:
        """Send it to the kind's path."""
        spec = self.writes.kinds[kind]
        return self._request(spec.method, filled_path(spec.path, names), names["account"], fresh, body)

    def read(self, store: str, names: Mapping[str, str], *, fresh: bool) -> Reply:
        """GET the store's path."""
        path = filled_path(self.writes.reader(store).read_path, names)
        return self._request("GET", path, names["account"], fresh)

    def balance(self, account: str, *, fresh: bool) -> Reply:
        """GET the balance's path."""
        return self._request("GET", self.writes.balance_path or "/", account, fresh)

    def with_pinned(self, reply: Reply) -> Reply:
        """See HttpClient.with_pinned."""
        return self.client.with_pinned(self.base_url, reply)

    def close(self) -> None:
        """Drop the kept connections."""
        self.client.close()

    def _request(self, method: str, path: str, account: str, fresh: bool, body: bytes | None = None) -> Reply:
        headers = {**self.headers, self.writes.account_header: account}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return self.client.request(
            method,
            self.base_url + path,
            timeout_wall_s=self.timeout_wall_s,
            headers=headers,
            body=body,
            fresh=fresh,
        )


def open_door(target: Target, clock: Clock, timeout_wall_s: float, region: str | None = None) -> Door:
    """A client's way in by the target's protocol: to the endpoint everybody uses, or to that Region's own.

    timeout_wall_s: deadline of each attempt. UsageError: the target names no endpoint for that Region. What
    drill.sign_on raises passes, of a target that asks for a token.
    """
    resolver = CachingClient.for_target(target, clock, region)
    if target.writes.protocol == "sql":
        from drill.sql_door import SqlDoor

        reads = _endpoint(target, region or target.regions.standby)
        return SqlDoor(target.writes, resolver, target.url(target.endpoint), target.url(reads), timeout_wall_s, clock)
    url = target.url(_endpoint(target, region))
    http = HttpClient(resolver, clock)
    if target.writes.protocol == "events":
        from drill.event_door import EventDoor  # boto3 takes its time to load, and few need it

        return EventDoor(target, http, timeout_wall_s, region)
    return HttpDoor(target.writes, http, url, timeout_wall_s, signed_on(target))


def _endpoint(target: Target, region: str | None) -> str:
    if region is None:
        return target.endpoint
    try:
        return target.regional_endpoints[region]
    except KeyError:
        known = ", ".join(sorted(target.regional_endpoints))
        raise UsageError(f"target {target.name}: no regional endpoint for {region}; known: {known}") from None
