"""Whether the Region that is to take over is allowed to take as much: the PutEvents quota of an event bus.

AWS asks of a global endpoint that the secondary Region's quotas be those of the primary; a Region that may take less
than the producers send refuses them just when it has taken over.
"""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from drill.find import Clients
from drill.target import Target

EVENTS, PUT_EVENTS = "events", "L-9B653E91"
"""Service and quota "PutEvents throttle limit in transactions per second" (of an account in a Region)."""
UNITS_S = {"MICROSECOND": 1e-6, "MILLISECOND": 1e-3, "SECOND": 1.0, "MINUTE": 60.0, "HOUR": 3600.0}


def quota_problems(aws: Clients, target: Target) -> list[str]:
    """What stands in the way of the declared rate of events in the standby; nothing for a target without events.

    botocore's errors pass, as of a Region that cannot be asked.
    """
    events, standby = target.writes.events, target.regions.standby
    if events is None:
        return []
    allowed_per_s = _per_s(_quota(aws.client("service-quotas", standby)))
    if allowed_per_s >= events.per_s:
        return []
    return [
        f"its PutEvents quota is {allowed_per_s:g} a second and the producers send up to {events.per_s:g} "
        f"([writes] events.per_s): ask Service Quotas for more ({EVENTS} {PUT_EVENTS} in {standby})"
    ]


def _quota(quotas: Any) -> dict[str, Any]:
    """The applied value; AWS's own default where nobody has ever changed it."""
    asked = {"ServiceCode": EVENTS, "QuotaCode": PUT_EVENTS}
    try:
        return dict(quotas.get_service_quota(**asked)["Quota"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchResourceException":
            raise
        return dict(quotas.get_aws_default_service_quota(**asked)["Quota"])


def _per_s(quota: dict[str, Any]) -> float:
    period = quota.get("Period") or {"PeriodValue": 1, "PeriodUnit": "SECOND"}
    return float(quota["Value"] / (period["PeriodValue"] * UNITS_S[period["PeriodUnit"]]))
