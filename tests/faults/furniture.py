"""What the samples of the whole catalogue need in the account of tests/checks/cloud.py besides core-banking's own."""

from __future__ import annotations

from typing import Any

from drill.target import Resource
from tests.checks.cloud import ROLE, RULE, Cloud
from tests.checks.worlds import OSAKA, TOKYO

TOPIC = "arn:aws:sns:ap-northeast-3:111111111111:people"
RESOURCES = {
    "pager_alarm": Resource(region=OSAKA, name="pager"),
    "failover_targets": Resource(region=OSAKA, name=RULE),
    "osaka_record": Resource(region=TOKYO, within="api.example.com", name="osaka"),
    "app_network_acl": Resource(region=TOKYO, name="app-*"),
}
"""Keys for the target, so that its snapshots hold them."""


def furnish(made: Cloud) -> None:
    """Put it there, each thing beside another one of its kind."""
    _alarms(made)
    _targets(made)
    _zone(made)
    _network(made)
    made.target = made.target.model_copy(update={"resources": {**made.target.resources, **RESOURCES}})


def _alarms(made: Cloud) -> None:
    made.client("cloudwatch", OSAKA).put_metric_alarm(
        AlarmName="pager",
        Namespace="bank",
        MetricName="failures",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
        AlarmActions=[TOPIC],
    )


def _targets(made: Cloud) -> None:
    machine = {"Id": "machine", "Arn": made.machines["FailoverInitiatorStateMachineC3"], "RoleArn": ROLE}
    people = {"Id": "people", "Arn": TOPIC, "Input": '{"text": "moving"}'}
    made.client("events", OSAKA).put_targets(Rule=RULE, Targets=[people, machine])


def _zone(made: Cloud) -> None:
    route53 = made.client("route53", TOKYO)
    zone = route53.create_hosted_zone(Name="example.com", CallerReference="furniture")["HostedZone"]["Id"]
    records = [_record(region, address) for region, address in (("tokyo", "10.0.0.1"), ("osaka", "10.0.0.2"))]
    batch = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record} for record in records]}
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)


def _record(name: str, address: str) -> dict[str, Any]:
    said = {"Name": "api.example.com.", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": address}]}
    return {**said, "SetIdentifier": name, "Weight": 100}


def _network(made: Cloud) -> None:
    """An ACL of the app's own for one subnet, beside the VPC's default one; its last rules deny, as AWS's own do."""
    ec2 = made.client("ec2", TOKYO)
    subnet = ec2.describe_subnets()["Subnets"][0]
    tags = [{"ResourceType": "network-acl", "Tags": [{"Key": "Name", "Value": "app-acl"}]}]
    acl = ec2.create_network_acl(VpcId=subnet["VpcId"], TagSpecifications=tags)["NetworkAcl"]["NetworkAclId"]
    for egress in (False, True):
        anything = {"RuleNumber": 100, "Protocol": "-1", "RuleAction": "allow", "CidrBlock": "0.0.0.0/0"}
        ec2.create_network_acl_entry(NetworkAclId=acl, Egress=egress, **anything)
        last = {**anything, "RuleNumber": 32766, "RuleAction": "deny"}
        ec2.create_network_acl_entry(NetworkAclId=acl, Egress=egress, **last)
    wanted = [{"Name": "association.subnet-id", "Values": [subnet["SubnetId"]]}]
    links = ec2.describe_network_acls(Filters=wanted)["NetworkAcls"][0]["Associations"]
    (link,) = [each for each in links if each["SubnetId"] == subnet["SubnetId"]]
    ec2.replace_network_acl_association(AssociationId=link["NetworkAclAssociationId"], NetworkAclId=acl)
