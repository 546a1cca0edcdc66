"""EventBridge: turn a global endpoint's event replication off or on; nobody notices until the Regions part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Change
from drill.errors import Refused
from drill.find import find_one
from drill.target import Resource

KEPT = ("RoutingConfig", "EventBuses", "RoleArn")
"""What an update says again, as it is."""


@dataclass(frozen=True)
class SetReplication:
    """Put the replication of the one global endpoint that `resource` matches into `state`.

    Effect: none that clients see by itself. Refused when it is in that state already.
    """

    resource: Resource
    state: Literal["ENABLED", "DISABLED"] = "DISABLED"

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault."""
        found = find_one(aws, "events.endpoint", self.resource)
        region = self.resource.region
        look = Call("events", "DescribeEndpoint", {"Name": found.name}, region)
        shown = aws.run(look)
        before = str(shown["ReplicationConfig"]["State"])
        if before == self.state:
            raise Refused(f"replication of {found.name} in {region} is {before} already")
        kept = {"Name": found.name, **{name: shown[name] for name in KEPT if name in shown}}

        def update(state: str) -> Call:
            return Call("events", "UpdateEndpoint", {**kept, "ReplicationConfig": {"State": state}}, region)

        return Change(
            kind="events.replication",
            target=target,
            run_id=run_id,
            resources=(found.arn,),
            effect="none",
            inject=(update(self.state),),
            restore=(update(before),),
            faulted=(Fact(look, "ReplicationConfig.State", self.state),),
            before=(Fact(look, "ReplicationConfig.State", before),),
            effective=(Fact(look, "State", "ACTIVE"),),
            healed=(Fact(look, "State", "ACTIVE"),),
        )
