"""Reads an aws-cli line as the stock CLI does, by botocore's model: what is typed is the call that was meant."""

from __future__ import annotations

import json
import shlex
from typing import Any

import botocore.session
from botocore import xform_name

from drill.call import Call

GLOBAL = ("region", "endpoint-url")
NEGATED = {"ingress": "no-egress"}
"""The CLI's own words (awscli/customizations/ec2) for what botocore's model has as false."""


def parsed_all(line: str) -> list[tuple[Call, str | None]]:
    """Each of the calls that the shell would try in turn until one succeeds; see `parsed`."""
    return [parsed(alternative) for alternative in line.split(" || ")]


def parsed(line: str) -> tuple[Call, str | None]:
    """The call of a line, and its endpoint. AssertionError for what the CLI would refuse."""
    program, service, command, *words = shlex.split(line)
    assert program == "aws"
    model = botocore.session.get_session().get_service_model(service)
    (operation,) = [name for name in model.operation_names if xform_name(name, "-") == command]
    shape = model.operation_model(operation).input_shape
    members = {xform_name(name, "-"): (name, member) for name, member in shape.members.items()}
    params: dict[str, Any] = {}
    found: dict[str, str] = {}
    while words:
        option = words.pop(0).removeprefix("--")
        option = NEGATED.get(option, option)
        if option in GLOBAL:
            found[option] = words.pop(0)
        elif option.removeprefix("no-") in members and members[option.removeprefix("no-")][1].type_name == "boolean":
            params[members[option.removeprefix("no-")][0]] = not option.startswith("no-")
        else:
            name, member = members[option]
            params[name] = _value(member.type_name, words.pop(0))
    assert set(shape.required_members) <= params.keys()
    return Call(service, operation, params, found["region"]), found.get("endpoint-url")


def _value(kind: str, text: str) -> Any:
    if kind in ("string", "timestamp"):
        assert not text.startswith(("file://", "fileb://")), "the CLI would read a file"
        return text
    return json.loads(text)
