"""The names and addresses of the private-link-replication system, as its public article builds it."""

from __future__ import annotations

from collections.abc import Mapping

ACCOUNT = "333333333333"
TOKYO = "ap-northeast-1"
CLUSTER = "source-cluster"
INSTANCES: Mapping[str, str] = {"source-instance-1": "127.105.2.20", "source-instance-2": "127.105.1.10"}
"""Instance -> its address; the first one is the writer at start, each in an Availability Zone of its own."""
WRITER, READER = tuple(INSTANCES)
ENDPOINT_ID = "c0000lab0000"
ENDPOINT = f"{CLUSTER}.cluster-{ENDPOINT_ID}.{TOKYO}.rds.amazonaws.com"
BALANCER, BALANCER_ADDRESS = "source-nlb", "127.105.1.30"
TARGET_GROUP = "source-targets"
CHECK_PORT = 40000
"""Published: the health check goes to a port where nobody listens, so that every target is always unhealthy and the
balancer fails open."""
TOPIC, EVENTS, FUNCTION = "source-failover", "source-failover-events", "switch-source-target"
FUNCTION_TIMEOUT_S = 10.0
FILTER = {"Event ID": [{"suffix": "RDS-EVENT-0072"}, {"suffix": "RDS-EVENT-0073"}]}
"""Published: the events of a failover's start."""
CIDR = "10.105.0.0/16"
LOOPBACK_CIDR = "127.105.0.0/16"
"""The loopback copy of the VPC's network."""
REPLICA_ADDRESS = "127.106.0.10"
AWS_HOST, DNS_HOST, RESOLVER = "127.107.0.10", "127.107.0.53", "127.105.0.2"


def addresses() -> list[str]:
    """Every loopback address that the lab cannot do without."""
    return [AWS_HOST, *dns_addresses(), BALANCER_ADDRESS, *database_addresses()]


def dns_addresses() -> list[str]:
    """Where DNS answers."""
    return [DNS_HOST, RESOLVER]


def database_addresses() -> list[str]:
    """Where databases listen."""
    return [*INSTANCES.values(), REPLICA_ADDRESS]
