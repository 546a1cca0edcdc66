"""The settings of the remittance lab, in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab.setting import Setting, count, misbehaviour, one_of, read_settings, seconds

SETTINGS: Mapping[str, Setting] = {
    "apigateway.authorizer_ttl_s": Setting(300.0, seconds(0, 3600), "how long an authorizer's answer is believed"),
    "cloudfront.origin_group": Setting("", one_of(("on",)), "on: the page uses its origin group (published: unused)"),
    "arc.endpoints_down": Setting(0, count(5), "how many of the five ARC endpoints refuse, in their published order"),
    "arc.first_fails_after": Setting(0, count(9), "updates after which the first ARC endpoint refuses (0: never)"),
    "arc.start": Setting("", one_of(("off",)), "off: both controls as they are after a deployment"),
    "misbehave": Setting((), misbehaviour, "how the AWS API misbehaves from when the lab is up"),
    "rds.replication_lag_s": Setting(0.0, seconds(0, 600), "lag of the Aurora global cluster's replication"),
    "rds.switchover_s": Setting(60.0, seconds(0, 86400), "how long an Aurora global switchover takes"),
    "rds.failover_s": Setting(60.0, seconds(0, 86400), "how long an Aurora global failover takes"),
    "route53.propagation_s": Setting(5.0, seconds(0, 86400), "routing control change until DNS answers by it"),
}


def read(texts: Sequence[str]) -> dict[str, Any]:
    """All settings, with those in NAME=VALUE `texts` changed; WorldError names what is wrong and what is known."""
    return read_settings("remittance", SETTINGS, texts)
