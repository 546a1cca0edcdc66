"""The canaries' scripts: one GET of one page, in the own Region, in the other one, or by the public name."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import dns.exception
import dns.resolver

from lab.retail_store.names import CANARY_PAGES, CANARY_SCOPES, PLACES, SERVING, STORE_NAME, other

REQUEST_TIMEOUT_S = 2.0
"""One request may take this long (wall seconds, so that a busy machine is no outage)."""
PAGES: Mapping[str, str] = {"home": "/home", "cart": "/cart", "catalog": "/catalog", "orders": "/orders"}


class CanaryFailure(Exception):
    """The page was not there."""


@dataclass(frozen=True)
class Visit:
    """One look at a page. address: of a load balancer, "" to resolve the public name at `resolver` (host, port)."""

    page: str
    address: str
    resolver: tuple[str, int]
    http_port: int

    def __call__(self, run: object) -> None:
        """CanaryFailure, OSError or a DNS error when the page is not there."""
        connection = http.client.HTTPConnection(self._address(), self.http_port, timeout=REQUEST_TIMEOUT_S)
        try:
            connection.request("GET", PAGES[self.page], headers={"Host": STORE_NAME, "X-Customer-Id": "canary"})
            status = connection.getresponse().status
        except http.client.HTTPException as error:
            raise CanaryFailure(f"GET {PAGES[self.page]}: {type(error).__name__}") from error
        finally:
            connection.close()
        if status != 200:
            raise CanaryFailure(f"GET {PAGES[self.page]}: {status}")

    def _address(self) -> str:
        if self.address:
            return self.address
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = [self.resolver[0]], self.resolver[1]
        try:
            return str(resolver.resolve(STORE_NAME, "A", lifetime=REQUEST_TIMEOUT_S)[0])
        except dns.exception.DNSException as error:
            raise CanaryFailure(f"{STORE_NAME} does not resolve: {error}") from error


def scripts(resolvers: Mapping[str, tuple[str, int]], http_port: int) -> dict[tuple[str, str], Callable[[Any], None]]:
    """(Region, canary's name) -> script, for all canaries."""
    found: dict[tuple[str, str], Callable[[Any], None]] = {}
    for region in SERVING:
        addresses = (PLACES[region].ui[0], PLACES[other(region)].ui[0], "")
        for scope, address in zip(CANARY_SCOPES, addresses, strict=True):
            for page in CANARY_PAGES:
                found[region, f"{scope}-{page}"] = Visit(page, address, resolvers[region], http_port)
    return found
