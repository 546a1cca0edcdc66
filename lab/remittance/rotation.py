"""What the runbook's steps run: the behaviour of the published script, weak points included, in the lab's words.

It is stored as text in the SSM document and runs in an interpreter of its own, with boto3 and nothing of the lab.
Kept on purpose: which Region is active is told by one control alone; the controls are turned to the opposite of what
each is, not to a wanted state; an endpoint that fails half way is followed by the next one, which turns the first
control back; the secret is written in us-east-1 whatever has happened to it.
"""

import json
import time
from typing import Any

import boto3

Values = dict[str, Any]

ENDPOINT_ORDER = ("us-east-1", "us-west-2", "eu-west-1", "ap-northeast-1", "ap-southeast-2")
GLOBAL_CLUSTER = "remittance"
POLL_S = 5
OPPOSITE = {"On": "Off", "Off": "On"}


def invoke(event: Values, context: Values) -> Any:
    """The steps by name; all but two of them return nothing."""
    steps = {
        "get_regions": get_regions,
        "rotate_arc_controls": rotate_arc_controls,
        "rotate_aurora_global_database": rotate_aurora_global_database,
        "wait_for_aurora_to_be_available": wait_for_aurora_to_be_available,
        "update_database_secret": update_database_secret,
    }
    return steps[event["FUNCTION"]](event)


def get_regions(event: Values) -> Values | None:
    """Active is Region 1 when its control is On, else Region 2: also when both are Off."""
    first, second = event["AWS_REGION1"], event["AWS_REGION2"]
    cluster, control1, control2 = arc_names(event["AWS_REGION"])
    for _, url in endpoints(cluster):
        try:
            data = boto3.client("route53-recovery-cluster", region_name=event["AWS_REGION"], endpoint_url=url)
            one = state_of(data, control1)
            state_of(data, control2)
            active, passive = (first, second) if one == "On" else (second, first)
            return {"active_region": active, "passive_region": passive}
        except Exception:  # noqa: BLE001 - as published: whatever it is, the next endpoint
            continue
    return None


def rotate_arc_controls(event: Values) -> None:
    """Turn each control to its opposite, at the first endpoint where nothing fails."""
    cluster, control1, control2 = arc_names(event["AWS_REGION"])
    for region, url in endpoints(cluster):
        try:
            data = boto3.client("route53-recovery-cluster", region_name=region, endpoint_url=url)
            for control in (control1, control2):
                wanted = OPPOSITE[state_of(data, control)]
                data.update_routing_control_state(RoutingControlArn=control, RoutingControlState=wanted)
            state_of(data, control2)
            return
        except Exception:  # noqa: BLE001 - as published: it starts over at the next endpoint
            continue


def rotate_aurora_global_database(event: Values) -> Values:
    """Switch over to the first member that is not the writer; it does not wait."""
    rds = boto3.client("rds", region_name=event["AWS_REGION"])
    members = global_cluster(rds)["GlobalClusterMembers"]
    reader = members[1] if members[0]["IsWriter"] else members[0]
    rds.failover_global_cluster(
        GlobalClusterIdentifier=GLOBAL_CLUSTER, TargetDbClusterIdentifier=reader["DBClusterArn"]
    )
    return {"global_cluster": GLOBAL_CLUSTER}


def wait_for_aurora_to_be_available(event: Values) -> None:
    """For as long as the step may last."""
    rds = boto3.client("rds", region_name=event["AWS_REGION"])
    while global_cluster(rds)["Status"] != "available":
        time.sleep(POLL_S)


def update_database_secret(event: Values) -> None:
    """Read it in the Region given, write it in us-east-1 with the writer's cluster endpoint as its host."""
    secrets = boto3.client("secretsmanager", region_name=event["AWS_REGION"])
    values = json.loads(secrets.get_secret_value(SecretId="database")["SecretString"])
    rds = boto3.client("rds", region_name=event["AWS_REGION"])
    members = global_cluster(rds)["GlobalClusterMembers"]
    writer = members[0] if members[0]["IsWriter"] else members[1]
    name = writer["DBClusterArn"].split(":")[-1]
    values["host"] = rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]["Endpoint"]
    home = boto3.client("secretsmanager", region_name="us-east-1")
    home.put_secret_value(SecretId="database", SecretString=json.dumps(values))


def arc_names(region: str) -> list[str]:
    """The ARNs of the cluster and the two controls, from the secrets of a Region."""
    secrets = boto3.client("secretsmanager", region_name=region)
    names = ("arc-cluster", "arc-control1", "arc-control2")
    return [secrets.get_secret_value(SecretId=name)["SecretString"] for name in names]


def endpoints(cluster: str) -> list[tuple[str, str]]:
    """(Region, URL) of the cluster's endpoints in the script's own order, from the control plane."""
    config = boto3.client("route53-recovery-control-config", region_name="us-west-2")
    shown = config.describe_cluster(ClusterArn=cluster)["Cluster"]["ClusterEndpoints"]
    found = {endpoint["Region"]: endpoint["Endpoint"] for endpoint in shown}
    return [(region, found[region]) for region in ENDPOINT_ORDER if region in found]


def state_of(data: Any, control: str) -> str:
    """On or Off."""
    return str(data.get_routing_control_state(RoutingControlArn=control)["RoutingControlState"])


def global_cluster(rds: Any) -> Values:
    """The global cluster as it is described now."""
    shown: Values = rds.describe_global_clusters(GlobalClusterIdentifier=GLOBAL_CLUSTER)["GlobalClusters"][0]
    return shown
