"""Whether a resource carries the tags that allow a drill to change it.

Each service is asked itself: its reads have a resource level, so that the policy for them can name what is read, and
it answers for a resource without any tag too (the Resource Groups Tagging API leaves such a resource out).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from drill.aws import Aws, AwsFailed
from drill.call import Call
from drill.errors import Refused
from drill.find import last_part, region_of_arn
from drill.reads import CONTROL_CONFIG, Read
from drill.target import Target, bearer_of

MAX_PAGES = 10
ARC_REGION = "us-west-2"
"""Where AWS keeps ARC's control plane; its ARNs carry no Region."""
Form = Literal["Key", "key", "map"]
"""How tags are put: a list of {Key, Value}, of {key, value}, or one map."""


@dataclass(frozen=True)
class TagApi:
    """How one service tells and sets tags. arn: the parameter that names the resource; field: that holds the tags."""

    service: str
    read: str
    write: str
    arn: str
    field: str
    form: Form = "Key"

    def tags(self, reply: Mapping[str, Any]) -> dict[str, str]:
        """The tags in a reply of `read`."""
        holder = reply.get("ResourceTagSet", reply) if self.service == "route53" else reply
        found = holder.get(self.field) or {}
        if isinstance(found, Mapping):
            return {str(key): str(value) for key, value in found.items()}
        value = "value" if self.form == "key" else "Value"
        return {str(tag[self.form]): str(tag[value]) for tag in found}

    def about(self, arn: str) -> dict[str, Any]:
        """The parameters of `read` that name the resource."""
        number = last_part(arn)
        if self.service == "ec2":
            return {"Filters": [{"Name": self.arn, "Values": [number]}]}
        if self.service == "route53":
            return {"ResourceType": arn.rpartition(":")[2].partition("/")[0], self.arn: number}
        return {self.arn: arn}

    def tagging(self, arn: str, tags: Mapping[str, str], region: str) -> Call:
        """The call that sets tags."""
        value = "value" if self.form == "key" else "Value"
        pairs: Any = dict(tags) if self.form == "map" else [{self.form: k, value: v} for k, v in tags.items()]
        put = "Tags" if self.service == "rds" else self.field
        if self.service == "ec2":
            return Call(self.service, self.write, {"Resources": [last_part(arn)], put: pairs}, region)
        if self.service == "route53":
            return Call(self.service, self.write, {**self.about(arn), "AddTags": pairs}, region)
        return Call(self.service, self.write, {self.arn: arn, put: pairs}, region)


APIS: Mapping[str, TagApi] = {
    "ecs": TagApi("ecs", "ListTagsForResource", "TagResource", "resourceArn", "tags", "key"),
    "events": TagApi("events", "ListTagsForResource", "TagResource", "ResourceARN", "Tags"),
    "states": TagApi("stepfunctions", "ListTagsForResource", "TagResource", "resourceArn", "tags", "key"),
    "rds": TagApi("rds", "ListTagsForResource", "AddTagsToResource", "ResourceName", "TagList"),
    "dynamodb": TagApi("dynamodb", "ListTagsOfResource", "TagResource", "ResourceArn", "Tags"),
    "cloudwatch": TagApi("cloudwatch", "ListTagsForResource", "TagResource", "ResourceARN", "Tags"),
    "lambda": TagApi("lambda", "ListTags", "TagResource", "Resource", "Tags", "map"),
    "secretsmanager": TagApi("secretsmanager", "DescribeSecret", "TagResource", "SecretId", "Tags"),
    "apigateway": TagApi("apigateway", "GetTags", "TagResource", "resourceArn", "tags", "map"),
    "sns": TagApi("sns", "ListTagsForResource", "TagResource", "ResourceArn", "Tags"),
    "ec2": TagApi("ec2", "DescribeTags", "CreateTags", "resource-id", "Tags"),
    "fis": TagApi("fis", "ListTagsForResource", "TagResource", "resourceArn", "tags", "map"),
    "route53": TagApi("route53", "ListTagsForResource", "ChangeTagsForResource", "ResourceId", "Tags"),
    "route53-recovery-control": TagApi(
        CONTROL_CONFIG, "ListTagsForResource", "TagResource", "ResourceArn", "Tags", "map"
    ),
}
"""By the service field of an ARN."""
OF_KIND: Mapping[str, tuple[Read, ...]] = {
    "ecs.service": (Read("ecs", "ListTagsForResource"),),
    "events.rule": (Read("events", "ListTagsForResource"),),
    "events.targets": (Read("events", "ListTagsForResource"),),
    "route53.record": (Read("route53", "ListTagsForResource"),),
    "ec2.network_acl": (Read("ec2", "DescribeTags"),),
    "ec2.instance": (Read("ec2", "DescribeTags"),),
    "states.machine": (Read("stepfunctions", "ListTagsForResource"),),
    "fis.template": (Read("fis", "ListTagsForResource"),),
    "cloudwatch.alarm": (Read("cloudwatch", "ListTagsForResource"),),
    "rds.global_cluster": (Read("rds", "ListTagsForResource"),),
    "rds.cluster": (Read("rds", "ListTagsForResource"),),
    "sns.topic": (Read("sns", "ListTagsForResource"),),
    "arc.cluster": (Read(CONTROL_CONFIG, "ListTagsForResource"),),
    "arc.control": (Read(CONTROL_CONFIG, "ListTagsForResource"),),
    "lambda.function": (Read("lambda", "ListTags"),),
    "secretsmanager.secret": (Read("secretsmanager", "DescribeSecret"),),
    "apigateway.stage": (Read("apigateway", "GetTags"),),
    "dynamodb.table": (Read("dynamodb", "ListTagsOfResource"),),
    "dynamodb.item": (Read("dynamodb", "ListTagsOfResource"),),
}
"""By the kind of a key of [resources], for the policy."""


def require_tags(aws: Aws, target: Target, arns: Iterable[str]) -> str:
    """That every resource carries the target's required tags; in words. Refused names all that do not, with lines.

    Nothing is asked when the target requires none. An execution bears none; its state machine's are read.
    """
    required = target.safety.required_tags
    if not required:
        return "none required"
    found = tuple(dict.fromkeys(map(bearer_of, arns)))
    problems = [problem for arn in found if (problem := _problem(aws, target, arn, required))]
    if problems:
        raise Refused("\n".join(problems))
    return f"{_told(required)} on {len(found)} resources"


def _problem(aws: Aws, target: Target, arn: str, required: Mapping[str, str]) -> str:
    service = arn.split(":")[2]
    everywhere = ARC_REGION if service == "route53-recovery-control" else target.regions.primary
    api, region = APIS.get(service), region_of_arn(arn) or everywhere
    if api is None:
        return (
            f"{arn}: nobody knows how to read its tags, so it may not be changed (add its service to drill/tags.py)"
        )
    try:
        seen = _read(aws, api, arn, region)
    except AwsFailed as error:
        return f"{arn}: its tags cannot be read, so it may not be changed: {error}"
    missing = {key: value for key, value in required.items() if seen.get(key) != value}
    if not missing:
        return ""
    line = api.tagging(arn, missing, region).cli(aws.endpoint_url)
    return (
        f"{arn} may not be changed by a drill of {target.name}: it needs the tags {_told(required)}, it has "
        f"{_told(seen)}; if it may be changed, type:\n  {line}"
    )


def _read(aws: Aws, api: TagApi, arn: str, region: str) -> dict[str, str]:
    found: dict[str, str] = {}
    token: dict[str, str] = {}
    for _ in range(MAX_PAGES):
        reply = aws.run(Call(api.service, api.read, {**api.about(arn), **token}, region))
        found |= api.tags(reply)
        if not reply.get("NextToken"):
            break
        token = {"NextToken": reply["NextToken"]}
    return found


def _told(tags: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(tags.items())) or "none"
