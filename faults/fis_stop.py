"""AWS FIS: stop the experiment that this drill has started, before it ends by itself. An Action."""

from __future__ import annotations

import json
from dataclasses import dataclass

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Action
from drill.experiment import RUN_TAG
from drill.find import find_one
from drill.target import Resource
from faults.fis_run import look_for, run_of

OVER = ("stopped", "completed")
UNDONE = "nothing: it ends what was broken"


@dataclass(frozen=True)
class StopExperiment:
    """Stop this run's own experiment of the one template that `resource` matches, and expect it to be over.

    timeout_s: target seconds for that; turn: see RunExperiment. FIS undoes what its actions did before it says so.
    Experiments of others are never touched. One that nobody has started has no id, and AWS refuses to stop it.
    """

    resource: Resource
    timeout_s: float
    turn: int = 1

    def prepare(self, aws: Aws, target: str, run_id: str) -> Action:
        """See Step."""
        found = find_one(aws, "fis.template", self.resource)
        look, mine = look_for(aws, found), run_of(found, run_id, self.turn)
        ours = [e for e in aws.run(look).get("experiments", []) if e.get("tags", {}).get(RUN_TAG) == mine]
        place = found.arn.partition(":experiment-template/")[0]
        number = ours[0]["id"] if ours else f"EXP{run_id}"  # a plan starts none, and tells what it would stop
        status = f"experiments[?tags.\"{RUN_TAG}\" == '{mine}'] | [0].state.status"
        return Action(
            kind="fis.stop",
            target=target,
            run_id=run_id,
            resources=(found.arn, *(f"{place}:experiment/{one['id']}" for one in ours)),
            effect="none",
            calls=(Call("fis", "StopExperiment", {"id": number}, self.resource.region),),
            end_state=(Fact(look, f"contains(`{json.dumps(OVER)}`, {status})", True),),
            timeout_s=self.timeout_s,
            begun=(Fact(look, f"contains(`{json.dumps(('stopping', *OVER))}`, {status})", True),),
            given_up=(Fact(look, status, "failed"),),
        )
