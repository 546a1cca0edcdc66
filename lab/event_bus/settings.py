"""The settings of the event-bus lab, in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab.event_bus.names import SERVING
from lab.setting import Setting, count, misbehaviour, one_of, read_settings, seconds

TREATMENTS = ("breaching", "missing")
CONSUMERS = ("active-active", "active-archive")

SETTINGS: Mapping[str, Setting] = {
    "alarm.period_s": Setting(60.0, seconds(60, 3600), "the latency alarm's period, a multiple of 60"),
    "alarm.evaluation_periods": Setting(5, count(20, 1), "its evaluation periods"),
    "alarm.missing": Setting("breaching", one_of(TREATMENTS), "how it treats missing data"),
    "consumers": Setting("active-active", one_of(CONSUMERS), "whether the standby's consumers handle events too"),
    "endpoint.replication": Setting("ENABLED", one_of(("ENABLED", "DISABLED")), "event replication, both ways"),
    "events.duplicates": Setting(1, count(5, 1), "how often each delivery is made"),
    "events.quota_in_standby_per_s": Setting(
        0.0, seconds(0, 1e6), "PutEvents that others leave of the standby's quota a second; 0: all of it"
    ),
    "events.quota_told_per_s": Setting(400.0, seconds(0, 1e6), "the standby's PutEvents quota, as it is told"),
    "events.unavailable_in": Setting("", one_of(SERVING), "a Region whose buses take nothing from the other"),
    "heartbeat_s": Setting(10.0, seconds(0, 3600), "pause between the system's own events; 0: an idle bus"),
    "misbehave": Setting((), misbehaviour, "how the AWS API misbehaves from when the lab is up"),
    "route53.stream_s": Setting(50.0, seconds(0, 600), "end of a minute until Route 53 has its data"),
    "route53.status_s": Setting(5.0, seconds(0, 600), "a health check's new status until DNS answers by it"),
}


def read(texts: Sequence[str]) -> dict[str, Any]:
    """All settings, with those in NAME=VALUE `texts` changed; WorldError names what is wrong and what is known."""
    return read_settings("event-bus", SETTINGS, texts)
