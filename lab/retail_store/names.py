"""The names and addresses of the retail store, as published (its CloudFormation templates, Env = "")."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.tasks import shared_host

ACCOUNT = "222222222222"
EAST, WEST = "us-east-1", "us-west-2"
SERVING = (EAST, WEST)
ARC_REGION = "us-west-2"
"""The control plane of ARC answers in this Region only, which is the standby of this system."""
ZONE, STORE_NAME = "demo.io", "store.demo.io"
ARC_CLUSTER, ARC_PANEL = "retail-store-ar-ArcCluster", "retail-store-ar-ControlPanel"
HEALTH_CHECK = "retail-store-ar-ArcHealthCheck"
"""The tag Name of a Region's health check, before the Region's role."""
CARTS_TABLE = "cartsTable"
DATABASES = ("orders", "catalog")
"""The services that keep their data in an Aurora global cluster of their own."""
SERVICES = ("ui", "checkout", "carts", "catalog", "orders", "assets")
PATHS: Mapping[str, str] = {
    "checkout": "/checkout",
    "carts": "/carts",
    "catalog": "/catalogue",
    "orders": "/orders",
    "assets": "/assets",
    "ui": "/",
}
"""Path prefix of each service; the internal ones first, what is left belongs to the user interface."""
INTERNAL = tuple(service for service in SERVICES if service != "ui")
CANARY_SCOPES, CANARY_PAGES = ("lcl-rgnl", "rmt-rgnl", "global"), ("home", "cart", "catalog", "orders")

AWS_HOST, DNS_HOST = "127.3.0.10", "127.3.0.53"


@dataclass(frozen=True)
class Place:
    """One Region of the system. `network` is the loopback copy of its CIDR's first two numbers.

    role: Primary or Standby, as the templates call it; ui, internal: the addresses of its two load balancers.
    """

    region: str
    role: str
    network: str
    cidr: str
    ui: Sequence[str]
    internal: Sequence[str]

    @property
    def resolver(self) -> str:
        """The address of the VPC's resolver: the network's base plus two."""
        return f"{self.network}.0.2"

    def database(self, name: str) -> str:
        """The address of the Region's cluster of that database."""
        return f"{self.network}.1.{5 + DATABASES.index(name)}"

    @property
    def balancers(self) -> Sequence[str]:
        """All load balancer addresses."""
        return (*self.ui, *self.internal)


PLACES: Mapping[str, Place] = {
    EAST: Place(EAST, "Primary", "127.1", "10.1.0.0/16", ("127.1.5.20", "127.1.9.21"), ("127.1.5.30",)),
    WEST: Place(WEST, "Standby", "127.2", "10.2.0.0/16", ("127.2.5.20", "127.2.9.21"), ("127.2.5.30",)),
}


def other(region: str) -> str:
    """The other of the two Regions."""
    return WEST if region == EAST else EAST


def addresses() -> list[str]:
    """Every loopback address that the lab cannot do without."""
    found = [AWS_HOST, *dns_addresses(), *database_addresses()]
    return found + [
        address for place in PLACES.values() for address in (*place.balancers, shared_host(place.network))
    ]


def dns_addresses() -> list[str]:
    """Where DNS answers: the authority and each Region's resolver."""
    return [DNS_HOST, *(place.resolver for place in PLACES.values())]


def database_addresses() -> list[str]:
    """Where the database clusters listen."""
    return [place.database(name) for place in PLACES.values() for name in DATABASES]


def nearest(client: str) -> tuple[str, ...]:
    """The Regions by latency from a client's address: its own first; us-east-1 for one from elsewhere."""
    own = next((region for region, place in PLACES.items() if client.startswith(f"{place.network}.")), EAST)
    return (own, other(own))


def digest(text: str) -> str:
    """Eight hexadecimal digits that stand for a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def balancer_name(region: str, kind: str) -> str:
    """A load balancer; kind is ui or internal."""
    return f"retail-store-{kind}-{PLACES[region].role.lower()}"


def global_cluster(name: str) -> str:
    """The Aurora global cluster of a database."""
    return f"{name}-global-db-cluster"


def database_cluster(name: str, region: str) -> str:
    """A Region's Aurora cluster of a database."""
    return f"{name}-{region}-global-db-cluster"


def database_arn(name: str, region: str) -> str:
    """Its ARN."""
    return f"arn:aws:rds:{region}:{ACCOUNT}:cluster:{database_cluster(name, region)}"


def service_name(service: str) -> str:
    """An ECS service; the same in both Regions."""
    return service


ECS_CLUSTER = "retail-store-ecs-cluster"


def canary_names() -> tuple[str, ...]:
    """The twelve canaries of a Region."""
    return tuple(f"{scope}-{page}" for scope in CANARY_SCOPES for page in CANARY_PAGES)
