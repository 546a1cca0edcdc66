"""By which calls the configuration of each kind of resource is read, for a snapshot (checks/snapshot.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from checks.reader import Reader
from drill.aws import Aws, AwsFailed
from drill.call import Call
from drill.find import Found, cluster_endpoints, region_of_arn

Replies = Iterator[tuple[str, dict[str, Any]]]
"""(operation, and of what where it is read more than once, separated by a blank; cleaned reply)."""


def _read(reader: Reader, found: Found, service: str, operation: str, **params: Any) -> tuple[str, dict[str, Any]]:
    return operation, reader.read(Call(service, operation, params, found.region))


def _ecs_service(aws: Aws, reader: Reader, found: Found) -> Replies:
    """A task definition's revision never changes, so its ARN says it all (and its environment stays unread)."""
    keys = {"cluster": found.extra["cluster"], "services": [found.arn], "include": ["TAGS"]}
    operation, reply = _read(reader, found, "ecs", "DescribeServices", **keys)
    if not reply["services"]:
        raise LookupError(f"service {found.name} cannot be described")
    yield operation, reply
    scaled = "service/" + found.arn.split(":service/")[-1]
    autoscaling = {"ServiceNamespace": "ecs"}
    yield _read(
        reader, found, "application-autoscaling", "DescribeScalableTargets", ResourceIds=[scaled], **autoscaling
    )
    yield _read(reader, found, "application-autoscaling", "DescribeScalingPolicies", ResourceId=scaled, **autoscaling)
    groups = [b["targetGroupArn"] for b in reply["services"][0].get("loadBalancers", ()) if "targetGroupArn" in b]
    for arn in groups:
        yield _read(reader, found, "elbv2", "DescribeTargetGroups", TargetGroupArns=[arn])
        yield _read(reader, found, "elbv2", "DescribeTargetGroupAttributes", TargetGroupArn=arn)


def _rule(aws: Aws, reader: Reader, found: Found) -> Replies:
    bus = {"EventBusName": found.extra["bus"]}
    yield _read(reader, found, "events", "DescribeRule", Name=found.name, **bus)
    yield _read(reader, found, "events", "ListTargetsByRule", Rule=found.name, **bus)
    yield _read(reader, found, "events", "ListTagsForResource", ResourceARN=found.arn)


def _record(aws: Aws, reader: Reader, found: Found) -> Replies:
    """That record alone: the others of its name are read with the target's zones."""
    start = {"StartRecordName": found.extra["record"], "StartRecordType": found.extra["type"]}
    call = Call("route53", "ListResourceRecordSets", {"HostedZoneId": found.extra["zone"], **start}, found.region)
    shown = reader.read(call)["ResourceRecordSets"]
    mine = [r for r in shown if (r["Name"], r.get("SetIdentifier")) == (found.extra["record"], found.name)]
    yield call.operation, {"ResourceRecordSets": mine}


def _network_acl(aws: Aws, reader: Reader, found: Found) -> Replies:
    """Its rules by number: nobody promises an order, and one that was replaced may stand elsewhere than before."""
    operation, reply = _read(reader, found, "ec2", "DescribeNetworkAcls", NetworkAclIds=[found.extra["id"]])
    for acl in reply["NetworkAcls"]:
        acl["Entries"] = sorted(acl["Entries"], key=lambda entry: (entry["Egress"], entry["RuleNumber"]))
    yield operation, reply


def _instance(aws: Aws, reader: Reader, found: Found) -> Replies:
    yield _read(reader, found, "ec2", "DescribeInstances", InstanceIds=[found.extra["id"]])


def _machine(aws: Aws, reader: Reader, found: Found) -> Replies:
    yield _read(reader, found, "stepfunctions", "DescribeStateMachine", stateMachineArn=found.arn)
    yield _read(reader, found, "stepfunctions", "ListTagsForResource", resourceArn=found.arn)


def _alarm(aws: Aws, reader: Reader, found: Found) -> Replies:
    yield _read(reader, found, "cloudwatch", "DescribeAlarms", AlarmNames=[found.name])


def _global_cluster(aws: Aws, reader: Reader, found: Found) -> Replies:
    """The global cluster, and each member in its own Region."""
    operation, reply = _read(reader, found, "rds", "DescribeGlobalClusters", GlobalClusterIdentifier=found.name)
    yield operation, reply
    members = [m["DBClusterArn"] for m in reply["GlobalClusters"][0].get("GlobalClusterMembers", ())]
    for arn in sorted(members):
        call = Call("rds", "DescribeDBClusters", {"DBClusterIdentifier": arn.rpartition(":")[2]}, region_of_arn(arn))
        yield f"{call.operation} {arn.rpartition(':')[2]}", reader.read(call)


def _arc_cluster(aws: Aws, reader: Reader, found: Found) -> Replies:
    service = "route53-recovery-control-config"
    yield _read(reader, found, service, "DescribeCluster", ClusterArn=found.arn)
    yield _read(reader, found, service, "ListControlPanels", ClusterArn=found.arn)


def _arc_control(aws: Aws, reader: Reader, found: Found) -> Replies:
    """Its definition from the control plane, its state from the first endpoint of the data plane that answers."""
    service = "route53-recovery-control-config"
    yield _read(reader, found, service, "DescribeRoutingControl", RoutingControlArn=found.arn)
    yield _read(reader, found, service, "ListSafetyRules", ControlPanelArn=found.extra["panel"])
    cluster = Found("arc.cluster", found.region, found.extra["cluster"], found.extra["cluster"])
    failure: Exception = LookupError(f"cluster {cluster.arn} has no endpoints")
    for region, url in cluster_endpoints(aws, cluster):
        look = Call("route53-recovery-cluster", "GetRoutingControlState", {"RoutingControlArn": found.arn}, region)
        try:
            yield look.operation, reader.read(look, url)
            return
        except (AwsFailed, ValueError) as error:
            failure = error
    raise failure


def _document(aws: Aws, reader: Reader, found: Found) -> Replies:
    yield _read(reader, found, "ssm", "DescribeDocument", Name=found.name)
    yield _read(reader, found, "ssm", "GetDocument", Name=found.name)


def _function(aws: Aws, reader: Reader, found: Found) -> Replies:
    for operation in ("GetFunctionConfiguration", "GetFunctionConcurrency"):
        yield _read(reader, found, "lambda", operation, FunctionName=found.arn)


def _secret(aws: Aws, reader: Reader, found: Found) -> Replies:
    """All but its value, which is nobody's business here."""
    operation, reply = _read(reader, found, "secretsmanager", "DescribeSecret", SecretId=found.arn)
    yield operation, reply
    if "PrimaryRegion" not in reply or reply["PrimaryRegion"] == found.region:  # a replica has its policy from there
        yield _read(reader, found, "secretsmanager", "GetResourcePolicy", SecretId=found.arn)


def _stage(aws: Aws, reader: Reader, found: Found) -> Replies:
    keys = {"restApiId": found.extra["api"], "stageName": found.name}
    yield _read(reader, found, "apigateway", "GetStage", **keys)


def _template(aws: Aws, reader: Reader, found: Found) -> Replies:
    yield _read(reader, found, "fis", "GetExperimentTemplate", id=found.extra["id"])


def _table(aws: Aws, reader: Reader, found: Found) -> Replies:
    """Its resource policy too, where there is one: an experiment that pauses replication writes it."""
    for operation in ("DescribeTable", "DescribeTimeToLive", "DescribeContinuousBackups"):
        yield _read(reader, found, "dynamodb", operation, TableName=found.name)
    yield "GetResourcePolicy", {"Policy": _policy(reader, found)}


def _policy(reader: Reader, found: Found) -> str | None:
    """A table's resource policy, without its revision, which is another one whenever the same policy is put again."""
    try:
        _, reply = _read(reader, found, "dynamodb", "GetResourcePolicy", ResourceArn=found.arn)
    except AwsFailed as error:
        if error.code != "PolicyNotFoundException":
            raise
        return None
    return str(reply["Policy"])


def _item(aws: Aws, reader: Reader, found: Found) -> Replies:
    """Read strongly: an item that a failover has just written must not look as before."""
    key = {found.extra["key"]: {"S": found.name}}
    table = {"TableName": found.extra["table"]}
    yield _read(reader, found, "dynamodb", "GetItem", Key=key, ConsistentRead=True, **table)


def _endpoint(aws: Aws, reader: Reader, found: Found) -> Replies:
    yield _read(reader, found, "events", "DescribeEndpoint", Name=found.name)


def _archive(aws: Aws, reader: Reader, found: Found) -> Replies:
    yield _read(reader, found, "events", "DescribeArchive", ArchiveName=found.name)


def _health_check(aws: Aws, reader: Reader, found: Found) -> Replies:
    yield _read(reader, found, "route53", "GetHealthCheck", HealthCheckId=found.extra["id"])


def _parameter(aws: Aws, reader: Reader, found: Found) -> Replies:
    yield _read(reader, found, "ssm", "GetParameter", Name=found.name)


def _db_cluster(aws: Aws, reader: Reader, found: Found) -> Replies:
    yield _read(reader, found, "rds", "DescribeDBClusters", DBClusterIdentifier=found.name)


def _target_group(aws: Aws, reader: Reader, found: Found) -> Replies:
    yield _read(reader, found, "elbv2", "DescribeTargetGroups", TargetGroupArns=[found.arn])
    yield _read(reader, found, "elbv2", "DescribeTargetGroupAttributes", TargetGroupArn=found.arn)
    yield _read(reader, found, "elbv2", "DescribeTargetHealth", TargetGroupArn=found.arn)


def _topic(aws: Aws, reader: Reader, found: Found) -> Replies:
    yield _read(reader, found, "sns", "GetTopicAttributes", TopicArn=found.arn)


def _subscription(aws: Aws, reader: Reader, found: Found) -> Replies:
    yield _read(reader, found, "sns", "GetSubscriptionAttributes", SubscriptionArn=found.arn)


READERS: Mapping[str, Callable[[Aws, Reader, Found], Replies]] = {
    "ecs.service": _ecs_service,
    "events.rule": _rule,
    "events.targets": _rule,
    "route53.record": _record,
    "ec2.network_acl": _network_acl,
    "ec2.instance": _instance,
    "states.machine": _machine,
    "fis.template": _template,
    "cloudwatch.alarm": _alarm,
    "rds.global_cluster": _global_cluster,
    "arc.cluster": _arc_cluster,
    "arc.control": _arc_control,
    "ssm.document": _document,
    "lambda.function": _function,
    "secretsmanager.secret": _secret,
    "apigateway.stage": _stage,
    "dynamodb.table": _table,
    "dynamodb.item": _item,
    "events.archive": _archive,
    "events.endpoint": _endpoint,
    "route53.health_check": _health_check,
    "ssm.parameter": _parameter,
    "rds.cluster": _db_cluster,
    "elbv2.target_group": _target_group,
    "sns.topic": _topic,
    "sns.subscription": _subscription,
}
"""How each kind of drill.find is read; a kind without a reader is unknown, with a KeyError as the reason."""
