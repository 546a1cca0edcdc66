"""RDS events of global switchover and failover: texts, categories, and what DescribeEvents returns.

Texts and ids: Aurora user guide, "Amazon RDS event categories and event messages". The messages that the
service really sends carry no final full stop, so these have none. DescribeEvents shows no id, only the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

MAX_EVENTS = 1000
"""Events kept for each Region (AWS keeps 14 days)."""
DEFAULT_MINUTES = 60
"""What DescribeEvents looks back over when neither StartTime nor Duration is given (RDS API reference)."""

TEXTS = {
    "RDS-EVENT-0004": ("availability", "DB instance shutdown"),
    "RDS-EVENT-0006": ("availability", "DB instance restarted"),
    "RDS-EVENT-0070": ("failover", "Promoting previous primary again: {name}"),
    "RDS-EVENT-0071": ("failover", "Completed failover to DB instance: {name}"),
    "RDS-EVENT-0072": ("failover", "Started same AZ failover to DB instance: {name}"),
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


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
