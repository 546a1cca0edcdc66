"""CloudWatch: make an alarm need more bad periods in a row, so that this witness of an outage speaks up later."""

from __future__ import annotations

from dataclasses import dataclass

from drill.aws import Aws
from drill.call import Call, Fact
from drill.change import Change
from drill.errors import Refused
from drill.find import find_one
from drill.target import Resource

CONFIGURED = (
    *("AlarmName", "AlarmDescription", "ActionsEnabled", "OKActions", "AlarmActions", "InsufficientDataActions"),
    *("MetricName", "Namespace", "Statistic", "ExtendedStatistic", "Dimensions", "Period", "Unit", "Threshold"),
    *("EvaluationPeriods", "DatapointsToAlarm", "ComparisonOperator", "TreatMissingData", "Metrics"),
    *("EvaluateLowSampleCountPercentile", "ThresholdMetricId"),
)
"""What PutMetricAlarm takes of what DescribeAlarms tells. It replaces the whole alarm and keeps its state and tags:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html"""


@dataclass(frozen=True)
class DelayAlarm:
    """Make the one alarm that `resource` matches wait for `periods` bad periods, all of them in a row.

    Effect: none that clients see by itself. Its thresholds, dimensions and actions stay as they are.
    """

    resource: Resource
    periods: int

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault. Refused when the alarm waits for as many periods already, or for more."""
        found = find_one(aws, "cloudwatch.alarm", self.resource)
        region = self.resource.region
        look = Call("cloudwatch", "DescribeAlarms", {"AlarmNames": [found.name]}, region)
        shown = aws.run(look)["MetricAlarms"][0]
        was = {name: shown[name] for name in CONFIGURED if name in shown}
        before = int(was["EvaluationPeriods"])
        if before >= self.periods:
            raise Refused(f"alarm {found.name} in {region} waits for {before} periods already")
        slow = was | {"EvaluationPeriods": self.periods, "DatapointsToAlarm": self.periods}
        periods = "MetricAlarms[0].EvaluationPeriods"
        needed = "MetricAlarms[0].DatapointsToAlarm"
        return Change(
            kind="cloudwatch.delay",
            target=target,
            run_id=run_id,
            resources=(found.arn,),
            effect="none",
            inject=(Call("cloudwatch", "PutMetricAlarm", slow, region),),
            restore=(Call("cloudwatch", "PutMetricAlarm", was, region),),
            faulted=(Fact(look, periods, self.periods), Fact(look, needed, self.periods)),
            before=(Fact(look, periods, before), Fact(look, needed, was.get("DatapointsToAlarm"))),
        )
