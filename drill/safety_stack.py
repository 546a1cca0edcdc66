"""The safety stack of a target: what lies in the observer Region so that a drill's Changes are put back without it.

One CloudFormation stack, named by the target's `safety.stack`: a table (stored Changes, and the lock of the target),
the dead-man's function, a group for its schedules, and the two roles. Its template is stack/safety-stack.yaml with
the function's code and the rights of one target filled in; the rights follow from the target file alone.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from drill.child import REPOSITORY
from drill.iam import Need, policy
from drill.models import partition_of
from drill.passing import pass_role
from drill.reads import Read, Thing, things
from drill.target import GLOBAL, Resource, Target

FOLDER = REPOSITORY / "stack"
TEMPLATE_MAX = 51_200
"""Bytes of a template that CreateStack takes inline."""
CODE_MARK = "# drill install: stack/dead_man.py"
READ_MARK = "# drill install: what the function may read and put back"
BLIND_MARK = "# drill install: what schedules may put back blindly"
DIGEST_MARK = '"not filled in"  # drill install: digest'

CLUSTER = "route53-recovery-cluster"
PUTTING_BACK: Mapping[str, tuple[Read, ...]] = {
    "ecs.service": (Read("ecs", "DescribeServices"), Read("ecs", "UpdateService")),
    "events.rule": (Read("events", "DescribeRule"), Read("events", "DisableRule"), Read("events", "EnableRule")),
    "lambda.function": (
        Read("lambda", "GetFunctionConcurrency"),
        Read("lambda", "PutFunctionConcurrency"),
        Read("lambda", "DeleteFunctionConcurrency"),
        Read("lambda", "GetFunctionConfiguration"),
        Read("lambda", "UpdateFunctionConfiguration"),
    ),
    "secretsmanager.secret": (
        Read("secretsmanager", "DescribeSecret"),
        Read("secretsmanager", "GetResourcePolicy"),
        Read("secretsmanager", "PutResourcePolicy"),
        Read("secretsmanager", "DeleteResourcePolicy"),
        Read("secretsmanager", "ReplicateSecretToRegions"),
    ),
    "dynamodb.table": (
        Read("dynamodb", "GetResourcePolicy"),
        Read("dynamodb", "PutResourcePolicy"),
        Read("dynamodb", "DeleteResourcePolicy"),
    ),
    "apigateway.stage": (Read("apigateway", "GetStage"), Read("apigateway", "UpdateStage")),
    "events.endpoint": (Read("events", "DescribeEndpoint"), Read("events", "UpdateEndpoint")),
    "route53.health_check": (Read("route53", "GetHealthCheck"), Read("route53", "UpdateHealthCheck")),
    "ssm.parameter": (Read("ssm", "GetParameter"), Read("ssm", "PutParameter")),
    "elbv2.target_group": (
        Read("elbv2", "DescribeTargetHealth", everything=True),
        Read("elbv2", "DescribeTargetGroupAttributes", everything=True),
        Read("elbv2", "DeregisterTargets"),
        Read("elbv2", "RegisterTargets"),
        Read("elbv2", "ModifyTargetGroupAttributes"),
    ),
    "sns.subscription": (Read("sns", "GetSubscriptionAttributes"), Read("sns", "SetSubscriptionAttributes")),
    "arc.control": (Read(CLUSTER, "GetRoutingControlState"), Read(CLUSTER, "UpdateRoutingControlStates")),
    "cloudwatch.alarm": (
        Read("cloudwatch", "DescribeAlarms"),
        Read("cloudwatch", "PutMetricAlarm"),
        Read("cloudwatch", "DisableAlarmActions"),
        Read("cloudwatch", "EnableAlarmActions"),
    ),
    "events.targets": (Read("events", "ListTargetsByRule"), Read("events", "PutTargets")),
    "route53.record": (Read("route53", "ListResourceRecordSets"), Read("route53", "ChangeResourceRecordSets")),
    "ec2.network_acl": (Read("ec2", "DescribeNetworkAcls"), Read("ec2", "ReplaceNetworkAclEntry")),
}
"""Kind of resource -> what is called to tell whether a Change of it is in force, and to put it back."""
PASSING = ("events.targets", "events.endpoint")
"""Kinds whose calls hand a role to EventBridge, which the target does not name: any role, to that service alone."""
BY_ID: Mapping[str, tuple[str, str]] = {
    "arc.control": ("RoutingControlId", GLOBAL),
    "route53.health_check": ("Id", GLOBAL),
    "route53.record": ("Id", GLOBAL),
    "ec2.network_acl": ("NaclId", ""),
}
"""Kind of resource whose ARN ends in an id that no pattern of [resources] tells -> AWS's name for that id, and the
key of [blast_radius.resources] under which it is allowed ("": its Region)."""
BLINDLY: Mapping[str, tuple[Read, ...]] = {"events.rule": (Read("events", "DisableRule"),)}
"""Kind of resource -> what schedules call for Changes of it that are blind-safe."""


@dataclass(frozen=True)
class SafetyStack:
    """Names and ARNs of a stack; nothing is looked up."""

    name: str
    region: str
    account: str

    @property
    def table(self) -> str:
        """The table's name."""
        return self.name

    @property
    def table_arn(self) -> str:
        """The table's ARN."""
        return self._arn("dynamodb", f"table/{self.name}")

    @property
    def function_arn(self) -> str:
        """The ARN of the dead-man's function."""
        return self._arn("lambda", f"function:{self.name}-dead-man")

    @property
    def stack_arn(self) -> str:
        """The stack's ARN for policies: its id is not known before."""
        return self._arn("cloudformation", f"stack/{self.name}/*")

    @property
    def scheduler_role_arn(self) -> str:
        """The role under which schedules act."""
        return f"arn:{partition_of(self.region)}:iam::{self.account}:role/{self.name}-scheduler"

    def schedule_arn(self, region: str, group: str, name: str) -> str:
        """The ARN of a schedule."""
        partition = partition_of(region)
        return f"arn:{partition}:scheduler:{region}:{self.account}:schedule/{group}/{name}"

    def _arn(self, service: str, rest: str) -> str:
        return f"arn:{partition_of(self.region)}:{service}:{self.region}:{self.account}:{rest}"


def stack_of(target: Target) -> SafetyStack:
    """The stack that belongs to a target."""
    return SafetyStack(target.safety.stack, target.regions.observer, target.account)


@dataclass(frozen=True)
class Template:
    """A template to install. text: YAML; digest: what its output `Content` says."""

    text: str
    digest: str


def template(target: Target) -> Template:
    """The template for a target: code and rights filled in."""
    text = (FOLDER / "safety-stack.yaml").read_text()
    text = _filled(text, CODE_MARK, (FOLDER / "dead_man.py").read_text().splitlines())
    text = _filled(text, READ_MARK, _statements(target, PUTTING_BACK))
    text = _filled(text, BLIND_MARK, _statements(target, BLINDLY))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Template(text.replace(DIGEST_MARK, digest), digest)


def operations(target: Target) -> frozenset[tuple[str, str]]:
    """(service, operation) of everything that the function may call for this target."""
    return frozenset((need.service, need.operation) for need in _needs(target, PUTTING_BACK))


def _filled(text: str, mark: str, lines: Iterable[str]) -> str:
    """`text` with `lines` in place of the line that is the mark, as deep as it."""
    (line,) = [line for line in text.splitlines() if line.strip() == mark]
    indent = line[: len(line) - len(mark)]
    return text.replace(line, "\n".join(f"{indent}{new}".rstrip() for new in lines))


def _statements(target: Target, kinds: Mapping[str, tuple[Read, ...]]) -> list[str]:
    """One YAML list item (JSON is YAML) per statement; "# nothing" when there is none."""
    found = policy(_needs(target, kinds), target.account)["Statement"]
    if set(PASSING) & _kinds(target) & kinds.keys():
        partition = partition_of(target.regions.observer)
        found.append(pass_role("events.amazonaws.com", [f"arn:{partition}:iam::{target.account}:role/*"]))
    return [f"- {json.dumps(statement)}" for statement in found] or ["# nothing"]


def _kinds(target: Target) -> set[str]:
    return {found.kind for thing in things(target, {}) for found in _breakable(target, thing)}


def _needs(target: Target, kinds: Mapping[str, tuple[Read, ...]]) -> list[Need]:
    known = [found for thing in things(target, {}) for found in _breakable(target, thing)]
    return [thing.need(read) for thing in known for read in kinds.get(thing.kind, ())]


def _breakable(target: Target, thing: Thing) -> list[Thing]:
    """What of it may lie inside the blast radius: itself, or, where ids are allowed there, whatever has these ids."""
    if thing.kind not in BY_ID:
        return [thing] if breakable(target, target.resources[thing.key]) else []
    variable, where = BY_ID[thing.kind]
    return [replace(thing, names={variable: p}) for p in target.blast_radius.resources.get(where or thing.region, [])]


def breakable(target: Target, resource: Resource) -> bool:
    """Whether what the resource's pattern means may lie inside the blast radius."""
    patterns = target.blast_radius.resources.get(resource.region, [])
    return any(_meet(resource.name, pattern) for pattern in patterns)


def _meet(one: str, other: str) -> bool:
    return fnmatch.fnmatchcase(one, other) or fnmatch.fnmatchcase(other, one)
