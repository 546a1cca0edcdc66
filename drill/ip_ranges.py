"""Addresses to Regions: by CIDRs, longest prefix first, also when there are thousands of them.

AWS publishes its address ranges (https://ip-ranges.amazonaws.com/ip-ranges.json); a target with public addresses
names a copy of that file. Only what can decide between the target's own Regions is taken from it: their ranges, and
ranges of others that lie inside them. What is taken becomes part of the target, so that a verdict can be computed
again years later, offline, by the ranges of that day.
"""

from __future__ import annotations

import bisect
import ipaddress
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

GLOBAL = "GLOBAL"
"""AWS's word for ranges that belong to no Region (CloudFront, Global Accelerator, Route 53)."""


def ranges_of(path: Path, regions: Iterable[str]) -> tuple[dict[str, list[str]], str]:
    """(Region or "GLOBAL" -> IPv4 CIDRs, the file's syncToken) of an ip-ranges.json, as far as `regions` need it.

    OSError, or ValueError that names what is wrong with the file.
    """
    try:
        data = json.loads(path.read_text())
        found = {(ipaddress.IPv4Network(p["ip_prefix"]), str(p["region"])) for p in data["prefixes"]}
        token = str(data["syncToken"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a file like AWS's ip-ranges.json ({type(error).__name__}: {error})") from error
    wanted = set(regions)
    ours = Ranges({"ours": [str(network) for network, region in found if region in wanted]})
    kept: dict[str, list[str]] = {}
    for network, region in sorted(found):
        if region in wanted or ours.region_of(str(network.network_address)):
            kept.setdefault(region, []).append(str(network))
    return kept, token


def take_ip_ranges(raw: dict[str, Any], target_file: Path) -> None:
    """Add the published ranges that a raw target needs to its own CIDRs, if it names such a file.

    OSError, ValueError: see `ranges_of`.
    """
    regions = raw.get("regions")
    if not isinstance(regions, dict) or not isinstance(regions.get("ip_ranges"), str):
        return
    roles = [str(regions[role]) for role in ("primary", "standby", "observer") if role in regions]
    published, token = ranges_of(target_file.parent / regions["ip_ranges"], roles)
    own = regions.get("cidrs") or {}
    names = sorted({*own, *published})
    regions["cidrs"] = {name: [*own.get(name, []), *published.get(name, [])] for name in names}
    regions["ip_ranges_token"] = token


class Ranges:
    """Which Region holds an IPv4 address: the ranges, flattened once, then one binary search a look.

    Longest prefix wins; of one prefix that is given twice, the Region that is last by name.
    """

    def __init__(self, cidrs: Mapping[str, Iterable[str]]) -> None:
        networks = [(ipaddress.ip_network(cidr), region) for region, many in cidrs.items() for cidr in many]
        v4 = [(int(n.network_address), n.prefixlen, n.num_addresses, r) for n, r in networks if n.version == 4]
        self._begins: list[int] = []
        self._regions: list[str | None] = []
        self._flatten(sorted(v4))

    def region_of(self, address: str) -> str | None:
        """The Region of an IPv4 address; None when nobody's, "GLOBAL"'s, or no IPv4 address."""
        try:
            number = int(ipaddress.IPv4Address(address))
        except ValueError:
            return None
        at = bisect.bisect_right(self._begins, number) - 1
        region = self._regions[at] if at >= 0 else None
        return None if region == GLOBAL else region

    def _flatten(self, networks: list[tuple[int, int, int, str]]) -> None:
        """Prefixes nest or are disjoint: a stack of those that are open tells whose each stretch is."""
        open_: list[tuple[int, str]] = []
        for begin, _, size, region in networks:
            self._close(open_, begin)
            self._mark(begin, region)
            open_.append((begin + size, region))
        self._close(open_, 1 << 32)

    def _close(self, open_: list[tuple[int, str]], until: int) -> None:
        while open_ and open_[-1][0] <= until:
            end, _ = open_.pop()
            self._mark(end, open_[-1][1] if open_ else None)

    def _mark(self, begin: int, region: str | None) -> None:
        if self._begins and self._begins[-1] == begin:
            self._regions[-1] = region
        else:
            self._begins.append(begin)
            self._regions.append(region)
