"""Creates the system's resources in the lab's AWS API, as its stacks would, through the API itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lab.event_bus import names
from lab.event_bus.names import OSAKA, PLACES, SERVING, TOKYO
from lab.stack_parts import Client, fargate_service

TAGS = [{"Key": "drill", "Value": "allowed"}]


def balancer_name(region: str) -> str:
    """The load balancer before a Region's consumers."""
    return f"event-consumer-{region}"


def balancing(client: Client, region: str) -> tuple[dict[str, Any], str]:
    """The load balancer before a Region's consumers (as elbv2 shows it, and what tasks behind it need), its group."""
    ec2, elb = client("ec2", region), client("elbv2", region)
    vpc = ec2.create_vpc(CidrBlock=PLACES[region].cidr)["Vpc"]["VpcId"]
    prefix = PLACES[region].cidr.rsplit(".", 2)[0]
    blocks = [(f"{prefix}.{third}.0/24", f"{region}{zone}") for third, zone in ((4, "a"), (8, "c"))]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=block, AvailabilityZone=zone)["Subnet"]["SubnetId"]
        for block, zone in blocks
    ]
    security = ec2.create_security_group(GroupName="consumers", Description="consumers", VpcId=vpc)["GroupId"]
    made = elb.create_load_balancer(Name=balancer_name(region), Subnets=subnets)["LoadBalancers"][0]
    group = elb.create_target_group(
        Name=f"event-{names.CONSUMER}",
        Protocol="HTTP",
        Port=80,
        VpcId=vpc,
        TargetType="ip",
        HealthCheckPath="/health",
    )["TargetGroups"][0]["TargetGroupArn"]
    forward = {"Type": "forward", "TargetGroupArn": group}
    elb.create_listener(LoadBalancerArn=made["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=[forward])
    return {**made, "vpc": {"subnets": subnets, "securityGroups": [security]}}, str(group)


def service(client: Client, region: str, lb: Mapping[str, Any], group: str) -> None:
    """The Region's ECS cluster with the consumers."""
    ecs = client("ecs", region)
    ecs.create_cluster(clusterName=names.CLUSTER)
    tags = [{"key": tag["Key"], "value": tag["Value"]} for tag in TAGS]
    name, vpc = names.CONSUMER, lb["vpc"]
    fargate_service(ecs, names.CLUSTER, name, name, name, vpc, group, tags=tags)


def buses(client: Client, http_port: int, consumers: str) -> None:
    """In both Regions the bus with its archive, and the rules by `region` to the consumers."""
    for region in SERVING:
        events = client("events", region)
        events.create_event_bus(Name=names.BUS)
        events.create_archive(ArchiveName=names.ARCHIVE, EventSourceArn=names.bus_arn(region))
        handles = region == TOKYO or consumers == "active-active"
        _rules(events, region, http_port, "ENABLED" if handles else "DISABLED")


def _rules(events: Any, region: str, http_port: int, state: str) -> None:
    key = {"ApiKeyName": "x-api-key", "ApiKeyValue": "only-in-the-lab"}
    connection = events.create_connection(
        Name=names.CONSUMER, AuthorizationType="API_KEY", AuthParameters={"ApiKeyAuthParameters": key}
    )["ConnectionArn"]
    by_region = [(names.OWN_RULE, region), (names.COPY_RULE, names.other(region))]
    patterns = {rule: {"source": [names.SOURCE], "region": [taken_in]} for rule, taken_in in by_region}
    audited = {"source": [names.SOURCE], "replay-name": [{"prefix": names.AUDIT_REPLAYS}]}
    for name, path, of, enabled in (
        (names.CONSUMER, "/events", patterns, state),
        (names.AUDIT, "/archive", {names.AUDIT_RULE: audited}, "ENABLED"),
    ):
        destination = events.create_api_destination(
            Name=name,
            ConnectionArn=connection,
            InvocationEndpoint=f"http://{PLACES[region].consumers[0]}:{http_port}{path}",
            HttpMethod="POST",
        )["ApiDestinationArn"]
        for rule, pattern in of.items():
            _rule(events, rule, pattern, enabled, {"Id": name, "Arn": destination, "RoleArn": names.ROLE})


def _rule(events: Any, name: str, pattern: Mapping[str, Any], state: str, target: Mapping[str, str]) -> None:
    events.put_rule(Name=name, EventBusName=names.BUS, EventPattern=json.dumps(pattern), State=state, Tags=TAGS)
    events.put_targets(Rule=name, EventBusName=names.BUS, Targets=[target])


def health_check(client: Client, period_s: float, periods: int, missing: str) -> str:
    """The published template's alarm and the health check on it; the check's id."""
    client("cloudwatch", TOKYO).put_metric_alarm(
        AlarmName=names.ALARM,
        AlarmDescription="High Latency in Amazon EventBridge",
        MetricName="IngestionToInvocationStartLatency",
        Namespace="AWS/Events",
        Statistic="Average",
        Period=int(period_s),
        EvaluationPeriods=periods,
        Threshold=30000,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData=missing,
        Tags=TAGS,
    )
    route53 = client("route53", TOKYO)
    made = route53.create_health_check(
        CallerReference=names.HEALTH_CHECK,
        HealthCheckConfig={
            "Type": "CLOUDWATCH_METRIC",
            "AlarmIdentifier": {"Region": TOKYO, "Name": names.ALARM},
            "InsufficientDataHealthStatus": "Unhealthy" if missing == "breaching" else "LastKnownStatus",
        },
    )["HealthCheck"]["Id"]
    name = {"Key": "Name", "Value": names.HEALTH_CHECK}
    route53.change_tags_for_resource(ResourceType="healthcheck", ResourceId=made, AddTags=[name, *TAGS])
    return str(made)


def endpoint(client: Client, check: str, replication: str) -> None:
    """The global endpoint over both buses."""
    client("events", TOKYO).create_endpoint(
        Name=names.ENDPOINT,
        RoutingConfig={
            "FailoverConfig": {
                "Primary": {"HealthCheck": f"arn:aws:route53:::healthcheck/{check}"},
                "Secondary": {"Route": OSAKA},
            }
        },
        ReplicationConfig={"State": replication},
        EventBuses=[{"EventBusArn": names.bus_arn(region)} for region in SERVING],
        RoleArn=names.ROLE,
    )


def heartbeat(client: Client) -> None:
    """The schedule of the system's own events; who sends them is the lab itself."""
    client("events", TOKYO).put_rule(
        Name=names.HEARTBEAT, ScheduleExpression="rate(1 minute)", State="ENABLED", Tags=TAGS
    )


def beating(client: Client) -> bool:
    """Whether the schedule is on."""
    return bool(client("events", TOKYO).describe_rule(Name=names.HEARTBEAT)["State"] == "ENABLED")


def impairment(client: Client) -> None:
    """The lab's switch in each Region, off."""
    for region in SERVING:
        client("ssm", region).put_parameter(Name=names.IMPAIRMENT, Value="0", Type="String", Tags=TAGS)
