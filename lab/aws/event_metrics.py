"""AWS/Events IngestionToInvocationStartLatency, at the level of the service: from every first attempt at a delivery.

A minute's statistics are put to CloudWatch, dated at its begin, a moment after it has ended; a minute in which
nothing was invoked has no data, as in CloudWatch.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from datetime import UTC, datetime

from moto.backends import get_backend

from lab.aws.events import Events
from lab.aws.minutely import MINUTE_S, Minutely
from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.truth import Truth

NAMESPACE, METRIC = "AWS/Events", "IngestionToInvocationStartLatency"


class EventMetrics:
    """Collects what `events` tells, by Region and minute. delay_s: from a minute's end to its datum (lab seconds).

    `start` and `stop` it.
    """

    def __init__(
        self, server: AwsServer, events: Events, clock: LabClock, truth: Truth, delay_s: float = 1.0
    ) -> None:
        self._server, self._truth = server, truth
        self._latencies: dict[tuple[str, float], list[float]] = {}
        self._lock = threading.Lock()
        self._minutes = Minutely("event metrics", clock, truth, delay_s, lambda end_s, _: self.publish(end_s))
        self.start, self.stop = self._minutes.start, self._minutes.stop
        events.watch(self._note)

    def _note(self, region: str, taken_s: float, latency_s: float) -> None:
        minute_s = math.floor((taken_s + latency_s) / MINUTE_S) * MINUTE_S
        with self._lock:
            self._latencies.setdefault((region, minute_s), []).append(latency_s * 1000)

    def publish(self, end_s: float) -> None:
        """Put the minutes that have ended by `end_s` (lab seconds since the epoch)."""
        with self._lock:
            over = [key for key in self._latencies if key[1] < end_s]
            ended = {key: self._latencies.pop(key) for key in over}
        for (region, minute_s), found in ended.items():
            datum = {
                "MetricName": METRIC,
                "StatisticValues": _statistics(found),
                "Unit": "Milliseconds",
                "Timestamp": datetime.fromtimestamp(minute_s, UTC).replace(tzinfo=None),
            }
            get_backend("cloudwatch")[self._server.account][region].put_metric_data(NAMESPACE, [datum])
            average = round(sum(found) / len(found), 3)
            self._truth.record("event_latency", region=region, milliseconds=average, invocations=len(found))


def _statistics(found: Sequence[float]) -> dict[str, float]:
    return {"Sum": sum(found), "Minimum": min(found), "Maximum": max(found), "SampleCount": len(found)}
