"""A sample of each kind of fault and action, in the account of tests/checks/cloud.py, held to the contract."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from drill.target import Resource
from faults.ecs_scale import ScaleEcsService
from faults.events_rule import SetRuleState
from faults.start_machine import StartStateMachine
from tests.checks.cloud import RULE, Cloud
from tests.checks.worlds import OSAKA, TOKYO

SERVICE = Resource(region=TOKYO, within="*SampleMultiRegionAppCluster*", name="*TransactionFargateService*")
AUTOMATION = Resource(region=OSAKA, name="BLEAFSI-CoreBanking-*")
FAILBACK = Resource(region=OSAKA, name="FailbackStateMachine*")


@dataclass(frozen=True)
class Sample:
    """fault: what is prepared; ready, undo: make the world fit for it, and as it was again.

    started: of an action: how many times it has been started.
    """

    name: str
    fault: Any
    ready: Callable[[Cloud], None] = lambda made: None
    undo: Callable[[Cloud], None] = lambda made: None
    started: Callable[[Cloud], int] = lambda made: 0


def _enable(made: Cloud) -> None:
    made.client("events", OSAKA).enable_rule(Name=RULE)


def _disable(made: Cloud) -> None:
    made.client("events", OSAKA).disable_rule(Name=RULE)


def _executions(made: Cloud) -> int:
    machine = made.machines["FailbackStateMachineE5"]
    return len(made.client("stepfunctions", OSAKA).list_executions(stateMachineArn=machine)["executions"])


CHANGES = (
    Sample("service gone", ScaleEcsService(SERVICE, desired=0)),
    Sample("service grown", ScaleEcsService(SERVICE, desired=3)),
    Sample("rule armed", SetRuleState(AUTOMATION, "ENABLED")),
    Sample("rule disarmed", SetRuleState(AUTOMATION, "DISABLED"), _enable, _disable),
)
ACTIONS = (Sample("machine started", StartStateMachine(FAILBACK, timeout_s=900.0), started=_executions),)
SAMPLES = CHANGES + ACTIONS
