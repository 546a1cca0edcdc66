"""A Region that is lost as a whole: with its network go its API, its ARC endpoint, its replication, its database.

AWS has no call that brings this about. So it is a setting of the lab what a Region takes along when every one of its
subnets is cut off. EC2 goes on to answer: by it the drill took the network away, and has to give it back. On AWS
nobody takes a Region away, and AWS brings it back.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

from lab.aws.arc import ENDPOINT_REGIONS, Arc
from lab.aws.dynamodb import GlobalTables
from lab.aws.server import AwsServer
from lab.black_hole import within
from lab.truth import Truth

NETWORKS = ("ec2",)
"""The service that a lost Region keeps."""


class LostRegions:
    """Hears which networks are cut off (a listener of NetworkAcls). hosts: Region -> an address in each subnet."""

    def __init__(
        self, server: AwsServer, arc: Arc, tables: GlobalTables, truth: Truth, hosts: Mapping[str, Sequence[str]]
    ) -> None:
        self._server, self._arc, self._tables, self._truth, self._hosts = server, arc, tables, truth, hosts
        self._lost: frozenset[str] = frozenset()

    def is_lost(self, region: str) -> bool:
        """Whether that Region is gone now."""
        return region in self._lost

    def heard(self, networks: Sequence[str]) -> None:
        """These loopback networks are cut off now, and no others."""
        dark = [ipaddress.IPv4Network(network) for network in networks]
        now = frozenset(r for r, hosts in self._hosts.items() if all(within(host, dark) for host in hosts))
        before, self._lost = self._lost, now
        for region in sorted(now - before):
            self._lose(region)
        for region in sorted(before - now):
            self._give_back(region)

    def _lose(self, region: str) -> None:
        self._truth.record("region.lost", region=region)
        self._server.silence(region, but=NETWORKS)
        self._tables.cut(region)
        if region in ENDPOINT_REGIONS:
            self._arc.endpoint_down(region)

    def _give_back(self, region: str) -> None:
        self._server.speak(region)
        self._tables.mend(region)
        self._truth.record("region.back", region=region)
        if region in ENDPOINT_REGIONS:
            self._arc.endpoint_up(region)
