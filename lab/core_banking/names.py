"""The names and addresses of the core-banking system, as published (its parameter file and its CDK stacks)."""

from __future__ import annotations

import hashlib
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.tasks import shared_host

ACCOUNT = "111111111111"
TOKYO, OSAKA, OREGON = "ap-northeast-1", "ap-northeast-3", "us-west-2"
ARC_REGION = "us-west-2"
"""The control plane of ARC answers in this Region only."""
ZONE, API_NAME = "example.com", "api.example.com"
GLOBAL_CLUSTER = "core-banking-global-db"
ARC_CLUSTER, ARC_PANEL = "ARC-CoreBanking", "CoreBanking-ControlPanel"
SERVICES = ("Balance", "Count", "Transaction", "TransactionWorker")
PATHS: Mapping[str, str] = {"Balance": "/balance", "Count": "/count", "Transaction": "/transaction"}
"""The balanced services and the path prefix of their rule; the worker is behind no balancer."""

TAGS: Mapping[str, str] = {"drill": "allowed"}
"""On services, rule and state machines, Tokyo's network ACL and its subnets, Tokyo's parameter table."""

AWS_HOST, DNS_HOST = "127.102.0.10", "127.102.0.53"


@dataclass(frozen=True)
class Place:
    """One Region of the system. `network` is the loopback copy of its CIDR's first two numbers."""

    region: str
    city: str
    stack: str
    network: str
    cidr: str
    balancers: Sequence[str] = ()

    @property
    def resolver(self) -> str:
        """The address of the VPC's resolver: the network's base plus two."""
        return f"{self.network}.0.2"

    @property
    def database(self) -> str:
        """The address of the Region's database cluster."""
        return f"{self.network}.1.5"

    @property
    def canary(self) -> str:
        """The address that the Region's canary has in its VPC; nothing listens there."""
        return f"{self.network}.3.10"


# The load balancers' host numbers mirror the published `dig` answer of api.example.com.
PLACES: Mapping[str, Place] = {
    TOKYO: Place(TOKYO, "tokyo", "BLEAFSI-CoreBanking-primary-Dev", "127.100", "10.100.0.0/20",
                 ("127.100.5.165", "127.100.9.84")),
    OSAKA: Place(OSAKA, "osaka", "BLEAFSI-CoreBanking-secondary-Dev", "127.101", "10.101.0.0/20",
                 ("127.101.5.165", "127.101.9.84")),
    OREGON: Place(OREGON, "oregon", "BLEAFSI-CoreBanking-monitoring-Dev", "127.102", "10.102.0.0/20"),
}  # fmt: skip
SERVING = (TOKYO, OSAKA)


def in_each_subnet(region: str) -> list[str]:
    """An address in every subnet of a serving Region."""
    place = PLACES[region]
    return [*place.balancers, place.canary]


ALARM_TOPIC = "canary-alarms"
FAILOVER_STACK = "BLEAFSI-CoreBanking-failover-Dev"


def addresses() -> list[str]:
    """Every loopback address that the lab cannot do without."""
    fixed = [AWS_HOST, *dns_addresses(), *(place.canary for place in PLACES.values())]
    serving = [PLACES[region] for region in SERVING]
    return fixed + [
        address for place in serving for address in (*place.balancers, place.database, shared_host(place.network))
    ]


def dns_addresses() -> list[str]:
    """Where DNS answers: the authority and each Region's resolver."""
    return [DNS_HOST, *(place.resolver for place in PLACES.values())]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def logical_id(name: str) -> str:
    """A CDK logical id: the construct's path and eight hexadecimal digits of its hash."""
    return f"{name}{_digest(name).hex()[:8].upper()}"


def physical_name(stack: str, name: str, limit: int = 255) -> str:
    """A CloudFormation-generated name: stack, logical id, twelve letters and digits."""
    letters = string.ascii_letters + string.digits
    tail = "".join(letters[byte % len(letters)] for byte in _digest(f"{stack}/{name}")[:12])
    return f"{f'{stack}-{logical_id(name)}'[: limit - 13]}-{tail}"


def cluster_name(region: str) -> str:
    """The ECS cluster of a Region; it has no name of its own in the stack, so a generated one."""
    return physical_name(PLACES[region].stack, "SampleMultiRegionAppCluster")


def service_name(region: str, service: str) -> str:
    """The ECS service `service` (one of SERVICES) of a Region."""
    return physical_name(PLACES[region].stack, f"SampleMultiRegionApp{service}FargateService")


def main_table() -> str:
    """The DynamoDB global table."""
    return physical_name(PLACES[TOKYO].stack, "SampleMultiRegionAppGlobalTable")


def param_table(region: str) -> str:
    """The Region's own parameter table."""
    return physical_name(PLACES[region].stack, "SampleMultiRegionAppParamTable")


def database_cluster(region: str) -> str:
    """The Region's Aurora cluster."""
    return f"core-banking-{'primary' if region == TOKYO else 'secondary'}"


def network_acl_name(region: str) -> str:
    """The network ACL of all subnets of the Region."""
    return f"core-banking-{PLACES[region].city}"


def canary_name(region: str) -> str:
    """The Region's canary (Synthetics allows 255 lower-case letters, digits and hyphens)."""
    return f"canary-{region}"


def alarm_name(region: str) -> str:
    """The alarm on the Region's canary; the published spelling."""
    return f"canaryAlerm-{region}"


def state_machine_name(kind: str) -> str:
    """A state machine: kind is Failover, Failback or FailoverInitiator."""
    return logical_id(f"{kind}StateMachine")
