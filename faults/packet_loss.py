"""EC2: an instance loses packets from or to certain addresses, through an AWS FIS experiment. An Action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Action, Effect
from drill.errors import Refused
from drill.experiment import document_of, touched_by
from drill.find import Found, find_one
from drill.target import Resource
from faults.fis_run import RunExperiment, started, template_of

DOCUMENT = "AWSFIS-Run-Network-Packet-Loss-Sources"


@dataclass(frozen=True)
class LosePackets:
    """Start an experiment of the one template that `resource` matches: `instance` alone loses packets, no more.

    The template sends AWS's document AWSFIS-Run-Network-Packet-Loss-Sources to the instance; how many of 100 packets,
    from whom, for how long stands there. timeout_s, at_most_s: see RunExperiment; at_most_s holds for the document's
    own DurationSeconds too, which FIS does not cut short when its action is over. It is in force when the experiment
    runs and Systems Manager says that the document is in progress on the instance. It is ended as RunExperiment's:
    FIS cancels the document, which then takes back what it did.

    Refused: a template that does anything else, or to anything else; one whose Sources are ALL, so that nobody might
    reach the instance; an instance on which the document is in progress already.
    """

    resource: Resource
    instance: Resource
    timeout_s: float
    at_most_s: float = 3600.0
    effect: Effect = "errors"

    def prepare(self, aws: Aws, target: str, run_id: str) -> Action:
        """See Step."""
        found = find_one(aws, "fis.template", self.resource)
        instance = find_one(aws, "ec2.instance", self.instance)
        template = template_of(aws, found)
        _require_only(aws, found, template, instance)
        step = RunExperiment(self.resource, self.timeout_s, self.at_most_s, effect=self.effect)
        action = started(step, aws, target, run_id, found, template)
        losing = in_progress(instance)
        begun, lost = aws.read((*action.begun, losing))
        if lost.observed and not begun.holds:
            raise Refused(
                f"instance {instance.name} in {instance.region} loses packets already, by an experiment that is not "
                f"ours: AWS does not run {DOCUMENT} twice at once; wait until it is over, or cancel its command"
            )
        assert action.undo is not None
        undo = replace(action.undo, over=(*action.undo.over, replace(losing, equals=0)))
        return replace(action, kind="fis.packet_loss", end_state=(*action.end_state, losing), undo=undo)


def in_progress(instance: Found) -> Fact:
    """That the document is being carried out on the instance."""
    running = [{"key": "Status", "value": "InProgress"}]
    look = Call("ssm", "ListCommands", {"InstanceId": instance.extra["id"], "Filters": running}, instance.region)
    ours = f"Commands[?Status == 'InProgress' && ends_with(DocumentName, '{DOCUMENT}')]"
    return Fact(look, f"length({ours} || `[]`)", 1)


def _require_only(aws: Aws, found: Found, template: Mapping[str, Any], instance: Found) -> None:
    does = sorted(document_of(action)[0] or str(action["actionId"]) for action in template["actions"].values())
    touches = {arn for arns in touched_by(aws, found.name, template, found.region).values() for arn in arns}
    label = f"experiment template {found.name} in {found.region}"
    if does != [DOCUMENT] or touches != {instance.arn}:
        raise Refused(
            f"{label} does {', '.join(does)} to {', '.join(sorted(touches))}: it must do {DOCUMENT} once, to "
            f"{instance.arn} alone"
        )
    (given,) = (document_of(action)[1] for action in template["actions"].values())
    if "ALL" in given.get("Sources", "").split(","):
        raise Refused(
            f"{label} lets packets from everywhere be lost (Sources ALL): Systems Manager and this drill might not "
            "reach the instance any more; name the addresses of what clients are served by"
        )
