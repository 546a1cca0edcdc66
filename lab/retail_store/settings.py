"""The settings of the retail-store lab, in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab.retail_store.names import SERVING
from lab.setting import Setting, count, misbehaviour, one_of, read_settings, seconds

SETTINGS: Mapping[str, Setting] = {
    "arc.endpoints_down": Setting(0, count(5), "how many of the five ARC endpoints refuse, in their published order"),
    "dynamodb.lag_s": Setting(1.0, seconds(0, 86400), "replication lag of the carts table"),
    "dynamodb.cut_from": Setting("", one_of(SERVING), "a Region whose carts never reach the other"),
    "ecs.desired_count": Setting(1, count(3, 1), "tasks of each service (published: 3)"),
    "misbehave": Setting((), misbehaviour, "how the AWS API misbehaves from when the lab is up"),
    "rds.replication_lag_s": Setting(0.0, seconds(0, 600), "lag of both Aurora global clusters' replication"),
    "rds.switchover_s": Setting(60.0, seconds(0, 86400), "how long an Aurora global switchover takes"),
    "rds.failover_s": Setting(60.0, seconds(0, 86400), "how long an Aurora global failover takes"),
    "route53.propagation_s": Setting(5.0, seconds(0, 86400), "routing control change until DNS answers by it"),
}


def read(texts: Sequence[str]) -> dict[str, Any]:
    """All settings, with those in NAME=VALUE `texts` changed; WorldError names what is wrong and what is known."""
    return read_settings("retail-store", SETTINGS, texts)
