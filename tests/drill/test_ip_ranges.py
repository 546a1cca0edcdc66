"""Addresses to Regions by thousands of nested prefixes, and AWS's published file as a target's source of them."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drill.errors import UsageError
from drill.ip_ranges import GLOBAL, Ranges, ranges_of
from drill.target import load_target

CORE_BANKING = Path(__file__).parents[2] / "targets" / "core-banking.toml"
TOKYO, OSAKA, OREGON = "ap-northeast-1", "ap-northeast-3", "us-west-2"
PREFIXES = [
    ("13.112.0.0/14", TOKYO),
    ("13.113.0.0/16", OSAKA),
    ("13.113.7.0/24", GLOBAL),
    ("15.0.0.0/8", GLOBAL),
    ("15.152.0.0/16", OSAKA),
    ("52.0.0.0/10", "us-east-1"),
]


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A file in AWS's format."""
    rows = [
        {"ip_prefix": prefix, "region": region, "service": "EC2", "network_border_group": region}
        for prefix, region in PREFIXES
    ]
    path = tmp_path / "ip-ranges.json"
    path.write_text(json.dumps({"syncToken": "1792665184", "prefixes": rows, "ipv6_prefixes": []}))
    return path


NETWORKS = st.builds(
    lambda number, length: str(ipaddress.ip_network((number, length), strict=False)),
    st.integers(0, 2**32 - 1),
    st.integers(4, 32),
)


@given(st.dictionaries(NETWORKS, st.sampled_from([TOKYO, OSAKA, OREGON]), max_size=25), st.data())
def test_the_longest_prefix_decides(networks: dict[str, str], data: st.DataObject) -> None:
    """The flattened ranges say what looking through all of them says."""
    cidrs: dict[str, list[str]] = {}
    for network, region in networks.items():
        cidrs.setdefault(region, []).append(network)
    ranges = Ranges(cidrs)
    edges = [str(n[i]) for n in map(ipaddress.ip_network, networks) for i in (0, -1)]
    address = data.draw(st.one_of(st.ip_addresses(v=4).map(str), *([st.sampled_from(edges)] if edges else [])))
    holding = [
        (ipaddress.ip_network(n).prefixlen, r)
        for n, r in networks.items()
        if ipaddress.ip_address(address) in ipaddress.ip_network(n)
    ]
    assert ranges.region_of(address) == (max(holding)[1] if holding else None)


def test_only_what_decides_is_taken_from_the_published_file(published: Path) -> None:
    """Ranges of the target's Regions, and those of others inside them; an address of nobody's Region has none."""
    cidrs, token = ranges_of(published, [TOKYO, OSAKA])
    assert token == "1792665184"
    assert cidrs == {TOKYO: ["13.112.0.0/14"], OSAKA: ["13.113.0.0/16", "15.152.0.0/16"], GLOBAL: ["13.113.7.0/24"]}
    ranges = Ranges(cidrs)
    found = [ranges.region_of(a) for a in ("13.112.0.1", "13.113.0.1", "13.113.7.9", "15.1.1.1", "15.152.3.4", "x")]
    assert found == [TOKYO, OSAKA, None, None, OSAKA, None]


def test_a_target_takes_its_public_addresses_from_the_file(published: Path) -> None:
    """The ranges become part of the target, so that its digest and its run folders carry them; its own come too."""
    text = CORE_BANKING.read_text().replace("[regions.cidrs]", 'ip_ranges = "ip-ranges.json"\n\n[regions.cidrs]')
    path = published.with_name("public.toml")
    path.write_text(text)
    target = load_target(path)
    assert (target.region_of("13.113.0.1"), target.region_of("127.100.0.1")) == (OSAKA, TOKYO)
    assert target.regions.ip_ranges_token == "1792665184"
    again = type(target).model_validate(target.model_dump(mode="json"))
    assert again.region_of("13.112.200.1") == TOKYO
    published.write_text("{}")
    with pytest.raises(UsageError, match=r"regions\.ip_ranges: .*not a file like AWS's ip-ranges\.json"):
        load_target(path)
