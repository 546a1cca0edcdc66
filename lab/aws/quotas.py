"""Service Quotas, of which moto knows those of VPC only: how many PutEvents a second EventBridge takes.

EventBridge user guide, "Amazon EventBridge quotas": 1,200 a second in Tokyo, 400 in Osaka, of an account in a Region.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.core.responses import ActionResult
from moto.servicequotas.responses import ServiceQuotasResponse

from lab.aws.protocol import AwsError
from lab.aws.server import AwsServer

PUT_EVENTS = ("events", "L-9B653E91")
NAME = "PutEvents throttle limit in transactions per second"
DEFAULTS: Mapping[str, float] = {"ap-northeast-1": 1200.0, "ap-northeast-3": 400.0}
"""Region -> PutEvents a second, before anybody has asked for more."""


class Quotas:
    """Serves Service Quotas for `server`. applied: Region -> PutEvents a second that were granted or cut since."""

    def __init__(self, server: AwsServer, applied: Mapping[str, float]) -> None:
        self.applied = applied
        server.serve_class("service-quotas", type("Quotas", (_Quotas,), {"world": self}))


class _Quotas(ServiceQuotasResponse):
    """moto's, and PutEvents."""

    world: Quotas

    def __init__(self) -> None:
        super().__init__()
        self.automated_parameter_parsing = True

    def get_service_quota(self) -> Any:
        """As AWS: only what was changed has an applied value."""
        return self._told(self.world.applied)

    def get_aws_default_service_quota(self) -> Any:
        return self._told(DEFAULTS)

    def _told(self, values: Mapping[str, float]) -> ActionResult:
        asked = (self._get_param("ServiceCode"), self._get_param("QuotaCode"))
        if asked != PUT_EVENTS or self.region not in values:
            raise AwsError("NoSuchResourceException", f"there is no quota {asked[1]} of {asked[0]} in {self.region}")
        quota: dict[str, Any] = {"ServiceCode": asked[0], "QuotaCode": asked[1], "QuotaName": NAME}
        period = {"PeriodValue": 1, "PeriodUnit": "SECOND"}
        return ActionResult({"Quota": quota | {"Value": values[self.region], "Period": period, "Adjustable": True}})
