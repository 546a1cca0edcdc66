"""EventBridge, in the lab only: a Region's buses fall behind; events are acknowledged and delivered late, ever later.

AWS has no call that does this to its service, so the lab has a switch that is set like an SSM parameter.
"""

from __future__ import annotations

from dataclasses import dataclass

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Change
from drill.errors import Refused
from drill.find import find_one
from drill.target import Resource

WELL = "0"


@dataclass(frozen=True)
class ImpairBus:
    """The buses of the parameter's Region make one delivery each `pause_s` target seconds, in order.

    pause_s: whole seconds, above 0. Effect: writes are acknowledged, and not there when they are read back. Refused
    when the buses are impaired already.
    """

    resource: Resource
    pause_s: int = 48

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault."""
        found = find_one(aws, "ssm.parameter", self.resource)
        region = self.resource.region
        look = Call("ssm", "GetParameter", {"Name": found.name}, region)
        before = str(aws.run(look)["Parameter"]["Value"])
        if before != WELL or self.pause_s <= 0:
            raise Refused(f"{found.name} in {region} is {before!r}; it must be {WELL!r}, and pause_s above 0")

        def put(value: str) -> Call:
            return Call("ssm", "PutParameter", {"Name": found.name, "Value": value, "Overwrite": True}, region)

        return Change(
            kind="events.bus_impaired",
            target=target,
            run_id=run_id,
            resources=(found.arn,),
            effect="errors",
            inject=(put(str(self.pause_s)),),
            restore=(put(before),),
            faulted=(Fact(look, "Parameter.Value", str(self.pause_s)),),
            before=(Fact(look, "Parameter.Value", before),),
        )
