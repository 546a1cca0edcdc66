"""AWS FIS that lives: moto keeps templates and experiments, this runs them on the lab clock and does what they say.

As AWS does: pending, initiating, running, completed; stopped by StopExperiment or by a stop condition's alarm; failed
when a target is empty; an action begins when those that it starts after have ended, and what it did ends with it.
Played: aws:dynamodb:global-table-pause-replication (replication pauses a while after the action has begun, AWS: up to
five minutes; the table's resource policy denies it at once, until a date), aws:ssm:send-command with what
lab.aws.run_command plays (a command that still runs when its action is over runs on; a stopped experiment cancels
it), and aws:fis:wait. Every other action is refused when its template is made. Targets are named by ARN; the states
of single actions are those of the experiment.

Source: https://docs.aws.amazon.com/fis/latest/userguide/fis-actions-reference.html
"""

from __future__ import annotations

import json
import logging
import re
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from moto.fis.models import Experiment, FISBackend
from moto.moto_api import state_manager

from lab.aws.dynamodb import GlobalTables
from lab.aws.patching import replace
from lab.aws.run_command import FAILED, Commands, ids_of, is_played
from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.truth import Truth

LOOK_WALL_S = 0.1
START_S = 5.0
"""Lab seconds from the start of an experiment until it runs."""
PAUSE, WAIT = "aws:dynamodb:global-table-pause-replication", "aws:fis:wait"
SEND_COMMAND = "aws:ssm:send-command"
SID = "DoNotModifyFisDynamoDbPauseReplication"
DENIED = ("dynamodb:ReadDataForReplication", "dynamodb:WriteDataForReplication")
OVER = ("completed", "stopped", "failed")
_DURATION = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?")

log = logging.getLogger(__name__)
_moto_create = FISBackend.create_experiment_template
_moto_start = FISBackend.start_experiment
_live: Experiments | None = None


@dataclass
class _Run:
    """An experiment that is not over: when it was started, when each action began, which have ended.

    commands: what actions sent, by their names.
    """

    backend: FISBackend
    experiment: Experiment
    started_s: float
    began_s: dict[str, float] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    commands: dict[str, str] = field(default_factory=dict)


class Experiments:
    """Runs what is started, in every Region.

    pause_delay_s: lab seconds until a pause takes effect; commands: what runs those that are sent, None where no
    instance takes any.
    """

    def __init__(
        self,
        server: AwsServer,
        tables: GlobalTables,
        clock: LabClock,
        truth: Truth,
        pause_delay_s: float = 0.0,
        commands: Commands | None = None,
    ) -> None:
        self._server, self._tables, self._clock, self._truth = server, tables, clock, truth
        self._pause_delay_s, self._commands = pause_delay_s, commands
        self._lock = threading.Lock()
        self._runs: list[_Run] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="fis", daemon=True)

    def start(self) -> None:
        """Take the place of moto's own life of experiments, and begin."""
        global _live  # noqa: PLW0603 (moto's backends are global to the process, so is who serves them)
        _live = self
        state_manager.set_transition("fis::experiment", {"progression": "manual", "times": 2**31})
        replace(FISBackend, "create_experiment_template", _create_template)
        replace(FISBackend, "start_experiment", _start_experiment)
        self._thread.start()

    def stop(self) -> None:
        """Nothing goes on from here."""
        global _live  # noqa: PLW0603
        if _live is self:
            _live = None
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def runs(self, document: str) -> bool:
        """Whether instances here run that document (ARN)."""
        return self._commands is not None and is_played(document)

    def begin(self, backend: FISBackend, experiment: Experiment) -> None:
        """An experiment was started."""
        with self._lock:
            self._runs.append(_Run(backend, experiment, self._clock.now_s()))
        self._truth.record("fis.started", experiment=experiment.id, template=experiment.experiment_template_id)

    # -- life

    def _loop(self) -> None:
        while not self._stop.wait(LOOK_WALL_S):
            with self._lock:
                runs = list(self._runs)
            for run in runs:
                try:
                    self._step(run)
                except Exception:  # one experiment that cannot go on must not end all the others
                    log.exception("experiment %s failed", run.experiment.id)
                    self._end(run, "failed")

    def _step(self, run: _Run) -> None:
        status, now_s = run.experiment.status, self._clock.now_s()
        if status == "stopping" or (status == "running" and self._condition_holds(run)):
            self._end(run, "stopped")
        elif status in ("pending", "initiating"):
            run.experiment.status = "initiating"
            if any(not target.get("resourceArns") for target in run.experiment.targets.values()):
                self._end(run, "failed")
            elif now_s >= run.started_s + START_S:
                run.experiment.status = "running"
        elif status == "running":
            self._go_on(run, now_s)

    def _go_on(self, run: _Run, now_s: float) -> None:
        for name, action in run.experiment.actions.items():
            if name not in run.began_s and set(action.get("startAfter", ())) <= run.ended:
                run.began_s[name] = now_s
                self._do(run, name, action, now_s)
            elif name in run.began_s and name not in run.ended and now_s >= run.began_s[name] + _lasts_s(action):
                run.ended.add(name)
                self._undo(run, action)
        if run.ended == run.experiment.actions.keys():
            self._end(run, "completed")

    def _end(self, run: _Run, status: str) -> None:
        for name in run.began_s.keys() - run.ended:
            run.ended.add(name)
            self._undo(run, run.experiment.actions[name])
            if self._commands is not None and name in run.commands:
                self._commands.cancel(run.commands[name])
        run.experiment.status = status
        with self._lock:
            self._runs.remove(run)
        self._truth.record("fis.ended", experiment=run.experiment.id, status=status)

    def _condition_holds(self, run: _Run) -> bool:
        """Whether the alarm of a stop condition rings."""
        names = [c["value"].partition(":alarm:")[2] for c in run.experiment.stop_conditions if c.get("value")]
        if not names:
            return False
        cloudwatch = self._server.client("cloudwatch", run.backend.region_name)
        try:
            alarms = cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"]
        except (ClientError, BotoCoreError):
            return False
        return any(alarm["StateValue"] == "ALARM" for alarm in alarms)

    # -- what actions do

    def _do(self, run: _Run, name: str, action: dict[str, Any], now_s: float) -> None:
        if action["actionId"] == SEND_COMMAND:
            run.commands[name] = self._sent(run, action)
        for arn in _tables_of(run.experiment, action):
            self._server.client("dynamodb", _region(arn)).put_resource_policy(
                ResourceArn=arn, Policy=self._denying(run.experiment, arn, now_s + _lasts_s(action))
            )
            self._tables.pause(_name(arn), _region(arn), now_s + self._pause_delay_s)

    def _sent(self, run: _Run, action: dict[str, Any]) -> str:
        """The id of the command that the action sends to its instances."""
        said = action["parameters"]
        given = json.loads(said.get("documentParameters", "{}"))
        sent = self._server.client("ssm", run.backend.region_name).send_command(
            DocumentName=str(said["documentArn"]).rpartition("/")[2],
            InstanceIds=ids_of(_targets_of(run.experiment, action)),
            Parameters={key: value if isinstance(value, list) else [value] for key, value in given.items()},
        )["Command"]
        if sent["Status"] == FAILED:
            raise RuntimeError(f"command {sent['CommandId']} failed: another of its kind is in progress")
        return str(sent["CommandId"])

    def _undo(self, run: _Run, action: dict[str, Any]) -> None:
        for arn in _tables_of(run.experiment, action):
            self._tables.resume(_name(arn), _region(arn))
            client = self._server.client("dynamodb", _region(arn))
            document = json.loads(client.get_resource_policy(ResourceArn=arn)["Policy"])
            kept = [s for s in document["Statement"] if s.get("Sid") != SID + run.experiment.id]
            if kept:
                client.put_resource_policy(ResourceArn=arn, Policy=json.dumps(document | {"Statement": kept}))
            else:
                client.delete_resource_policy(ResourceArn=arn)

    def _denying(self, experiment: Experiment, arn: str, until_s: float) -> str:
        """The table's policy with one statement more, which expires by itself."""
        client = self._server.client("dynamodb", _region(arn))
        try:
            document = json.loads(client.get_resource_policy(ResourceArn=arn)["Policy"])
        except client.exceptions.PolicyNotFoundException:
            document = {"Version": "2012-10-17", "Statement": []}
        until = datetime.fromtimestamp(until_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        document["Statement"].append(
            {
                "Sid": SID + experiment.id,
                "Effect": "Deny",
                "Principal": {"AWS": "*"},
                "Action": list(DENIED),
                "Resource": arn,
                "Condition": {
                    "StringEquals": {"aws:PrincipalServiceName": "replication.dynamodb.amazonaws.com"},
                    "DateLessThan": {"aws:CurrentTime": until},
                },
            }
        )
        return json.dumps(document)


def _tables_of(experiment: Experiment, action: dict[str, Any]) -> list[str]:
    """The ARNs of the tables whose replication an action pauses; none for any other action."""
    return _targets_of(experiment, action) if action["actionId"] == PAUSE else []


def _targets_of(experiment: Experiment, action: dict[str, Any]) -> list[str]:
    """The ARNs of all that an action is done to."""
    return [arn for name in action.get("targets", {}).values() for arn in experiment.targets[name]["resourceArns"]]


def _name(arn: str) -> str:
    return arn.rpartition("/")[2]


def _region(arn: str) -> str:
    return arn.split(":")[3]


def _lasts_s(action: dict[str, Any]) -> float:
    """Lab seconds that an action lasts."""
    found = _DURATION.fullmatch(action.get("parameters", {}).get("duration", "PT0S"))
    hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    return float(hours * 3600 + minutes * 60 + seconds)


def _create_template(backend: FISBackend, **values: Any) -> dict[str, Any]:
    """Replaces moto's CreateExperimentTemplate: an action that the lab does not play is refused; ids are AWS's."""
    for action in values["actions"].values():
        if not _played(action):
            raise NotImplementedError(f"FIS action {action['actionId']}")
    tags = values.pop("tags", None) or {}
    template = backend.experiment_templates.pop(_moto_create(backend, **values)["id"])
    token, template.id = template.client_token, _aws_id("EXT", template.id)
    backend.experiment_templates[template.id] = template
    backend._client_token_to_template_id[token] = template.id
    backend.tag_resource(template.arn, tags)
    return template.to_dict(tags=tags)


def _played(action: dict[str, Any]) -> bool:
    """Whether an action does here what it does on AWS."""
    if action["actionId"] == SEND_COMMAND:
        return _live is not None and _live.runs(str(action.get("parameters", {}).get("documentArn")))
    return action["actionId"] in (PAUSE, WAIT)


def _start_experiment(backend: FISBackend, **values: Any) -> dict[str, Any]:
    """Replaces moto's StartExperiment: what is new begins to live."""
    known, tags = set(backend.experiments), values.pop("tags", None) or {}
    made = _moto_start(backend, **values)["id"]
    if made in known or _live is None:
        return backend.get_experiment(made)
    experiment = backend.experiments.pop(made)
    experiment.id = _aws_id("EXP", made)
    backend.experiments[experiment.id] = experiment
    backend._client_token_to_experiment_id[experiment.client_token] = experiment.id
    backend.tag_resource(experiment.arn, tags)
    _live.begin(backend, experiment)
    return experiment.to_dict(tags=tags)


def _aws_id(prefix: str, made: str) -> str:
    return prefix + made.replace("-", "")[:16]
