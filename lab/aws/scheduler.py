"""EventBridge Scheduler that lives: one-time schedules of moto's groups fire on the lab clock, in every Region.

As AWS does: never before the instant of `at(...)`, soon after it (AWS: within the minute); a universal target
(`arn:aws:scheduler:::aws-sdk:SERVICE:action`) is called in the Region of its schedule, for it names none; actions
that only read are refused when the schedule is made, and so is a role that Scheduler may not assume; a call that
fails is tried again as the RetryPolicy says; ActionAfterCompletion DELETE removes a schedule that is done.

Not played: rate(...) and cron(...), flexible time windows, dead-letter queues, templated targets but Lambda's.

Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-universal.html
"""

from __future__ import annotations

import json
import logging
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import botocore.session
from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from moto.backends import get_backend
from moto.scheduler.models import EventBridgeSchedulerBackend, Schedule

from lab.aws.patching import replace
from lab.aws.protocol import AwsError
from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.truth import Truth

LOOK_WALL_S = 0.2
FIRST_RETRY_S = 15.0
"""Lab seconds before a failed call is tried again; doubled each time, at most LONGEST_RETRY_S."""
LONGEST_RETRY_S = 900.0
WORKERS = 4

_AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
_UNIVERSAL = re.compile(r"arn:aws[\w-]*:scheduler:::aws-sdk:([a-z0-9]+):([a-zA-Z0-9]+)")
_LAMBDA = re.compile(r"arn:aws[\w-]*:lambda:[a-z0-9-]+:\d{12}:function:[\w-]+")
_READ_ONLY = re.compile(
    "(get|describe|list|poll|receive|search|scan|query|select|read|lookup|discover|validate|batchGet|batchDescribe"
    "|batchRead|transactGet|adminGet|adminList|testMigration|retrieve|testConnection|translateDocument|isAuthorized"
    "|invokeModel)([A-Z]|$)"
)
"""How the names of the actions begin that Scheduler does not call."""

log = logging.getLogger(__name__)
_moto_create = EventBridgeSchedulerBackend.create_schedule
_live: Scheduler | None = None


@dataclass(frozen=True)
class _Due:
    """A schedule as it was when its time came."""

    backend: EventBridgeSchedulerBackend
    schedule: Schedule
    due_lab_s: float

    @property
    def current(self) -> bool:
        """Whether the schedule is still there, as it was: neither deleted nor moved to another time."""
        group = self.backend.schedule_groups.get(self.schedule.group_name)
        there = group is not None and group.schedules.get(self.schedule.name) is self.schedule
        return there and due_s(self.schedule) == self.due_lab_s


def due_s(schedule: Schedule) -> float:
    """The instant of `at(...)` in seconds since the epoch."""
    found = _AT.fullmatch(schedule.schedule_expression)
    assert found is not None, "only at(...) gets past CreateSchedule here"
    zone = ZoneInfo(schedule.schedule_expression_timezone or "UTC")
    return datetime.fromisoformat(found[1]).replace(tzinfo=zone).timestamp()


class Scheduler:
    """Fires what is due. A schedule that is due while the lab is stopped never fires."""

    def __init__(self, server: AwsServer, clock: LabClock, truth: Truth) -> None:
        self._server, self._clock, self._truth = server, clock, truth
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="scheduler")
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)

    def start(self) -> None:
        """Look for due schedules from now on."""
        global _live  # noqa: PLW0603 (moto's backends are global to the process, so is who serves them)
        _live = self
        replace(EventBridgeSchedulerBackend, "create_schedule", _create_schedule)
        self._thread.start()

    def stop(self) -> None:
        """Fire nothing more; calls that are under way are given up."""
        global _live  # noqa: PLW0603
        if _live is self:
            _live = None
        self._stop.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._thread.join(timeout=2.0)

    def require_role(self, region: str, role_arn: str) -> None:
        """ValidationException unless the role exists and trusts Scheduler."""
        try:
            role = self._server.client("iam", region).get_role(RoleName=role_arn.rpartition("/")[2])["Role"]
        except ClientError as error:
            raise _no_role() from error
        if "scheduler.amazonaws.com" not in json.dumps(role["AssumeRolePolicyDocument"]):
            raise _no_role()

    def _run(self) -> None:
        while not self._stop.wait(LOOK_WALL_S):
            try:
                for due in self._due():
                    self._pool.submit(self._fire, due)
            except Exception:  # a schedule that cannot be read must not end all the others
                log.exception("looking for due schedules failed")

    def _due(self) -> list[_Due]:
        now_s, found = self._clock.now_s(), []
        for backend in list(get_backend("scheduler")[self._server.account].values()):
            for group in list(backend.schedule_groups.values()):
                for schedule in list(group.schedules.values()):
                    instant_s = due_s(schedule)
                    fired_s = vars(schedule).get("lab_fired_s")
                    if schedule.state == "ENABLED" and instant_s <= now_s and fired_s != instant_s:
                        vars(schedule)["lab_fired_s"] = instant_s
                        found.append(_Due(backend, schedule, instant_s))
        return found

    def _fire(self, due: _Due) -> None:
        target, schedule = due.schedule.target, due.schedule
        for attempt in range(int(target["RetryPolicy"].get("MaximumRetryAttempts", 185)) + 1):
            if not due.current or self._stop.is_set():
                return
            try:
                self._call(due.backend.region_name, target)
            except (ClientError, BotoCoreError, ValueError) as error:
                words = f"{type(error).__name__}: {error}"
                self._truth.record("schedule_failed", name=schedule.name, attempt=attempt, error=words)
                if not self._again(due, attempt):
                    break
                continue
            self._truth.record("schedule_fired", name=schedule.name, region=due.backend.region_name, to=target["Arn"])
            break
        if schedule.action_after_completion == "DELETE" and due.current:
            due.backend.schedule_groups[schedule.group_name].schedules.pop(schedule.name, None)

    def _again(self, due: _Due, attempt: int) -> bool:
        """Wait for the next attempt; False when the event has become too old for one."""
        pause_s = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2**attempt)
        oldest_s = float(due.schedule.target["RetryPolicy"].get("MaximumEventAgeInSeconds", 86400))
        if self._clock.now_s() + pause_s > due.due_lab_s + oldest_s:
            return False
        return not self._clock.wait(self._stop, pause_s)

    def _call(self, region: str, target: dict[str, Any]) -> None:
        universal = _UNIVERSAL.fullmatch(target["Arn"])
        if universal is None:
            self._server.client("lambda", region).invoke(
                FunctionName=target["Arn"], InvocationType="Event", Payload=target.get("Input") or "{}"
            )
            return
        client = self._server.client(service_named(universal[1]), region)
        getattr(client, _method(client, universal[2]))(**json.loads(target.get("Input") or "{}"))


def _create_schedule(backend: EventBridgeSchedulerBackend, **values: Any) -> Schedule:
    """Replaces moto's CreateSchedule: what AWS refuses is refused, and so is what this lab does not play."""
    expression, target = values["schedule_expression"], values["target"]
    if _AT.fullmatch(expression) is None:
        raise AwsError("ValidationException", f"this lab plays at(yyyy-mm-ddThh:mm:ss) schedules, not {expression}")
    if (values["group_name"] or "default") not in backend.schedule_groups:
        raise AwsError("ResourceNotFoundException", f"Schedule group {values['group_name']} does not exist.")
    _check_target(target["Arn"])
    if _live is not None:
        _live.require_role(backend.region_name, target["RoleArn"])
    return _moto_create(backend, **values)


def _check_target(arn: str) -> None:
    universal = _UNIVERSAL.fullmatch(arn)
    if universal is None:
        if _LAMBDA.fullmatch(arn) is None:
            raise AwsError("ValidationException", f"Provided Arn is not in correct format: {arn}")
        return
    if _READ_ONLY.match(universal[2]):
        raise AwsError("ValidationException", f"The action {universal[2]} only reads: it is not supported.")
    try:
        service_named(universal[1])
    except LookupError as error:
        raise AwsError("ValidationException", str(error)) from error


def _no_role() -> AwsError:
    words = "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."
    return AwsError("ValidationException", words)


def _method(client: Any, action: str) -> str:
    """boto3's method of an action in SDK spelling ("disableRule"). ParamValidationError when there is none."""
    operations = {name[:1].lower() + name[1:]: name for name in client.meta.service_model.operation_names}
    if action not in operations:
        raise ParamValidationError(report=f"no action {action}")
    return str(xform_name(operations[action]))


def service_named(identifier: str) -> str:
    """botocore's name of the service with that SDK identifier ("eventbridge" -> "events"). LookupError for none."""
    try:
        return _services()[identifier]
    except KeyError:
        raise LookupError(f"no service {identifier} is known") from None


@cache
def _services() -> dict[str, str]:
    """SDK identifier -> botocore's name, of the services that a universal target of this lab may call."""
    session = botocore.session.get_session()
    known = ("events", "ecs", "sqs", "sns", "lambda", "rds", "ssm", "dynamodb", "route53", "stepfunctions", "elbv2")
    models = {name: session.get_service_model(name) for name in known}
    return {str(model.service_id).lower().replace(" ", ""): name for name, model in models.items()}


def at(lab_s: float) -> str:
    """A one-time schedule expression (UTC) for an instant in seconds since the epoch."""
    return f"at({datetime.fromtimestamp(lab_s, UTC).strftime('%Y-%m-%dT%H:%M:%S')})"
