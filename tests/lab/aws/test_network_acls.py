"""Which of a Region's networks its network ACLs cut off."""

from __future__ import annotations

from typing import Any

import pytest

from lab.aws.network_acls import NetworkAcls
from lab.aws.server import AwsServer
from lab.truth import Truth

TOKYO, OSAKA = "ap-northeast-1", "ap-northeast-3"
ANYTHING = {"Protocol": "-1", "CidrBlock": "0.0.0.0/0"}
BOTH = ["127.100.4.0/22", "127.100.8.0/22"]


@pytest.fixture
def told() -> list[list[str]]:
    return []


@pytest.fixture
def acls(server: AwsServer, truth: Truth, told: list[list[str]]) -> NetworkAcls:
    acls = NetworkAcls(server, truth, [TOKYO], [lambda networks: told.append(list(networks))])
    acls.start()
    return acls


def network(server: AwsServer, region: str) -> tuple[Any, str, list[str]]:
    """A VPC with two subnets: the Region's EC2, the VPC's own ACL, the subnets."""
    ec2 = server.client("ec2", region)
    vpc = ec2.create_vpc(CidrBlock="10.100.0.0/20")["Vpc"]["VpcId"]
    blocks = ("10.100.4.0/22", "10.100.8.0/22")
    subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=block)["Subnet"]["SubnetId"] for block in blocks]
    (acl,) = ec2.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["NetworkAcls"]
    return ec2, acl["NetworkAclId"], subnets


def rule(ec2: Any, acl: str, action: str, egress: bool = False, number: int = 100, **over: Any) -> None:
    ec2.replace_network_acl_entry(
        NetworkAclId=acl, RuleNumber=number, RuleAction=action, Egress=egress, **{**ANYTHING, **over}
    )


@pytest.mark.parametrize("egress", [False, True])
def test_denying_one_way_cuts_all_subnets_of_the_acl_off(
    server: AwsServer, acls: NetworkAcls, told: list[list[str]], egress: bool
) -> None:
    """A connection needs both ways; allowing again brings them back, and each change is told once."""
    ec2, acl, _ = network(server, TOKYO)
    rule(ec2, acl, "deny", egress)
    assert (told[-1], acls.cuts_off("127.100.9.84"), acls.cuts_off("127.101.9.84")) == (BOTH, True, False)
    rule(ec2, acl, "deny", not egress)
    rule(ec2, acl, "allow", not egress)
    assert told == [BOTH]
    rule(ec2, acl, "allow", egress)
    assert told == [BOTH, []]
    assert not acls.cuts_off("127.100.9.84")


def test_an_acl_of_a_subnets_own_cuts_off_that_subnet(
    server: AwsServer, acls: NetworkAcls, told: list[list[str]]
) -> None:
    """A new ACL allows nothing: who is moved to it is cut off, and comes back with its first rules."""
    ec2, acl, (first, _) = network(server, TOKYO)
    vpc = ec2.describe_network_acls(NetworkAclIds=[acl])["NetworkAcls"][0]["VpcId"]
    empty = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    links = ec2.describe_network_acls(NetworkAclIds=[acl])["NetworkAcls"][0]["Associations"]
    (link,) = [each["NetworkAclAssociationId"] for each in links if each["SubnetId"] == first]
    ec2.replace_network_acl_association(AssociationId=link, NetworkAclId=empty)
    for egress in (False, True):
        ec2.create_network_acl_entry(
            NetworkAclId=empty, RuleNumber=100, RuleAction="allow", Egress=egress, **ANYTHING
        )
    assert told == [BOTH[:1], []]


def test_a_rule_that_an_earlier_one_overrules_lets_nothing_pass(
    server: AwsServer, acls: NetworkAcls, told: list[list[str]]
) -> None:
    """Denying everything under a lower number is as good as changing the rule; denying a part is not."""
    ec2, acl, _ = network(server, TOKYO)
    part = {"CidrBlock": "10.0.0.0/8"}
    ec2.create_network_acl_entry(
        NetworkAclId=acl, RuleNumber=10, RuleAction="deny", Egress=False, **{**ANYTHING, **part}
    )
    assert told == []
    rule(ec2, acl, "deny", number=10)
    assert told == [BOTH]


def test_another_regions_acl_is_nobodys_business(server: AwsServer, acls: NetworkAcls, told: list[list[str]]) -> None:
    """Only the Regions that the system serves from are looked at."""
    ec2, acl, _ = network(server, OSAKA)
    rule(ec2, acl, "deny")
    assert told == []
