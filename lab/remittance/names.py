"""The names and addresses of the remittance system, as published (its Terraform and README)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.tasks import shared_host

ACCOUNT = "333333333333"
EAST, WEST = "us-east-1", "us-west-2"
SERVING = (EAST, WEST)
ARC_REGION = "us-west-2"
"""The control plane of ARC answers in this Region only."""
ZONE, API_NAME, PAGE_NAME = "example.net", "api.example.net", "remittance.example.net"
ARC_CLUSTER, ARC_PANEL = "Remittance-Cluster", "Remittance-ControlPanel"
GLOBAL_CLUSTER = "remittance"
DOCUMENT = "FailoverRunbook"
STAGE = "dev"
CREATE, READ, READ_ALL, AUTHORIZER, EXECUTE = (
    "CreateRemittance",
    "GetRemittance",
    "GetRemittances",
    "TokenAuthorizer",
    "ExecuteRunbook",
)
FUNCTIONS = (CREATE, READ, READ_ALL, AUTHORIZER, EXECUTE)
"""The same names in both Regions. GetRemittance is added in the lab: see lab.remittance.functions."""
USER_POOL, USER_CLIENT, USER = "remittance", "ui", "drill"
PASSWORD = "Only-1n-the-lab"

AWS_HOST, DNS_HOST = "127.13.0.10", "127.13.0.53"
EDGE, EDGE_NETWORK = ("127.13.4.20", "127.13.4.21"), "127.13"
"""Where the page's content delivery network answers: it lies in no Region."""
BUCKETS = {EAST: "remittance-page-us-east-1", WEST: "remittance-page-us-west-2"}


@dataclass(frozen=True)
class Place:
    """One Region of the system. number: 1 or 2, as the templates count; network: the loopback copy of its CIDR.

    gateways: the addresses of its API Gateway.
    """

    region: str
    number: int
    network: str
    cidr: str
    gateways: Sequence[str]

    @property
    def resolver(self) -> str:
        """The address of the VPC's resolver: the network's base plus two."""
        return f"{self.network}.0.2"

    @property
    def database(self) -> str:
        """The address of the Region's cluster."""
        return f"{self.network}.1.5"

    @property
    def api_host(self) -> str:
        """The API's own name in the Region, which bypasses failover."""
        return f"remittance-{self.number}.execute-api.{self.region}.amazonaws.com"

    @property
    def cluster(self) -> str:
        """The Region's Aurora cluster."""
        return f"dbcluster{self.number}"

    @property
    def instance(self) -> str:
        """Its only instance."""
        return f"{self.cluster}-instance{self.number}"

    @property
    def control(self) -> str:
        """The Region's routing control."""
        return f"Remittance-Region{self.number}"


PLACES: Mapping[str, Place] = {
    EAST: Place(EAST, 1, "127.11", "10.1.0.0/16", ("127.11.5.20", "127.11.9.21")),
    WEST: Place(WEST, 2, "127.12", "10.2.0.0/16", ("127.12.5.20", "127.12.9.21")),
}


def dns_addresses() -> list[str]:
    """Where DNS answers: the authority and each Region's resolver."""
    return [DNS_HOST, *(place.resolver for place in PLACES.values())]


def entrances() -> list[str]:
    """Where HTTP is answered."""
    return [*EDGE, *(address for place in PLACES.values() for address in place.gateways)]


def databases() -> list[str]:
    """Where the database clusters listen."""
    return [place.database for place in PLACES.values()]


def addresses() -> list[str]:
    """Every loopback address that the lab cannot do without."""
    tasks = [shared_host(network) for network in (EDGE_NETWORK, *(place.network for place in PLACES.values()))]
    return [AWS_HOST, *dns_addresses(), *databases(), *entrances(), *tasks]
