"""AWS FIS as the lab plays it: experiments that live, and replication that pauses while they run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.aws.cloudwatch import AlarmEngine
from lab.aws.dynamodb import GlobalTables
from lab.aws.fis import PAUSE, Experiments
from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.truth import Truth
from tests.lab.aws.test_dynamodb import OSAKA, TABLE, TOKYO, create, put, read, within

DURATION_S = 120


@pytest.fixture
def tables(server: AwsServer, clock: LabClock, truth: Truth) -> Iterator[GlobalTables]:
    """Two global tables, FIS, and alarms."""
    made = GlobalTables(server, clock, truth, lag_s=1.0)
    engines = (made, Experiments(server, made, clock, truth, pause_delay_s=5.0), AlarmEngine(server, clock, truth))
    for engine in engines:
        engine.start()
    for name in (TABLE, "other"):
        for region in (TOKYO, OSAKA):
            create(server, region, name)
        made.replicate(name, [TOKYO, OSAKA])
    server.client("cloudwatch", TOKYO).put_metric_alarm(
        AlarmName="stop",
        Namespace="x",
        MetricName="y",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",  # it stays as a test has set it
    )
    yield made
    for engine in reversed(engines):
        engine.stop()


def arn_of(server: AwsServer, name: str = TABLE) -> str:
    """A table in Tokyo."""
    return f"arn:aws:dynamodb:{TOKYO}:{server.account}:table/{name}"


def begin(server: AwsServer, duration: str = f"PT{DURATION_S}S", **said: Any) -> str:
    """Make a template that pauses the table, start an experiment of it, and return its id."""
    fis = server.client("fis", TOKYO)
    action = {"actionId": PAUSE, "parameters": {"duration": duration}, "targets": {"Global-Tables": "tables"}}
    target = {"resourceType": "aws:dynamodb:global-table", "selectionMode": "ALL", "resourceArns": [arn_of(server)]}
    alarm = f"arn:aws:cloudwatch:{TOKYO}:{server.account}:alarm:stop"
    base = {
        "description": "-",
        "roleArn": f"arn:aws:iam::{server.account}:role/fis",
        "stopConditions": [{"source": "aws:cloudwatch:alarm", "value": alarm}],
        "actions": {"pause": action},
        "targets": {"tables": target},
    }
    template = fis.create_experiment_template(**(base | said))["experimentTemplate"]["id"]
    return str(fis.start_experiment(experimentTemplateId=template, tags={"run": "1"})["experiment"]["id"])


def status(server: AwsServer, experiment: str) -> str:
    """How it stands."""
    return str(server.client("fis", TOKYO).get_experiment(id=experiment)["experiment"]["state"]["status"])


def policy(server: AwsServer) -> str | None:
    """The table's resource policy, None when it has none."""
    dynamodb = server.client("dynamodb", TOKYO)
    try:
        return str(dynamodb.get_resource_policy(ResourceArn=arn_of(server))["Policy"])
    except dynamodb.exceptions.PolicyNotFoundException:
        return None


def paused(server: AwsServer) -> bool:
    """Whether the table's policy denies replication."""
    return "WriteDataForReplication" in (policy(server) or "")


def test_replication_pauses_while_it_runs_and_catches_up(
    server: AwsServer, tables: GlobalTables, clock: LabClock
) -> None:
    """Both ways, that table alone, after a delay; when the experiment is over everything arrives."""
    began_s = clock.now_s()
    experiment = begin(server)
    assert within(10, lambda: status(server, experiment) == "running" and paused(server))
    clock.sleep(10.0)
    put(server, TOKYO, "a", "new")
    put(server, OSAKA, "b", "new")
    server.client("dynamodb", TOKYO).put_item(TableName="other", Item={"PK": {"S": "c"}, "SK": {"S": "tx"}})
    there = server.client("dynamodb", OSAKA)
    assert within(10, lambda: "Item" in there.get_item(TableName="other", Key={"PK": {"S": "c"}, "SK": {"S": "tx"}}))
    assert read(server, OSAKA, "a") is None or status(server, experiment) != "running"
    assert tables.pending(TOKYO) == 1 or status(server, experiment) != "running"
    assert within(10, lambda: status(server, experiment) == "completed")
    assert clock.now_s() - began_s >= DURATION_S
    assert within(10, lambda: read(server, OSAKA, "a") is not None and read(server, TOKYO, "b") is not None)
    assert policy(server) is None


def test_a_stopped_experiment_undoes_what_it_did(server: AwsServer, tables: GlobalTables) -> None:
    """StopExperiment ends it long before its time; of the table's own policy every other statement stays."""
    own = {"Sid": "own", "Effect": "Allow", "Principal": {"AWS": server.account}, "Action": "dynamodb:GetItem"}
    document = {"Version": "2012-10-17", "Statement": [own | {"Resource": arn_of(server)}]}
    dynamodb = server.client("dynamodb", TOKYO)
    dynamodb.put_resource_policy(ResourceArn=arn_of(server), Policy=json.dumps(document))
    experiment = begin(server, "PT12H")
    assert within(10, lambda: paused(server))
    server.client("fis", TOKYO).stop_experiment(id=experiment)
    assert within(10, lambda: status(server, experiment) == "stopped")
    assert json.loads(policy(server) or "") == document
    put(server, TOKYO, "a", "new")
    assert within(10, lambda: read(server, OSAKA, "a") is not None)


def test_a_stop_condition_stops_it(server: AwsServer, tables: GlobalTables) -> None:
    """Its alarm rings: stopped, and undone."""
    experiment = begin(server, "PT12H")
    assert within(10, lambda: paused(server))
    server.client("cloudwatch", TOKYO).set_alarm_state(AlarmName="stop", StateValue="ALARM", StateReason="test")
    assert within(10, lambda: status(server, experiment) == "stopped")
    assert policy(server) is None


def test_an_empty_target_fails_and_touches_nothing(server: AwsServer, tables: GlobalTables) -> None:
    """As AWS's default for targets that resolve to nothing."""
    target = {"resourceType": "aws:dynamodb:global-table", "selectionMode": "ALL", "resourceArns": []}
    experiment = begin(server, targets={"tables": target})
    assert within(10, lambda: status(server, experiment) == "failed")
    assert policy(server) is None


def test_a_start_that_is_repeated_is_the_same_experiment(server: AwsServer, tables: GlobalTables) -> None:
    """By its client token; ids look like AWS's, and the tags are the ones given."""
    fis = server.client("fis", TOKYO)
    begin(server)
    template = fis.list_experiment_templates()["experimentTemplates"][0]["id"]
    again = [fis.start_experiment(clientToken="t", experimentTemplateId=template)["experiment"] for _ in range(2)]
    assert again[0]["id"] == again[1]["id"]
    assert (template[:3], again[0]["id"][:3]) == ("EXT", "EXP")
    assert sorted(str(e["tags"]) for e in fis.list_experiments()["experiments"]) == ["{'run': '1'}", "{}"]


def test_an_action_that_is_not_played_is_refused(server: AwsServer, tables: GlobalTables) -> None:
    """When the template is made, by name; nothing pretends to have been broken."""
    with pytest.raises(ClientError, match="does not play fis CreateExperimentTemplate"):
        begin(server, actions={"stop": {"actionId": "aws:ecs:stop-task", "targets": {"Tasks": "tables"}}})
