"""The configuration of everything that a target names, as AWS tells it, as JSON: taken before and after a drill.

Read-only: every call is data, and one that is not a Describe, Get or List is refused before it is made. What could
not be read is listed under "unknown" with the reason and is never left out silently. What changes by itself is
dropped by a declared table, so that two snapshots of an untouched system are equal.

A snapshot: {"format", "when", "at_s" (monotonic wall seconds), "resources": {key: {"kind", "region", "name", "arn",
"reads": {operation: reply}}}, "unknown": {key: reason}}. Keys are those of the target's [resources], and "dns" for
the hosted zones of its name.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from drill.aws import Aws, AwsFailed
from drill.call import Call
from drill.clock import Clock
from drill.end_state import ZONE
from drill.errors import DrillError
from drill.find import Found, cluster_endpoints, find, region_of_arn
from drill.redact import redacted
from drill.target import Target

FORMAT = 1
LIMIT_S = 90.0
"""Wall seconds for one snapshot; what has not been read by then is unknown."""
MAX_PAGES = 100
AWS_NAMES = (".endpoint.events.amazonaws.com",)
"""Endings of names that AWS serves for a resource of ours: there is no zone of the account to compare."""
READING = ("Describe", "Get", "List")
COULD_NOT_READ = (DrillError, ClientError, BotoCoreError, LookupError, TypeError, ValueError)
"""What reading may meet: AWS says no or nothing, none or several matches, a reply of another shape."""

VOLATILE: Mapping[str, frozenset[str]] = {
    "DescribeServices": frozenset(
        # What runs, as opposed to what is wished for; `runningCount` is kept where it is settled (see `_settled`).
        {"events", "deployments", "taskSets", "pendingCount", "currentServiceDeployment", "currentServiceRevisions"}
    ),
    "DescribeScalableTargets": frozenset({"PredictedCapacity"}),
    "DescribeArchive": frozenset({"EventCount", "SizeBytes", "CreationTime"}),
    "DescribeAlarms": frozenset({"StateValue", "StateReason", "StateReasonData", "EvaluationState"}),
    "DescribeStateMachine": frozenset({"revisionId"}),
    "DescribeGlobalClusters": frozenset({"SynchronizationStatus"}),
    "DescribeDBClusters": frozenset(
        {"AllocatedStorage", "Capacity", "PercentProgress", "BacktrackConsumedChangeRecords"}
    ),
    "DescribeTable": frozenset(
        {"ItemCount", "TableSizeBytes", "IndexSizeBytes", "NumberOfDecreasesToday", "WarmThroughput"}
    ),
    "GetHealthCheck": frozenset({"HealthCheckVersion"}),
    "GetParameter": frozenset({"Version"}),
    "GetFunctionConfiguration": frozenset({"RevisionId", "LastModified", "LastUpdateStatus"}),
    # How a target stands goes up and down by itself; who is registered does not.
    "DescribeTargetHealth": frozenset({"TargetHealth"}),
    "GetHostedZone": frozenset({"ResourceRecordSetCount"}),
}
"""Fields that change without anybody changing the configuration: states, measured sizes, counters. By operation, at
any depth. Of every reply the timestamps, the paging and the metadata of the request go too."""
PAGING = frozenset({"ResponseMetadata", "NextToken", "nextToken", "Marker", "NextMarker", "MaxItems", "IsTruncated"})
HASHED: Mapping[str, frozenset[str]] = {
    "DescribeStateMachine": frozenset({"definition"}),
    "ListTargetsByRule": frozenset({"Input", "InputTemplate"}),
    "GetDocument": frozenset({"Content"}),
    "GetFunctionConfiguration": frozenset({"Environment"}),
}
"""Long texts that may hold what is nobody's business: only whether they changed is of interest."""


class Reader:
    """Makes the calls of one snapshot. A Region that does not answer once is not asked again: its rest is unknown.

    clock: for the limit of LIMIT_S wall seconds.
    """

    def __init__(self, aws: Aws, clock: Clock) -> None:
        self._aws, self._clock = aws, clock
        self._end_s = clock.monotonic_s() + LIMIT_S
        self._silent: dict[str, str] = {}

    def require_time(self, region: str) -> None:
        """ValueError when time is over, or when that Region has not answered before."""
        if self._clock.monotonic_s() > self._end_s:
            raise ValueError(f"not read: the snapshot took more than {LIMIT_S:g} s")
        if region in self._silent:
            raise ValueError(f"not read: {region} did not answer before ({self._silent[region]})")

    def note(self, region: str, error: BaseException) -> None:
        """Remember a Region that did not answer: no reply at all, as opposed to one that says no."""
        for cause in (error, error.__cause__):
            if isinstance(cause, BotoCoreError) and region:
                self._silent[region] = type(cause).__name__

    def read(self, call: Call, endpoint: str | None = None) -> dict[str, Any]:
        """The cleaned reply. AwsFailed or ValueError when there is none, or not all of it."""
        if not call.operation.startswith(READING):
            raise ValueError(f"{call.service}:{call.operation} is not a reading call")
        self.require_time(call.region)
        reply = self._reply(call, endpoint)
        if reply.get("NextToken") or reply.get("nextToken"):
            raise ValueError(f"{call.service}:{call.operation} has more than one page: part of it was not read")
        return clean(call.operation, reply)

    def _reply(self, call: Call, endpoint: str | None) -> dict[str, Any]:
        if endpoint is None:
            return self._aws.run(call)
        client = self._aws.client(call.service, call.region, endpoint_url=endpoint)
        try:
            reply: dict[str, Any] = client.get_routing_control_state(**call.params)
        except (ClientError, BotoCoreError) as error:
            raise AwsFailed(f"{call.service}:{call.operation} at {endpoint} failed: {error}") from error
        return reply


def take_snapshot(aws: Aws, target: Target, clock: Clock, when: Literal["before", "after"]) -> dict[str, Any]:
    """The configuration of everything the target names. Never raises for what AWS says or does not say.

    when: before or after the drill.
    """
    reader = Reader(aws, clock)
    resources: dict[str, Any] = {}
    unknown: dict[str, str] = {}
    for key in (*sorted(target.resources), *([ZONE] if target.dns.hosted else [])):
        region = target.regions.primary if key == ZONE else target.resource(key).region
        try:
            resources[key] = _zones(aws, reader, target) if key == ZONE else _resource(aws, reader, target, key)
        except COULD_NOT_READ as error:
            reader.note(region, error)
            unknown[key] = f"{type(error).__name__}: {error}".replace("\n", " ")[:300]
    made = {"format": FORMAT, "when": when, "at_s": clock.monotonic_s()}
    return made | {"resources": resources, "unknown": unknown}


def write_snapshot(path: Path, snapshot: Mapping[str, Any]) -> None:
    """Write it, whole or not at all. OSError (a full disk) passes."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(json.dumps(redacted(snapshot), indent=1, sort_keys=True, allow_nan=False) + "\n")
    new.replace(path)


def clean(operation: str, reply: Mapping[str, Any]) -> dict[str, Any]:
    """A reply of that operation as JSON, without what changes by itself."""
    dropped = VOLATILE.get(operation, frozenset()) | PAGING
    settled = _settled(reply) if operation == "DescribeServices" else reply
    plain = _plain(settled, dropped, HASHED.get(operation, frozenset()))
    assert isinstance(plain, dict)
    return plain


def _settled(reply: Mapping[str, Any]) -> dict[str, Any]:
    """Running counts only where they stand still: None while tasks come or go, whatever the number is just then."""
    services = [
        {**s, "runningCount": s["runningCount"] if s["runningCount"] == s["desiredCount"] else None}
        for s in reply.get("services", ())
    ]
    return {**reply, "services": services}


def _plain(value: Any, dropped: frozenset[str], hashed: frozenset[str]) -> Any:
    if isinstance(value, Mapping):
        return {
            str(k): _digest(v) if k in hashed else _plain(v, dropped, hashed)
            for k, v in sorted(value.items())
            if k not in dropped and not isinstance(v, datetime)
        }
    if isinstance(value, list | tuple):
        return [_plain(item, dropped, hashed) for item in value if not isinstance(item, datetime)]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _digest(value: Any) -> str:
    return "sha256:" + hashlib.sha256(str(value).encode()).hexdigest()


def _resource(aws: Aws, reader: Reader, target: Target, key: str) -> dict[str, Any]:
    reader.require_time(target.resource(key).region)
    found = find(aws, target, key)
    reads: dict[str, Any] = {}
    for name, reply in READERS[found.kind](aws, reader, found):
        reads[name] = reply
    return {"kind": found.kind, "region": found.region, "name": found.name, "arn": found.arn, "reads": reads}


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
    yield _read(reader, found, "ec2", "DescribeNetworkAcls", NetworkAclIds=[found.extra["id"]])


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


def _table(aws: Aws, reader: Reader, found: Found) -> Replies:
    for operation in ("DescribeTable", "DescribeTimeToLive", "DescribeContinuousBackups"):
        yield _read(reader, found, "dynamodb", operation, TableName=found.name)


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
    "states.machine": _machine,
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


def _zones(aws: Aws, reader: Reader, target: Target) -> dict[str, Any]:
    """Every hosted zone, public or private, that is authoritative for the target's name, its records and checks."""
    region = target.regions.primary  # the service is global; any Region's client reaches it
    reader.require_time(region)
    reads: dict[str, Any] = {}
    zones = [] if target.dns.name.endswith(AWS_NAMES) else _zones_of(aws, region, target.dns.name)
    if not zones and not target.dns.name.endswith(AWS_NAMES):
        raise LookupError(f"no hosted zone of this account holds {target.dns.name}")
    for zone in zones:
        short = zone.rpartition("/")[2]
        call = Call("route53", "GetHostedZone", {"Id": short}, region)
        records = _pages(aws, region, "list_resource_record_sets", "ResourceRecordSets", HostedZoneId=short)
        reads[f"{call.operation} {short}"] = reader.read(call)
        reads[f"ListResourceRecordSets {short}"] = clean("ListResourceRecordSets", {"ResourceRecordSets": records})
        for check in sorted({r["HealthCheckId"] for r in records if "HealthCheckId" in r}):
            look = Call("route53", "GetHealthCheck", {"HealthCheckId": check}, region)
            reads[f"{look.operation} {check}"] = reader.read(look)
    return {"kind": "route53.zones", "region": "", "name": target.dns.name, "arn": ",".join(zones), "reads": reads}


def _zones_of(aws: Aws, region: str, name: str) -> list[str]:
    """The ids of the zones with the longest name that `name` lies in."""
    dotted = "." + name.rstrip(".") + "."
    zones = _pages(aws, region, "list_hosted_zones", "HostedZones")
    holding = [z for z in zones if dotted.endswith("." + z["Name"])]
    longest = max((len(z["Name"]) for z in holding), default=0)
    return sorted(z["Id"] for z in holding if len(z["Name"]) == longest)


def _pages(aws: Aws, region: str, operation: str, field: str, **params: Any) -> list[dict[str, Any]]:
    """All items of an operation that botocore can page. ValueError beyond MAX_PAGES: never cut off silently."""
    items: list[dict[str, Any]] = []
    pages = aws.client("route53", region).get_paginator(operation).paginate(**params)
    for number, page in enumerate(pages):
        if number >= MAX_PAGES:
            raise ValueError(f"route53 {operation} has more than {MAX_PAGES} pages")
        items += page[field]
    return items
