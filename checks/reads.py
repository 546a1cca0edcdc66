"""What the guards and witnesses of this folder ask of AWS, declared, so that a policy can be written without a run.

Held equal, by tests, to what botocore is really asked: by each reader here, and by a whole drill in the lab.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field

from checks.harvest import MACHINES
from checks.quotas import EVENTS, PUT_EVENTS
from checks.signals import watches
from drill.find import kind_of
from drill.iam import Need
from drill.reads import CONTROL_CONFIG, Read, Thing, finding, things
from drill.stop import parameter_arn
from drill.tags import OF_KIND
from drill.target import Resource, Target

Role = str
"""primary | standby | observer."""
EVERYWHERE: tuple[Role, ...] = ("primary", "standby", "observer")


SNAPSHOT: Mapping[str, tuple[Read, ...]] = {
    "ecs.service": (
        Read("ecs", "DescribeServices"),
        Read("application-autoscaling", "DescribeScalableTargets", everything=True),
        Read("application-autoscaling", "DescribeScalingPolicies", everything=True),
        Read("elbv2", "DescribeTargetGroups", everything=True),
        Read("elbv2", "DescribeTargetGroupAttributes", everything=True),
    ),
    "events.rule": (
        Read("events", "DescribeRule"),
        Read("events", "ListTargetsByRule"),
        Read("events", "ListTagsForResource"),
    ),
    "events.targets": (
        Read("events", "DescribeRule"),
        Read("events", "ListTargetsByRule"),
        Read("events", "ListTagsForResource"),
    ),
    "route53.record": (Read("route53", "ListResourceRecordSets"),),
    "ec2.network_acl": (Read("ec2", "DescribeNetworkAcls"),),
    "ec2.instance": (Read("ec2", "DescribeInstances"),),
    "states.machine": (
        Read("stepfunctions", "DescribeStateMachine"),
        Read("stepfunctions", "ListTagsForResource"),
    ),
    "fis.template": (Read("fis", "GetExperimentTemplate"),),
    "cloudwatch.alarm": (Read("cloudwatch", "DescribeAlarms"),),
    "rds.global_cluster": (Read("rds", "DescribeGlobalClusters"),),
    "arc.cluster": (Read(CONTROL_CONFIG, "DescribeCluster"), Read(CONTROL_CONFIG, "ListControlPanels")),
    "arc.control": (
        Read(CONTROL_CONFIG, "DescribeCluster"),
        Read(CONTROL_CONFIG, "DescribeRoutingControl"),
        Read(CONTROL_CONFIG, "ListSafetyRules"),
        Read("route53-recovery-cluster", "GetRoutingControlState"),
    ),
    "ssm.document": (Read("ssm", "DescribeDocument"), Read("ssm", "GetDocument")),
    "lambda.function": (
        Read("lambda", "GetFunctionConfiguration"),
        Read("lambda", "GetFunctionConcurrency"),
    ),
    "secretsmanager.secret": (Read("secretsmanager", "DescribeSecret"), Read("secretsmanager", "GetResourcePolicy")),
    "apigateway.stage": (Read("apigateway", "GetStage"),),
    "rds.cluster": (Read("rds", "DescribeDBClusters"),),
    "elbv2.target_group": (
        Read("elbv2", "DescribeTargetGroups", everything=True),
        Read("elbv2", "DescribeTargetGroupAttributes", everything=True),
        Read("elbv2", "DescribeTargetHealth", everything=True),
    ),
    "sns.topic": (Read("sns", "GetTopicAttributes"),),
    "sns.subscription": (Read("sns", "GetSubscriptionAttributes"),),
    "dynamodb.table": (
        Read("dynamodb", "DescribeTable"),
        Read("dynamodb", "DescribeTimeToLive"),
        Read("dynamodb", "DescribeContinuousBackups"),
        Read("dynamodb", "GetResourcePolicy"),
    ),
    "dynamodb.item": (Read("dynamodb", "GetItem"),),
}
"""Kind -> the reads of its reader in checks.kinds_read."""

QUOTAS = (Read("service-quotas", "GetServiceQuota"), Read("service-quotas", "GetAWSDefaultServiceQuota"))
SILENCE = (Read("cloudwatch", "GetMetricStatistics"),)
"""Of a target that is written by events."""
NAMES = {"CanaryName": "*", "ServiceCode": EVENTS, "QuotaCode": PUT_EVENTS}
"""Variables of ARNs of what a Region is asked for."""

SNAPSHOT_OF_ZONES = (
    Read("route53", "ListHostedZones"),
    Read("route53", "GetHostedZone"),
    Read("route53", "ListResourceRecordSets"),
    Read("route53", "GetHealthCheck"),
)


@dataclass(frozen=True)
class Reader:
    """One reader: what it asks about the resources of which keys, by kind; and what it asks in which Regions."""

    name: str
    keys: tuple[str, ...] = ()
    of_kind: Mapping[str, tuple[Read, ...]] = field(default_factory=dict)
    in_regions: Mapping[Read, tuple[Role, ...]] = field(default_factory=dict)

    def needs(self, target: Target, known: tuple[Thing, ...]) -> list[Need]:
        """What it needs for this target."""
        named = [t.need(read) for t in known if t.key in self.keys for read in self.of_kind.get(t.kind, ())]
        roles = target.regions
        return named + [
            Need(read.service, read.operation, getattr(roles, role), names=NAMES)
            for read, wanted in self.in_regions.items()
            for role in wanted
        ]


def readers(target: Target) -> tuple[Reader, ...]:
    """Every reader of this folder with the target's keys that it reads."""
    keys = tuple(sorted(target.resources))
    standby = tuple(k for k in keys if k.startswith("standby_") or kind_of(k) != "ecs.service")
    watched = tuple(sorted({watch.key for watch in watches(target)} & set(keys)))
    return (
        Reader(
            "guards",
            standby,
            {
                "ecs.service": (Read("ecs", "DescribeServices"),),
                "rds.global_cluster": (Read("rds", "DescribeGlobalClusters"),),
                "states.machine": (Read("stepfunctions", "ListExecutions"),),
                "ssm.document": (Read("ssm", "DescribeAutomationExecutions", everything=True),),
                "cloudwatch.alarm": (Read("cloudwatch", "DescribeAlarms"),),
            },
            {
                Read("sts", "GetCallerIdentity"): ("primary", "observer"),
                **dict.fromkeys(QUOTAS if target.writes.events else (), ("standby",)),
                **dict.fromkeys(SILENCE if target.writes.events else (), ("primary",)),
            },
        ),
        Reader("tags", _breakable(target) if target.safety.required_tags else (), OF_KIND),
        Reader("stop", target.safety.stop_alarms, {"cloudwatch.alarm": (Read("cloudwatch", "DescribeAlarms"),)}),
        Reader(
            "signals",
            watched,
            {
                "ecs.service": (Read("ecs", "DescribeServices"),),
                "events.rule": (Read("events", "DescribeRule"),),
                "cloudwatch.alarm": (Read("cloudwatch", "DescribeAlarms"),),
                "states.machine": (Read("stepfunctions", "ListExecutions"),),
                "ssm.document": (Read("ssm", "DescribeAutomationExecutions", everything=True),),
                "rds.global_cluster": (Read("rds", "DescribeGlobalClusters"),),
                "secretsmanager.secret": (Read("secretsmanager", "DescribeSecret"),),
                "rds.cluster": (Read("rds", "DescribeDBClusters"),),
                "elbv2.target_group": (Read("elbv2", "DescribeTargetHealth", everything=True),),
                "arc.control": (
                    Read(CONTROL_CONFIG, "DescribeCluster"),
                    Read("route53-recovery-cluster", "GetRoutingControlState"),
                ),
            },
            {Read("synthetics", "DescribeCanariesLastRun"): EVERYWHERE},
        ),
        Reader(
            "harvest",
            tuple(k for k in keys if k in MACHINES or k.endswith("_alarm")),
            {
                "cloudwatch.alarm": (Read("cloudwatch", "DescribeAlarmHistory"),),
                "states.machine": (
                    Read("stepfunctions", "ListExecutions"),
                    Read("stepfunctions", "GetExecutionHistory"),
                ),
            },
            {
                Read("rds", "DescribeEvents"): ("primary", "standby"),
                Read("synthetics", "DescribeCanariesLastRun"): EVERYWHERE,
                Read("synthetics", "GetCanaryRuns"): EVERYWHERE,
                Read("cloudwatch", "GetMetricStatistics"): _lag_roles(target),
            },
        ),
        Reader(
            "snapshot",
            keys,
            SNAPSHOT,
            {
                **dict.fromkeys(SNAPSHOT_OF_ZONES, ("primary",)),
                Read("rds", "DescribeDBClusters"): ("primary", "standby"),
            },
        ),
    )


def _lag_roles(target: Target) -> tuple[Role, ...]:
    regions = {metric.region for metric in target.lag_metrics.values()}
    return tuple(role for role in EVERYWHERE if getattr(target.regions, role) in regions)


def reading(target: Target, found: Mapping[str, str]) -> list[Need]:
    """Everything that looking needs: finding, guards, witnesses and harvest. found: key -> ARN, as far as known."""
    known = things(target, found)
    return [
        *finding(target, found),
        *(need for reader in readers(target) for need in reader.needs(target, known)),
        *_parameter(target),
    ]


def _parameter(target: Target) -> list[Need]:
    name, region = target.safety.stop_parameter, target.regions.observer
    return [] if name is None else [Need("ssm", "GetParameter", region, (parameter_arn(target, name),))]


def _breakable(target: Target) -> tuple[str, ...]:
    """Keys of what may lie inside the blast radius, by the patterns alone."""
    return tuple(key for key, resource in sorted(target.resources.items()) if _meets(target, kind_of(key), resource))


def _meets(target: Target, kind: str, resource: Resource) -> bool:
    radius = target.blast_radius.resources.get(resource.region, [])
    name = resource.name
    if kind == "fis.template":  # named by its tag, and allowed by its id
        return bool(radius)
    return any(fnmatch.fnmatchcase(name, p) or fnmatch.fnmatchcase(p, name) for p in radius)
