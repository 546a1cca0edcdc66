"""Whether what an alarm looks at has fallen silent: what a scenario waits for that is about a system nobody uses."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import timedelta

from checks.periods import described
from checks.signals import COULD_NOT_LOOK
from drill.clock import Clock
from drill.find import Clients
from drill.target import Target
from drill.timeline import Timeline

BEYOND_PERIODS = 3
"""Periods beyond those that the alarm evaluates: one for the datum that comes late, one for the health check that
follows the alarm's data, one for DNS."""
LOOK_WALL_S = 1.0


@dataclass
class MetricSilent:
    """The metric of the alarm under a key of the target has had no datum for longer than the alarm evaluates.

    As CloudWatch tells it: a metric that somebody else keeps busy never falls silent. What could not be looked at is
    not silent.
    """

    aws: Clients
    target: Target
    key: str
    clock: Clock
    _looked_s: float = field(default=-math.inf, init=False, repr=False)

    def reached(self, timeline: Timeline, since_s: float) -> float | None:
        """The monotonic instant of a look that found no datum; it looks once a wall second at most."""
        now_s = self.clock.monotonic_s()
        if now_s < self._looked_s + LOOK_WALL_S:
            return None
        self._looked_s = now_s
        try:
            return now_s if self._silent() else None
        except COULD_NOT_LOOK:
            return None

    def begun(self, timeline: Timeline, since_s: float) -> float | None:
        """There is nothing between silent and not."""
        return None

    def _silent(self) -> bool:
        alarm, now = described(self.aws, self.target, self.key)
        span = timedelta(seconds=alarm["Period"] * (alarm["EvaluationPeriods"] + BEYOND_PERIODS))
        shown = self.aws.client("cloudwatch", self.target.resource(self.key).region).get_metric_statistics(
            Namespace=alarm["Namespace"],
            MetricName=alarm["MetricName"],
            Dimensions=alarm.get("Dimensions", []),
            StartTime=now - span,
            EndTime=now,
            Period=alarm["Period"],
            Statistics=["SampleCount"],
        )
        return not shown["Datapoints"]

    def __str__(self) -> str:
        return f"{self.key}'s metric without a datum for {BEYOND_PERIODS} periods more than it evaluates"
