"""The witness of the system's own signals: it asks the AWS API, again and again, what each part says.

`python -m checks.signals CONFIG.json` (keys: folder, target, speed, run_id, worker). Each signal has its own thread
and its own absolute schedule, so a Region whose API hangs delays nothing but its own signals. Stamps are ours:
the send of the look and the arrival of its answer; AWS's own timestamps are gathered at the end by
checks/harvest.py. Every look is written down; one that could not look is UNKNOWN, with the reason.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from checks.schedule import Monotonic, die_together, keep_schedule
from drill.aws import Aws
from drill.child import read_config, stop_event
from drill.clock import SystemClock
from drill.errors import DrillError
from drill.find import Clients, Found, cluster_endpoints, find, kind_of, region_of_arn
from drill.target import Target
from drill.timeline import Observation, ObservationFile, Outcome

INTERVAL_FLOOR_S = 0.25
CONNECT_TIMEOUT_S = 2.0
READ_TIMEOUT_S = 5.0
MAX_EXECUTIONS = 5000
MAX_PAGES = 20
END_S = 1.0
COULD_NOT_LOOK = (ClientError, BotoCoreError, DrillError, LookupError, ValueError)
"""What a look may meet: AWS says no, AWS does not answer, no or several matches, a reply of another shape."""

HEALTH_CHECK = "aws.health_check"
INSTANCE, TARGETS = "aws.instance.writer", "aws.targets"
"""The instance that is a cluster's writer; what is registered with a target group."""
Value = tuple[str, str]
"""(probe, what was seen)."""


class LookingAws(Aws):
    """Clients that give up soon and never retry: a retry would stamp a late answer as a slow one.

    Wall seconds: connect 2, read 5; one attempt.
    """

    def _config(self) -> Config:
        return (
            super()
            ._config()
            .merge(
                Config(
                    connect_timeout=CONNECT_TIMEOUT_S,
                    read_timeout=READ_TIMEOUT_S,
                    retries={"total_max_attempts": 1, "mode": "standard"},
                )
            )
        )


@dataclass(frozen=True)
class Watch:
    """One API call that shows one or more signals.

    probes: names of the observations it yields (all are UNKNOWN when it cannot look); key: the target's resource;
    read: the call, on the resource that the key's pattern found.
    """

    probes: tuple[str, ...]
    key: str
    read: Callable[[Clients, Found], Sequence[Value]]


def watches(target: Target) -> tuple[Watch, ...]:
    """Every signal that this file knows, of all systems; a target without the key does not have the signal."""
    control = ControlReader()
    executions = ("initiator", "failover", "failback")
    return (
        Watch(("aws.ecs.transaction",), "transaction", ecs_counts),
        Watch(("aws.rule",), "auto_failover_rule", rule_state),
        Watch(("aws.alarm.standby",), "standby_alarm", alarm_state("aws.alarm.standby")),
        Watch(("aws.alarm.observer",), "observer_alarm", alarm_state("aws.alarm.observer")),
        Watch(("aws.alarm.latency",), "latency_alarm", alarm_state("aws.alarm.latency")),
        Watch((HEALTH_CHECK,), "latency_health_check", health_check_status),
        Watch(("aws.replication",), "global_endpoint", replication_state),
        *(_execution_watch(name) for name in executions),
        *(_runbook_watch(name) for name in executions),
        Watch(("aws.control.primary",), "control_primary", control.of("aws.control.primary")),
        Watch(("aws.control.standby",), "control_standby", control.of("aws.control.standby")),
        Watch(("aws.secret",), "database_secret", secret_version),
        *(_cluster_watch(key) for key in sorted(target.resources) if kind_of(key) == "rds.global_cluster"),
        *(
            Watch((INSTANCE,), key, instance_writer)
            for key in sorted(target.resources)
            if kind_of(key) == "rds.cluster"
        ),
        *(
            Watch((TARGETS,), key, registered)
            for key in sorted(target.resources)
            if kind_of(key) == "elbv2.target_group"
        ),
    )


def _cluster_watch(key: str) -> Watch:
    """A global cluster's writer and status: "aws.writer", or "aws.writer.orders" for orders_global_cluster."""
    name = key.removesuffix("global_cluster").rstrip("_")
    ending = f".{name}" if name else ""
    return Watch((f"aws.writer{ending}", f"aws.global.status{ending}"), key, global_cluster(ending))


def _runbook_watch(name: str) -> Watch:
    probe = f"aws.execution.{name}"
    return Watch((probe,), f"{name}_document", newest_automation(probe))


def _execution_watch(name: str) -> Watch:
    probe = f"aws.execution.{name}"
    return Watch((probe,), f"{name}_machine", newest_execution(probe))


def ecs_counts(aws: Clients, found: Found) -> Sequence[Value]:
    """ "running/desired" of a service. LookupError when the service is gone."""
    ecs = aws.client("ecs", found.region)
    service = ecs.describe_services(cluster=found.extra["cluster"], services=[found.arn])["services"][0]
    return [("aws.ecs.transaction", f"{service['runningCount']}/{service['desiredCount']}")]


def rule_state(aws: Clients, found: Found) -> Sequence[Value]:
    """ENABLED or DISABLED."""
    events = aws.client("events", found.region)
    return [("aws.rule", events.describe_rule(Name=found.name, EventBusName=found.extra["bus"])["State"])]


def secret_version(aws: Clients, found: Found) -> Sequence[Value]:
    """The id of a secret's current version, "-" without one; its value stays unread."""
    shown = aws.client("secretsmanager", found.region).describe_secret(SecretId=found.arn)
    current = [version for version, labels in shown["VersionIdsToStages"].items() if "AWSCURRENT" in labels]
    return [("aws.secret", current[0] if current else "-")]


def alarm_state(probe: str) -> Callable[[Clients, Found], Sequence[Value]]:
    """A reader of a metric alarm's state: OK, ALARM or INSUFFICIENT_DATA."""

    def read(aws: Clients, found: Found) -> Sequence[Value]:
        reply = aws.client("cloudwatch", found.region).describe_alarms(AlarmNames=[found.name])
        return [(probe, reply["MetricAlarms"][0]["StateValue"])]

    return read


def health_check_status(aws: Clients, found: Found) -> Sequence[Value]:
    """HEALTHY or UNHEALTHY: what most of Route 53's checkers say of a health check. LookupError when none does."""
    shown = aws.client("route53", found.region).get_health_check_status(HealthCheckId=found.extra["id"])
    said = [o["StatusReport"]["Status"].startswith("Success") for o in shown["HealthCheckObservations"]]
    if not said:
        raise LookupError(f"no checker says anything of health check {found.name}")
    return [(HEALTH_CHECK, "HEALTHY" if 2 * sum(said) > len(said) else "UNHEALTHY")]


def replication_state(aws: Clients, found: Found) -> Sequence[Value]:
    """ENABLED or DISABLED: event replication of a global endpoint."""
    shown = aws.client("events", found.region).describe_endpoint(Name=found.name)
    return [("aws.replication", shown["ReplicationConfig"]["State"])]


def newest_execution(probe: str) -> Callable[[Clients, Found], Sequence[Value]]:
    """A reader of a state machine's executions: "<how many>:<status of the newest>", "0:-" for none."""

    def read(aws: Clients, found: Found) -> Sequence[Value]:
        executions = list_executions(aws, found)
        newest = max(executions, key=lambda e: e["startDate"], default={"status": "-"})
        return [(probe, f"{len(executions)}:{newest['status']}")]

    return read


def list_executions(aws: Clients, machine: Found) -> list[dict[str, Any]]:
    """The executions of a machine, at most MAX_EXECUTIONS."""
    paginator = aws.client("stepfunctions", machine.region).get_paginator("list_executions")
    pages = paginator.paginate(stateMachineArn=machine.arn, PaginationConfig={"MaxItems": MAX_EXECUTIONS})
    return [execution for page in pages for execution in page["executions"]]


def newest_automation(probe: str) -> Callable[[Clients, Found], Sequence[Value]]:
    """A reader of a runbook's executions, as `newest_execution` shows a state machine's."""

    def read(aws: Clients, found: Found) -> Sequence[Value]:
        executions = list_automations(aws, found)
        newest = max(executions, key=lambda e: e["ExecutionStartTime"], default={"AutomationExecutionStatus": "-"})
        return [(probe, f"{len(executions)}:{newest['AutomationExecutionStatus']}")]

    return read


def list_automations(aws: Clients, document: Found) -> list[dict[str, Any]]:
    """The executions of one SSM document, at most MAX_EXECUTIONS."""
    wanted = [{"Key": "DocumentNamePrefix", "Values": [document.name]}]
    paginator = aws.client("ssm", document.region).get_paginator("describe_automation_executions")
    pages = paginator.paginate(Filters=wanted, PaginationConfig={"MaxItems": MAX_EXECUTIONS})
    found = (execution for page in pages for execution in page["AutomationExecutionMetadataList"])
    return [execution for execution in found if execution["DocumentName"] == document.name]


def global_cluster(ending: str = "") -> Callable[[Clients, Found], Sequence[Value]]:
    """A reader of the Region of a global cluster's writer ("-" while there is none) and of the cluster's status.

    ending: of the probes' names.
    """

    def read(aws: Clients, found: Found) -> Sequence[Value]:
        rds = aws.client("rds", found.region)
        cluster = rds.describe_global_clusters(GlobalClusterIdentifier=found.name)["GlobalClusters"][0]
        writers = [m["DBClusterArn"] for m in cluster.get("GlobalClusterMembers", []) if m.get("IsWriter")]
        region = ",".join(region_of_arn(arn) for arn in writers) or "-"
        return [(f"aws.writer{ending}", region), (f"aws.global.status{ending}", cluster["Status"])]

    return read


def instance_writer(aws: Clients, found: Found) -> Sequence[Value]:
    """The instance that a cluster names as its writer, "-" while there is none, and the cluster's status."""
    rds = aws.client("rds", found.region)
    cluster = rds.describe_db_clusters(DBClusterIdentifier=found.name)["DBClusters"][0]
    writers = [m["DBInstanceIdentifier"] for m in cluster.get("DBClusterMembers", []) if m.get("IsClusterWriter")]
    return [(INSTANCE, ",".join(writers) or "-")]


def registered(aws: Clients, found: Found) -> Sequence[Value]:
    """What is registered with a target group, without what drains: ids with ",", "-" for nothing."""
    elb = aws.client("elbv2", found.region)
    shown = elb.describe_target_health(TargetGroupArn=found.arn)["TargetHealthDescriptions"]
    ids = sorted(t["Target"]["Id"] for t in shown if t["TargetHealth"]["State"] != "draining")
    return [(TARGETS, ",".join(ids) or "-")]


class ControlReader:
    """Reads ARC routing controls from the cluster's data plane, from the first of its endpoints that answers.

    The endpoints are asked for once, while all is well: the control plane is not made to survive a disaster. An
    endpoint that failed is not asked first the next time. Used by several threads; a lost update of the turn
    costs one needless attempt, nothing else.
    """

    def __init__(self) -> None:
        self._endpoints: dict[str, tuple[tuple[str, str], ...]] = {}
        self._turn = 0

    def of(self, probe: str) -> Callable[[Clients, Found], Sequence[Value]]:
        """A reader of one control's state, On or Off, as `probe`."""
        return lambda aws, found: [(probe, self.state(aws, found))]

    def state(self, aws: Clients, control: Found) -> str:
        """On or Off. The last endpoint's error passes when none of them answers."""
        endpoints = self._endpoints_of(aws, control)
        failure: Exception = LookupError(f"cluster {control.extra['cluster']} has no endpoints")
        for _ in endpoints:
            region, url = endpoints[self._turn % len(endpoints)]
            try:
                data_plane = aws.client("route53-recovery-cluster", region, endpoint_url=url)
                return str(data_plane.get_routing_control_state(RoutingControlArn=control.arn)["RoutingControlState"])
            except (ClientError, BotoCoreError) as error:
                failure = error
                self._turn += 1
        raise failure

    def _endpoints_of(self, aws: Clients, control: Found) -> tuple[tuple[str, str], ...]:
        arn = control.extra["cluster"]
        if arn not in self._endpoints:
            cluster = Found("arc.cluster", control.region, arn, arn)
            self._endpoints[arn] = cluster_endpoints(aws, cluster)
        return self._endpoints[arn]


def last_canary_runs(aws: Clients, region: str) -> list[Value]:
    """("aws.canary.<name>", state of its last run) for every canary of a Region; "-" before the first run."""
    return [
        (f"aws.canary.{last['CanaryName']}", last.get("LastRun", {}).get("Status", {}).get("State", "-"))
        for last in pages(aws.client("synthetics", region).describe_canaries_last_run, "CanariesLastRun")
    ]


def pages(operation: Callable[..., dict[str, Any]], key: str, **params: Any) -> list[dict[str, Any]]:
    """All items of an operation that pages by NextToken without a paginator; at most MAX_PAGES pages."""
    items: list[dict[str, Any]] = []
    token: dict[str, str] = {}
    for _ in range(MAX_PAGES):
        reply = operation(**params, **token)
        items += reply.get(key, [])
        if not reply.get("NextToken"):
            break
        token = {"NextToken": reply["NextToken"]}
    return items


class SignalLooker:
    """Looks at one signal: finds its resource once, reads it at each call, and always yields observations."""

    def __init__(self, aws: Clients, target: Target, watch: Watch, clock: Monotonic) -> None:
        self._aws, self._target, self._watch, self._clock = aws, target, watch, clock
        self._vantage = target.resource(watch.key).region
        self._found: Found | None = None

    def look(self) -> list[Observation]:
        """One look now: an observation per probe of the watch, UNKNOWN with the reason if it could not be made."""
        sent_s = self._clock.monotonic_s()
        try:
            values = self._read()
        except COULD_NOT_LOOK as error:
            return self._unknown(sent_s, error)
        done_s = self._clock.monotonic_s()
        return [Observation(sent_s, done_s, probe, self._vantage, Outcome.OK, value) for probe, value in values]

    def _read(self) -> Sequence[Value]:
        if self._found is None:
            self._found = find(self._aws, self._target, self._watch.key)
        return self._watch.read(self._aws, self._found)

    def _unknown(self, sent_s: float, error: Exception) -> list[Observation]:
        # What was found may be gone and made anew under another ARN: look for it again the next time.
        self._found = None
        done_s, detail = self._clock.monotonic_s(), reason(error)
        return [
            Observation(sent_s, done_s, probe, self._vantage, Outcome.UNKNOWN, "", detail)
            for probe in self._watch.probes
        ]


class CanaryLooker:
    """Looks at the last runs of all canaries of one Region."""

    def __init__(self, aws: Clients, region: str, clock: Monotonic) -> None:
        self._aws, self._region, self._clock = aws, region, clock
        self._known: tuple[str, ...] = ("aws.canary",)

    def look(self) -> list[Observation]:
        """An observation per canary; UNKNOWN for those known from before when the API does not answer."""
        sent_s = self._clock.monotonic_s()
        try:
            seen = [(probe, Outcome.OK, value, "") for probe, value in last_canary_runs(self._aws, self._region)]
            self._known = tuple(probe for probe, *_ in seen) or self._known
        except COULD_NOT_LOOK as error:
            seen = [(probe, Outcome.UNKNOWN, "", reason(error)) for probe in self._known]
        done_s = self._clock.monotonic_s()
        return [Observation(sent_s, done_s, p, self._region, outcome, v, d) for p, outcome, v, d in seen]


def reason(error: Exception) -> str:
    """An error in one bounded line."""
    return f"{type(error).__name__}: {error}".replace("\n", " ")[:300]


def lookers(aws: Clients, target: Target, clock: Monotonic) -> list[SignalLooker | CanaryLooker]:
    """One looker per signal that this target has."""
    regions = dict.fromkeys((target.regions.primary, target.regions.standby, target.regions.observer))
    named = [SignalLooker(aws, target, watch, clock) for watch in watches(target) if watch.key in target.resources]
    return [*named, *(CanaryLooker(aws, region, clock) for region in regions)]


def interval_wall_s(target: Target, speed: float) -> float:
    """Wall seconds between two looks at a signal."""
    return max(INTERVAL_FLOOR_S, target.timings.signals_interval_s / speed)


def watch_signals(target: Target, folder: Path, worker: str, speed: float, stop: threading.Event) -> list[str]:
    """Look at every signal until `stop` is set; returns why a thread died, if one did (then all stop)."""
    clock = SystemClock(speed)
    file = ObservationFile(folder, worker)
    deaths = die_together(stop)
    everything = lookers(LookingAws.of(target), target, clock)
    interval_s = interval_wall_s(target, speed)
    began_s = clock.monotonic_s()

    def run(looker: SignalLooker | CanaryLooker, first_s: float) -> None:
        def look() -> None:
            for observation in looker.look():
                file.add(observation)

        keep_schedule(clock, interval_s, stop, look, first_s=first_s)

    threads = []
    for number, looker in enumerate(everything):
        # Spread over the interval, so that the API meets a trickle rather than a burst.
        first_s = began_s + interval_s * number / len(everything)
        threads.append(threading.Thread(target=run, args=(looker, first_s), name=f"look-{number}", daemon=True))
    for thread in threads:
        thread.start()
    stop.wait()
    for thread in threads:
        thread.join(max(0.0, END_S / len(threads)))
    return deaths


def main() -> int:
    """The process: 0 when it was told to stop, 1 when a thread died."""
    config = read_config()
    target = Target.model_validate(config["target"])
    stop = stop_event()
    deaths = watch_signals(target, Path(config["folder"]), str(config["worker"]), float(config["speed"]), stop)
    for death in deaths:
        sys.stderr.write(f"signals: {death}\n")
    return 1 if deaths else 0


if __name__ == "__main__":
    sys.exit(main())
