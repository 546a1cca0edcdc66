"""Where a drill's credentials come from. Light on purpose: whoever reads a journal needs no more of AWS than this."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rights:
    """Never a key. The target's [access] table says what each of these is."""

    profile: str | None = None
    role_arn: str | None = None
    external_id: str | None = None
    session_name: str = "failover-drill"
