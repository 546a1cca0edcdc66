"""What a drill team deploys beside a system so that it may be drilled with AWS FIS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.stack_parts import Client

ALARM = "drills-stop"


def stop_condition(client: Client, region: str, account: str) -> list[dict[str, str]]:
    """The alarm that stops every experiment of the Region, made if it is not there, as a template names it."""
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
    return [{"source": "aws:cloudwatch:alarm", "value": f"arn:aws:cloudwatch:{region}:{account}:alarm:{ALARM}"}]


def template(
    client: Client,
    region: str,
    account: str,
    tags: Mapping[str, str],
    description: str,
    action: Mapping[str, Any],
    targets: Mapping[str, tuple[str, str]],
) -> None:
    """An experiment template of one action, with that stop condition; its tag Name names it.

    targets: target name -> (resource type, ARN of the one resource).
    """
    client("fis", region).create_experiment_template(
        description=description,
        roleArn=f"arn:aws:iam::{account}:role/fis",
        stopConditions=stop_condition(client, region, account),
        actions={"action": dict(action)},
        targets={
            name: {"resourceType": kind, "resourceArns": [arn], "selectionMode": "ALL"}
            for name, (kind, arn) in targets.items()
        },
        tags=dict(tags),
    )
