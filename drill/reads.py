"""Which operations `drill.find` asks for each kind of thing, declared, so that a policy can be written without a run.

A test holds this table equal to what botocore is really asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from drill.find import kind_of
from drill.iam import Need, allowed_on
from drill.target import Target


@dataclass(frozen=True)
class Read:
    """One operation that a reader of ours makes on a kind of resource.

    everything: it names no resource and gets all there are.
    """

    service: str
    operation: str
    everything: bool = False


@dataclass(frozen=True)
class Thing:
    """What a key of the target's [resources] stands for: patterns, and the ARN when somebody has looked."""

    key: str
    kind: str
    region: str
    names: Mapping[str, str] = field(default_factory=dict)
    arns: tuple[str, ...] = ()

    def need(self, read: Read) -> Need:
        """What the read needs on this thing."""
        return Need(read.service, read.operation, self.region, self.arns, self.names, read.everything)


CONTROL_CONFIG = "route53-recovery-control-config"
FINDING: Mapping[str, tuple[Read, ...]] = {
    "ecs.service": (Read("ecs", "ListClusters"), Read("ecs", "ListServices")),
    "events.rule": (Read("events", "ListRules"),),
    "events.targets": (Read("events", "ListRules"),),
    "route53.record": (
        Read("route53", "ListHostedZones"),
        Read("route53", "ListResourceRecordSets", everything=True),
    ),
    "ec2.network_acl": (Read("ec2", "DescribeNetworkAcls"),),
    "ec2.instance": (Read("ec2", "DescribeInstances"),),
    "states.machine": (Read("stepfunctions", "ListStateMachines"),),
    "fis.template": (Read("fis", "ListExperimentTemplates"),),
    "cloudwatch.alarm": (Read("cloudwatch", "DescribeAlarms", everything=True),),
    "rds.global_cluster": (Read("rds", "DescribeGlobalClusters", everything=True),),
    "arc.cluster": (Read(CONTROL_CONFIG, "ListClusters"),),
    "arc.control": (
        Read(CONTROL_CONFIG, "ListClusters"),
        Read(CONTROL_CONFIG, "ListControlPanels"),
        Read(CONTROL_CONFIG, "ListRoutingControls"),
    ),
    "ssm.document": (Read("ssm", "ListDocuments", everything=True),),
    "lambda.function": (Read("lambda", "ListFunctions", everything=True),),
    "secretsmanager.secret": (Read("secretsmanager", "ListSecrets", everything=True),),
    "apigateway.stage": (
        Read("apigateway", "GetRestApis", everything=True),
        Read("apigateway", "GetStages", everything=True),
    ),
    "dynamodb.table": (Read("dynamodb", "ListTables", everything=True), Read("dynamodb", "DescribeTable")),
    "dynamodb.item": (
        Read("dynamodb", "ListTables", everything=True),
        Read("dynamodb", "DescribeTable"),
        Read("dynamodb", "GetItem"),
    ),
    "events.archive": (Read("events", "ListArchives", everything=True),),
    "events.endpoint": (Read("events", "ListEndpoints", everything=True),),
    "route53.health_check": (Read("route53", "ListHealthChecks"), Read("route53", "ListTagsForResource")),
    "ssm.parameter": (Read("ssm", "DescribeParameters", everything=True), Read("ssm", "GetParameter")),
    "rds.cluster": (Read("rds", "DescribeDBClusters", everything=True),),
    "elbv2.target_group": (Read("elbv2", "DescribeTargetGroups", everything=True),),
    "sns.topic": (Read("sns", "ListTopics", everything=True),),
    "sns.subscription": (Read("sns", "ListSubscriptions", everything=True),),
}
"""Kind -> the reads of its lister in drill.find."""

VARIABLES: Mapping[str, tuple[str, str]] = {
    "ecs.service": ("ServiceName", "ClusterName"),
    "events.rule": ("RuleName", "EventBusName"),
    "events.targets": ("RuleName", "EventBusName"),
    "states.machine": ("StateMachineName", ""),
    "cloudwatch.alarm": ("AlarmName", ""),
    "rds.global_cluster": ("GlobalCluster", ""),
    "ssm.document": ("DocumentName", ""),
    "lambda.function": ("FunctionName", ""),
    "secretsmanager.secret": ("SecretId", ""),
    "apigateway.stage": ("StageName", ""),
    "dynamodb.table": ("TableName", ""),
    "dynamodb.item": ("", "TableName"),
    "events.archive": ("ArchiveName", ""),
    "events.endpoint": ("EndpointName", ""),
    "ssm.parameter": ("ParameterNameWithoutLeadingSlash", ""),
    "rds.cluster": ("DbClusterInstanceName", ""),
    "elbv2.target_group": ("TargetGroupName", ""),
    "sns.topic": ("TopicName", ""),
    "sns.subscription": ("", "TopicName"),
}
"""Kind -> AWS's names, in its ARNs, for the resource itself and for what it lies in; ARC's ARNs carry ids only."""
OWN_BUS = ("events.rule", "events.targets")
"""Kinds whose ARNs name what they lie in only where the target does: a rule of the default bus names none."""


def things(target: Target, found: Mapping[str, str]) -> tuple[Thing, ...]:
    """Everything that the target names. found: key -> ARN, of those that somebody has looked up."""
    clusters = tuple(arn for key, arn in sorted(found.items()) if kind_of(key) == "arc.cluster")
    return tuple(_thing(target, key, found.get(key), clusters) for key in sorted(target.resources))


def _thing(target: Target, key: str, arn: str | None, clusters: tuple[str, ...]) -> Thing:
    resource, kind = target.resources[key], kind_of(key)
    if arn is not None:
        arns = (
            (arn, *clusters) if kind == "arc.control" else (allowed_on(arn),)
        )  # a control is read through its cluster
        return Thing(key, kind, resource.region, _executions(kind, arn.rpartition(":")[2]), arns)
    own, container = VARIABLES.get(kind, ("", ""))
    if kind in OWN_BUS and resource.within is None:
        container = ""
    patterns = {own: resource.name.removeprefix("/"), container: resource.within or "*"}
    names = {variable: _iam_pattern(pattern) for variable, pattern in patterns.items() if variable}
    if kind == "secretsmanager.secret":
        names[own] += "-*"  # AWS adds six characters of its own to the name
    return Thing(key, kind, resource.region, names | _executions(kind, names.get(own, "*")))


def _executions(kind: str, machine: str) -> dict[str, str]:
    """The executions of a machine, whose ids nobody knows before."""
    return {"StateMachineName": machine, "ExecutionId": "*"} if kind == "states.machine" else {}


def _iam_pattern(pattern: str) -> str:
    """A shell-style pattern in IAM's terms, which know * and ? but no sets."""
    return re.sub(r"\[!?\]?[^\]]*\]", "?", pattern)


def finding(target: Target, found: Mapping[str, str]) -> list[Need]:
    """What finding every resource of the target needs."""
    return [thing.need(read) for thing in things(target, found) for read in FINDING[thing.kind]]
