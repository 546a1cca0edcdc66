"""EventBridge: replay an archive to one rule that only writes down what it holds, so that it can be looked up."""

from __future__ import annotations

from dataclasses import dataclass

from drill.aws import Aws
from drill.change import Action
from drill.find import find_one
from drill.target import Resource
from faults.start_replay import Replay

KIND = "events.audit"


@dataclass(frozen=True)
class AuditArchive:
    """Replay the last `back_s` target seconds of the one archive that `resource` matches to the one rule `into`.

    An archive has no call that reads it; a replay is how to see what it holds. No other rule of the bus gets the
    events, so nobody handles them. timeout_s: target seconds for it to complete. Effect: none that clients see.
    """

    resource: Resource
    into: Resource
    timeout_s: float
    back_s: float = 3600.0

    def prepare(self, aws: Aws, target: str, run_id: str) -> Action:
        """See Step."""
        rule = find_one(aws, "events.rule", self.into)
        replay = Replay(self.resource, "drill-audit-", self.back_s, (rule.arn,))
        return replay.action(aws, KIND, target, run_id, "none", self.timeout_s)
