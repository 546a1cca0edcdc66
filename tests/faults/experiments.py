"""Experiment templates of AWS FIS, a global table and a client instance, in the account of tests/checks/cloud.py, and
FIS and Run Command living."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from moto.fis.models import fis_backends

from drill.target import Resource
from lab.aws.dynamodb import GlobalTables
from lab.aws.fis import PAUSE, SEND_COMMAND, Experiments
from lab.aws.run_command import DOCUMENT, Commands
from tests.checks.cloud import DATA_TABLE, ROLE, Cloud
from tests.checks.worlds import OSAKA, TOKYO, eventually

TEMPLATE = Resource(region=TOKYO, name="pause-data")
TABLE = Resource(region=TOKYO, name=DATA_TABLE)
LOSING = Resource(region=TOKYO, name="lose-packets")
CLIENT = Resource(region=TOKYO, name="core-banking-bastion")
LOSS = {"LossPercent": "30", "Sources": "127.100.5.165,127.100.9.84", "DurationSeconds": "1200"}
EXPERIMENTS = {"pause_experiment": TEMPLATE, "loss_experiment": LOSING}
"""Keys for the target."""
ALARM = "experiments-stop"


def stop_condition(made: Cloud) -> list[dict[str, str]]:
    """The alarm that would stop an experiment."""
    arn = f"arn:aws:cloudwatch:{TOKYO}:{made.server.account}:alarm:{ALARM}"
    return [{"source": "aws:cloudwatch:alarm", "value": arn}]


def table_arn(made: Cloud) -> str:
    """The data's table in Tokyo."""
    return f"arn:aws:dynamodb:{TOKYO}:{made.server.account}:table/{DATA_TABLE}"


def pausing(made: Cloud, lasts: str = "PT1H", **said: Any) -> dict[str, Any]:
    """What a template says that pauses the data's table for so long, with what is `said` otherwise."""
    action = {"actionId": PAUSE, "parameters": {"duration": lasts}, "targets": {"Global-Tables": "tables"}}
    target = {"resourceType": "aws:dynamodb:global-table", "selectionMode": "ALL", "resourceArns": [table_arn(made)]}
    base = {
        "clientToken": "any",
        "description": "replication paused",
        "roleArn": ROLE,
        "stopConditions": stop_condition(made),
        "actions": {"pause": action},
        "targets": {"tables": target},
        "tags": {"Name": TEMPLATE.name},
    }
    return base | said


def losing(made: Cloud, **said: Any) -> dict[str, Any]:
    """What a template says by which the client loses packets for 20 minutes, with what is `said` otherwise of the
    document's parameters."""
    parameters = {
        "documentArn": f"arn:aws:ssm:{TOKYO}::document/{DOCUMENT}",
        "documentParameters": json.dumps({**LOSS, **said}),
        "duration": "PT20M",
    }
    action = {"actionId": SEND_COMMAND, "parameters": parameters, "targets": {"Instances": "client"}}
    target = {"resourceType": "aws:ec2:instance", "selectionMode": "ALL", "resourceArns": [instance_arn(made)]}
    return pausing(
        made,
        clientToken=f"losing {said}",
        actions={"lose": action},
        targets={"client": target},
        tags={"Name": LOSING.name},
    )


def instance_arn(made: Cloud) -> str:
    """The clients' host."""
    return f"arn:aws:ec2:{TOKYO}:{made.server.account}:instance/{instance_id(made)}"


def instance_id(made: Cloud) -> str:
    """Its id."""
    named = [{"Name": "tag:Name", "Values": [CLIENT.name]}]
    (reservation,) = made.client("ec2", TOKYO).describe_instances(Filters=named)["Reservations"]
    return str(reservation["Instances"][0]["InstanceId"])


def make_template(made: Cloud, said: Mapping[str, Any]) -> str:
    """Create one; its id."""
    reply = made.client("fis", TOKYO).create_experiment_template(**said)
    return str(reply["experimentTemplate"]["id"])


@contextmanager
def experiments(made: Cloud, lasts: str = "PT1H") -> Iterator[Experiments]:
    """The alarm, three templates (so that "*" is ambiguous), the table a global one, and FIS that lives."""
    clock, truth = made.server.clock, made.truth
    tables = GlobalTables(made.server, clock, truth, lag_s=1.0)
    commands = Commands(clock, truth, [])
    commands.add(instance_id(made))
    living = Experiments(made.server, tables, clock, truth, commands=commands)
    made.client("cloudwatch", TOKYO).put_metric_alarm(
        AlarmName=ALARM,
        Namespace="bank",
        MetricName="errors",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",
    )
    tables.replicate(DATA_TABLE, [TOKYO, OSAKA])
    tables.start()
    commands.start()
    living.start()
    try:
        make_template(made, pausing(made, lasts))
        make_template(made, pausing(made, lasts, clientToken="other", tags={"Name": "other"}))
        make_template(made, losing(made))
        made.target = made.target.model_copy(update={"resources": {**made.target.resources, **EXPERIMENTS}})
        yield living
    finally:
        living.stop()
        commands.stop()
        tables.stop()


def told(made: Cloud) -> list[dict[str, Any]]:
    """Every experiment."""
    return list(made.client("fis", TOKYO).list_experiments()["experiments"])


def started(made: Cloud) -> int:
    """How many experiments there are."""
    return len(told(made))


def stopped(made: Cloud) -> int:
    """How many of them have been stopped, or are about to be."""
    return sum(e["state"]["status"] in ("stopping", "stopped") for e in told(made))


def forget_all(made: Cloud) -> None:
    """Every experiment is over, and as if it had never been: each test starts its own by the same token."""
    fis = made.client("fis", TOKYO)
    for one in told(made):
        if one["state"]["status"] in ("pending", "initiating", "running"):
            fis.stop_experiment(id=one["id"])
    eventually(lambda: all(e["state"]["status"] in ("completed", "stopped", "failed") for e in told(made)))
    backend = fis_backends[made.server.account][TOKYO]
    backend.experiments.clear()
    backend._client_token_to_experiment_id.clear()


def forget_template(made: Cloud, name: str) -> None:
    """The templates of that name, which a test has made, are no more."""
    fis = made.client("fis", TOKYO)
    for template in fis.list_experiment_templates()["experimentTemplates"]:
        if template["tags"]["Name"] == name:
            fis.delete_experiment_template(id=template["id"])


def all_running(made: Cloud) -> bool:
    """Whether every experiment runs."""
    return all(e["state"]["status"] == "running" for e in told(made))
