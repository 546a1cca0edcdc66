"""Find the one thing that a target's pattern means: exactly one match, or a refusal that names what was there.

Read-only. Patterns are shell-style and case-sensitive, and match the whole name: "FailoverStateMachine*" does not
match FailoverInitiatorStateMachine, and "*TransactionFargateService*" does not match the worker's service.
"""

from __future__ import annotations

import fnmatch

from drill.errors import Refused
from drill.listers import LISTERS, MAX_LISTED, Clients, Found, last_part
from drill.target import Resource, Target

__all__ = ["KIND_OF_KEY", "Clients", "Found", "last_part"]

KIND_OF_KEY = (
    ("*_rule", "events.rule"),
    ("*_targets", "events.targets"),
    ("*_record", "route53.record"),
    ("*_network_acl", "ec2.network_acl"),
    ("*_instance", "ec2.instance"),
    ("*_machine", "states.machine"),
    ("*_experiment", "fis.template"),
    ("*_alarm", "cloudwatch.alarm"),
    ("*global_cluster", "rds.global_cluster"),
    ("*_document", "ssm.document"),
    ("*_function", "lambda.function"),
    ("*_secret", "secretsmanager.secret"),
    ("*_stage", "apigateway.stage"),
    ("control_*", "arc.control"),
    ("arc_cluster", "arc.cluster"),
    ("*_table", "dynamodb.table"),
    ("*_item", "dynamodb.item"),
    ("*_archive", "events.archive"),
    ("*_endpoint", "events.endpoint"),
    ("*_health_check", "route53.health_check"),
    ("*_parameter", "ssm.parameter"),
    ("*_db_cluster", "rds.cluster"),
    ("*_target_group", "elbv2.target_group"),
    ("*_topic", "sns.topic"),
    ("*_subscription", "sns.subscription"),
    ("*", "ecs.service"),
)
"""What kind of thing a key of `[resources]` names; the first pattern that matches decides."""


def kind_of(key: str) -> str:
    """The kind of resource that a target's resource key stands for."""
    return next(kind for pattern, kind in KIND_OF_KEY if fnmatch.fnmatchcase(key, pattern))


def find_all(aws: Clients, kind: str, resource: Resource) -> list[Found]:
    """Everything of `kind` in the resource's Region that its patterns match.

    Refused when there are more than MAX_LISTED to look through; KeyError for an unknown kind; botocore's errors
    pass.
    """
    matches = []
    for number, found in enumerate(LISTERS[kind](aws, resource)):
        if number >= MAX_LISTED:
            raise Refused(
                f"{resource.region} has more than {MAX_LISTED} of {kind}: too many to look for {resource.name}"
            )
        if fnmatch.fnmatchcase(found.name, resource.name):
            matches.append(found)
    return matches


def find_one(aws: Clients, kind: str, resource: Resource) -> Found:
    """The one match. Refused for none (names the pattern) and for several (names them)."""
    matches = find_all(aws, kind, resource)
    if len(matches) == 1:
        return matches[0]
    pattern = resource.name if resource.within is None else f"{resource.name} within {resource.within}"
    seen = "none" if not matches else f"{len(matches)}: {', '.join(sorted(_label(m) for m in matches))}"
    raise Refused(
        f"{kind} {pattern} in {resource.region}: exactly one must match, found {seen}; "
        "correct the pattern in the target's [resources]"
    )


def find(aws: Clients, target: Target, key: str) -> Found:
    """The one match for a key of the target's `[resources]`. UsageError for an unknown key; see find_one."""
    return find_one(aws, kind_of(key), target.resource(key))


def find_ecs_service(aws: Clients, resource: Resource) -> Found:
    """The one ECS service, in the clusters that `within` matches; extra: cluster (ARN). See find_one."""
    return find_one(aws, "ecs.service", resource)


def find_events_rule(aws: Clients, resource: Resource) -> Found:
    """The one rule of the default event bus; extra: bus. See find_one."""
    return find_one(aws, "events.rule", resource)


def find_state_machine(aws: Clients, resource: Resource) -> Found:
    """The one state machine. See find_one."""
    return find_one(aws, "states.machine", resource)


def cluster_endpoints(aws: Clients, cluster: Found) -> tuple[tuple[str, str], ...]:
    """(Region, URL) of each endpoint of an ARC cluster: its data plane, of which any one may be down."""
    control = aws.client("route53-recovery-control-config", cluster.region)
    reply = control.describe_cluster(ClusterArn=cluster.arn)
    return tuple((e["Region"], e["Endpoint"]) for e in reply["Cluster"]["ClusterEndpoints"])


def region_of_arn(arn: str) -> str:
    """The Region field of an ARN ("" for a global resource or something that is no ARN)."""
    parts = arn.split(":")
    return parts[3] if len(parts) > 5 else ""


def _label(found: Found) -> str:
    cluster = found.extra.get("cluster", "")
    return f"{found.name} ({last_part(cluster)})" if found.kind == "ecs.service" else found.name
