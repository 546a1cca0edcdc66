"""The settings of the private-link-replication lab, in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab.private_link.engines import ENGINES, POSTGRESQL
from lab.setting import Setting, misbehaviour, one_of, read_settings, seconds

SETTINGS: Mapping[str, Setting] = {
    "engine": Setting(
        POSTGRESQL, one_of(ENGINES), "what the databases are; mariadb: by GTID, else by file and position"
    ),
    "misbehave": Setting((), misbehaviour, "how the AWS API misbehaves from when the lab is up"),
    "nlb.registration_s": Setting(60.0, seconds(0, 86400), "registration of a target until it takes connections"),
    "rds.event_delay_s": Setting(5.0, seconds(0, 86400), "an event until its notification (two real ones: 176, 283)"),
    "rds.failover_s": Setting(25.0, seconds(1, 86400), "a failover from its start event to its completion event"),
    "replica.retry_s": Setting(60.0, seconds(0, 86400), "pause between the replica's attempts to connect"),
}


def read(texts: Sequence[str]) -> dict[str, Any]:
    """All settings, with those in NAME=VALUE `texts` changed; WorldError names what is wrong and what is known."""
    return read_settings("private-link-replication", SETTINGS, texts)
