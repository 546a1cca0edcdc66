"""Net 4, the server-side dead-man: restores a Change when the drill, its machine and its watchdog are gone.

Before a Change is injected it is stored in the safety stack's table, and one-time schedules are created that put it
back `safety.dead_man_s` later: through the stack's function (read, compare, write, read back), or, for a blind-safe
Change, by calling its restore calls from schedules in their own Regions. While the drill lives it moves the schedules
on; after a verified restore it deletes them.

A schedule that could not be deleted fires later and does nothing: the stored Change is marked as disarmed, and the
function compares before it sets.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from drill.aws import GLANCE, Aws, AwsFailed
from drill.call import Call
from drill.change import Change
from drill.errors import Invalid, Refused
from drill.models import partition_of, service_model
from drill.safety_stack import SafetyStack

RENEWALS = 3
"""A schedule is moved on when this part of its time is over, so that two renewals may fail."""
RETRIES = 30
"""A renewal that failed is tried again after this part of the time."""
KEPT_DAYS = 90
"""How long the table keeps a stored Change."""
PLAIN = re.compile(r"([A-Z][a-z0-9]+)+")
"""Parameter names that every AWS SDK spells alike; Scheduler takes its own SDK's spelling."""


@dataclass(frozen=True)
class Schedule:
    """One schedule of a Change, without its time."""

    region: str
    group: str
    name: str
    target: dict[str, Any]

    @property
    def key(self) -> dict[str, str]:
        """What names it."""
        return {"Name": self.name, "GroupName": self.group}

    def call(self, operation: str, due: datetime) -> Call:
        """CreateSchedule or UpdateSchedule: the latter replaces everything, so both say everything."""
        params = {
            **self.key,
            "ScheduleExpression": f"at({due.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%S')})",
            "ScheduleExpressionTimezone": "UTC",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "ActionAfterCompletion": "DELETE",
            "Target": self.target,
        }
        return Call("scheduler", operation, params, self.region)


def key_of(change: Change, number: int) -> str:
    """The stored Change's key in the table."""
    return f"change#{change.run_id}#{number}"


def schedules(stack: SafetyStack, number: int, change: Change) -> tuple[Schedule, ...]:
    """The schedules that put a Change back."""
    if change.blind_safe and all(_spelt_alike(call) for call in change.restore):
        return tuple(_blind(stack, number, change, n, call) for n, call in enumerate(change.restore, start=1))
    target = _target(stack, stack.function_arn, {"key": key_of(change, number)})
    return (Schedule(stack.region, stack.name, f"{change.run_id}-{number}", target),)


def arming(stack: SafetyStack, number: int, change: Change, due: datetime) -> tuple[Call, ...]:
    """The calls that arm, in order: the Change first, so that no schedule can fire without it."""
    item = {
        "PK": key_of(change, number),
        "run_id": change.run_id,
        "target": change.target,
        "change": json.dumps(change.to_json()),
        "outcome": "armed",
    }
    forget = {"forget_at": {"N": str(int((due + timedelta(days=KEPT_DAYS)).timestamp()))}}
    params = {
        "TableName": stack.table,
        "Item": {name: {"S": text} for name, text in item.items()} | forget,
        "ConditionExpression": "attribute_not_exists(PK)",
    }
    create = (schedule.call("CreateSchedule", due) for schedule in schedules(stack, number, change))
    return Call("dynamodb", "PutItem", params, stack.region), *create


def renewing(stack: SafetyStack, number: int, change: Change, due: datetime) -> tuple[Call, ...]:
    """The calls that move the schedules on."""
    return tuple(schedule.call("UpdateSchedule", due) for schedule in schedules(stack, number, change))


def disarming(stack: SafetyStack, number: int, change: Change) -> tuple[Call, ...]:
    """The calls that disarm: the mark first, which alone keeps the function from acting."""
    params = {
        "TableName": stack.table,
        "Key": {"PK": {"S": key_of(change, number)}},
        "UpdateExpression": "SET outcome = :disarmed",
        "ConditionExpression": "outcome = :armed",
        "ExpressionAttributeValues": {":armed": {"S": "armed"}, ":disarmed": {"S": "disarmed"}},
    }
    made = schedules(stack, number, change)
    delete = (Call("scheduler", "DeleteSchedule", schedule.key, schedule.region) for schedule in made)
    return Call("dynamodb", "UpdateItem", params, stack.region), *delete


def arns(stack: SafetyStack, number: int, change: Change) -> tuple[str, ...]:
    """The ARNs of what arming, renewing and disarming touch."""
    made = schedules(stack, number, change)
    return stack.table_arn, *(stack.schedule_arn(s.region, s.group, s.name) for s in made)


def disarm(aws: Aws, calls: Iterable[Call]) -> tuple[str, ...]:
    """Make the disarming calls, as the journal has them; a sentence for each that failed. Never raises for AWS.

    What is gone already, or was put back by the dead-man itself meanwhile, is no failure.
    """
    problems = []
    for call in calls:
        try:
            aws.run(call)
        except AwsFailed as error:
            if error.code not in ("ResourceNotFoundException", "ConditionalCheckFailedException"):
                problems.append(
                    f"the dead-man is not disarmed ({error}); it fires later and finds as before what it would put "
                    f"back. To disarm it, type: {call.cli(aws.endpoint_url)}"
                )
    return tuple(problems)


@dataclass
class _Armed:
    number: int
    change: Change
    due: datetime
    retry_at: datetime


class DeadMan:
    """The dead-man of one drill.

    now: the target's own date (lab time in the lab); dead_man_s: target seconds until it restores; may_call:
    (service, operation) of everything that the installed function has the right to.
    """

    def __init__(
        self,
        aws: Aws,
        stack: SafetyStack,
        dead_man_s: float,
        now: Callable[[], datetime],
        may_call: frozenset[tuple[str, str]],
    ) -> None:
        self._aws, self._stack, self._now, self._may_call = aws, stack, now, may_call
        self._quick = aws.with_limits(GLANCE)  # a drill must not stand still for a renewal, which is tried again
        self._time = timedelta(seconds=dead_man_s)
        self._armed: dict[int, _Armed] = {}
        self.lost = ""
        """Why this drill may inject nothing more; "" while it may."""

    def arm(self, number: int, change: Change) -> tuple[Call, ...]:
        """Arm a Change before it is injected; returns the calls that disarm it.

        Refused when the function has no right to something that it would call; Invalid when arming failed, or when
        the dead-man has restored already. Nothing is armed then.
        """
        if self.lost:
            raise Invalid(f"{change.kind} was not injected: {self.lost}")
        self._require_rights(change)
        due, calls = self._due(), disarming(self._stack, number, change)
        try:
            for call in arming(self._stack, number, change, due):
                self._aws.run(call)
        except BaseException as error:
            disarm(self._aws, calls)
            if not isinstance(error, AwsFailed):
                raise
            raise Invalid(
                f"the dead-man could not be armed, so {change.kind} was not injected: {error}; "
                f"check the stack {self._stack.name} in {self._stack.region}: drill install --target {change.target}"
            ) from error
        self._armed[number] = _Armed(number, change, due, due - self._time * (1 - 1 / RENEWALS))
        return calls

    def renew(self) -> tuple[str, ...]:
        """Move on what needs it; a sentence for each renewal that failed. Cheap when nothing needs it."""
        now = self._now()
        needy = [armed for armed in self._armed.values() if now >= armed.retry_at]
        return tuple(problem for armed in needy if (problem := self._renew(armed)))

    def disarm(self, number: int) -> tuple[str, ...]:
        """After the verified restore; a sentence for each call that failed. Idempotent."""
        armed = self._armed.pop(number, None)
        return () if armed is None else disarm(self._aws, disarming(self._stack, number, armed.change))

    def due(self, number: int) -> datetime | None:
        """When it would restore that Change, in the target's time; None when it is not armed."""
        return self._armed[number].due if number in self._armed else None

    def _renew(self, armed: _Armed) -> str:
        due = self._due()
        try:
            for call in renewing(self._stack, armed.number, armed.change, due):
                self._quick.run(call)
        except AwsFailed as error:
            return self._not_renewed(armed, error)
        armed.due, armed.retry_at = due, due - self._time * (1 - 1 / RENEWALS)
        return ""

    def _not_renewed(self, armed: _Armed, error: AwsFailed) -> str:
        now = self._now()
        armed.retry_at = now + self._time / RETRIES
        if error.code == "ResourceNotFoundException":
            self.lost = f"the dead-man has fired for {armed.change.kind}: this drill was away too long"
        elif now >= armed.due:
            self.lost = f"the dead-man of {armed.change.kind} was due and could not be moved on"
        else:
            return f"the dead-man of {armed.change.kind} could not be moved on, it is due at {armed.due}: {error}"
        self._armed.pop(armed.number)
        return self.lost

    def _due(self) -> datetime:
        return datetime.fromtimestamp(math.ceil((self._now() + self._time).timestamp()), UTC)

    def _require_rights(self, change: Change) -> None:
        calls = (*change.restore, *(fact.call for fact in change.before + change.faulted))
        missing = sorted({(call.service, call.operation) for call in calls} - self._may_call)
        if missing:
            names = ", ".join(f"{service}:{operation}" for service, operation in missing)
            raise Refused(
                f"{change.kind} would not be put back by the dead-man: its function has no right to {names}; "
                "name them for this kind of resource in drill/safety_stack.py and install the stack again"
            )


def calls_to_json(calls: Iterable[Call]) -> list[dict[str, Any]]:
    """Calls as the journal keeps them."""
    return [asdict(call) for call in calls]


def _blind(stack: SafetyStack, number: int, change: Change, n: int, call: Call) -> Schedule:
    identifier = str(service_model(call.service).service_id).lower().replace(" ", "")
    action = call.operation[0].lower() + call.operation[1:]
    arn = f"arn:{partition_of(call.region)}:scheduler:::aws-sdk:{identifier}:{action}"
    # A schedule group of ours lies in the observer Region only; every Region has the default one.
    name = f"{stack.name}-{change.run_id}-{number}-{n}"
    return Schedule(call.region, "default", name, _target(stack, arn, call.params))


def _target(stack: SafetyStack, arn: str, params: dict[str, Any]) -> dict[str, Any]:
    return {
        "Arn": arn,
        "RoleArn": stack.scheduler_role_arn,
        "Input": json.dumps(params),
        "RetryPolicy": {"MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 185},
    }


def _spelt_alike(call: Call) -> bool:
    return all(PLAIN.fullmatch(name) for name in call.params) and bool(PLAIN.fullmatch(call.operation))
