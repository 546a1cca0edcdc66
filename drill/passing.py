"""What a call needs beside its own IAM action: what it makes, the tags that it gives, and the roles that it hands on.

None of these is an API call of its own, so none of them shows among the calls of a plan; without them AWS refuses.
Sources: https://docs.aws.amazon.com/service-authorization/latest/reference/ (required resource types),
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from drill.call import Call
from drill.errors import UsageError
from drill.iam import BY_METHOD, Need, kinds_of, need_of, resources_of
from drill.models import partition_of

MAKING = re.compile(r"(Start|Create|Run)[A-Z]")
"""How the names of operations begin that make something. Elsewhere several required types are alternatives: AWS has
both a table and its stream as required for PutResourcePolicy."""
TAGGING: Mapping[str, str] = {"fis": "TagResource", "ssm": "AddTagsToResource"}
"""Service -> the operation whose right a call needs that tags what it makes."""
PASSED_TO: Mapping[str, str] = {"events": "events.amazonaws.com", "scheduler": "scheduler.amazonaws.com"}
"""Service -> the one that a role is handed to by a call of it."""


def made_by(call: Call, account: str, hints: Iterable[str] = ()) -> Iterator[Need]:
    """The rights on what a call makes, whose ids nobody knows before: each required type that no ARN of it covers."""
    if MAKING.match(call.operation) is None or call.service in BY_METHOD:
        return
    need = need_of(call, hints)
    known = resources_of(need, account)
    place = {"Partition": partition_of(call.region), "Region": call.region, "Account": account}
    for kind in kinds_of(need.action):
        if kind.required and not any(kind.parse(arn) is not None for arn in known):
            made = (kind.fill(place, {}),)
            yield Need(call.service, call.operation, call.region, made)
            if call.service in TAGGING and {"tags", "Tags"} & call.params.keys():
                yield Need(call.service, TAGGING[call.service], call.region, made)


def passing(calls: Iterable[Call]) -> list[dict[str, Any]]:
    """Statements that allow to hand on each role that the calls hand on, to the service that they hand it to alone.

    UsageError for a service of which nobody has said whom its calls hand roles to.
    """
    roles: dict[str, set[str]] = {}
    for call in calls:
        found = set(_roles_in(call.params)) if call.mutates else set()
        if found and call.service not in PASSED_TO:
            raise UsageError(f"{call.service}:{call.operation} hands on a role: add its service to drill/passing.py")
        if found:
            roles.setdefault(PASSED_TO[call.service], set()).update(found)
    return [pass_role(to, sorted(found)) for to, found in sorted(roles.items())]


def pass_role(to: str, roles: list[str]) -> dict[str, Any]:
    """The statement. to: a service's principal ("events.amazonaws.com")."""
    return {
        "Sid": f"PassRolesTo{to.partition('.')[0].capitalize()}",
        "Effect": "Allow",
        "Action": ["iam:PassRole"],
        "Resource": roles,
        "Condition": {"StringEquals": {"iam:PassedToService": to}},
    }


def _roles_in(value: Any) -> Iterator[str]:
    """Every role's ARN that parameters name as one to be used, however deep."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            if name.lower().endswith("rolearn") and isinstance(item, str):
                yield item
            else:
                yield from _roles_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _roles_in(item)
