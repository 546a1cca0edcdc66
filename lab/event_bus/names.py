"""The names and addresses of the event-bus lab.

AWS publishes the template of the health check and the shapes; the names of what is built on them are ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.tasks import shared_host

ACCOUNT = "444444444444"
TOKYO, OSAKA = "ap-northeast-1", "ap-northeast-3"
SERVING = (TOKYO, OSAKA)
BUS, ENDPOINT, SOURCE = "orders", "orders-endpoint", "shop.orders"
ENDPOINT_ID = "ordersbus01.veo"
"""AWS draws it; here it is known beforehand, so that a target file can name the endpoint."""
CONSUMER, CLUSTER = "consumer", "event-bus"
ARCHIVE = "orders-archive"
OWN_RULE, COPY_RULE = "orders-of-this-region", "orders-of-the-other-region"
AUDIT_RULE, AUDIT = "orders-audit", "archive-audit"
"""The rule that gets what is replayed to be looked at only, and where it sends it."""
AUDIT_REPLAYS = "drill-audit-"
"""What the names of such replays begin with."""
HEALTH_CHECK, ALARM = "LatencyFailuresHealthCheck", "HighLatencyAlarm"
"""As in the published template."""
HEARTBEAT = "orders-heartbeat"
"""The schedule, on Tokyo's default bus, of the system's own events."""
ROLE = f"arn:aws:iam::{ACCOUNT}:role/event-replication"
IMPAIRMENT = "/lab/event-bus/impaired-pause-s"
"""The SSM parameter by which the lab's buses are made to fall behind: AWS has no call that does."""
AWS_HOST, DNS_HOST = "127.122.0.10", "127.122.0.53"


@dataclass(frozen=True)
class Place:
    """One Region. network: the loopback copy of its range's first two numbers; ingress: where its PutEvents answers;
    consumers: the addresses of the load balancer before the consumers."""

    region: str
    network: str
    cidr: str
    ingress: str
    consumers: Sequence[str]

    @property
    def resolver(self) -> str:
        """The address of the Region's resolver: the network's base plus two."""
        return f"{self.network}.0.2"


PLACES: Mapping[str, Place] = {
    TOKYO: Place(TOKYO, "127.120", "10.120.0.0/16", "127.120.5.20", ("127.120.6.20",)),
    OSAKA: Place(OSAKA, "127.121", "10.121.0.0/16", "127.121.5.20", ("127.121.6.20",)),
}


def other(region: str) -> str:
    """The other of the two Regions."""
    return OSAKA if region == TOKYO else TOKYO


def dns_addresses() -> list[str]:
    """Where DNS answers: the authority and each Region's resolver."""
    return [DNS_HOST, *(place.resolver for place in PLACES.values())]


def http_addresses() -> list[str]:
    """Where PutEvents and the consumers' load balancers answer."""
    return [address for place in PLACES.values() for address in (place.ingress, *place.consumers)]


def addresses() -> list[str]:
    """Every loopback address that the lab cannot do without."""
    shared = [shared_host(place.network) for place in PLACES.values()]
    return [AWS_HOST, *dns_addresses(), *http_addresses(), *shared]


def bus_arn(region: str) -> str:
    """A Region's bus."""
    return f"arn:aws:events:{region}:{ACCOUNT}:event-bus/{BUS}"
