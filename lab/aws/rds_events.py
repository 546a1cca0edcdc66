"""RDS events of failovers, inside a Region and global: texts, categories, and what DescribeEvents returns.

Texts and ids: Aurora user guide, "Amazon RDS event categories and event messages". The messages that the
service really sends carry no final full stop, so these have none. DescribeEvents shows no id, only the text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.core.responses import ActionResult

from lab.aws.protocol import AwsError

MAX_EVENTS = 1000
"""Events kept for each Region (AWS keeps 14 days)."""
DEFAULT_MINUTES = 60
"""What DescribeEvents looks back over when neither StartTime nor Duration is given (RDS API reference)."""

TEXTS = {
    "RDS-EVENT-0004": ("availability", "DB instance shutdown"),
    "RDS-EVENT-0006": ("availability", "DB instance restarted"),
    "RDS-EVENT-0069": (
        "failover",
        "Cluster failover failed, check the health of your cluster instances and try again",
    ),
    "RDS-EVENT-0070": ("failover", "Promoting previous primary again: {name}"),
    "RDS-EVENT-0071": ("failover", "Completed failover to DB instance: {name}"),
    "RDS-EVENT-0072": ("failover", "Started same AZ failover to DB instance: {name}"),
    "RDS-EVENT-0073": ("failover", "Started cross AZ failover to DB instance: {name}"),
    "RDS-EVENT-0181": (
        "global-failover",
        "Global switchover to DB cluster {name} in Region {region} started",
    ),
    "RDS-EVENT-0182": (
        "global-failover",
        "Old primary DB cluster {name} in Region {region} successfully shut down",
    ),
    "RDS-EVENT-0184": (
        "global-failover",
        "New primary DB cluster {name} in Region {region} was successfully promoted",
    ),
    "RDS-EVENT-0185": (
        "global-failover",
        "Global switchover to DB cluster {name} in Region {region} finished",
    ),
    "RDS-EVENT-0187": ("global-failover", "Global switchover to DB cluster {name} in Region {region} failed"),
    "RDS-EVENT-0238": (
        "global-failover",
        "Global failover to DB cluster {name} in Region {region} completed",
    ),
    "RDS-EVENT-0239": ("global-failover", "Global failover to DB cluster {name} in Region {region} failed"),
    "RDS-EVENT-0240": (
        "global-failover",
        "Started resynchronizing members of DB cluster {name} in Region {region} after global failover",
    ),
    "RDS-EVENT-0241": (
        "global-failover",
        "Finished resynchronizing members of DB cluster {name} in Region {region} after global failover",
    ),
}
"""Event id -> (category, text)."""


@dataclass(frozen=True)
class RdsEvent:
    """One event with the attribute names that moto's serializer looks for; date is naive UTC lab time."""

    event_id: str
    source_identifier: str
    source_type: str
    source_arn: str
    message: str
    event_categories: list[str]
    date: datetime


def make_event(event_id: str, source: tuple[str, str, str], at: datetime, **names: str) -> RdsEvent:
    """An event of `source` (type, identifier, ARN) at that lab time; `names` fill the text."""
    category, text = TEXTS[event_id]
    kind, identifier, arn = source
    return RdsEvent(event_id, identifier, kind, arn, text.format(**names), [category], at.replace(tzinfo=None))


def select(events: Sequence[Any], now: datetime, wanted: dict[str, Any]) -> list[Any]:
    """The events that DescribeEvents with these parameters (botocore names) returns, oldest first."""
    minutes = int(wanted.get("Duration") or DEFAULT_MINUTES)
    end = _naive(wanted.get("EndTime") or now)
    start = _naive(wanted.get("StartTime") or end - timedelta(minutes=minutes))
    categories = set(wanted.get("EventCategories") or [])
    return [
        event
        for event in sorted(events, key=lambda event: event.date)
        if start <= event.date <= end
        and wanted.get("SourceIdentifier") in {None, event.source_identifier}
        and wanted.get("SourceType") in {None, event.source_type}
        and (not categories or categories & set(event.event_categories))
    ]


def described(response: Any, now: datetime) -> ActionResult:
    """DescribeEvents, of whatever answers for RDS."""
    if response.params.get("SourceIdentifier") and not response.params.get("SourceType"):
        raise AwsError("InvalidParameterCombination", "Cannot specify source identifier without source type")
    names = ("StartTime", "EndTime", "Duration", "SourceIdentifier", "SourceType", "EventCategories")
    wanted = {name: response.params.get(name) for name in names}
    return ActionResult({"Events": select(response.backend.events, now, wanted)})


EVENT_PAGE = "http://docs.amazonwebservices.com/AmazonRDS/latest/UserGuide/USER_Events.html#"
"""What an event's id is in a notification: a link (of two hosts over the years)."""


def notification(event: RdsEvent) -> str:
    """The event as the message that an event subscription publishes to its topic."""
    console = f"https://console.aws.amazon.com/rds/home#{event.source_type}:id={event.source_identifier}"
    return json.dumps(
        {
            "Event Source": event.source_type,
            "Event Time": event.date.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3],
            "Identifier Link": console,
            "Source ID": event.source_identifier,
            "Source ARN": event.source_arn,
            "Event ID": EVENT_PAGE + event.event_id,
            "Event Message": event.message,
        }
    )


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
