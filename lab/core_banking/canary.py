"""The canary's script: a deposit and a withdrawal through the public name, each followed to its settlement.

Each run is a client of its own: it asks its Region's resolver, opens fresh connections and uses a new account.
"""

from __future__ import annotations

import http.client
import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import dns.exception
import dns.resolver

POLL_S = 1.0
REQUEST_TIMEOUT_S = 2.0
"""One request of the canary may take this long (wall seconds, so that a busy machine is no outage)."""
MAX_POLLS = 600


class CanaryFailure(Exception):
    """A step of the script did not go as it must."""


class Script(Protocol):
    """What the script needs of the run that it is in."""

    def sleep(self, lab_s: float) -> None:
        """Wait; raises when the run's time is over."""


@dataclass(frozen=True)
class Journey:
    """The canary's customer journey against `name`, resolved at `resolver` (host, port), served on `http_port`.

    own: the address that it connects from, in its own VPC; cut_off(): whether its subnet is a black hole now; the
    VPC's resolver is none even then.
    """

    name: str
    resolver: tuple[str, int]
    http_port: int
    own: str
    cut_off: Callable[[], bool] = lambda: False

    def __call__(self, run: Script) -> None:
        """One run; CanaryFailure, OSError or a DNS error when the system fails it."""
        account = f"canary-{uuid.uuid4()}"
        for kind, quantity in (("deposit", 1000), ("withdraw", 100)):
            accepted = self._request("POST", f"/transaction/{kind}", account, {"quantity": quantity})
            self._follow(run, account, str(accepted["transactionId"]))

    def _follow(self, run: Script, account: str, transaction_id: str) -> None:
        for _ in range(MAX_POLLS):
            status = self._request("GET", f"/transaction/{transaction_id}", account)["status"]
            if status == "status#success":
                return
            if status != "status#pending":
                raise CanaryFailure(f"the transaction ended as {status}")
            run.sleep(POLL_S)
        raise CanaryFailure(f"the transaction is still pending after {MAX_POLLS} polls")

    def _request(
        self, method: str, path: str, account: str, body: Mapping[str, object] | None = None
    ) -> dict[str, Any]:
        connection = http.client.HTTPConnection(
            self._resolve(), self.http_port, timeout=REQUEST_TIMEOUT_S, source_address=(self.own, 0)
        )
        if self.cut_off():
            time.sleep(REQUEST_TIMEOUT_S)
            raise CanaryFailure(f"{method} {path}: timed out")
        headers = {"X_ACCOUNT_ID": account, "Host": self.name, "Content-Type": "application/json"}
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, headers)
            response = connection.getresponse()
            content = response.read(65536)
        except http.client.HTTPException as error:
            raise CanaryFailure(f"{method} {path}: {type(error).__name__}") from error
        finally:
            connection.close()
        if response.status != 200:
            raise CanaryFailure(f"{method} {path}: {response.status} {content[:80].decode(errors='replace')}")
        return dict(json.loads(content))

    def _resolve(self) -> str:
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = [self.resolver[0]], self.resolver[1]
        try:
            answer = resolver.resolve(self.name, "A", lifetime=REQUEST_TIMEOUT_S)
        except dns.exception.DNSException as error:
            raise CanaryFailure(f"{self.name} does not resolve: {error}") from error
        return str(answer[0])
