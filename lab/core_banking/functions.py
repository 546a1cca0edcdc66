"""The system's three Lambda functions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from lab.aws.functions import FunctionContext

PROXY_TIMEOUT_S = 15.0
CHECK_TIMEOUT_S = 30.0

Handler = Callable[[dict[str, Any], FunctionContext], Any]


def _snake(operation: str) -> str:
    """PutItem -> put_item, as boto3 names its methods."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", operation).lower()


def _plain(value: Any) -> Any:
    """What JSON can carry: dates become text."""
    return json.loads(json.dumps(value, default=lambda v: v.isoformat() if isinstance(v, datetime) else str(v)))


def proxy(event: dict[str, Any], context: FunctionContext) -> Any:
    """Call `service`.`action` with `parameters` in `targetRegion`, at `endpoint` when one is given."""
    client = context.client(event["service"], event["targetRegion"], endpoint_url=event.get("endpoint"))
    answer = getattr(client, _snake(event["action"]))(**event["parameters"])
    answer.pop("ResponseMetadata", None)
    return _plain(answer)


def check_running_status(machines: Sequence[str]) -> Handler:
    """A handler that says whether none of `machines` (ARNs) has an execution running."""

    def handler(event: dict[str, Any], context: FunctionContext) -> Mapping[str, Any]:
        states = context.client("stepfunctions", context.region)
        running = {
            arn: len(states.list_executions(stateMachineArn=arn, statusFilter="RUNNING")["executions"])
            for arn in machines
        }
        return {"bothIdle": not any(running.values()), "running": running}

    return handler


def check_two_region_alarms(alarms: Mapping[str, str]) -> Handler:
    """A handler that says whether the alarms (by Region) are all in ALARM."""

    def handler(event: dict[str, Any], context: FunctionContext) -> Mapping[str, Any]:
        found = {}
        for region, name in alarms.items():
            cloudwatch = context.client("cloudwatch", region)
            answer = cloudwatch.describe_alarms(AlarmNames=[name], StateValue="ALARM")
            found[region] = [alarm["AlarmName"] for alarm in answer["MetricAlarms"]]
        return {"bothInAlarm": all(found.values()), "inAlarm": found}

    return handler
