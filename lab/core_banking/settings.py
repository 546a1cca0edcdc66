"""The settings of the core-banking lab, in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab.core_banking.names import SERVING
from lab.setting import Setting, count, misbehaviour, one_of, read_settings, seconds

SETTINGS: Mapping[str, Setting] = {
    "alarm.actions": Setting("", one_of(("on",)), "on: the alarms notify a topic too (published: no action)"),
    "dynamodb.lag_s": Setting(1.0, seconds(0, 86400), "replication lag of the global table"),
    "dynamodb.cut_from": Setting("", one_of(SERVING), "a Region whose writes never reach the other"),
    "rds.switchover_s": Setting(120.0, seconds(0, 86400), "how long an Aurora global switchover takes"),
    "rds.failover_s": Setting(60.0, seconds(0, 86400), "how long an Aurora global failover takes"),
    "region.loss": Setting(
        "", one_of(("whole",)), "what a Region that loses its network takes along: whole, its API too"
    ),
    "route53.propagation_s": Setting(5.0, seconds(0, 86400), "routing control change until DNS answers by it"),
    "ecs.transaction_desired_count": Setting(1, count(10), "Tokyo's transaction tasks at the start"),
    "client.loss_percent": Setting(30, count(100), "of the published packet-loss experiment, 0 to lose none"),
    "misbehave": Setting((), misbehaviour, "how the AWS API misbehaves from when the lab is up"),
    "worker.pause_s": Setting(1.0, seconds(0.05, 60), "the worker's pause between two rounds"),
}


def read(texts: Sequence[str]) -> dict[str, Any]:
    """All settings, with those in NAME=VALUE `texts` changed; WorldError names what is wrong and what is known."""
    return read_settings("core-banking", SETTINGS, texts)
