"""Lambda: another value for one of a function's environment variables, as a deployment of long ago would have it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Change
from drill.errors import Refused
from drill.find import find_one
from drill.redact import redacted
from drill.target import Resource


@dataclass(frozen=True)
class ChangeVariable:
    """Change entries of the variable `name`, which holds a JSON object, of the one function that `resource` matches.

    entries: key -> value; other keys stay. Effect: none that clients see by itself. The whole environment goes into
    the journal, as it has to be written back whole: a function that keeps a secret there is refused.
    """

    resource: Resource
    name: str
    entries: Mapping[str, str]

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault. Refused when there is no such variable, it is so already, or a secret stands beside it."""
        found = find_one(aws, "lambda.function", self.resource)
        key = {"FunctionName": found.name}
        look = Call("lambda", "GetFunctionConfiguration", key, found.region)
        variables = dict(aws.run(look).get("Environment", {}).get("Variables", {}))
        if hidden := sorted(name for name, value in redacted(variables).items() if value != variables[name]):
            raise Refused(
                f"function {found.name} keeps what looks like a secret in {', '.join(hidden)}: its whole environment "
                "would be written into the journal, so this fault is not for it"
            )
        before = variables.get(self.name, "")
        after = json.dumps(_object(found.name, self.name, before) | dict(self.entries))
        if json.loads(after) == json.loads(before):
            raise Refused(f"{self.name} of function {found.name} says so already: {before}")

        def put(value: str) -> Call:
            environment = {"Variables": variables | {self.name: value}}
            return Call("lambda", "UpdateFunctionConfiguration", key | {"Environment": environment}, found.region)

        path = f'Environment.Variables."{self.name}"'
        return Change(
            kind="lambda.variable",
            target=target,
            run_id=run_id,
            resources=(found.arn,),
            effect="none",
            inject=(put(after),),
            restore=(put(before),),
            faulted=(Fact(look, path, after),),
            before=(Fact(look, path, before),),
        )


def _object(function: str, name: str, text: str) -> dict[str, str]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Refused(f"variable {name} of function {function} holds no JSON object; found {text[:80]!r}")
    return value
