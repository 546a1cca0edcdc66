"""What an AWS FIS experiment template would do, told before it is started, or refused because nobody could tell.

An experiment is started by one call and then acts by itself, so whatever it may touch, and for how long, must stand
in its template: stop conditions that can stop it, targets that are named, actions that end.

Sources: https://docs.aws.amazon.com/fis/latest/userguide/experiment-templates.html and .../targets.html
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from drill.aws import Aws
from drill.call import Call
from drill.errors import Refused

WITHOUT_TARGET = ("aws:fis:wait", "aws:cloudwatch:assert-alarm-state")
"""The actions that touch nothing."""
RUNS_DOCUMENTS = ("aws:ssm:send-command", "aws:ssm:start-automation-execution")
"""The actions that run a document of Systems Manager."""
TAGGED_AS: Mapping[str, str] = {
    "aws:dynamodb:global-table": "dynamodb:table",
    "aws:ec2:instance": "ec2:instance",
    "aws:ec2:subnet": "ec2:subnet",
    "aws:ec2:ebs-volume": "ec2:volume",
    "aws:ecs:cluster": "ecs:cluster",
    "aws:ecs:task": "ecs:task",
    "aws:lambda:function": "lambda:function",
    "aws:rds:cluster": "rds:cluster",
    "aws:rds:db": "rds:db",
}
"""FIS's resource type -> the type by which the Resource Groups Tagging API lists the same."""
MOST_TOLD = 100
"""How many experiments of a template ListExperiments tells in one answer."""
RUN_TAG = "failover-drill"
"""The tag by which a drill finds its experiment again: its id is known to nobody before it is started."""
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")


def require_stoppable(aws: Aws, name: str, template: Mapping[str, Any], region: str) -> None:
    """Refused unless alarms that are there, and do not ring, would stop an experiment of that template."""
    conditions = template.get("stopConditions", [])
    alarms = [c["value"] for c in conditions if c.get("source") == "aws:cloudwatch:alarm" and c.get("value")]
    if not alarms:
        raise Refused(
            f"experiment template {name} in {region} has no stop condition: nothing would stop it; give it an alarm "
            "(aws fis update-experiment-template --stop-conditions source=aws:cloudwatch:alarm,value=ALARM_ARN)"
        )
    for arn in alarms:
        look = Call("cloudwatch", "DescribeAlarms", {"AlarmNames": [arn.partition(":alarm:")[2]]}, region)
        states = [alarm["StateValue"] for alarm in aws.run(look).get("MetricAlarms", [])]
        if not states or "ALARM" in states:
            seen = "is in ALARM already" if states else f"does not exist in {region}"
            raise Refused(f"stop condition {arn} of experiment template {name} {seen}: it could not stop anything")


def touched_by(aws: Aws, name: str, template: Mapping[str, Any], region: str) -> dict[str, tuple[str, ...]]:
    """Target name -> the ARNs that it may resolve to now (more than it will, where it selects some of them).

    Refused when a target resolves to nothing, when FIS would pass over an empty target, when nobody can tell what
    would be touched (filters, parameters, other accounts, an action without a target), and when nothing is.
    """
    _require_plain(name, template, region)
    wanted = [*_targets_of(name, template)]
    if not wanted:
        raise Refused(f"experiment template {name} in {region} has no target: an experiment of it would do nothing")
    targets, of = template.get("targets", {}), f"of experiment template {name} in {region}"
    return {key: _resolved(aws, f"{key} {of}", targets.get(key, {}), region) for key in dict.fromkeys(wanted)}


def lasts_s(template: Mapping[str, Any]) -> float:
    """Seconds that its actions last at most, one after the other, what they have begun and what is undone later only
    (an instance that is started again after a while) included."""
    return sum(map(_lasts_s, template["actions"].values()))


def document_of(action: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """The name of the SSM document that an action runs, and the parameters that it gives; "" and none for others.

    Refused for parameters that are no JSON object.
    """
    said = action.get("parameters", {})
    if action.get("actionId") not in RUNS_DOCUMENTS:
        return "", {}
    given = _object(str(said.get("documentParameters", "{}")))
    name = str(said.get("documentArn", "")).rpartition("/")[2]
    return name, {key: "".join(value) for key, value in given.items()}


def _object(text: str) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        if isinstance(found := json.loads(text), dict):
            return found
    raise Refused(f"documentParameters {text!r} of an experiment template are no JSON object")


def _lasts_s(action: Mapping[str, Any]) -> float:
    """FIS does not end a document when its action's time is over: its own DurationSeconds may be longer."""
    own = document_of(action)[1].get("DurationSeconds", "0")
    given = action.get("parameters", {}).items()
    lasts_s = sum(_seconds(value) for name, value in given if name.lower().endswith("duration"))
    return max(lasts_s, float(own) if own.isdigit() else math.inf)


def _require_plain(name: str, template: Mapping[str, Any], region: str) -> None:
    options, why = template.get("experimentOptions", {}), ""
    if options.get("emptyTargetResolutionMode") == "skip":
        why = "skips empty targets, so it could complete having done nothing; set emptyTargetResolutionMode to fail"
    if options.get("accountTargeting") == "multi-account" or template.get("targetAccountConfigurationsCount"):
        why = "has targets in other accounts, which no blast radius here covers; use a single-account template"
    if why:
        raise Refused(f"experiment template {name} in {region} {why}")


def _targets_of(name: str, template: Mapping[str, Any]) -> Iterator[str]:
    for action in template.get("actions", {}).values():
        if not action.get("targets") and action["actionId"] not in WITHOUT_TARGET:
            what = f"its action {action['actionId']} names no target, so nobody can tell what it touches"
            raise Refused(f"experiment template {name}: {what}; leave it out")
        yield from action.get("targets", {}).values()


def _resolved(aws: Aws, label: str, target: Mapping[str, Any], region: str) -> tuple[str, ...]:
    if target.get("filters") or target.get("parameters"):
        why = "selects by filters or parameters, so nobody can tell before what it touches"
        raise Refused(f"target {label} {why}; name its resources by ARN or by tags alone")
    found = tuple(target.get("resourceArns", ())) or _tagged(aws, label, target, region)
    if not found:
        chosen = f"the tags {dict(target['resourceTags'])}" if target.get("resourceTags") else "nothing"
        why = f"resolves to no resource (it is chosen by {chosen}), so the experiment would break nothing"
        raise Refused(f"target {label} {why}; name what is there")
    return found


def _tagged(aws: Aws, label: str, target: Mapping[str, Any], region: str) -> tuple[str, ...]:
    """The ARNs of that type in the Region that bear all of the target's tags."""
    tags = target.get("resourceTags") or {}
    if not tags:
        return ()
    if target["resourceType"] not in TAGGED_AS:
        what = f"nobody knows how to list {target['resourceType']} by tags here"
        raise Refused(f"target {label}: {what}; name it by ARN")
    about = {
        "TagFilters": [{"Key": key, "Values": [value]} for key, value in sorted(tags.items())],
        "ResourceTypeFilters": [TAGGED_AS[target["resourceType"]]],
    }
    reply = aws.run(Call("resourcegroupstaggingapi", "GetResources", about, region))
    if reply.get("PaginationToken"):
        raise Refused(f"target {label} resolves to more than one page of resources: too many to look through")
    return tuple(entry["ResourceARN"] for entry in reply.get("ResourceTagMappingList", []))


def _seconds(text: str) -> float:
    """Of an ISO 8601 duration as FIS takes it ("PT20M"); endless for any other text."""
    found = _DURATION.fullmatch(text)
    if found is None:
        return float("inf")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
