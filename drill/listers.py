"""How AWS lists each kind of thing that a target can name, a Region at a time. Read-only.

drill/reads.py declares the operations that are asked here; tests hold the two together.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from drill.models import partition_of
from drill.target import Resource

MAX_LISTED = 5000
"""How many things of one kind are looked through in one Region; more is refused, never cut off silently."""


ARC = "route53-recovery-control-config"


class Clients(Protocol):
    """What is needed of drill.aws.Aws here."""

    def client(self, service: str, region: str, endpoint_url: str | None = None) -> Any:
        """A boto3 client of that service and Region."""


@dataclass(frozen=True)
class Found:
    """One resource. name: its own; arn: as AWS gives it; region: where; extra: what its calls need besides.

    extra by kind: ecs.service {cluster}; arc.cluster {}; arc.control {panel, cluster} (ARNs); events.rule {bus};
    events.targets {bus}; dynamodb.item {table, key} (names; arn is the table's); apigateway.stage {api} (its id);
    events.archive {bus} (ARN); route53.health_check, ec2.network_acl, ec2.instance and fis.template {id} (their names
    are their Name tags, or their ids); route53.record {zone (id), record (its name, as Route 53 writes it), type}
    (name is its SetIdentifier, arn the zone's); sns.subscription {topic} (an ARN; its name is the last part of what
    is subscribed); others none.
    """

    kind: str
    region: str
    name: str
    arn: str
    extra: Mapping[str, str] = field(default_factory=dict)


Lister = Callable[[Clients, Resource], Iterator[Found]]


def last_part(arn: str) -> str:
    """The resource's own name at the end of an ARN."""
    return arn.rsplit("/", 1)[-1].rsplit(":", 1)[-1]


def _within(resource: Resource, name: str) -> bool:
    return resource.within is None or fnmatch.fnmatchcase(name, resource.within)


def _items_of(client: Any, operation: str, field: str, **asked: Any) -> Iterator[Any]:
    """All that an operation lists under `field` of its pages, whether or not botocore has a paginator for it."""
    if client.can_paginate(operation):
        for page in client.get_paginator(operation).paginate(**asked):
            yield from page.get(field, ())
        return
    for _ in range(MAX_LISTED):
        page = getattr(client, operation)(**asked)
        yield from page[field]
        if not page.get("NextToken"):
            return
        asked["NextToken"] = page["NextToken"]


def _plain(kind: str, service: str, operation: str, field: str, name: str, arn: str) -> Lister:
    """The lister of a kind whose list tells name and ARN of each thing, under those keys."""

    def listed(aws: Clients, resource: Resource) -> Iterator[Found]:
        for item in _items_of(aws.client(service, resource.region), operation, field):
            yield Found(kind, resource.region, item[name], item[arn])

    return listed


def _ecs_services(aws: Clients, resource: Resource) -> Iterator[Found]:
    ecs = aws.client("ecs", resource.region)
    for cluster in _items_of(ecs, "list_clusters", "clusterArns"):
        if _within(resource, last_part(cluster)):
            for arn in _items_of(ecs, "list_services", "serviceArns", cluster=cluster):
                yield Found("ecs.service", resource.region, last_part(arn), arn, {"cluster": cluster})


def _targets(aws: Clients, resource: Resource) -> Iterator[Found]:
    """The rules, as that which has targets: what may change these is another right than what may switch a rule."""
    return (replace(found, kind="events.targets") for found in _rules(aws, resource))


def _rules(aws: Clients, resource: Resource) -> Iterator[Found]:
    """Of the bus whose name is `within`, the default one without it."""
    events = aws.client("events", resource.region)
    for rule in _items_of(events, "list_rules", "Rules", EventBusName=resource.within or "default"):
        bus = rule.get("EventBusName", "default")
        yield Found("events.rule", resource.region, rule["Name"], rule["Arn"], {"bus": bus})


def _arc_controls(aws: Clients, resource: Resource) -> Iterator[Found]:
    control = aws.client(ARC, resource.region)
    for cluster in _items_of(control, "list_clusters", "Clusters"):
        arn = cluster["ClusterArn"]
        for panel in _items_of(control, "list_control_panels", "ControlPanels", ClusterArn=arn):
            if _within(resource, panel["Name"]):
                yield from _controls_of(control, resource.region, arn, panel["ControlPanelArn"])


def _controls_of(control: Any, region: str, cluster: str, panel: str) -> Iterator[Found]:
    for item in _items_of(control, "list_routing_controls", "RoutingControls", ControlPanelArn=panel):
        extra = {"cluster": cluster, "panel": panel}
        yield Found("arc.control", region, item["Name"], item["RoutingControlArn"], extra)


def _documents(aws: Clients, resource: Resource) -> Iterator[Found]:
    """The account's own Automation documents; AWS's, and those that others share, are not looked through."""
    ssm = aws.client("ssm", resource.region)
    filters = [{"Key": "Owner", "Values": ["Self"]}, {"Key": "DocumentType", "Values": ["Automation"]}]
    account = ""
    for document in _items_of(ssm, "list_documents", "DocumentIdentifiers", Filters=filters):
        account = account or str(document["Owner"])
        arn = f"arn:aws:ssm:{resource.region}:{account}:document/{document['Name']}"
        yield Found("ssm.document", resource.region, document["Name"], arn)


def _stages(aws: Clients, resource: Resource) -> Iterator[Found]:
    """The stages of the REST APIs that `within` matches; their ARNs carry no account."""
    gateway = aws.client("apigateway", resource.region)
    for api in _items_of(gateway, "get_rest_apis", "items"):
        if _within(resource, api["name"]):
            for stage in gateway.get_stages(restApiId=api["id"])["item"]:
                arn = f"arn:aws:apigateway:{resource.region}::/restapis/{api['id']}/stages/{stage['stageName']}"
                yield Found("apigateway.stage", resource.region, stage["stageName"], arn, {"api": api["id"]})


def _tables(aws: Clients, resource: Resource) -> Iterator[Found]:
    dynamodb = aws.client("dynamodb", resource.region)
    for name in _items_of(dynamodb, "list_tables", "TableNames"):
        # Only what may match is described: an account may have many tables, and this costs a call each.
        if fnmatch.fnmatchcase(name, resource.name):
            arn = dynamodb.describe_table(TableName=name)["Table"]["TableArn"]
            yield Found("dynamodb.table", resource.region, name, arn)


def _items(aws: Clients, resource: Resource) -> Iterator[Found]:
    """The item whose partition key is the resource's name, in each table that `within` matches."""
    dynamodb = aws.client("dynamodb", resource.region)
    tables = Resource(region=resource.region, name=resource.within or "*")
    for table in _tables(aws, tables):
        keys = dynamodb.describe_table(TableName=table.name)["Table"]["KeySchema"]
        if len(keys) == 1:
            key = keys[0]["AttributeName"]
            reply = dynamodb.get_item(TableName=table.name, Key={key: {"S": resource.name}}, ConsistentRead=True)
            if "Item" in reply:
                extra = {"table": table.name, "key": key}
                yield Found("dynamodb.item", resource.region, resource.name, table.arn, extra)


def _archives(aws: Clients, resource: Resource) -> Iterator[Found]:
    """EventBridge's archives; the list does not say their ARNs."""
    for archive in _items_of(aws.client("events", resource.region), "list_archives", "Archives"):
        name, bus = archive["ArchiveName"], archive["EventSourceArn"]
        arn = f"arn:aws:events:{resource.region}:{bus.split(':')[4]}:archive/{name}"
        yield Found("events.archive", resource.region, name, arn, {"bus": bus})


def _health_checks(aws: Clients, resource: Resource) -> Iterator[Found]:
    route53 = aws.client("route53", resource.region)
    for check in _items_of(route53, "list_health_checks", "HealthChecks"):
        told = route53.list_tags_for_resource(ResourceType="healthcheck", ResourceId=check["Id"])
        tags = {tag["Key"]: tag["Value"] for tag in told["ResourceTagSet"]["Tags"]}
        arn = f"arn:aws:route53:::healthcheck/{check['Id']}"
        name = tags.get("Name", check["Id"])
        yield Found("route53.health_check", resource.region, name, arn, {"id": check["Id"]})


def _parameters(aws: Clients, resource: Resource) -> Iterator[Found]:
    ssm = aws.client("ssm", resource.region)
    for parameter in _items_of(ssm, "describe_parameters", "Parameters"):
        name = parameter["Name"]
        # Only a name that may match is asked for its ARN, which not every reply carries.
        if fnmatch.fnmatchcase(name, resource.name):
            arn = ssm.get_parameter(Name=name)["Parameter"]["ARN"]
            yield Found("ssm.parameter", resource.region, name, arn)


def _topics(aws: Clients, resource: Resource) -> Iterator[Found]:
    for topic in _items_of(aws.client("sns", resource.region), "list_topics", "Topics"):
        yield Found("sns.topic", resource.region, last_part(topic["TopicArn"]), topic["TopicArn"])


def _subscriptions(aws: Clients, resource: Resource) -> Iterator[Found]:
    """Those of the topics that `within` matches; one that nobody has confirmed has no ARN yet."""
    for item in _items_of(aws.client("sns", resource.region), "list_subscriptions", "Subscriptions"):
        arn, topic = item["SubscriptionArn"], item["TopicArn"]
        if arn.startswith("arn:") and _within(resource, last_part(topic)):
            yield Found("sns.subscription", resource.region, last_part(item["Endpoint"]), arn, {"topic": topic})


def _records(aws: Clients, resource: Resource) -> Iterator[Found]:
    """The records with a SetIdentifier whose name `within` matches, of every hosted zone."""
    route53 = aws.client("route53", resource.region)
    for zone in _items_of(route53, "list_hosted_zones", "HostedZones"):
        number = last_part(zone["Id"])
        records = _items_of(route53, "list_resource_record_sets", "ResourceRecordSets", HostedZoneId=number)
        yield from _records_of(records, resource, number)


def _records_of(records: Iterable[dict[str, Any]], resource: Resource, zone: str) -> Iterator[Found]:
    for record in records:
        if "SetIdentifier" in record and _within(resource, record["Name"].rstrip(".")):
            extra = {"zone": zone, "record": record["Name"], "type": record["Type"]}
            arn = f"arn:{partition_of(resource.region)}:route53:::hostedzone/{zone}"
            yield Found("route53.record", resource.region, record["SetIdentifier"], arn, extra)


def _network_acls(aws: Clients, resource: Resource) -> Iterator[Found]:
    """By their tag Name, or by their ids when they have none."""
    ec2 = aws.client("ec2", resource.region)
    for acl in _items_of(ec2, "describe_network_acls", "NetworkAcls"):
        number = acl["NetworkAclId"]
        name = _tagged_name(acl, number)
        arn = f"arn:{partition_of(resource.region)}:ec2:{resource.region}:{acl['OwnerId']}:network-acl/{number}"
        yield Found("ec2.network_acl", resource.region, name, arn, {"id": number})


def _tagged_name(thing: Mapping[str, Any], number: str) -> str:
    return next((str(tag["Value"]) for tag in thing.get("Tags", ()) if tag["Key"] == "Name"), number)


def _instances(aws: Clients, resource: Resource) -> Iterator[Found]:
    """Those that are not terminated, by their tag Name, or by their ids when they have none."""
    for reservation in _items_of(aws.client("ec2", resource.region), "describe_instances", "Reservations"):
        for instance in reservation["Instances"]:
            if instance["State"]["Name"] not in ("shutting-down", "terminated"):
                number, owner = instance["InstanceId"], reservation["OwnerId"]
                arn = f"arn:{partition_of(resource.region)}:ec2:{resource.region}:{owner}:instance/{number}"
                yield Found("ec2.instance", resource.region, _tagged_name(instance, number), arn, {"id": number})


def _templates(aws: Clients, resource: Resource) -> Iterator[Found]:
    """FIS's experiment templates, by their tag Name, or by their ids when they have none."""
    fis = aws.client("fis", resource.region)
    for template in _items_of(fis, "list_experiment_templates", "experimentTemplates"):
        name = template.get("tags", {}).get("Name", template["id"])
        yield Found("fis.template", resource.region, name, template["arn"], {"id": template["id"]})


PLAIN = (
    ("states.machine", "stepfunctions", "list_state_machines", "stateMachines", "name", "stateMachineArn"),
    ("cloudwatch.alarm", "cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName", "AlarmArn"),
    (
        "rds.global_cluster",
        "rds",
        "describe_global_clusters",
        "GlobalClusters",
        "GlobalClusterIdentifier",
        "GlobalClusterArn",
    ),
    ("arc.cluster", ARC, "list_clusters", "Clusters", "Name", "ClusterArn"),
    ("lambda.function", "lambda", "list_functions", "Functions", "FunctionName", "FunctionArn"),
    ("secretsmanager.secret", "secretsmanager", "list_secrets", "SecretList", "Name", "ARN"),
    ("events.endpoint", "events", "list_endpoints", "Endpoints", "Name", "Arn"),
    ("rds.cluster", "rds", "describe_db_clusters", "DBClusters", "DBClusterIdentifier", "DBClusterArn"),
    (
        "elbv2.target_group",
        "elbv2",
        "describe_target_groups",
        "TargetGroups",
        "TargetGroupName",
        "TargetGroupArn",
    ),
)
"""Kind, service, operation, field of its pages, and the keys of name and ARN, where a list says both."""
LISTERS: dict[str, Lister] = {
    "ecs.service": _ecs_services,
    "events.rule": _rules,
    "events.targets": _targets,
    "route53.record": _records,
    "ec2.network_acl": _network_acls,
    "ec2.instance": _instances,
    "fis.template": _templates,
    "arc.control": _arc_controls,
    "ssm.document": _documents,
    "apigateway.stage": _stages,
    "dynamodb.table": _tables,
    "dynamodb.item": _items,
    "events.archive": _archives,
    "route53.health_check": _health_checks,
    "ssm.parameter": _parameters,
    "sns.topic": _topics,
    "sns.subscription": _subscriptions,
    **{kind: _plain(kind, *rest) for kind, *rest in PLAIN},
}
