"""AWS FIS: run an experiment template as it is. An Action: FIS undoes what it did when the experiment is over.

Stopped when its block or the drill ends, by whoever restores: its id is found by the tag that the drill gave it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Action, Effect
from drill.errors import Refused
from drill.experiment import MOST_TOLD, RUN_TAG, lasts_s, require_stoppable, touched_by
from drill.find import Found, find_one
from drill.target import Resource
from drill.undo import PLACE, Undo

RUNS = ("pending", "initiating", "running")
"""The states in which an experiment can be stopped."""
GIVEN_UP = ("stopping", "stopped", "failed", "cancelled")
"""The states of an experiment that will not run any more, and has not completed either."""
ROOM = 10
"""How many experiments of a template may be started after we have looked, ours among them."""


@dataclass(frozen=True)
class RunExperiment:
    """Start an experiment of the one template that `resource` matches, and expect it to run, or to complete.

    timeout_s: target seconds for that; at_most_s: target seconds that its actions may last, since nobody but FIS ends
    them when drill, watchdog and their machine are gone; status: "running" for a scenario that goes on meanwhile;
    turn: which experiment of this template it is in the drill, from 1. Refused: a template without a stop condition
    that could stop it, one of which a target resolves to nothing, or of which nobody can tell what it touches
    (drill.experiment). What FIS itself does not undo at an experiment's end (a terminated instance) stays so.
    """

    resource: Resource
    timeout_s: float
    at_most_s: float = 3600.0
    status: Literal["running", "completed"] = "running"
    effect: Effect = "none"
    turn: int = 1

    def prepare(self, aws: Aws, target: str, run_id: str) -> Action:
        """See Step."""
        found = find_one(aws, "fis.template", self.resource)
        return started(self, aws, target, run_id, found, template_of(aws, found))


def template_of(aws: Aws, found: Found) -> dict[str, Any]:
    """What the template says."""
    shown = aws.run(Call("fis", "GetExperimentTemplate", {"id": found.extra["id"]}, found.region))
    return dict(shown["experimentTemplate"])


def run_of(found: Found, run_id: str, turn: int) -> str:
    """The value of the tag by which the experiment of that drill is told from all others."""
    return f"{run_id}-{found.extra['id']}" + ("" if turn == 1 else f"-{turn}")


def look_for(aws: Aws, found: Found) -> Call:
    """The call that tells all experiments of a template. Refused when one answer does not hold ours as well."""
    about = {"experimentTemplateId": found.extra["id"], "maxResults": MOST_TOLD}
    call = Call("fis", "ListExperiments", about, found.region)
    reply = aws.run(call)
    if reply.get("nextToken") or len(reply.get("experiments", ())) > MOST_TOLD - ROOM:
        raise Refused(
            f"experiment template {found.name} in {found.region} has had more than {MOST_TOLD - ROOM} experiments, "
            "so ours might not be found again (FIS forgets them after 120 days); make a copy of the template"
        )
    return call


def undo_of(look: Call, mine: str) -> Undo:
    """How our experiment is stopped: what bears the tag `mine` and can be stopped; FIS then undoes what it did."""
    ours = f"experiments[?tags.\"{RUN_TAG}\" == '{mine}' && contains(`{{}}`, state.status)].id"
    whole, stopping = Fact(look, "nextToken", None), Fact(look, ours.format('["stopping"]'), [])
    stop = Call("fis", "StopExperiment", {"id": PLACE}, look.region)
    return Undo(Fact(look, ours.format(json.dumps(RUNS)), []), stop, (stopping, whole), (RUN_TAG, mine))


def started(
    step: RunExperiment, aws: Aws, target: str, run_id: str, found: Found, template: Mapping[str, Any]
) -> Action:
    """The Action for a template that may be run."""
    region, mine = found.region, run_of(found, run_id, step.turn)
    require_stoppable(aws, found.name, template, region)
    touched = touched_by(aws, found.name, template, region)
    if lasts_s(template) > step.at_most_s:
        raise Refused(
            f"experiment template {found.name} in {region} lasts {lasts_s(template):g} s, longer than the "
            f"{step.at_most_s:g} s that this scenario allows; shorten its actions"
        )
    start = {
        "clientToken": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{found.arn}#{mine}")),
        "experimentTemplateId": found.extra["id"],
        "tags": {**template.get("tags", {}), RUN_TAG: mine},
    }
    look, ours = look_for(aws, found), f"experiments[?tags.\"{RUN_TAG}\" == '{mine}']"
    status = f"{ours} | [0].state.status"
    gone = GIVEN_UP if step.status == "completed" else (*GIVEN_UP, "completed")
    return Action(
        kind="fis.run",
        target=target,
        run_id=run_id,
        resources=(found.arn, *dict.fromkeys(arn for arns in touched.values() for arn in arns)),
        effect=step.effect,
        calls=(Call("fis", "StartExperiment", start, region),),
        end_state=(Fact(look, status, step.status),),
        timeout_s=step.timeout_s,
        begun=(Fact(look, f"length({ours} || `[]`)", 1),),
        given_up=(Fact(look, f"contains(`{json.dumps(gone)}`, {status})", True),),
        undo=undo_of(look, mine),
    )
