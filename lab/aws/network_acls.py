"""Network ACLs that are obeyed: a subnet whose ACL lets nothing in, or nothing out, is a black hole.

By the VPC user guide ("Network ACLs"): rules are taken by number, the first that matches decides, what none allows is
denied; they are stateless, so that a connection needs both ways; they hold for what enters or leaves a subnet, and
not for DNS at the VPC's own resolver. Played is the whole: a subnet through which nothing at all can pass. Rules that
let some of it pass are kept by the API, and everything passes.

A Region's API lies in no VPC, and neither does what AWS itself carries between Regions (DynamoDB's global tables,
Aurora's global storage): an ACL is nothing to them.
"""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from moto.ec2.models import ec2_backends
from moto.ec2.models.network_acls import NetworkAcl, NetworkAclEntry

from lab.aws.server import AwsServer, Tapped
from lab.black_hole import within
from lab.truth import Truth

OPERATIONS = (
    "CreateNetworkAclEntry",
    "DeleteNetworkAclEntry",
    "ReplaceNetworkAclAssociation",
    "ReplaceNetworkAclEntry",
)
EVERYTHING = "-1"
Listener = Callable[[Sequence[str]], None]
"""Told all loopback networks that are cut off now ("127.100.4.0/22"), at every change."""


class NetworkAcls:
    """Watches the ACLs of `regions` on `server` and tells `listeners` which networks are cut off."""

    def __init__(
        self, server: AwsServer, truth: Truth, regions: Iterable[str], listeners: Iterable[Listener]
    ) -> None:
        self._server, self._truth = server, truth
        self._regions, self._listeners = tuple(regions), tuple(listeners)
        self._lock = threading.Lock()
        self._cut_off: tuple[str, ...] = ()

    def start(self) -> None:
        """From now on ACLs are obeyed."""
        self._server.tap("ec2", OPERATIONS, self._look)

    def stop(self) -> None:
        """Nothing to end: it acts within calls."""

    def cuts_off(self, host: str) -> bool:
        """Whether that loopback address lies in a network that is cut off now."""
        return within(host, map(ipaddress.IPv4Network, self._cut_off))

    def _look(self, _: Tapped) -> None:
        with self._lock:
            now = tuple(sorted(network for region in self._regions for network in self._closed(region)))
            if now == self._cut_off:
                return
            self._cut_off = now
            self._truth.record("network.cut_off", networks=list(now))
            for listener in self._listeners:
                listener(now)

    def _closed(self, region: str) -> Iterator[str]:
        backend: Any = ec2_backends[self._server.account][region]
        for acl in list(backend.network_acls.values()):
            if not (lets_pass(acl, egress=False) and lets_pass(acl, egress=True)):
                yield from (loopback(backend.get_subnet(each.subnet_id).cidr_block) for each in acl.associations)


def loopback(cidr: str) -> str:
    """Where the lab has a network: the same numbers behind 127."""
    return f"127.{cidr.partition('.')[2]}"


def lets_pass(acl: NetworkAcl, egress: bool) -> bool:
    """Whether the ACL lets anything (of IPv4) pass in that direction."""
    denied: list[NetworkAclEntry] = []
    for entry in sorted(_entries(acl, egress), key=lambda entry: int(entry.rule_number)):
        if entry.rule_action == "deny":
            denied.append(entry)
        elif not any(_covers(rule, entry) for rule in denied):
            return True
    return False


def _entries(acl: NetworkAcl, egress: bool) -> Iterator[NetworkAclEntry]:
    for entry in acl.network_acl_entries:
        if entry.cidr_block and (str(entry.egress).lower() == "true") == egress:
            yield entry


def _covers(rule: NetworkAclEntry, other: NetworkAclEntry) -> bool:
    """Whether a rule decides about all that the other is about."""
    wide, narrow = ipaddress.IPv4Network(rule.cidr_block), ipaddress.IPv4Network(other.cidr_block)
    if not narrow.subnet_of(wide):
        return False
    same = (rule.protocol, rule.port_range, rule.icmp_type_code)
    return str(rule.protocol) == EVERYTHING or same == (other.protocol, other.port_range, other.icmp_type_code)
