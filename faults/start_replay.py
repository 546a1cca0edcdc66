"""EventBridge: replay an archive to the bus that it is of, so that who was not there handles what was kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Action, Effect
from drill.find import Found, find_one
from drill.target import Resource

GIVEN_UP = ("CANCELLING", "CANCELLED", "FAILED")
MAX_NAME = 64
"""Characters of a replay's name."""


@dataclass(frozen=True)
class Replay:
    """The last `back_s` target seconds of the one archive that `resource` matches, as the calls of an Action.

    prefix: of the replay's name; only: the ARNs of the rules that get it, none for all of the bus. Until when, AWS's
    own clock says.
    """

    resource: Resource
    prefix: str
    back_s: float
    only: tuple[str, ...] = ()

    def action(self, aws: Aws, kind: str, target: str, run_id: str, effect: Effect, timeout_s: float) -> Action:
        """Read-only, as `prepare`. timeout_s: target seconds to complete in."""
        archive, region = find_one(aws, "events.archive", self.resource), self.resource.region
        name, bus = f"{self.prefix}{run_id}-{archive.name}"[:MAX_NAME], archive.extra["bus"]
        look, none = Call("events", "DescribeReplay", {"ReplayName": name}, region), ("ResourceNotFoundException",)
        return Action(
            kind=kind,
            target=target,
            run_id=run_id,
            resources=(archive.arn, bus, *self.only, archive.arn.rpartition(":")[0] + f":replay/{name}"),
            effect=effect,
            calls=(Call("events", "StartReplay", self._start(aws, archive, name), region),),
            end_state=(Fact(look, "State", "COMPLETED", absent=none),),
            timeout_s=timeout_s,
            begun=(Fact(look, "ReplayName", name, absent=none),),
            given_up=tuple(Fact(look, "State", state, absent=none) for state in GIVEN_UP),
        )

    def _start(self, aws: Aws, archive: Found, name: str) -> dict[str, Any]:
        reply = aws.client("events", self.resource.region).describe_archive(ArchiveName=archive.name)
        now = parsedate_to_datetime(reply["ResponseMetadata"]["HTTPHeaders"]["date"])
        destination: dict[str, Any] = {"Arn": archive.extra["bus"]}
        return {
            "ReplayName": name,
            "EventSourceArn": archive.arn,
            "EventStartTime": (now - timedelta(seconds=self.back_s)).isoformat(),
            "EventEndTime": (now + timedelta(seconds=1)).isoformat(),
            "Destination": destination | ({"FilterArns": list(self.only)} if self.only else {}),
        }


@dataclass(frozen=True)
class ReplayArchive:
    """Replay the last `back_s` target seconds of the one archive that `resource` matches, and expect it to complete.

    timeout_s: target seconds for that. The replay bears the run's id, so AWS refuses a second one. COMPLETED says
    that the events were sent again, and not that anybody has handled them.
    """

    resource: Resource
    timeout_s: float
    back_s: float = 3600.0
    effect: Effect = "region_moved"

    def prepare(self, aws: Aws, target: str, run_id: str) -> Action:
        """See Step."""
        replay = Replay(self.resource, "drill-", self.back_s)
        return replay.action(aws, "events.replay", target, run_id, self.effect, self.timeout_s)
