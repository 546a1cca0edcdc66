"""EventBridge: replay an archive to the bus that it is of, so that who was not there handles what was kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Action, Effect
from drill.find import find_one
from drill.target import Resource

GIVEN_UP = ("CANCELLING", "CANCELLED", "FAILED")


@dataclass(frozen=True)
class ReplayArchive:
    """Replay the last `back_s` target seconds of the one archive that `resource` matches, and expect it to complete.

    timeout_s: target seconds for that. The replay bears the run's id, so AWS refuses a second one. Until when, AWS's
    own clock says. COMPLETED says that the events were sent again, and not that anybody has handled them.
    """

    resource: Resource
    timeout_s: float
    back_s: float = 3600.0
    effect: Effect = "region_moved"

    def prepare(self, aws: Aws, target: str, run_id: str) -> Action:
        """See Step."""
        archive = find_one(aws, "events.archive", self.resource)
        region, name = self.resource.region, f"drill-{run_id}-{archive.name}"[:64]
        reply = aws.client("events", region).describe_archive(ArchiveName=archive.name)
        now = parsedate_to_datetime(reply["ResponseMetadata"]["HTTPHeaders"]["date"])
        start = {
            "ReplayName": name,
            "EventSourceArn": archive.arn,
            "EventStartTime": (now - timedelta(seconds=self.back_s)).isoformat(),
            "EventEndTime": (now + timedelta(seconds=1)).isoformat(),
            "Destination": {"Arn": archive.extra["bus"]},
        }
        look = Call("events", "DescribeReplay", {"ReplayName": name}, region)
        none = ("ResourceNotFoundException",)
        return Action(
            kind="events.replay",
            target=target,
            run_id=run_id,
            resources=(archive.arn, archive.extra["bus"], archive.arn.rpartition(":")[0] + f":replay/{name}"),
            effect=self.effect,
            calls=(Call("events", "StartReplay", start, region),),
            end_state=(Fact(look, "State", "COMPLETED", absent=none),),
            timeout_s=self.timeout_s,
            begun=(Fact(look, "ReplayName", name, absent=none),),
            given_up=tuple(Fact(look, "State", state, absent=none) for state in GIVEN_UP),
        )
