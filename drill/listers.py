"""How AWS lists each kind of thing that a target can name, a Region at a time. Read-only.

drill/reads.py declares the operations that are asked here; tests hold the two together.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from drill.models import partition_of
from drill.target import Resource

MAX_LISTED = 5000
"""How many things of one kind are looked through in one Region; more is refused, never cut off silently."""


class Clients(Protocol):
    """What is needed of drill.aws.Aws here."""

    def client(self, service: str, region: str, endpoint_url: str | None = None) -> Any:
        """A boto3 client of that service and Region."""


@dataclass(frozen=True)
class Found:
    """One resource. name: its own; arn: as AWS gives it; region: where; extra: what its calls need besides.

    extra by kind: ecs.service {cluster}; arc.cluster {}; arc.control {panel, cluster} (ARNs); events.rule {bus};
    events.targets {bus}; dynamodb.item {table, key} (names; arn is the table's); apigateway.stage {api} (its id);
    events.archive {bus} (ARN); route53.health_check, ec2.network_acl and fis.template {id} (their names are their
    Name tags, or their ids); route53.record {zone (id), record (its name, as Route 53 writes it), type} (name is its
    SetIdentifier, arn the zone's); sns.subscription {topic} (an ARN; its name is the last part of what is
    subscribed); others none.
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


def _ecs_services(aws: Clients, resource: Resource) -> Iterator[Found]:
    ecs = aws.client("ecs", resource.region)
    for page in ecs.get_paginator("list_clusters").paginate():
        for cluster in page["clusterArns"]:
            if _within(resource, last_part(cluster)):
                yield from _services_of(ecs, resource.region, cluster)


def _services_of(ecs: Any, region: str, cluster: str) -> Iterator[Found]:
    for page in ecs.get_paginator("list_services").paginate(cluster=cluster):
        for arn in page["serviceArns"]:
            yield Found("ecs.service", region, last_part(arn), arn, {"cluster": cluster})


def _targets(aws: Clients, resource: Resource) -> Iterator[Found]:
    """The rules, as that which has targets: what may change these is another right than what may switch a rule."""
    return (replace(found, kind="events.targets") for found in _rules(aws, resource))


def _rules(aws: Clients, resource: Resource) -> Iterator[Found]:
    """Of the bus whose name is `within`, the default one without it."""
    events = aws.client("events", resource.region)
    for page in events.get_paginator("list_rules").paginate(EventBusName=resource.within or "default"):
        for rule in page["Rules"]:
            bus = rule.get("EventBusName", "default")
            yield Found("events.rule", resource.region, rule["Name"], rule["Arn"], {"bus": bus})


def _machines(aws: Clients, resource: Resource) -> Iterator[Found]:
    states = aws.client("stepfunctions", resource.region)
    for page in states.get_paginator("list_state_machines").paginate():
        for machine in page["stateMachines"]:
            yield Found("states.machine", resource.region, machine["name"], machine["stateMachineArn"])


def _alarms(aws: Clients, resource: Resource) -> Iterator[Found]:
    cloudwatch = aws.client("cloudwatch", resource.region)
    for page in cloudwatch.get_paginator("describe_alarms").paginate():
        for alarm in page.get("MetricAlarms", []):
            yield Found("cloudwatch.alarm", resource.region, alarm["AlarmName"], alarm["AlarmArn"])


def _global_clusters(aws: Clients, resource: Resource) -> Iterator[Found]:
    rds = aws.client("rds", resource.region)
    for page in rds.get_paginator("describe_global_clusters").paginate():
        for cluster in page["GlobalClusters"]:
            name = cluster["GlobalClusterIdentifier"]
            yield Found("rds.global_cluster", resource.region, name, cluster["GlobalClusterArn"])


def _arc_clusters(aws: Clients, resource: Resource) -> Iterator[Found]:
    control = aws.client("route53-recovery-control-config", resource.region)
    for page in control.get_paginator("list_clusters").paginate():
        for cluster in page["Clusters"]:
            yield Found("arc.cluster", resource.region, cluster["Name"], cluster["ClusterArn"])


def _arc_controls(aws: Clients, resource: Resource) -> Iterator[Found]:
    control = aws.client("route53-recovery-control-config", resource.region)
    for cluster in _arc_clusters(aws, resource):
        for page in control.get_paginator("list_control_panels").paginate(ClusterArn=cluster.arn):
            for panel in page["ControlPanels"]:
                if _within(resource, panel["Name"]):
                    yield from _controls_of(control, resource.region, cluster.arn, panel["ControlPanelArn"])


def _controls_of(control: Any, region: str, cluster: str, panel: str) -> Iterator[Found]:
    for page in control.get_paginator("list_routing_controls").paginate(ControlPanelArn=panel):
        for item in page["RoutingControls"]:
            extra = {"cluster": cluster, "panel": panel}
            yield Found("arc.control", region, item["Name"], item["RoutingControlArn"], extra)


def _documents(aws: Clients, resource: Resource) -> Iterator[Found]:
    """The account's own Automation documents; AWS's, and those that others share, are not looked through."""
    ssm = aws.client("ssm", resource.region)
    filters = [{"Key": "Owner", "Values": ["Self"]}, {"Key": "DocumentType", "Values": ["Automation"]}]
    account = ""
    for page in ssm.get_paginator("list_documents").paginate(Filters=filters):
        for document in page["DocumentIdentifiers"]:
            account = account or str(document["Owner"])
            arn = f"arn:aws:ssm:{resource.region}:{account}:document/{document['Name']}"
            yield Found("ssm.document", resource.region, document["Name"], arn)


def _functions(aws: Clients, resource: Resource) -> Iterator[Found]:
    lambdas = aws.client("lambda", resource.region)
    for page in lambdas.get_paginator("list_functions").paginate():
        for function in page["Functions"]:
            yield Found("lambda.function", resource.region, function["FunctionName"], function["FunctionArn"])


def _secrets(aws: Clients, resource: Resource) -> Iterator[Found]:
    secrets = aws.client("secretsmanager", resource.region)
    for page in secrets.get_paginator("list_secrets").paginate():
        for secret in page["SecretList"]:
            yield Found("secretsmanager.secret", resource.region, secret["Name"], secret["ARN"])


def _stages(aws: Clients, resource: Resource) -> Iterator[Found]:
    """The stages of the REST APIs that `within` matches; their ARNs carry no account."""
    gateway = aws.client("apigateway", resource.region)
    for page in gateway.get_paginator("get_rest_apis").paginate():
        for api in page["items"]:
            if _within(resource, api["name"]):
                for stage in gateway.get_stages(restApiId=api["id"])["item"]:
                    arn = f"arn:aws:apigateway:{resource.region}::/restapis/{api['id']}/stages/{stage['stageName']}"
                    yield Found("apigateway.stage", resource.region, stage["stageName"], arn, {"api": api["id"]})


def _tables(aws: Clients, resource: Resource) -> Iterator[Found]:
    dynamodb = aws.client("dynamodb", resource.region)
    for page in dynamodb.get_paginator("list_tables").paginate():
        for name in page["TableNames"]:
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


def _endpoints(aws: Clients, resource: Resource) -> Iterator[Found]:
    """EventBridge's global endpoints."""
    for endpoint in _paged(aws.client("events", resource.region).list_endpoints, "Endpoints"):
        yield Found("events.endpoint", resource.region, endpoint["Name"], endpoint["Arn"])


def _archives(aws: Clients, resource: Resource) -> Iterator[Found]:
    """EventBridge's archives; the list does not say their ARNs."""
    for archive in _paged(aws.client("events", resource.region).list_archives, "Archives"):
        name, bus = archive["ArchiveName"], archive["EventSourceArn"]
        arn = f"arn:aws:events:{resource.region}:{bus.split(':')[4]}:archive/{name}"
        yield Found("events.archive", resource.region, name, arn, {"bus": bus})


def _paged(operation: Callable[..., dict[str, Any]], field: str) -> Iterator[dict[str, Any]]:
    """All items of an operation that pages, and for which botocore has no paginator."""
    token: dict[str, str] = {}
    for _ in range(MAX_LISTED):
        page = operation(**token)
        yield from page[field]
        if not page.get("NextToken"):
            return
        token = {"NextToken": page["NextToken"]}


def _health_checks(aws: Clients, resource: Resource) -> Iterator[Found]:
    route53 = aws.client("route53", resource.region)
    for page in route53.get_paginator("list_health_checks").paginate():
        for check in page["HealthChecks"]:
            told = route53.list_tags_for_resource(ResourceType="healthcheck", ResourceId=check["Id"])
            tags = {tag["Key"]: tag["Value"] for tag in told["ResourceTagSet"]["Tags"]}
            arn = f"arn:aws:route53:::healthcheck/{check['Id']}"
            name = tags.get("Name", check["Id"])
            yield Found("route53.health_check", resource.region, name, arn, {"id": check["Id"]})


def _parameters(aws: Clients, resource: Resource) -> Iterator[Found]:
    ssm = aws.client("ssm", resource.region)
    for page in ssm.get_paginator("describe_parameters").paginate():
        for parameter in page["Parameters"]:
            name = parameter["Name"]
            # Only a name that may match is asked for its ARN, which not every reply carries.
            if fnmatch.fnmatchcase(name, resource.name):
                arn = ssm.get_parameter(Name=name)["Parameter"]["ARN"]
                yield Found("ssm.parameter", resource.region, name, arn)


def _db_clusters(aws: Clients, resource: Resource) -> Iterator[Found]:
    rds = aws.client("rds", resource.region)
    for page in rds.get_paginator("describe_db_clusters").paginate():
        for cluster in page["DBClusters"]:
            yield Found("rds.cluster", resource.region, cluster["DBClusterIdentifier"], cluster["DBClusterArn"])


def _target_groups(aws: Clients, resource: Resource) -> Iterator[Found]:
    elb = aws.client("elbv2", resource.region)
    for page in elb.get_paginator("describe_target_groups").paginate():
        for group in page["TargetGroups"]:
            yield Found("elbv2.target_group", resource.region, group["TargetGroupName"], group["TargetGroupArn"])


def _topics(aws: Clients, resource: Resource) -> Iterator[Found]:
    sns = aws.client("sns", resource.region)
    for page in sns.get_paginator("list_topics").paginate():
        for topic in page["Topics"]:
            yield Found("sns.topic", resource.region, last_part(topic["TopicArn"]), topic["TopicArn"])


def _subscriptions(aws: Clients, resource: Resource) -> Iterator[Found]:
    """Those of the topics that `within` matches; one that nobody has confirmed has no ARN yet."""
    sns = aws.client("sns", resource.region)
    for page in sns.get_paginator("list_subscriptions").paginate():
        for item in page["Subscriptions"]:
            arn, topic = item["SubscriptionArn"], item["TopicArn"]
            if arn.startswith("arn:") and _within(resource, last_part(topic)):
                yield Found("sns.subscription", resource.region, last_part(item["Endpoint"]), arn, {"topic": topic})


def _records(aws: Clients, resource: Resource) -> Iterator[Found]:
    """The records with a SetIdentifier whose name `within` matches, of every hosted zone."""
    route53 = aws.client("route53", resource.region)
    for zones in route53.get_paginator("list_hosted_zones").paginate():
        for zone in zones["HostedZones"]:
            number = last_part(zone["Id"])
            for page in route53.get_paginator("list_resource_record_sets").paginate(HostedZoneId=number):
                yield from _records_of(page["ResourceRecordSets"], resource, number)


def _records_of(records: list[dict[str, Any]], resource: Resource, zone: str) -> Iterator[Found]:
    for record in records:
        if "SetIdentifier" in record and _within(resource, record["Name"].rstrip(".")):
            extra = {"zone": zone, "record": record["Name"], "type": record["Type"]}
            arn = f"arn:{partition_of(resource.region)}:route53:::hostedzone/{zone}"
            yield Found("route53.record", resource.region, record["SetIdentifier"], arn, extra)


def _network_acls(aws: Clients, resource: Resource) -> Iterator[Found]:
    """By their tag Name, or by their ids when they have none."""
    ec2 = aws.client("ec2", resource.region)
    for page in ec2.get_paginator("describe_network_acls").paginate():
        for acl in page["NetworkAcls"]:
            number = acl["NetworkAclId"]
            name = next((tag["Value"] for tag in acl.get("Tags", ()) if tag["Key"] == "Name"), number)
            arn = f"arn:{partition_of(resource.region)}:ec2:{resource.region}:{acl['OwnerId']}:network-acl/{number}"
            yield Found("ec2.network_acl", resource.region, name, arn, {"id": number})


def _templates(aws: Clients, resource: Resource) -> Iterator[Found]:
    """FIS's experiment templates, by their tag Name, or by their ids when they have none."""
    fis = aws.client("fis", resource.region)
    for page in fis.get_paginator("list_experiment_templates").paginate():
        for template in page["experimentTemplates"]:
            name = template.get("tags", {}).get("Name", template["id"])
            yield Found("fis.template", resource.region, name, template["arn"], {"id": template["id"]})


LISTERS: dict[str, Lister] = {
    "ecs.service": _ecs_services,
    "events.rule": _rules,
    "events.targets": _targets,
    "route53.record": _records,
    "ec2.network_acl": _network_acls,
    "states.machine": _machines,
    "fis.template": _templates,
    "cloudwatch.alarm": _alarms,
    "rds.global_cluster": _global_clusters,
    "arc.cluster": _arc_clusters,
    "arc.control": _arc_controls,
    "ssm.document": _documents,
    "lambda.function": _functions,
    "secretsmanager.secret": _secrets,
    "apigateway.stage": _stages,
    "dynamodb.table": _tables,
    "dynamodb.item": _items,
    "events.archive": _archives,
    "events.endpoint": _endpoints,
    "route53.health_check": _health_checks,
    "ssm.parameter": _parameters,
    "rds.cluster": _db_clusters,
    "elbv2.target_group": _target_groups,
    "sns.topic": _topics,
    "sns.subscription": _subscriptions,
}
