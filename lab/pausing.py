"""What a drill team deploys beside a system so that FIS may pause the replication of a global table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lab.aws.fis import PAUSE

TEMPLATE, ALARM = "pause-replication", "drills-stop"
LONGEST = "PT45M"
"""Longer than a drill needs; whoever is done sooner stops the experiment."""
DELAY_S = 60.0
"""Lab seconds from the begin of the action until nothing is replicated any more: AWS's "up to 5 minutes"."""


def deploy(client: Callable[[str, str], Any], region: str, account: str, table: str, tags: Mapping[str, str]) -> None:
    """An alarm as stop condition, and the template, named by its tag; table and template bear `tags`."""
    client("cloudwatch", region).put_metric_alarm(
        AlarmName=ALARM,
        Namespace="Drills",
        MetricName="StopEverything",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
    )
    place = f"{region}:{account}"
    arn = f"arn:aws:dynamodb:{place}:table/{table}"
    if tags:
        pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
        client("dynamodb", region).tag_resource(ResourceArn=arn, Tags=pairs)
    client("fis", region).create_experiment_template(
        description=f"pauses the replication of {table}",
        roleArn=f"arn:aws:iam::{account}:role/fis",
        stopConditions=[{"source": "aws:cloudwatch:alarm", "value": f"arn:aws:cloudwatch:{place}:alarm:{ALARM}"}],
        actions={
            "pause": {"actionId": PAUSE, "parameters": {"duration": LONGEST}, "targets": {"Global-Tables": "tables"}}
        },
        targets={
            "tables": {
                "resourceType": "aws:dynamodb:global-table",
                "resourceArns": [arn],
                "selectionMode": "ALL",
            }
        },
        tags={"Name": TEMPLATE, **tags},
    )
