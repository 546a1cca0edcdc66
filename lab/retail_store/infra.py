"""Creates the system's resources in the lab's AWS API, as its stacks would, through the API itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab import stack_parts
from lab.retail_store import names
from lab.retail_store.names import DATABASES, EAST, INTERNAL, PATHS, PLACES, SERVICES, SERVING, WEST
from lab.stack_parts import Client, Routing, control_check, fargate_service, target_group

ENGINE = {"Engine": "aurora-mysql", "EngineVersion": "8.0.mysql_aurora.3.04.0"}


@dataclass(frozen=True)
class Network:
    """A Region's VPC with two subnets and a security group (ids)."""

    vpc: str
    subnets: tuple[str, str]
    security_group: str


@dataclass(frozen=True)
class Balancing:
    """A Region's public load balancer (DNS name, hosted zone id) and all target group ARNs by service."""

    dns_name: str
    zone_id: str
    groups: Mapping[str, str]


def network(client: Client, region: str) -> Network:
    """The Region's VPC."""
    place, ec2 = PLACES[region], client("ec2", region)
    vpc = ec2.create_vpc(CidrBlock=place.cidr)["Vpc"]["VpcId"]
    prefix = place.cidr.rsplit(".", 2)[0]
    blocks = [(f"{prefix}.{third}.0/22", zone) for third, zone in ((4, "a"), (8, "b"))]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=block, AvailabilityZone=f"{region}{zone}")["Subnet"]["SubnetId"]
        for block, zone in blocks
    ]
    group = ec2.create_security_group(GroupName="alb", Description="load balancers", VpcId=vpc)["GroupId"]
    return Network(vpc, (subnets[0], subnets[1]), group)


def balancing(client: Client, region: str, net: Network) -> Balancing:
    """The Region's two load balancers: the user interface's, and the one between the services."""
    elb = client("elbv2", region)
    groups = {service: target_group(elb, f"retail-{service}", net.vpc) for service in SERVICES}
    public = _balancer(elb, region, net, "ui", "internet-facing")
    forward = {"Type": "forward", "TargetGroupArn": groups["ui"]}
    _listener(elb, public, forward)
    inner = _listener(elb, _balancer(elb, region, net, "internal", "internal"), _not_found())
    for priority, service in enumerate(INTERNAL, start=1):
        elb.create_rule(
            ListenerArn=inner,
            Priority=priority,
            Conditions=[{"Field": "path-pattern", "Values": [f"{PATHS[service]}*"]}],
            Actions=[{"Type": "forward", "TargetGroupArn": groups[service]}],
        )
    return Balancing(public["DNSName"], public["CanonicalHostedZoneId"], groups)


def _balancer(elb: Any, region: str, net: Network, kind: str, scheme: str) -> dict[str, Any]:
    made = elb.create_load_balancer(
        Name=names.balancer_name(region, kind),
        Subnets=list(net.subnets),
        SecurityGroups=[net.security_group],
        Scheme=scheme,
    )
    return dict(made["LoadBalancers"][0])


def _listener(elb: Any, balancer: Mapping[str, Any], action: Mapping[str, Any]) -> str:
    made = elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=[action]
    )
    return str(made["Listeners"][0]["ListenerArn"])


def _not_found() -> dict[str, Any]:
    return {
        "Type": "fixed-response",
        "FixedResponseConfig": {"StatusCode": "404", "ContentType": "text/plain"},
    }


def services(client: Client, region: str, net: Network, lb: Balancing, desired: int) -> None:
    """The Region's ECS cluster, task definitions and six services."""
    ecs = client("ecs", region)
    ecs.create_cluster(clusterName=names.ECS_CLUSTER)
    vpc = {"subnets": list(net.subnets), "securityGroups": [net.security_group], "assignPublicIp": "DISABLED"}
    for service in SERVICES:
        name, group = names.service_name(service), lb.groups[service]
        fargate_service(ecs, names.ECS_CLUSTER, name, service, service, vpc, group, desired)


def carts(client: Client) -> None:
    """The global table of carts (created in us-east-1, with a replica in us-west-2)."""
    client("dynamodb", EAST).create_table(
        TableName=names.CARTS_TABLE,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    client("dynamodb", EAST).update_table(
        TableName=names.CARTS_TABLE, ReplicaUpdates=[{"Create": {"RegionName": WEST}}]
    )


def databases(client: Client) -> None:
    """The two Aurora global clusters with their writers in us-east-1; us-west-2 forwards writes."""
    for name in DATABASES:
        client("rds", EAST).create_global_cluster(GlobalClusterIdentifier=names.global_cluster(name), **ENGINE)
        for region in SERVING:
            _database(client("rds", region), name, region)


def _database(rds: Any, name: str, region: str) -> None:
    admin = {"MasterUsername": "admin", "MasterUserPassword": "only-in-the-lab"}
    cluster = names.database_cluster(name, region)
    rds.create_db_cluster(
        DBClusterIdentifier=cluster,
        GlobalClusterIdentifier=names.global_cluster(name),
        **ENGINE,
        **(admin if region == EAST else {"EnableGlobalWriteForwarding": True}),
    )
    rds.create_db_instance(
        DBInstanceIdentifier=f"{name}-{region}-instance-1",
        DBClusterIdentifier=cluster,
        DBInstanceClass="db.serverless",
        Engine=ENGINE["Engine"],
    )


def routing(client: Client) -> Routing:
    """The ARC cluster, panel and one control per Region; the stack's custom resources set both On."""
    controls = {region: f"retail-store-ar-RoutingControl{PLACES[region].role}" for region in SERVING}
    made = stack_parts.routing(client, names.ARC_REGION, names.ARC_CLUSTER, names.ARC_PANEL, controls)
    data = client("route53-recovery-cluster", EAST)
    for arn in made.controls.values():
        data.update_routing_control_state(RoutingControlArn=arn, RoutingControlState="On")
    return made


def zone(client: Client, lbs: Mapping[str, Balancing], route: Routing, nets: Mapping[str, Network]) -> None:
    """The private hosted zone with the two latency records of the store."""
    r53 = client("route53", EAST)
    created = r53.create_hosted_zone(
        Name=names.ZONE,
        CallerReference="retail-store",
        VPC={"VPCRegion": EAST, "VPCId": nets[EAST].vpc},
        HostedZoneConfig={"PrivateZone": True, "Comment": "retail store"},
    )["HostedZone"]["Id"]
    changes = [
        {"Action": "CREATE", "ResourceRecordSet": _latency_record(r53, region, lbs[region], route)}
        for region in SERVING
    ]
    zone_id = str(created).rsplit("/", 1)[-1]
    r53.change_resource_record_sets(HostedZoneId=zone_id, ChangeBatch={"Changes": changes})


def _latency_record(r53: Any, region: str, lb: Balancing, route: Routing) -> dict[str, Any]:
    role = PLACES[region].role
    check = control_check(r53, f"hc-{role}", route.controls[region], f"{names.HEALTH_CHECK}{role}")
    return {
        "Name": names.STORE_NAME,
        "Type": "A",
        "SetIdentifier": f"{role}Region",
        "Region": region,
        "HealthCheckId": check,
        "AliasTarget": {"HostedZoneId": lb.zone_id, "DNSName": lb.dns_name, "EvaluateTargetHealth": True},
    }


def secrets(client: Client, route: Routing) -> None:
    """What the stacks keep in Secrets Manager; the runbooks' function was given it at deployment."""
    values = {
        "ArcClusterSecret": route.cluster,
        "ArcClusterEndpoints": json.dumps(dict(route.endpoints)),
        **{f"ArcRoutingControl{PLACES[region].role}Secret": arn for region, arn in route.controls.items()},
    }
    for name in DATABASES:
        values[f"mr-app/{name}-global-db-cluster"] = names.global_cluster(name)
        for region in SERVING:
            values[f"mr-app/{name}-{region}-global-db-cluster"] = names.database_arn(name, region)
    for region in SERVING:
        for name, value in values.items():
            client("secretsmanager", region).create_secret(Name=name, SecretString=value)


def start_canary(synthetics: Any, region: str, name: str) -> None:
    """One of the twelve canaries of a Region, running; no alarm watches it: people do."""
    synthetics.create_canary(
        Name=name,
        Code={"Handler": "index.handler", "S3Bucket": "canary-code", "S3Key": "canary.zip"},
        ArtifactS3Location=f"s3://canary-{region}",
        ExecutionRoleArn=f"arn:aws:iam::{names.ACCOUNT}:role/canary",
        Schedule={"Expression": "rate(1 minute)"},
        RunConfig={"TimeoutInSeconds": 20},
        RuntimeVersion="syn-nodejs-puppeteer-7.0",
    )
    synthetics.start_canary(Name=name)
