"""A sample of each kind of fault and action, in the account of tests/checks/cloud.py, held to the contract."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from drill.target import Resource
from faults.alarm_actions import SetAlarmActions
from faults.alarm_periods import DelayAlarm
from faults.api_throttle import ThrottleStage
from faults.arc_controls import SetRoutingControls
from faults.archive_audit import AuditArchive
from faults.bus_impaired import ImpairBus
from faults.dynamodb_pause import PauseReplication
from faults.ecs_scale import ScaleEcsService
from faults.ecs_tasks import StopTasks
from faults.elbv2_attribute import SetGroupAttribute
from faults.elbv2_deregister import DeregisterTarget
from faults.elbv2_target import RegisterTarget
from faults.endpoint_replication import SetReplication
from faults.events_rule import SetRuleState
from faults.events_targets import RemoveTargets
from faults.fis_run import RunExperiment
from faults.health_check_disabled import DisableHealthCheck
from faults.health_check_inverted import InvertHealthCheck
from faults.lambda_concurrency import LimitFunction
from faults.lambda_variable import ChangeVariable
from faults.network_acl import DenyNetworkAcl
from faults.packet_loss import LosePackets
from faults.rds_global import MoveGlobalCluster
from faults.rds_instance import FailOverCluster
from faults.record_weight import SetRecordWeight
from faults.secret_policy import DenySecret
from faults.secret_replica import RemoveReplica
from faults.sns_filter import LoseMessages
from faults.sns_publish import PublishRdsEvent
from faults.ssm_run import RunDocument
from faults.start_machine import StartStateMachine
from faults.start_replay import ReplayArchive
from faults.stop_machine import StopStateMachine
from faults.table_policy import DenyTable
from tests.checks.cloud import DOCUMENT, GLOBAL, OREGON, RULE, SERVICES, Cloud
from tests.checks.worlds import OSAKA, TOKYO, eventually
from tests.faults.bus import ARCHIVE, AUDIT, CHECK, ENDPOINT, SWITCH
from tests.faults.events_source import (
    INSTANCES,
    RESOURCES,
    SOURCE_CLUSTER,
    fail_back,
    failed_over,
    forget_published,
    published,
)
from tests.faults.experiments import CLIENT, LOSING, TABLE, TEMPLATE, forget_all, started, table_arn

SERVICE = Resource(region=TOKYO, within="*SampleMultiRegionAppCluster*", name="*TransactionFargateService*")
WORKER = Resource(region=TOKYO, within="*SampleMultiRegionAppCluster*", name="*TransactionWorkerFargateService*")
AUTOMATION = Resource(region=OSAKA, name="BLEAFSI-CoreBanking-*")
WITNESS = Resource(region=OREGON, name="canaryAlerm-us-west-2*")
RUNBOOK = Resource(region=OSAKA, name=DOCUMENT)
DATABASE = Resource(region=OSAKA, name=GLOBAL)
FUNCTION = Resource(region=TOKYO, name="drilled")
SECRET = Resource(region=TOKYO, name="drilled")
STAGE = Resource(region=TOKYO, within="drilled", name="dev")
ALARM = Resource(region=OSAKA, name="pager")
RECORD = Resource(region=TOKYO, within="api.example.com", name="osaka")
NETWORK = Resource(region=TOKYO, name="app-*")
CELL = Resource(region="us-west-2", within="CoreBanking-ControlPanel", name="rc-osaka")
OTHER_CELL = Resource(region="us-west-2", within="CoreBanking-ControlPanel", name="rc-tokyo")
FLAGS = Resource(region=TOKYO, name="*SampleMultiRegionAppParamTable*")
FAILOVER = Resource(region=OSAKA, name="FailoverStateMachine*")
FAILBACK = Resource(region=OSAKA, name="FailbackStateMachine*")


def _nothing(made: Cloud) -> None:
    """The world is fit for the sample as it is."""


@dataclass(frozen=True)
class Sample:
    """fault: what is prepared; ready, undo: make the world fit for it, and as it was again.

    started: of an action: how many times it has been started; in_account: whether its ARNs name the account (those of
    API Gateway and Route 53 do not: there the account is held by the guard before the drill alone). keys: of the
    target, what is compared around it, to save time; none: everything. All samples together are compared with
    everything once.
    """

    name: str
    fault: Any
    ready: Callable[[Cloud], None] = _nothing
    undo: Callable[[Cloud], None] = _nothing
    started: Callable[[Cloud], int] = lambda made: 0
    in_account: bool = True
    keys: tuple[str, ...] = ()

    @property
    def as_found(self) -> bool:
        """Whether nothing is done to the world for it, before or after."""
        return self.ready is _nothing and self.undo is _nothing


def _enable(made: Cloud) -> None:
    made.client("events", OSAKA).enable_rule(Name=RULE)


def _disable(made: Cloud) -> None:
    made.client("events", OSAKA).disable_rule(Name=RULE)


def _executions(made: Cloud) -> int:
    machine = made.machines["FailbackStateMachineE5"]
    return len(made.client("stepfunctions", OSAKA).list_executions(stateMachineArn=machine)["executions"])


def _run_tasks(made: Cloud) -> None:
    """Two tasks of the service, which moto keeps as any task of that group."""
    subnet = made.client("ec2", TOKYO).describe_subnets()["Subnets"][0]["SubnetId"]
    made.client("ecs", TOKYO).run_task(
        cluster=made.clusters[TOKYO],
        taskDefinition="app",
        count=2,
        launchType="FARGATE",
        group=f"service:{SERVICES[0]}",
        networkConfiguration={"awsvpcConfiguration": {"subnets": [subnet]}},
    )


def _stop_tasks(made: Cloud) -> None:
    ecs, cluster = made.client("ecs", TOKYO), made.clusters[TOKYO]
    for task in ecs.list_tasks(cluster=cluster)["taskArns"]:
        ecs.stop_task(cluster=cluster, task=task)


def _stopped_tasks(made: Cloud) -> int:
    """Whether the running ones have been stopped."""
    ecs, cluster = made.client("ecs", TOKYO), made.clusters[TOKYO]
    return int(not ecs.list_tasks(cluster=cluster, desiredStatus="RUNNING")["taskArns"])


def _runbooks(made: Cloud) -> int:
    return len(made.client("ssm", OSAKA).describe_automation_executions()["AutomationExecutionMetadataList"])


def _replays(made: Cloud) -> int:
    return len(made.client("events", TOKYO).list_replays()["Replays"])


def _cluster(made: Cloud) -> dict[str, Any]:
    shown = made.client("rds", OSAKA).describe_global_clusters(GlobalClusterIdentifier=GLOBAL)["GlobalClusters"][0]
    return dict(shown)


def _writer(made: Cloud) -> str:
    return next(m["DBClusterArn"] for m in _cluster(made)["GlobalClusterMembers"] if m["IsWriter"])


def _moves(made: Cloud) -> int:
    """The one move that these tests make: under way, or done."""
    return int(_cluster(made)["Status"] != "available" or _writer(made) == made.writers[OSAKA])


def _whole(made: Cloud) -> bool:
    members = _cluster(made)["GlobalClusterMembers"]
    whole = all(m["SynchronizationStatus"] == "connected" for m in members)
    return _cluster(made)["Status"] == "available" and whole


def _back(made: Cloud) -> None:
    """The writer is in Tokyo again."""
    eventually(lambda: _whole(made))
    if _writer(made) != made.writers[TOKYO]:
        target = {"GlobalClusterIdentifier": GLOBAL, "TargetDbClusterIdentifier": made.writers[TOKYO]}
        made.client("rds", TOKYO).switchover_global_cluster(**target)
        eventually(lambda: _whole(made) and _writer(made) == made.writers[TOKYO])


STALE = {INSTANCES[1]: "10.105.1.254"}
EVENT = PublishRdsEvent(
    RESOURCES["events_topic"], SOURCE_CLUSTER, "RDS-EVENT-0073", "Started cross AZ failover to DB instance: i", 1
)


def _register(made: Cloud) -> None:
    made.client("elbv2", TOKYO).register_targets(**_only_target(made))


def _deregister(made: Cloud) -> None:
    made.client("elbv2", TOKYO).deregister_targets(**_only_target(made))


def _only_target(made: Cloud) -> dict[str, Any]:
    name = RESOURCES["source_target_group"].name
    group = made.client("elbv2", TOKYO).describe_target_groups(Names=[name])["TargetGroups"][0]["TargetGroupArn"]
    return {"TargetGroupArn": group, "Targets": [{"Id": "10.105.1.20"}]}


def _actions_off(made: Cloud) -> None:
    made.client("cloudwatch", OSAKA).disable_alarm_actions(AlarmNames=[ALARM.name])


def _actions_on(made: Cloud) -> None:
    made.client("cloudwatch", OSAKA).enable_alarm_actions(AlarmNames=[ALARM.name])


def _cells_on(made: Cloud) -> None:
    _set_cells(made, "rc-osaka")


def _cells_off(made: Cloud) -> None:
    _set_cells(made)


def _set_cells(made: Cloud, *on: str) -> None:
    for name, arn in made.controls.items():
        made.arc.update([(arn, "On" if name in on else "Off")])


CELLS = ("control_primary", "control_standby", "arc_cluster")
SERVED = ("transaction", "standby_transaction")
DRILLED = ("drilled_function", "database_secret", "drilled_stage")
ARMING = ("failover_targets", "auto_failover_rule")
BUS = ("impairment_parameter", "latency_health_check", "global_endpoint")


def _start_to_be_stopped(made: Cloud) -> None:
    """The executions that the runs of tests/faults/test_contract.py would have started; each name starts once."""
    states = made.client("stepfunctions", OSAKA)
    for run_id in ("crashed", "again"):
        with contextlib.suppress(states.exceptions.ExecutionAlreadyExists):
            states.start_execution(stateMachineArn=made.machines["FailoverStateMachineD4"], name=f"drill-{run_id}")


def _aborted(made: Cloud) -> int:
    states, machine = made.client("stepfunctions", OSAKA), made.machines["FailoverStateMachineD4"]
    return len(states.list_executions(stateMachineArn=machine, statusFilter="ABORTED")["executions"])


CHANGES = (
    Sample("service gone", ScaleEcsService(SERVICE, desired=0), keys=SERVED),
    Sample("services scaled at once", ScaleEcsService(SERVICE, desired=2, others=(WORKER,)), keys=SERVED),
    Sample("service grown", ScaleEcsService(SERVICE, desired=3), keys=SERVED),
    Sample("function stopped", LimitFunction(FUNCTION, concurrency=0), keys=DRILLED),
    Sample("secret denied", DenySecret(SECRET), keys=DRILLED),
    Sample("replica removed", RemoveReplica(SECRET, OSAKA), keys=DRILLED),
    Sample("stage throttled", ThrottleStage(STAGE), in_account=False, keys=DRILLED),
    Sample("alarm delayed", DelayAlarm(WITNESS, periods=5), keys=("observer_alarm", "standby_alarm")),
    Sample("rule armed", SetRuleState(AUTOMATION, "ENABLED"), keys=ARMING),
    Sample("rule disarmed", SetRuleState(AUTOMATION, "DISABLED"), _enable, _disable, keys=ARMING),
    Sample("bus impaired", ImpairBus(SWITCH, pause_s=48), keys=BUS),
    Sample("check inverted", InvertHealthCheck(CHECK), in_account=False, keys=BUS),
    Sample("check disabled", DisableHealthCheck(CHECK), in_account=False, keys=BUS),
    Sample("replication off", SetReplication(ENDPOINT, "DISABLED"), keys=BUS),
    Sample("messages lost", LoseMessages(RESOURCES["events_subscription"])),
    Sample("map stale", ChangeVariable(RESOURCES["switch_function"], "IP_DICT", STALE)),
    Sample("target too many", RegisterTarget(RESOURCES["source_target_group"], "10.105.1.10")),
    Sample("target taken out", DeregisterTarget(RESOURCES["source_target_group"]), _register, _deregister),
    Sample(
        "group set otherwise",
        SetGroupAttribute(RESOURCES["source_target_group"], "deregistration_delay.timeout_seconds", "60"),
    ),
    Sample("cell opened", SetRoutingControls(CELL, "On"), keys=CELLS),
    Sample(
        "cells swapped", SetRoutingControls(CELL, "Off", ((OTHER_CELL, "On"),)), _cells_on, _cells_off, keys=CELLS
    ),
    Sample("nobody told", SetAlarmActions(ALARM), keys=("pager_alarm", "standby_alarm")),
    Sample("people told", SetAlarmActions(ALARM, enabled=True), _actions_off, _actions_on, keys=("pager_alarm",)),
    Sample("rule without targets", RemoveTargets(AUTOMATION), keys=ARMING),
    Sample("record without weight", SetRecordWeight(RECORD, 0), in_account=False, keys=("osaka_record",)),
    Sample("network denied", DenyNetworkAcl(NETWORK), keys=("app_network_acl", "primary_network_acl")),
    Sample("flag not written", DenyTable(FLAGS, ("PutItem",)), keys=("stop_table", "global_table")),
)
ACTIONS = (
    Sample("tasks stopped", StopTasks(SERVICE, 300.0), _run_tasks, _stop_tasks, _stopped_tasks),
    Sample("machine started", StartStateMachine(FAILBACK, timeout_s=900.0), started=_executions),
    Sample("machine stopped", StopStateMachine(FAILOVER, 900.0), _start_to_be_stopped, started=_aborted),
    Sample("experiment run", RunExperiment(TEMPLATE, 60.0), undo=forget_all, started=started),
    Sample("replication paused", PauseReplication(TEMPLATE, TABLE, 60.0), undo=forget_all, started=started),
    Sample("packets lost", LosePackets(LOSING, CLIENT, 60.0), undo=forget_all, started=started),
    Sample("runbook run", RunDocument(RUNBOOK, timeout_s=900.0), started=_runbooks),
    Sample("archive replayed", ReplayArchive(ARCHIVE, timeout_s=900.0), started=_replays),
    Sample(
        "archive looked at",
        AuditArchive(ARCHIVE, AUDIT, timeout_s=900.0),
        started=_replays,
        keys=("primary_archive", "audit_rule"),
    ),
    Sample("event published", EVENT, undo=forget_published, started=published),
    Sample(
        "instance failed over",
        FailOverCluster(RESOURCES["source_db_cluster"], 180.0),
        undo=fail_back,
        started=failed_over,
    ),
    Sample("database switched over", MoveGlobalCluster(DATABASE, OSAKA, 900.0), undo=_back, started=_moves),
    Sample("database failed over", MoveGlobalCluster(DATABASE, OSAKA, 900.0, True), undo=_back, started=_moves),
)
SAMPLES = CHANGES + ACTIONS


def _limited(made: Cloud) -> None:
    made.client("lambda", TOKYO).put_function_concurrency(FunctionName=FUNCTION.name, ReservedConcurrentExecutions=5)


def _unlimited(made: Cloud) -> None:
    made.client("lambda", TOKYO).delete_function_concurrency(FunctionName=FUNCTION.name)


def _guarded_table(made: Cloud) -> None:
    made.client("dynamodb", TOKYO).put_resource_policy(ResourceArn=table_arn(made), Policy="{}")


def _unguarded_table(made: Cloud) -> None:
    made.client("dynamodb", TOKYO).delete_resource_policy(ResourceArn=table_arn(made))


def _guarded(made: Cloud) -> None:
    made.client("secretsmanager", TOKYO).put_resource_policy(SecretId=SECRET.name, ResourcePolicy="{}")


def _unguarded(made: Cloud) -> None:
    made.client("secretsmanager", TOKYO).delete_resource_policy(SecretId=SECRET.name)


VARIANTS = (
    Sample("limited function stopped", LimitFunction(FUNCTION, concurrency=0), _limited, _unlimited),
    Sample("guarded secret denied", DenySecret(SECRET), _guarded, _unguarded),
    Sample("guarded table denied", DenyTable(TABLE, ("GetItem",)), _guarded_table, _unguarded_table),
)
"""Changes that are put back by other calls, because there was a value before."""
