"""Creates the system's resources in the lab's AWS API, as its operators would, through the API itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from moto.rds.models import rds_backends

from lab.private_link import names
from lab.private_link.names import TOKYO

Client = Callable[[str, str], Any]
"""client(service, region): a boto3 client of the lab's API."""
ENGINES = {"postgresql": "aurora-postgresql", "mysql": "aurora-mysql"}
"""By the scheme of its clients' URLs."""
ATTRIBUTES = {
    "deregistration_delay.timeout_seconds": "0",
    "deregistration_delay.connection_termination.enabled": "true",
}


def cluster(client: Client, scheme: str) -> None:
    """The cluster with its two instances, the first of which is the writer."""
    engine = ENGINES[scheme]
    rds = client("rds", TOKYO)
    admin = {"MasterUsername": "postgres", "MasterUserPassword": "only-in-the-lab"}
    rds.create_db_cluster(DBClusterIdentifier=names.CLUSTER, Engine=engine, **admin)
    # Only the random part of its endpoint's name is moto's own choice; a target file must know it before.
    rds_backends[names.ACCOUNT][TOKYO].clusters[names.CLUSTER].url_identifier = names.ENDPOINT_ID
    for name in names.INSTANCES:
        rds.create_db_instance(
            DBInstanceIdentifier=name,
            DBClusterIdentifier=names.CLUSTER,
            DBInstanceClass="db.r6g.large",
            Engine=engine,
        )


def balancing(client: Client, port: int) -> str:
    """The network load balancer and its group of one address; the group's ARN."""
    ec2, elb = client("ec2", TOKYO), client("elbv2", TOKYO)
    vpc = ec2.create_vpc(CidrBlock=names.CIDR)["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.105.{third}.0/24", AvailabilityZone=f"{TOKYO}{zone}")
        for third, zone in ((1, "a"), (2, "c"))
    ]
    made = elb.create_target_group(
        Name=names.TARGET_GROUP,
        Protocol="TCP",
        Port=port,
        VpcId=vpc,
        TargetType="ip",
        HealthCheckProtocol="TCP",
        HealthCheckPort=str(names.CHECK_PORT),
    )
    group = str(made["TargetGroups"][0]["TargetGroupArn"])
    attributes = [{"Key": key, "Value": value} for key, value in ATTRIBUTES.items()]
    elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=attributes)
    balancer = elb.create_load_balancer(
        Name=names.BALANCER, Type="network", Scheme="internal", Subnets=[s["Subnet"]["SubnetId"] for s in subnets]
    )["LoadBalancers"][0]["LoadBalancerArn"]
    forward = [{"Type": "forward", "TargetGroupArn": group}]
    elb.create_listener(LoadBalancerArn=balancer, Protocol="TCP", Port=port, DefaultActions=forward)
    return group


def subscriptions(client: Client, function: str) -> None:
    """RDS events of failovers to the topic, and from there, filtered, to the function."""
    topic = str(client("sns", TOKYO).create_topic(Name=names.TOPIC)["TopicArn"])
    client("rds", TOKYO).create_event_subscription(
        SubscriptionName=names.EVENTS,
        SnsTopicArn=topic,
        SourceType="db-cluster",
        EventCategories=["failover"],
        SourceIds=[names.CLUSTER],
        Enabled=True,
    )
    attributes = {"FilterPolicyScope": "MessageBody", "FilterPolicy": json.dumps(names.FILTER)}
    client("sns", TOKYO).subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function, Attributes=attributes)
