"""DynamoDB: pause a global table's replication to and from one Region, through an AWS FIS experiment. An Action."""

from __future__ import annotations

from dataclasses import dataclass, replace

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Action
from drill.errors import Refused
from drill.experiment import touched_by
from drill.find import find_one
from drill.target import Resource
from faults.fis_run import RunExperiment, started, template_of

PAUSE = "aws:dynamodb:global-table-pause-replication"
SID = "DoNotModifyFisDynamoDbPauseReplication"
"""How the statement is named that FIS puts into the table's resource policy for as long as the experiment runs."""
PAUSED_AFTER_S = 300.0
"""Target seconds: tables "may continue to be replicated for up to 5 minutes" after the action has begun. Only then
is what is written in one Region surely not in the other."""


@dataclass(frozen=True)
class PauseReplication:
    """Start an experiment of the one template that `resource` matches, which must pause `table`'s replication only.

    timeout_s, at_most_s: see RunExperiment. It is in force when the experiment runs and the table's resource policy
    denies replication, which FIS takes back at the end and which ends by its own date besides. `PAUSED_AFTER_S` later
    nothing is replicated any more. Clients see nothing of it until the Regions part. It is ended as RunExperiment's.
    """

    resource: Resource
    table: Resource
    timeout_s: float
    at_most_s: float = 3600.0

    def prepare(self, aws: Aws, target: str, run_id: str) -> Action:
        """See Step. Refused when the template does anything else, or to another table, or one is paused already."""
        found = find_one(aws, "fis.template", self.resource)
        table = find_one(aws, "dynamodb.table", self.table)
        template = template_of(aws, found)
        does = {action["actionId"] for action in template["actions"].values()}
        touches = {arn for arns in touched_by(aws, found.name, template, found.region).values() for arn in arns}
        if does != {PAUSE} or touches != {table.arn}:
            raise Refused(
                f"experiment template {found.name} in {found.region} does {', '.join(sorted(does))} to "
                f"{', '.join(sorted(touches))}: it must do {PAUSE} to {table.arn} alone"
            )
        step = RunExperiment(self.resource, self.timeout_s, self.at_most_s)
        action = started(step, aws, target, run_id, found, template)
        look = Call("dynamodb", "GetResourcePolicy", {"ResourceArn": table.arn}, table.region)
        denied = Fact(look, f"contains(Policy || '', '{SID}')", True, absent=("PolicyNotFoundException",))
        free = replace(denied, equals=False)
        if not all(reading.holds for reading in aws.read([free])):
            raise Refused(
                f"{table.arn}: somebody's experiment pauses its replication already ({SID} stands in its policy); "
                "wait until that is over, so that what is seen is what this drill does"
            )
        assert action.undo is not None
        undo = replace(action.undo, over=(*action.undo.over, free))
        return replace(action, kind="dynamodb.pause", end_state=(*action.end_state, denied), undo=undo)
