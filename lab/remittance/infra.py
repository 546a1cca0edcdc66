"""Creates the system's resources in the lab's AWS API, as its stacks would, through the API itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lab import stack_parts
from lab.remittance import names
from lab.remittance.names import ARC_REGION, EAST, PLACES, SERVING, WEST
from lab.stack_parts import Client, Routing, control_check

ENGINE = {"Engine": "aurora-postgresql", "EngineVersion": "11.9"}
METHODS = {
    "create-remittance": ("POST", names.CREATE),
    "get-remittances": ("GET", names.READ_ALL),
    "get-remittance": ("GET", names.READ),
    "execute-runbook": ("POST", names.EXECUTE),
}
"""Path of the API -> method and function."""


@dataclass(frozen=True)
class Api:
    """A Region's API: its id, and the DNS name and hosted zone of its custom domain."""

    id: str
    dns_name: str
    zone_id: str


def database(client: Client) -> dict[str, str]:
    """The Aurora global cluster with its writer in us-east-1; endpoint name -> address, of clusters and instances."""
    client("rds", EAST).create_global_cluster(GlobalClusterIdentifier=names.GLOBAL_CLUSTER, **ENGINE)
    admin = {"MasterUsername": "postgres", "MasterUserPassword": "only-in-the-lab"}
    found: dict[str, str] = {}
    for region in SERVING:
        rds, place = client("rds", region), PLACES[region]
        cluster = rds.create_db_cluster(
            DBClusterIdentifier=place.cluster,
            GlobalClusterIdentifier=names.GLOBAL_CLUSTER,
            **ENGINE,
            **(admin if region == EAST else {}),
        )["DBCluster"]
        instance = rds.create_db_instance(
            DBInstanceIdentifier=place.instance,
            DBClusterIdentifier=place.cluster,
            DBInstanceClass="db.r5.large",
            Engine=ENGINE["Engine"],
        )["DBInstance"]
        found |= {cluster["Endpoint"]: place.database, instance["Endpoint"]["Address"]: place.database}
    return found


def functions(register: Callable[[str, str], object]) -> None:
    """The functions, the same names in both Regions."""
    for region in SERVING:
        for name in names.FUNCTIONS:
            register(region, name)


def api(client: Client, region: str) -> Api:
    """The Region's REST API with its stage, and the custom domain that both Regions share."""
    gateway = client("apigateway", region)
    made = gateway.create_rest_api(name="remittance-rest-api", endpointConfiguration={"types": ["REGIONAL"]})["id"]
    root = gateway.get_resources(restApiId=made)["items"][0]["id"]
    for path, (method, function) in METHODS.items():
        _method(gateway, region, made, root, path, method, function)
    gateway.create_deployment(restApiId=made, stageName=names.STAGE)
    # The template sets the metrics of all methods, and with that the throttle has its defaults.
    patch = {"op": "replace", "path": "/*/*/metrics/enabled", "value": "false"}
    gateway.update_stage(restApiId=made, stageName=names.STAGE, patchOperations=[patch])
    domain = gateway.create_domain_name(
        domainName=names.API_NAME,
        endpointConfiguration={"types": ["REGIONAL"]},
        regionalCertificateArn=f"arn:aws:acm:{region}:{names.ACCOUNT}:certificate/api",
    )
    return Api(made, domain["regionalDomainName"], domain["regionalHostedZoneId"])


def _method(gateway: Any, region: str, api_id: str, root: str, path: str, method: str, function: str) -> None:
    resource = gateway.create_resource(restApiId=api_id, parentId=root, pathPart=path)["id"]
    of = {"restApiId": api_id, "resourceId": resource, "httpMethod": method}
    gateway.put_method(**of, authorizationType="CUSTOM")
    arn = f"arn:aws:lambda:{region}:{names.ACCOUNT}:function:{function}"
    uri = f"arn:aws:apigateway:{region}:lambda:path/2015-03-31/functions/{arn}/invocations"
    gateway.put_integration(**of, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)


def routing(client: Client, on: bool) -> Routing:
    """The ARC cluster, panel and one control per Region; on: with Region 1 turned On, as the README says to do."""
    controls = {region: PLACES[region].control for region in SERVING}
    made = stack_parts.routing(client, ARC_REGION, names.ARC_CLUSTER, names.ARC_PANEL, controls)
    if on:
        data = client("route53-recovery-cluster", EAST)
        data.update_routing_control_state(RoutingControlArn=made.controls[EAST], RoutingControlState="On")
    return made


def zone(client: Client, apis: Mapping[str, Api], route: Routing) -> None:
    """The public hosted zone: failover records of the API; the page's name points at the edge and has none."""
    r53 = client("route53", EAST)
    created = r53.create_hosted_zone(Name=names.ZONE, CallerReference="remittance")["HostedZone"]["Id"]
    records = [_failover_record(r53, region, apis[region], route) for region in SERVING]
    page = {
        "Name": names.PAGE_NAME,
        "Type": "A",
        "TTL": 60,
        "ResourceRecords": [{"Value": address} for address in names.EDGE],
    }
    changes = [{"Action": "CREATE", "ResourceRecordSet": record} for record in (*records, page)]
    zone_id = str(created).rsplit("/", 1)[-1]
    r53.change_resource_record_sets(HostedZoneId=zone_id, ChangeBatch={"Changes": changes})


def _failover_record(r53: Any, region: str, made: Api, route: Routing) -> dict[str, Any]:
    role = "Primary" if region == EAST else "Secondary"
    check = control_check(r53, f"hc-{role}", route.controls[region])
    return {
        "Name": names.API_NAME,
        "Type": "A",
        "SetIdentifier": role,
        "Failover": role.upper(),
        "HealthCheckId": check,
        "AliasTarget": {"HostedZoneId": made.zone_id, "DNSName": made.dns_name, "EvaluateTargetHealth": True},
    }


def secrets(client: Client, route: Routing, connection: Mapping[str, Any]) -> None:
    """What the stacks keep in Secrets Manager, in us-east-1 with a replica in us-west-2."""
    values = {
        "arc-cluster": route.cluster,
        "arc-control1": route.controls[EAST],
        "arc-control2": route.controls[WEST],
        "database": json.dumps(connection),
    }
    for name, value in values.items():
        client("secretsmanager", EAST).create_secret(
            Name=name, SecretString=value, AddReplicaRegions=[{"Region": WEST}]
        )


def page(client: Client) -> None:
    """The static page in a bucket of each Region."""
    for region, bucket in names.BUCKETS.items():
        s3 = client("s3", region)
        where = {} if region == EAST else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=bucket, **where)
        s3.put_object(Bucket=bucket, Key="index.html", Body=b"<title>Remittance</title>", ContentType="text/html")


def user_pool(client: Client) -> str:
    """The sign-on in us-east-1 with one synthetic user; the pool's id."""
    cognito = client("cognito-idp", EAST)
    pool = str(cognito.create_user_pool(PoolName=names.USER_POOL)["UserPool"]["Id"])
    cognito.create_user_pool_client(
        UserPoolId=pool, ClientName=names.USER_CLIENT, ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH"]
    )
    cognito.admin_create_user(UserPoolId=pool, Username=names.USER, MessageAction="SUPPRESS")
    cognito.admin_set_user_password(UserPoolId=pool, Username=names.USER, Password=names.PASSWORD, Permanent=True)
    return pool
