"""When in an alarm's period it is, by AWS's own clock: what a drill's figure would otherwise owe to luck."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from drill.find import Clients, find
from drill.target import Target


def seconds_until_phase(aws: Clients, target: Target, key: str, phase_s: float) -> float:
    """Target seconds, to the second, until the alarm of that resource key is `phase_s` seconds into a period."""
    alarm = find(aws, target, key)
    reply = aws.client("cloudwatch", alarm.region).describe_alarms(AlarmNames=[alarm.name])
    period_s = float(reply["MetricAlarms"][0]["Period"])
    now_s = parsedate_to_datetime(reply["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()
    return (phase_s - now_s) % period_s
