"""SSM Automation: run a runbook as an operator does. An Action: what it does is undone only by failback."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Action, Effect
from drill.find import find_one
from drill.target import Resource

GIVEN_UP = ("Failed", "TimedOut", "Cancelled", "Cancelling", "CompletedWithFailure", "Rejected", "Exited")
"""The statuses of an execution that will not succeed any more."""


@dataclass(frozen=True)
class RunDocument:
    """Run the one Automation document that `resource` matches and expect it to end as Success.

    timeout_s: target seconds for that; parameters: the document's; turn: which run of this document it is in the
    drill, from 1 (a document that goes there and comes back is run twice). The execution carries a tag of the run,
    by which it is found again (its id is known to nobody before it is started), and a client token, by which AWS
    takes a second start for the first. Success is what the document says of itself, and no proof that anything
    moved: a scenario waits for its clients besides.
    """

    resource: Resource
    timeout_s: float
    parameters: Mapping[str, list[str]] = field(default_factory=dict)
    effect: Effect = "region_moved"
    turn: int = 1

    def prepare(self, aws: Aws, target: str, run_id: str) -> Action:
        """See Step."""
        document = find_one(aws, "ssm.document", self.resource)
        region, turn = self.resource.region, "" if self.turn == 1 else f"-{self.turn}"
        tag = f"drill-{run_id}-{document.name}{turn}"
        start = {
            "DocumentName": document.name,
            "Parameters": dict(self.parameters),
            "ClientToken": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{document.arn}#{run_id}{turn}")),
            "Tags": [{"Key": tag, "Value": run_id}],
        }
        look = Call("ssm", "DescribeAutomationExecutions", {"Filters": [{"Key": "TagKey", "Values": [tag]}]}, region)
        status = "AutomationExecutionMetadataList[0].AutomationExecutionStatus"
        return Action(
            kind="ssm.run",
            target=target,
            run_id=run_id,
            resources=(document.arn,),
            effect=self.effect,
            calls=(Call("ssm", "StartAutomationExecution", start, region),),
            end_state=(Fact(look, status, "Success"),),
            timeout_s=self.timeout_s,
            begun=(Fact(look, "length(AutomationExecutionMetadataList)", 1),),
            given_up=(Fact(look, f"contains(`{json.dumps(GIVEN_UP)}`, {status})", True),),
        )
