"""Route 53: disable a health check, so that it counts as healthy whatever happens and names lead nowhere else."""

from __future__ import annotations

from dataclasses import dataclass

from drill.aws import Aws
from drill.change import Change, Effect
from drill.target import Resource
from faults.health_check_inverted import flagged


@dataclass(frozen=True)
class DisableHealthCheck:
    """Disable the one health check that `resource` matches, by its Name tag or id.

    A check that is inverted too counts as unhealthy instead. Effect: none by itself; an outage that comes now is not
    switched away from. Refused when it is disabled already. As any update it makes a check on an alarm take over the
    alarm's settings of that moment.
    """

    resource: Resource
    effect: Effect = "none"

    def prepare(self, aws: Aws, target: str, run_id: str) -> Change:
        """See Fault."""
        return flagged(aws, self.resource, "Disabled", self.effect, target, run_id)
