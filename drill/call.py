"""AWS API calls and readable facts as data.

From the same data come the call itself, the aws-cli line that a person can paste, and the check against botocore's
own service model; `drill.iam` tells from it which rights it needs.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import botocore.loaders
import botocore.model
import botocore.validate
import jmespath
from botocore import xform_name
from jmespath.exceptions import JMESPathError

from drill.errors import UsageError

READS = re.compile(r"(Describe|Get|List)[A-Z]")
"""How the names of AWS's read-only operations begin."""


NEGATED = {"--egress": "--ingress"}
"""Options of the aws CLI whose negation has a name of its own (ec2's network ACL entries)."""


@dataclass(frozen=True)
class Call:
    """One AWS API call.

    service: botocore's name ("ecs"); operation: the API's name ("UpdateService"); params: JSON; region: where.
    endpoints: Region -> URL, for a data plane that has addresses of its own of which any one may be down (ARC's
    five); the call is made at the first that answers. Empty: at the service's own address in `region`.
    """

    service: str
    operation: str
    params: dict[str, Any]
    region: str
    endpoints: dict[str, str] = field(default_factory=dict)

    @property
    def mutates(self) -> bool:
        """Whether it may change something."""
        return not reads_only(self.operation)

    def validate(self) -> None:
        """Check operation and parameters against botocore's model. UsageError says what is wrong."""
        model = _service_model(self.service)
        if self.operation not in model.operation_names:
            raise UsageError(f"{self.service} has no operation {self.operation} in botocore's model")
        shape = model.operation_model(self.operation).input_shape
        if shape is None:
            return
        report = botocore.validate.ParamValidator().validate(self.params, shape)
        if report.has_errors():
            raise UsageError(f"{self.service}:{self.operation}: {report.generate_report()}")

    def cli(self, endpoint_url: str | None = None) -> str:
        """The stock aws-cli line that makes this call; with endpoints of its own, at the first that answers."""
        places = self.endpoints.items() or [(self.region, endpoint_url)]
        return " || ".join(self._line(region, url) for region, url in places)

    def _line(self, region: str, url: str | None) -> str:
        words = ["aws", self.service, xform_name(self.operation, "-")]
        for name, value in self.params.items():
            option = "--" + xform_name(name, "-")
            if isinstance(value, bool):
                words.append(option if value else NEGATED.get(option) or option.replace("--", "--no-", 1))
            else:
                words += [option, value if isinstance(value, str) else json.dumps(value)]
        words += ["--region", region]
        if url:
            words += ["--endpoint-url", url]
        return shlex.join(words)


@dataclass(frozen=True)
class Fact:
    """Something that can be read back: the value at `path` (JMESPath) of the call's reply equals `equals`.

    absent: AWS's error codes that say "there is no such thing" ("ExecutionDoesNotExist"); the reply then counts as
    empty, so that `equals` None means absent. Any other error stays an error: unknown is never absent.
    """

    call: Call
    path: str
    equals: Any
    absent: tuple[str, ...] = ()

    def validate(self) -> None:
        """UsageError when the call is unknown to botocore, may change something, or the path is no JMESPath."""
        self.call.validate()
        if not reads_only(self.call.operation):
            raise UsageError(f"{self}: {self.call.operation} may change something; a fact must only be read")
        try:
            jmespath.compile(self.path)
        except JMESPathError as error:
            raise UsageError(f"{self}: {self.path!r} is no JMESPath expression: {error}") from error

    def extract(self, reply: dict[str, Any]) -> Any:
        """The value that the reply shows at `path`; None when there is none."""
        return jmespath.search(self.path, reply)

    def __str__(self) -> str:
        return f"{self.call.service}:{self.call.operation} {self.path} = {self.equals!r}"


@dataclass(frozen=True)
class Reading:
    """A fact beside the value that was observed."""

    fact: Fact
    observed: Any = field(default=None)

    @property
    def holds(self) -> bool:
        """Whether the observed value is the expected one."""
        return bool(self.observed == self.fact.equals)

    def __str__(self) -> str:
        return f"{self.fact.call.service}:{self.fact.call.operation} {self.fact.path}: {self.observed!r}"


def fact_from(record: dict[str, Any]) -> Fact:
    """A Fact from its JSON form. KeyError or TypeError when it is none."""
    return Fact(Call(**record["call"]), record["path"], record["equals"], tuple(record.get("absent", ())))


def reads_only(operation: str) -> bool:
    """Whether an operation's name is one of those by which AWS only reads."""
    return READS.match(operation) is not None


@cache
def _service_model(service: str) -> botocore.model.ServiceModel:
    loader = botocore.loaders.Loader()
    try:
        return botocore.model.ServiceModel(loader.load_service_model(service, "service-2"), service)
    except botocore.loaders.UnknownServiceError as error:
        raise UsageError(f"botocore knows no service {service!r}") from error
