"""A cluster that tells of its failovers, and what follows it, in the account of tests/checks/cloud.py."""

from __future__ import annotations

import base64
import json

from drill.target import Resource
from lab.aws.elb import Balancers
from lab.aws.server import AwsServer
from tests.checks.cloud import Cloud
from tests.checks.worlds import TOKYO

SOURCE_CLUSTER, GROUP, TOPIC, FUNCTION = "source-cluster", "source-targets", "source-failover", "switch-source-target"
INSTANCES = ("source-instance-1", "source-instance-2")
RESOURCES = {
    "source_db_cluster": Resource(region=TOKYO, name=SOURCE_CLUSTER),
    "source_target_group": Resource(region=TOKYO, name=GROUP),
    "events_topic": Resource(region=TOKYO, name=TOPIC),
    "events_subscription": Resource(region=TOKYO, within=TOPIC, name=FUNCTION),
    "switch_function": Resource(region=TOKYO, name=FUNCTION),
}
EMPTY_ZIP = base64.b64decode("UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA==")


def add_events_source(made: Cloud) -> None:
    """Make it; the target names it."""
    make_events_source(made.server)
    made.target = made.target.model_copy(update={"resources": made.target.resources | RESOURCES})


def make_events_source(server: AwsServer) -> None:
    """Two of each kind, so that "*" is ambiguous."""
    Balancers(server)
    group_and_topic(server, GROUP, TOPIC, FUNCTION)
    group_and_topic(server, "other-targets", "other-topic", "other-function")
    rds = server.client("rds", TOKYO)
    admin = {"MasterUsername": "root", "MasterUserPassword": "password"}
    rds.create_db_cluster(DBClusterIdentifier=SOURCE_CLUSTER, Engine="aurora-postgresql", **admin)
    for name in INSTANCES:
        rds.create_db_instance(
            DBInstanceIdentifier=name,
            DBClusterIdentifier=SOURCE_CLUSTER,
            DBInstanceClass="db.r6g.large",
            Engine="aurora-postgresql",
        )


def group_and_topic(server: AwsServer, group: str, topic: str, function: str) -> None:
    """A target group, a topic, and a function that is subscribed to it."""
    vpc = server.client("ec2", TOKYO).create_vpc(CidrBlock="10.105.0.0/16")["Vpc"]["VpcId"]
    elb, sns = server.client("elbv2", TOKYO), server.client("sns", TOKYO)
    elb.create_target_group(Name=group, Protocol="TCP", Port=3306, VpcId=vpc, TargetType="ip")
    iam = server.client("iam", TOKYO)
    arn = str(iam.create_role(RoleName=function, AssumeRolePolicyDocument="{}")["Role"]["Arn"])
    subscribed = server.client("lambda", TOKYO).create_function(
        FunctionName=function,
        Runtime="python3.12",
        Role=arn,
        Handler="index.handler",
        Code={"ZipFile": EMPTY_ZIP},
        Environment={"Variables": {"IP_DICT": json.dumps({INSTANCES[0]: "10.105.1.20"}), "PORT": "3306"}},
    )["FunctionArn"]
    topic_arn = sns.create_topic(Name=topic)["TopicArn"]
    policy = {"Event ID": [{"suffix": "RDS-EVENT-0073"}]}
    attributes = {"FilterPolicyScope": "MessageBody", "FilterPolicy": json.dumps(policy)}
    sns.subscribe(TopicArn=topic_arn, Protocol="lambda", Endpoint=subscribed, Attributes=attributes)


def published(made: Cloud) -> int:
    """How many crafted messages the topic was given: each has a parameter that is written first."""
    found = made.client("ssm", TOKYO).describe_parameters()["Parameters"]
    return sum(str(parameter["Name"]).startswith("drill-") for parameter in found)


def failed_over(made: Cloud) -> int:
    """Whether the second instance writes."""
    (cluster,) = made.client("rds", TOKYO).describe_db_clusters(DBClusterIdentifier=SOURCE_CLUSTER)["DBClusters"]
    return sum(m["IsClusterWriter"] for m in cluster["DBClusterMembers"] if m["DBInstanceIdentifier"] == INSTANCES[1])


def fail_back(made: Cloud) -> None:
    """The first instance writes again."""
    made.client("rds", TOKYO).failover_db_cluster(
        DBClusterIdentifier=SOURCE_CLUSTER, TargetDBInstanceIdentifier=INSTANCES[0]
    )


def forget_published(made: Cloud) -> None:
    """The parameters are gone."""
    ssm = made.client("ssm", TOKYO)
    names = [p["Name"] for p in ssm.describe_parameters()["Parameters"] if str(p["Name"]).startswith("drill-")]
    if names:
        ssm.delete_parameters(Names=names)
