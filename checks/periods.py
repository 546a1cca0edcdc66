"""When in an alarm's period it is, by AWS's own clock: what a drill's figure would otherwise owe to luck."""

from __future__ import annotations

from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from drill.find import Clients, find
from drill.target import Target


def seconds_until_phase(aws: Clients, target: Target, key: str, phase_s: float) -> float:
    """Target seconds, to the second, until the alarm of that resource key is `phase_s` seconds into a period."""
    alarm, now = described(aws, target, key)
    return (phase_s - now.timestamp()) % float(alarm["Period"])


def described(aws: Clients, target: Target, key: str) -> tuple[dict[str, Any], datetime]:
    """(the alarm of that resource key as CloudWatch describes it, the time there, to the second)."""
    found = find(aws, target, key)
    reply = aws.client("cloudwatch", found.region).describe_alarms(AlarmNames=[found.name])
    return reply["MetricAlarms"][0], parsedate_to_datetime(reply["ResponseMetadata"]["HTTPHeaders"]["date"])
