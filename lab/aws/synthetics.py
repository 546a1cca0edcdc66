"""CloudWatch Synthetics that runs: canaries as Python scripts on their schedule, in lab time.

moto stores canaries; `CanaryRunner` runs those that were started. One canary never has two runs at once. Each run
ends PASSED or FAILED, at the latest at its timeout; then its metrics are put (namespace CloudWatchSynthetics) and
its event is published.

A run's metrics carry the time at which the run *started*. The user guide does not say which instant AWS takes, but
the API's CanaryRunTimeline has one MetricTimestampForRunAndRetries for a run and all its retries, so it cannot be
the end of any one attempt. For detection it makes no difference: a run that starts in minute k and hangs for its
60 s is counted in the evaluation after minute k+1 either way.
"""

from __future__ import annotations

import logging
import math
import re
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError
from moto.core.responses import ActionResult, BaseResponse, EmptyResult

from lab.aws import events
from lab.aws.canary_script import CanaryContext, Script, Work, no_script, run_script
from lab.aws.server import AwsError, AwsServer
from lab.clock import LabClock
from lab.truth import Truth

NAMESPACE = "CloudWatchSynthetics"
MAX_TIMEOUT_S = 840.0
"""RunConfig.TimeoutInSeconds: the default is the frequency of the canary, at most 14 minutes."""
KEPT_RUNS = 1_000
RUNS_PAGE = 100
SCRIPT_WORK_S = 20.0
"""What a script's own work in one run may take, its waits aside (lab seconds): about what a browser canary takes."""
LATE_WALL_S = 2.0
"""How long (wall) a script that missed its deadline may take to notice it."""

Scripts = Mapping[str, Script] | Mapping[tuple[str, str], Script] | Mapping[str | tuple[str, str], Script]

log = logging.getLogger(__name__)
_RATE = re.compile(r"rate\((\d+) (minute|hour)s?\)")


@dataclass(frozen=True)
class Run:
    """One run of a canary; dates are lab time."""

    run_id: str
    started: datetime
    state: str = "RUNNING"
    reason: str = ""
    completed: datetime | None = None

    def answer(self, canary: str) -> dict[str, Any]:
        """The run as GetCanaryRuns returns it."""
        timeline = {"Started": self.started, "MetricTimestampForRunAndRetries": self.started}
        if self.completed is not None:
            timeline["Completed"] = self.completed
        status = {"State": self.state} | ({"StateReason": self.reason} if self.reason else {})
        return {"Id": self.run_id, "Name": canary, "Status": status, "Timeline": timeline}


@dataclass
class Canary:
    """A created canary. `state` is the API's CanaryState: READY, RUNNING, STOPPING, STOPPED."""

    region: str
    name: str
    config: dict[str, Any]
    created: datetime
    canary_id: str = field(default_factory=lambda: str(uuid4()))
    state: str = "READY"
    last_started: datetime | None = None
    last_stopped: datetime | None = None
    runs: deque[Run] = field(default_factory=lambda: deque(maxlen=KEPT_RUNS))
    halt: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    @property
    def period_s(self) -> float:
        """Lab seconds between two runs; 0 for a canary that runs once."""
        found = _RATE.fullmatch(self.config["Schedule"]["Expression"])
        return 0.0 if found is None else float(found[1]) * (60.0 if found[2] == "minute" else 3600.0)

    @property
    def timeout_s(self) -> float:
        """Lab seconds that a run may take."""
        default = min(self.period_s or MAX_TIMEOUT_S, MAX_TIMEOUT_S)
        return float(self.config.get("RunConfig", {}).get("TimeoutInSeconds", default))

    def answer(self) -> dict[str, Any]:
        """The canary as DescribeCanaries returns it."""
        timeline = {"Created": self.created, "LastModified": self.created}
        dates = {"LastStarted": self.last_started, "LastStopped": self.last_stopped}
        timeline |= {key: date for key, date in dates.items() if date is not None}
        run_config = {"MemoryInMB": 1000, "ActiveTracing": False, **self.config.get("RunConfig", {})}
        return {
            "Id": self.canary_id,
            "Name": self.name,
            "Code": {"Handler": self.config.get("Code", {}).get("Handler", "")},
            "ExecutionRoleArn": self.config.get("ExecutionRoleArn", ""),
            "Schedule": {"DurationInSeconds": 0, **self.config["Schedule"]},
            "RunConfig": run_config | {"TimeoutInSeconds": round(self.timeout_s)},
            "SuccessRetentionPeriodInDays": self.config.get("SuccessRetentionPeriodInDays", 31),
            "FailureRetentionPeriodInDays": self.config.get("FailureRetentionPeriodInDays", 31),
            "Status": {"State": self.state},
            "Timeline": timeline,
            "ArtifactS3Location": self.config.get("ArtifactS3Location", ""),
            "RuntimeVersion": self.config.get("RuntimeVersion", ""),
            "Tags": self.config.get("Tags", {}),
        }


class CanaryRunner:
    """Keeps the canaries of all Regions, serves their API and runs the scripts of those that were started.

    scripts: by canary name, or by (Region, name) where the name is used in several; a script that raises is a failed
    run. A started canary without a script fails each run.
    """

    def __init__(self, server: AwsServer, clock: LabClock, truth: Truth, scripts: Scripts) -> None:
        self._server = server
        self._clock = clock
        self._truth = truth
        self._scripts = cast(Mapping[str | tuple[str, str], Script], scripts)
        self._lock = threading.Lock()
        self._canaries: dict[tuple[str, str], Canary] = {}

    def start(self) -> None:
        """Serve the Synthetics API on the server; canaries run once StartCanary is called."""
        self._server.serve_class("synthetics", _responses(self))

    def stop(self) -> None:
        """End all runs and schedules; returns when their threads have ended, bounded by a few wall seconds."""
        with self._lock:
            canaries = list(self._canaries.values())
        for canary in canaries:
            canary.halt.set()
        for canary in canaries:
            if canary.thread is not None:
                canary.thread.join(timeout=LATE_WALL_S + 1.0)

    # The API's operations

    def create(self, region: str, config: dict[str, Any]) -> Canary:
        """CreateCanary. Raises ConflictException for a taken name, ValidationException for a bad schedule."""
        canary = Canary(region, config["Name"], config, self._clock.now())
        expression = config["Schedule"]["Expression"]
        if _RATE.fullmatch(expression) is None:
            raise AwsError("ValidationException", f"this lab plays rate(...) schedules, not {expression}")
        with self._lock:
            if (region, canary.name) in self._canaries:
                raise AwsError("ConflictException", f"A canary with the name {canary.name} already exists")
            self._canaries[region, canary.name] = canary
        return canary

    def named(self, region: str, name: str) -> Canary:
        """The canary, or ResourceNotFoundException."""
        with self._lock:
            found = self._canaries.get((region, name))
        if found is None:
            raise AwsError("ResourceNotFoundException", f"Canary {name} not found")
        return found

    def of_region(self, region: str) -> list[Canary]:
        """All canaries of a Region by name."""
        with self._lock:
            return [canary for (place, _), canary in sorted(self._canaries.items()) if place == region]

    def run_canary(self, region: str, name: str) -> None:
        """StartCanary: the first run begins at once, the next ones a period apart."""
        canary = self.named(region, name)
        with self._lock:
            if canary.state == "RUNNING":
                raise AwsError("ConflictException", f"Canary {name} is already running")
            canary.state, canary.last_started = "RUNNING", self._clock.now()
            canary.halt = threading.Event()
            args = (canary, canary.halt)
            canary.thread = threading.Thread(target=self._loop, args=args, name=f"canary-{name}", daemon=True)
            canary.thread.start()

    def halt_canary(self, region: str, name: str) -> None:
        """StopCanary: a run that is under way is given up."""
        canary = self.named(region, name)
        with self._lock:
            if canary.state != "RUNNING":
                raise AwsError("ConflictException", f"Canary {name} is not running")
            canary.state, canary.last_stopped = "STOPPED", self._clock.now()
            canary.halt.set()

    def delete(self, region: str, name: str) -> None:
        """DeleteCanary; a running canary must be stopped first."""
        if self.named(region, name).state == "RUNNING":
            raise AwsError("ConflictException", f"Canary {name} is running: stop it first")
        with self._lock:
            self._canaries.pop((region, name), None)

    # The runs

    def _loop(self, canary: Canary, halt: threading.Event) -> None:
        due_s = self._clock.now_s()
        while not halt.is_set():
            late_s = self._clock.now_s() - due_s
            self._truth.took(f"canary {canary.name} schedule", canary.period_s, canary.period_s + late_s)
            self._run(canary, halt)
            if canary.period_s == 0:
                return
            # Fixed phase. A run at its timeout ends when the next one is due, so "just passed" still counts.
            missed = math.floor((self._clock.now_s() - due_s) / canary.period_s - 0.25)
            due_s += canary.period_s * max(1, missed)
            self._truth.took(f"canary {canary.name} period", canary.period_s, canary.period_s * max(1, missed))
            self._clock.wait(halt, due_s - self._clock.now_s())

    def _run(self, canary: Canary, halt: threading.Event) -> None:
        started = self._clock.now()
        run = Run(str(uuid4()), started)
        canary.runs.append(run)
        reason = self._outcome(canary, run, halt)
        if halt.is_set():
            canary.runs.remove(run)
            return
        ended = replace(run, state="FAILED" if reason else "PASSED", reason=reason or "", completed=self._clock.now())
        canary.runs[-1] = ended
        self._truth.record(
            "canary_run", name=canary.name, region=canary.region, state=ended.state, reason=ended.reason
        )
        self._report(canary, ended)

    def _outcome(self, canary: Canary, run: Run, halt: threading.Event) -> str | None:
        """Run the script; None when it passed, otherwise the reason why not."""
        deadline_s = run.started.timestamp() + canary.timeout_s
        work = Work(run.started.timestamp())
        context = CanaryContext(canary.name, canary.region, run.run_id, deadline_s, self._clock, halt, work)
        results: list[str | None] = []
        script = self._scripts.get((canary.region, canary.name)) or self._scripts.get(canary.name, no_script)
        thread = threading.Thread(target=run_script, args=(script, context, results), daemon=True)
        thread.start()
        thread.join(self._clock.wall_s(canary.timeout_s))
        # A machine too slow for the speed makes runs fail by its own slowness: that is no finding about the system.
        self._truth.took(f"canary {canary.name} work", SCRIPT_WORK_S, work.done_s)
        if thread.is_alive():
            # Timed out. The script notices at its next wait; no further run starts beside it.
            self._truth.took(
                f"canary {canary.name} run", canary.timeout_s, self._clock.now_s() - run.started.timestamp()
            )
            thread.join(LATE_WALL_S)
            return f"Canary timed out after {round(canary.timeout_s)} seconds"
        return results[0] if results else "Canary script ended without a result"

    def _report(self, canary: Canary, run: Run) -> None:
        passed = run.state == "PASSED"
        duration_ms = ((run.completed or run.started) - run.started).total_seconds() * 1000
        values = (
            ("SuccessPercent", 100.0 if passed else 0.0, "Percent"),
            ("Duration", duration_ms, "Milliseconds"),
            ("Failed", 0.0 if passed else 1.0, "Count"),
        )
        dimensions = [{"Name": "CanaryName", "Value": canary.name}]
        data = [
            {"MetricName": name, "Dimensions": dimensions, "Timestamp": run.started, "Value": value, "Unit": unit}
            for name, value, unit in values
        ]
        if self._server.is_silent(canary.region, "cloudwatch"):
            return
        try:
            self._server.client("cloudwatch", canary.region).put_metric_data(Namespace=NAMESPACE, MetricData=data)
        except (ClientError, BotoCoreError) as error:
            # As in a Region whose CloudWatch is down: the run happened, its metric is missing.
            log.warning("metrics of canary %s are lost: %s", canary.name, error)
        events.publish(self._server.account, self._clock, _event(self._server.account, canary, run))


def _event(account: str, canary: Canary, run: Run) -> events.ServiceEvent:
    """Shape: the EventBridge events of CloudWatch Synthetics; the timeline is in epoch seconds."""
    passed = run.state == "PASSED"
    completed = run.completed or run.started
    detail = {
        "account-id": account,
        "canary-id": canary.canary_id,
        "canary-name": canary.name,
        "canary-run-id": run.run_id,
        "artifact-location": canary.config.get("ArtifactS3Location", ""),
        "test-run-status": run.state,
        "state-reason": run.reason or "null",
        "canary-run-timeline": {"started": int(run.started.timestamp()), "completed": int(completed.timestamp())},
        "message": "Test run result is generated successfully",
    }
    kind = "Successful" if passed else "Failure"
    return events.ServiceEvent(canary.region, "aws.synthetics", f"Synthetics Canary TestRun {kind}", detail)


def _responses(runner: CanaryRunner) -> type[BaseResponse]:
    """The API's operations as a moto response class bound to `runner`."""

    class SyntheticsResponses(BaseResponse):
        def __init__(self) -> None:
            super().__init__(service_name="synthetics")
            self.automated_parameter_parsing = True

        def create_canary(self) -> ActionResult:
            return ActionResult({"Canary": runner.create(self.region, self._get_params()).answer()})

        def get_canary(self) -> ActionResult:
            return ActionResult({"Canary": runner.named(self.region, self._get_param("Name")).answer()})

        def describe_canaries(self) -> ActionResult:
            return ActionResult({"Canaries": [canary.answer() for canary in self._chosen()]})

        def describe_canaries_last_run(self) -> ActionResult:
            last = [
                {"CanaryName": canary.name, "LastRun": canary.runs[-1].answer(canary.name)}
                for canary in self._chosen()
                if canary.runs
            ]
            return ActionResult({"CanariesLastRun": last})

        def get_canary_runs(self) -> ActionResult:
            canary = runner.named(self.region, self._get_param("Name"))
            runs = [run.answer(canary.name) for run in reversed(list(canary.runs))]
            token = (self._get_param("NextToken") or "page-0").removeprefix("page-")
            if not token.isdigit():
                raise AwsError("ValidationException", "NextToken is not valid")
            end = int(token) + (self._get_param("MaxResults") or RUNS_PAGE)
            page: dict[str, Any] = {"CanaryRuns": runs[int(token) : end]}
            return ActionResult(page | ({"NextToken": f"page-{end}"} if end < len(runs) else {}))

        def start_canary(self) -> EmptyResult:
            runner.run_canary(self.region, self._get_param("Name"))
            return EmptyResult()

        def stop_canary(self) -> EmptyResult:
            runner.halt_canary(self.region, self._get_param("Name"))
            return EmptyResult()

        def delete_canary(self) -> EmptyResult:
            runner.delete(self.region, self._get_param("Name"))
            return EmptyResult()

        def _chosen(self) -> list[Canary]:
            names = self._get_param("Names")
            return [canary for canary in runner.of_region(self.region) if not names or canary.name in names]

    return SyntheticsResponses
