"""Step Functions: start a state machine. An Action: what it does is undone only by failback."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Action
from drill.find import Found, find_one
from drill.target import Resource

ENDED = ("FAILED", "TIMED_OUT", "ABORTED")
"""The states of an execution that has ended and not succeeded."""


def execution_of(machine: Found, run_id: str, time: int = 1) -> str:
    """The ARN of the execution that a run starts of a machine, the `time`th of it."""
    name = f"drill-{run_id}" if time == 1 else f"drill-{run_id}-{time}"
    return machine.arn.replace(":stateMachine:", ":execution:", 1) + f":{name}"


@dataclass(frozen=True)
class StartStateMachine:
    """Start the one state machine that `resource` matches and expect it to succeed.

    timeout_s: target seconds for that; input: JSON-able; status: what it is to reach, RUNNING when nobody waits for
    its end. The execution is named after the run, so that a second start of the same action is refused by AWS instead
    of being repeated blindly; `time` tells a scenario's second start of a machine from its first. Effect: the Region
    moves.
    """

    resource: Resource
    timeout_s: float
    input: dict[str, Any] = field(default_factory=dict)
    status: Literal["SUCCEEDED", "RUNNING"] = "SUCCEEDED"
    time: int = 1

    def prepare(self, aws: Aws, target: str, run_id: str) -> Action:
        """See Step."""
        machine = find_one(aws, "states.machine", self.resource)
        execution = execution_of(machine, run_id, self.time)
        name = execution.rpartition(":")[2]
        start = {"stateMachineArn": machine.arn, "name": name, "input": json.dumps(self.input)}
        gone = ("ExecutionDoesNotExist",)
        look = Call("stepfunctions", "DescribeExecution", {"executionArn": execution}, self.resource.region)
        return Action(
            kind="states.start",
            target=target,
            run_id=run_id,
            resources=(machine.arn,),
            effect="region_moved",
            calls=(Call("stepfunctions", "StartExecution", start, self.resource.region),),
            end_state=(Fact(look, "status", self.status, gone),),
            timeout_s=self.timeout_s,
            begun=(Fact(look, "executionArn", execution, gone),),
            given_up=(Fact(look, f"contains(`{json.dumps(ENDED)}`, status)", True, gone),),
        )
