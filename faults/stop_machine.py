"""Step Functions: stop the execution that this drill has started, as an operator aborts one half way. An Action."""

from __future__ import annotations

from dataclasses import dataclass

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Action
from drill.find import find_one
from drill.target import Resource
from faults.start_machine import execution_of


@dataclass(frozen=True)
class StopStateMachine:
    """Stop this run's own execution of the one state machine that `resource` matches, and expect it to be ABORTED.

    timeout_s: target seconds for that. Executions of others are never touched. What the machine has done until then
    stays done: that half state is what a scenario wants, and nothing here mends it. Effect: the Region moves, half.
    """

    resource: Resource
    timeout_s: float

    def prepare(self, aws: Aws, target: str, run_id: str) -> Action:
        """See Step."""
        machine = find_one(aws, "states.machine", self.resource)
        execution = execution_of(machine, run_id)
        stop = {"executionArn": execution, "error": "Drill", "cause": "aborted half way by a drill"}
        gone = ("ExecutionDoesNotExist",)
        look = Call("stepfunctions", "DescribeExecution", {"executionArn": execution}, self.resource.region)
        return Action(
            kind="states.stop",
            target=target,
            run_id=run_id,
            resources=(machine.arn, execution),
            effect="region_moved",
            calls=(Call("stepfunctions", "StopExecution", stop, self.resource.region),),
            end_state=(Fact(look, "status", "ABORTED", gone),),
            timeout_s=self.timeout_s,
            begun=(Fact(look, "status", "ABORTED", gone),),
            given_up=(Fact(look, 'contains(`["SUCCEEDED", "FAILED", "TIMED_OUT"]`, status)', True, gone),),
        )
