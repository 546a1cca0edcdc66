"""What the stacks of several systems have in common, created through the lab's AWS API as the stacks would."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Client = Callable[[str, str], Any]
"""client(service, region): a boto3 client of the lab's API."""
CHECK_INTERVAL_S, HEALTHY_THRESHOLD, DEREGISTRATION_DELAY_S = 15, 2, 10


@dataclass(frozen=True)
class Routing:
    """ARC: the cluster's ARN, the controls' ARNs by Region, and the five (region, endpoint URL) pairs in order."""

    cluster: str
    controls: Mapping[str, str]
    endpoints: tuple[tuple[str, str], ...]


def routing(client: Client, region: str, cluster: str, panel: str, controls: Mapping[str, str]) -> Routing:
    """An ARC cluster and panel, and a control of each name; all are Off. region: ARC's; controls: Region -> name."""
    arc = client("route53-recovery-control-config", region)
    made = arc.create_cluster(ClusterName=cluster)["Cluster"]["ClusterArn"]
    where = arc.create_control_panel(ClusterArn=made, ControlPanelName=panel)["ControlPanel"]["ControlPanelArn"]
    found = {
        of: arc.create_routing_control(ClusterArn=made, ControlPanelArn=where, RoutingControlName=name)
        for of, name in controls.items()
    }
    endpoints = arc.describe_cluster(ClusterArn=made)["Cluster"]["ClusterEndpoints"]
    return Routing(
        made,
        {of: control["RoutingControl"]["RoutingControlArn"] for of, control in found.items()},
        tuple((str(endpoint["Region"]), str(endpoint["Endpoint"])) for endpoint in endpoints),
    )


def control_check(route53: Any, reference: str, control: str, name: str = "") -> str:
    """A health check on a routing control; its id. name: its tag Name, "" for none."""
    config = {"Type": "RECOVERY_CONTROL", "RoutingControlArn": control}
    made = route53.create_health_check(CallerReference=reference, HealthCheckConfig=config)["HealthCheck"]["Id"]
    if name:
        tags = [{"Key": "Name", "Value": name}]
        route53.change_tags_for_resource(ResourceType="healthcheck", ResourceId=made, AddTags=tags)
    return str(made)


def target_group(elb: Any, name: str, vpc: str) -> str:
    """A target group of addresses that answer HTTP, checked at /health; its ARN."""
    created = elb.create_target_group(
        Name=name,
        Protocol="HTTP",
        Port=80,
        VpcId=vpc,
        TargetType="ip",
        HealthCheckPath="/health",
        HealthCheckIntervalSeconds=CHECK_INTERVAL_S,
        HealthyThresholdCount=HEALTHY_THRESHOLD,
    )
    arn = str(created["TargetGroups"][0]["TargetGroupArn"])
    delay = {"Key": "deregistration_delay.timeout_seconds", "Value": str(DEREGISTRATION_DELAY_S)}
    elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=[delay])
    return arn


def fargate_service(
    ecs: Any,
    cluster: str,
    name: str,
    family: str,
    image: str,
    vpc: Mapping[str, Any],
    group: str | None = None,
    desired: int = 1,
    tags: Sequence[Mapping[str, str]] = (),
) -> None:
    """A task definition of one container and its service; group: of the balancer that leads to it, None for none.

    tags: of the service and of each of its tasks.
    """
    container = {"name": "app", "image": f"{image}:latest", "memory": 512, "essential": True}
    ecs.register_task_definition(
        family=family, networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512",
        containerDefinitions=[container],
    )  # fmt: skip
    balancers = [{"targetGroupArn": group, "containerName": "app", "containerPort": 80}] if group else []
    ecs.create_service(
        cluster=cluster,
        serviceName=name,
        taskDefinition=family,
        desiredCount=desired,
        launchType="FARGATE",
        loadBalancers=balancers,
        networkConfiguration={"awsvpcConfiguration": vpc},
        **({"tags": list(tags), "propagateTags": "SERVICE"} if tags else {}),
    )
