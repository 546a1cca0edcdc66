"""The server's own lag metrics, as CloudWatch holds them: shown beside what was measured, never instead of it.

A lag metric says how far a replica was behind when somebody sampled it; what was lost is said by the writes. Which
metrics those are is data of the target (`[lag_metrics]`), because every data store has its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from drill.find import Clients
from drill.target import LagMetric

SPAN = timedelta(hours=24)
"""At most 1,440 minutes: what one GetMetricStatistics may ask for."""
SOURCE = "cloudwatch metric"


def lag_stamps(aws: Clients, name: str, metric: LagMetric, since: datetime) -> Iterator[dict[str, Any]]:
    """One stamp for each minute that has data: {"source", "region", "name", "at", "detail"}.

    since: an aware instant of AWS's own clock (lab time in a lab); minutes after SPAN are not read.
    """
    shown = aws.client("cloudwatch", metric.region).get_metric_statistics(
        Namespace=metric.namespace,
        MetricName=metric.metric,
        Dimensions=[{"Name": key, "Value": value} for key, value in sorted(metric.dimensions.items())],
        StartTime=since,
        EndTime=since + SPAN,
        Period=60,
        Statistics=["Average", "Maximum"],
    )
    for point in sorted(shown["Datapoints"], key=lambda p: p["Timestamp"]):
        unit = str(point.get("Unit", "")).lower()
        detail = f"{metric.metric}: average {point['Average']:g}, maximum {point['Maximum']:g} {unit}".rstrip()
        at = point["Timestamp"].isoformat()
        yield {"source": SOURCE, "region": metric.region, "name": name, "at": at, "detail": detail}
