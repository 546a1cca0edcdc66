"""CloudWatch: turn the actions of an alarm off or on. Off, it still changes its state, and nobody is told."""

from __future__ import annotations

from dataclasses import dataclass

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Change
from drill.errors import Refused
from drill.find import find_one
from drill.target import Resource


@dataclass(frozen=True)
class SetAlarmActions:
    """Enable or disable the actions of the one metric alarm that `resource` matches.

    It is about AlarmActions and their like only: an EventBridge rule sees the alarm's state change all the same.
    Effect: none that clients see by itself.
    """

    resource: Resource
    enabled: bool = False

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault. Refused when it is so already, or when the alarm has no action that could be missed."""
        found = find_one(aws, "cloudwatch.alarm", self.resource)
        region, names = self.resource.region, {"AlarmNames": [found.name]}
        look = Call("cloudwatch", "DescribeAlarms", names, region)
        alarm = aws.run(look)["MetricAlarms"][0]
        if bool(alarm["ActionsEnabled"]) == self.enabled:
            raise Refused(f"the actions of alarm {found.name} in {region} are {_word(self.enabled)}d already")
        if not any(alarm.get(actions) for actions in ("AlarmActions", "OKActions", "InsufficientDataActions")):
            raise Refused(f"alarm {found.name} in {region} has no actions: turning them off or on breaks nothing")
        path = "MetricAlarms[0].ActionsEnabled"
        return Change(
            kind="cloudwatch.actions",
            target=target,
            run_id=run_id,
            resources=(found.arn,),
            effect="none",
            inject=(Call("cloudwatch", f"{_word(self.enabled).title()}AlarmActions", names, region),),
            restore=(Call("cloudwatch", f"{_word(not self.enabled).title()}AlarmActions", names, region),),
            faulted=(Fact(look, path, self.enabled),),
            before=(Fact(look, path, not self.enabled),),
        )


def _word(enabled: bool) -> str:
    return "enable" if enabled else "disable"
