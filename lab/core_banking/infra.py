"""Creates the system's resources in the lab's AWS API, as its stacks would, through the API itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab import stack_parts
from lab.core_banking import names
from lab.core_banking.names import OSAKA, PATHS, PLACES, SERVING, TOKYO
from lab.stack_parts import Client, Routing, control_check, fargate_service, target_group

ENGINE = {"Engine": "aurora-postgresql", "EngineVersion": "11.9"}


@dataclass(frozen=True)
class Network:
    """A Region's VPC with the two subnets of its load balancer, the one of all the rest, a security group (ids)."""

    vpc: str
    subnets: tuple[str, str]
    inner: str
    security_group: str


@dataclass(frozen=True)
class Balancing:
    """A Region's load balancer: its name, DNS name, hosted zone id, and target group ARNs by service."""

    name: str
    dns_name: str
    zone_id: str
    groups: Mapping[str, str]


def network(client: Client, region: str) -> Network:
    """The Region's VPC. All its subnets have one network ACL, the VPC's own."""
    place, ec2 = PLACES[region], client("ec2", region)
    vpc = ec2.create_vpc(CidrBlock=place.cidr)["Vpc"]["VpcId"]
    prefix = place.cidr.rsplit(".", 2)[0]
    blocks = [(f"{prefix}.{third}.0/22", zone) for third, zone in ((4, "a"), (8, "c"), (0, "a"))]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=block, AvailabilityZone=f"{region}{zone}")["Subnet"]["SubnetId"]
        for block, zone in blocks
    ]
    (acl,) = ec2.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["NetworkAcls"]
    ec2.create_tags(Resources=[acl["NetworkAclId"], *subnets], Tags=_tags("Key", "Value"))
    name = {"Key": "Name", "Value": names.network_acl_name(region)}
    ec2.create_tags(Resources=[acl["NetworkAclId"]], Tags=[name])
    group = ec2.create_security_group(GroupName="alb", Description="load balancer", VpcId=vpc)["GroupId"]
    return Network(vpc, (subnets[0], subnets[1]), subnets[2], group)


def balancing(client: Client, region: str, net: Network) -> Balancing:
    """The Region's load balancer, target groups, listener and path rules."""
    place, elb = PLACES[region], client("elbv2", region)
    name = f"BLEAF-Sampl-{names.logical_id(place.stack)[-8:]}"
    balancer = elb.create_load_balancer(
        Name=name, Subnets=list(net.subnets), SecurityGroups=[net.security_group], Scheme="internal"
    )["LoadBalancers"][0]
    group_names = {service: f"BLEAF-{service}-{names.logical_id(place.stack + service)[-8:]}" for service in PATHS}
    groups = {service: target_group(elb, group, net.vpc) for service, group in group_names.items()}
    fixed = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "400", "ContentType": "text/plain"}}
    listener = elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=[fixed]
    )["Listeners"][0]["ListenerArn"]
    for priority, (service, path) in enumerate(PATHS.items(), start=1):
        elb.create_rule(
            ListenerArn=listener,
            Priority=priority,
            Conditions=[{"Field": "path-pattern", "Values": [f"{path}*"]}],
            Actions=[{"Type": "forward", "TargetGroupArn": groups[service]}],
        )
    return Balancing(name, balancer["DNSName"], balancer["CanonicalHostedZoneId"], groups)


def services(client: Client, region: str, net: Network, lb: Balancing, desired: Mapping[str, int]) -> None:
    """The Region's ECS cluster, task definitions and services; `desired` has counts other than 1."""
    ecs, cluster = client("ecs", region), names.cluster_name(region)
    ecs.create_cluster(clusterName=cluster)
    vpc = {"subnets": [net.inner], "securityGroups": [net.security_group], "assignPublicIp": "DISABLED"}
    for service in names.SERVICES:
        family = names.service_name(region, service)
        fargate_service(
            ecs,
            cluster,
            family,
            family,
            service.lower(),
            vpc,
            lb.groups.get(service),
            desired.get(service, 1),
            _tags("key", "value"),
        )


def _tags(key: str, value: str) -> list[dict[str, str]]:
    """What the operator has put on all that may be drilled; services differ in how they spell it."""
    return [{key: k, value: v} for k, v in names.TAGS.items()]


def tables(client: Client) -> None:
    """The global table (created in Tokyo, with a replica in Osaka)."""
    strings = [{"AttributeName": name, "AttributeType": "S"} for name in ("PK", "SK", "GSI1")]
    index = {
        "IndexName": "GSI1",
        "KeySchema": [{"AttributeName": "GSI1", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    client("dynamodb", TOKYO).create_table(
        TableName=names.main_table(),
        AttributeDefinitions=strings,
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[index],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    client("dynamodb", TOKYO).update_table(
        TableName=names.main_table(), ReplicaUpdates=[{"Create": {"RegionName": OSAKA}}]
    )


def stop_flags(client: Client) -> None:
    """Each Region's parameter table with its stop flag: Tokyo is open, Osaka is stopped."""
    for region, stopped in ((TOKYO, "false"), (OSAKA, "true")):
        table = names.param_table(region)
        client("dynamodb", region).create_table(
            TableName=table,
            AttributeDefinitions=[{"AttributeName": "PK", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
            Tags=_tags("Key", "Value"),
        )
        client("dynamodb", region).put_item(TableName=table, Item={"PK": {"S": "stopFlag"}, "value": {"S": stopped}})


def database(client: Client) -> None:
    """The Aurora global cluster with its writer in Tokyo and its reader in Osaka."""
    client("rds", TOKYO).create_global_cluster(GlobalClusterIdentifier=names.GLOBAL_CLUSTER, **ENGINE)
    for region, size in ((TOKYO, "db.r6g.large"), (OSAKA, "db.r5.large")):
        rds, cluster = client("rds", region), names.database_cluster(region)
        admin = {"MasterUsername": "postgres", "MasterUserPassword": "only-in-the-lab"}
        rds.create_db_cluster(
            DBClusterIdentifier=cluster,
            GlobalClusterIdentifier=names.GLOBAL_CLUSTER,
            **ENGINE,
            **(admin if region == TOKYO else {}),
        )
        rds.create_db_instance(
            DBInstanceIdentifier=f"{cluster}-instance1",
            DBClusterIdentifier=cluster,
            DBInstanceClass=size,
            Engine=ENGINE["Engine"],
        )


def routing(client: Client) -> Routing:
    """The ARC cluster, panel and one control per serving Region; both controls are Off, as after a deployment."""
    controls = {region: f"rc-{PLACES[region].city}" for region in SERVING}
    return stack_parts.routing(client, names.ARC_REGION, names.ARC_CLUSTER, names.ARC_PANEL, controls)


def zone(client: Client, lbs: Mapping[str, Balancing], route: Routing, nets: Mapping[str, Network]) -> str:
    """The private hosted zone with the failover pair and the two regional names; its id."""
    r53 = client("route53", TOKYO)
    created = r53.create_hosted_zone(
        Name=names.ZONE,
        CallerReference="core-banking",
        VPC={"VPCRegion": TOKYO, "VPCId": nets[TOKYO].vpc},
        HostedZoneConfig={"PrivateZone": True, "Comment": "core banking"},
    )["HostedZone"]["Id"]
    zone_id = str(created).rsplit("/", 1)[-1]
    records = [_failover_record(r53, region, lbs[region], route) for region in SERVING]
    records += [_alias(f"api.{region}.{names.ZONE}", lbs[region]) for region in SERVING]
    changes = [{"Action": "CREATE", "ResourceRecordSet": record} for record in records]
    r53.change_resource_record_sets(HostedZoneId=zone_id, ChangeBatch={"Changes": changes})
    return zone_id


def _alias(name: str, lb: Balancing) -> dict[str, Any]:
    target = {"HostedZoneId": lb.zone_id, "DNSName": lb.dns_name, "EvaluateTargetHealth": False}
    return {"Name": name, "Type": "A", "AliasTarget": target}


def _failover_record(r53: Any, region: str, lb: Balancing, route: Routing) -> dict[str, Any]:
    city = PLACES[region].city
    check = control_check(r53, f"hc-{city}", route.controls[region], f"hc-{city}")
    role = "PRIMARY" if region == TOKYO else "SECONDARY"
    return {
        **_alias(names.API_NAME, lb),
        "SetIdentifier": city,
        "Failover": role,
        "HealthCheckId": check,
    }


def canaries(client: Client) -> None:
    """A canary in each Region, running."""
    for region in PLACES:
        _canary(client("synthetics", region), region)


def alarms(client: Client, notify: bool = False) -> None:
    """An alarm on Osaka's canary and one on Oregon's; notify: each with a topic as its action."""
    for region in (OSAKA, names.OREGON):
        topics = [client("sns", region).create_topic(Name=names.ALARM_TOPIC)["TopicArn"]] if notify else []
        client("cloudwatch", region).put_metric_alarm(
            AlarmName=names.alarm_name(region),
            Namespace="CloudWatchSynthetics",
            MetricName="SuccessPercent",
            Dimensions=[{"Name": "CanaryName", "Value": names.canary_name(region)}],
            Statistic="Average",
            Period=60,
            EvaluationPeriods=2,
            DatapointsToAlarm=2,
            Threshold=100.0,
            ComparisonOperator="LessThanThreshold",
            TreatMissingData="missing",
            AlarmActions=topics,
            Tags=_tags("Key", "Value"),
        )


def _canary(synthetics: Any, region: str) -> None:
    role = f"arn:aws:iam::{names.ACCOUNT}:role/canary"
    synthetics.create_canary(
        Name=names.canary_name(region),
        Code={"Handler": "index.handler", "S3Bucket": "canary-code", "S3Key": "canary.zip"},
        ArtifactS3Location=f"s3://canary-{region}",
        ExecutionRoleArn=role,
        Schedule={"Expression": "rate(1 minute)"},
        RuntimeVersion="syn-nodejs-puppeteer-7.0",
    )
    synthetics.start_canary(Name=names.canary_name(region))


def machine(client: Client, kind: str, definition: str) -> str:
    """A state machine in Osaka; its ARN."""
    created = client("stepfunctions", OSAKA).create_state_machine(
        name=names.state_machine_name(kind),
        definition=definition,
        roleArn=f"arn:aws:iam::{names.ACCOUNT}:role/{kind.lower()}",
        tags=_tags("key", "value"),
    )
    return str(created["stateMachineArn"])


def rule(client: Client, initiator: str) -> str:
    """The automatic-failover rule, DISABLED as published; its name."""
    name = names.physical_name(names.FAILOVER_STACK, "FailoverInitiatorRule", limit=64)
    pattern = {
        "source": ["aws.cloudwatch"],
        "detail-type": ["CloudWatch Alarm State Change"],
        "detail": {
            "state": {"value": ["ALARM"]},
            "previousState": {"value": ["OK"]},
            "alarmName": [names.alarm_name(OSAKA)],
        },
    }
    events = client("events", OSAKA)
    events.put_rule(Name=name, EventPattern=json.dumps(pattern), State="DISABLED", Tags=_tags("Key", "Value"))
    role = f"arn:aws:iam::{names.ACCOUNT}:role/events"
    events.put_targets(Rule=name, Targets=[{"Id": "Target0", "Arn": initiator, "RoleArn": role}])
    return name
