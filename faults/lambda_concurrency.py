"""Lambda: reserve another concurrency for a function (0: every invocation of it is throttled)."""

from __future__ import annotations

from dataclasses import dataclass

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Change, Effect
from drill.errors import Refused
from drill.find import find_one
from drill.target import Resource


@dataclass(frozen=True)
class LimitFunction:
    """Reserve `concurrency` for the one function that `resource` matches.

    concurrency: >= 0. effect: what clients see: errors, unless the function is not one that their requests need.
    """

    resource: Resource
    concurrency: int = 0
    effect: Effect = "errors"

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault. Refused when that is reserved already: then there is nothing to break."""
        found = find_one(aws, "lambda.function", self.resource)
        region, name = self.resource.region, {"FunctionName": found.name}
        look = Call("lambda", "GetFunctionConcurrency", name, region)
        before = aws.run(look).get("ReservedConcurrentExecutions")
        if before == self.concurrency:
            raise Refused(f"function {found.name} in {region} has a reserved concurrency of {before} already")
        path = "ReservedConcurrentExecutions"
        set_back = (
            Call("lambda", "DeleteFunctionConcurrency", name, region)
            if before is None
            else Call("lambda", "PutFunctionConcurrency", {**name, path: int(before)}, region)
        )
        return Change(
            kind="lambda.concurrency",
            target=target,
            run_id=run_id,
            resources=(found.arn,),
            effect=self.effect,
            inject=(Call("lambda", "PutFunctionConcurrency", {**name, path: self.concurrency}, region),),
            restore=(set_back,),
            faulted=(Fact(look, path, self.concurrency),),
            before=(Fact(look, path, before),),
        )
