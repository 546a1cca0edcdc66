"""Puts a stored Change back when the drill that made it no longer can: read, compare, write, read back.

Runs in AWS Lambda, installed by `drill install`. What became of a Change is written beside it. An attempt that fails
is made again until the function's time is nearly over, and then by Lambda, twice.
"""

import json
import os
import time
from typing import Any

import boto3
import jmespath
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

TABLE = os.environ["TABLE"]
PAUSE_S, SPARE_MS = 15, 60_000
CONFIG = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 3})
Facts = list[dict[str, Any]]


def handler(event: dict[str, str], context: Any) -> dict[str, Any]:
    """event: {"key": the Change's PK in the table}. Raises when it could not be put back."""
    item = _table("get_item", event["key"], ConsistentRead=True)["Item"]
    if item["outcome"]["S"] == "disarmed":
        return {"outcome": "disarmed"}
    change = json.loads(item["change"]["S"])
    while True:
        try:
            _fence(change)
            outcome, detail = _put_back(change)
        except (BotoCoreError, ClientError) as error:
            outcome, detail = "failed", {"error": str(error)}
        _note(event["key"], outcome, detail)
        if outcome != "failed":
            return {"outcome": outcome, **detail}
        if context.get_remaining_time_in_millis() < SPARE_MS:
            raise RuntimeError(json.dumps(detail))
        time.sleep(PAUSE_S)


def _put_back(change: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    before = _read(change["before"])
    if all(fact["holds"] for fact in before):
        return "restored" if "sent" in change else "as before", {"before": before}
    faulted = _read(change["faulted"])
    as_before = [_about(fact) for fact in before if fact["holds"]]
    if not all(fact["holds"] or _about(fact) in as_before for fact in faulted):
        return "left alone", {"faulted": faulted, "before": before}
    change["sent"] = True
    for call in change["restore"]:
        _call(call)
    after = _read(change["before"])
    return "restored" if all(fact["holds"] for fact in after) else "failed", {"before": after}


def _fence(change: dict[str, Any]) -> None:
    """A drill of this run that wakes later finds a higher epoch in its target's lock, and changes nothing more."""
    more = {
        "ConditionExpression": "#h.run_id = :run",
        "ExpressionAttributeNames": {"#h": "holder"},
        "ExpressionAttributeValues": {":one": {"N": "1"}, ":run": {"S": change["run_id"]}},
    }
    try:
        _table("update_item", f"lock#{change['target']}", UpdateExpression="ADD epoch :one", **more)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise


def _note(key: str, outcome: str, detail: dict[str, Any]) -> None:
    words = {":o": outcome, ":d": json.dumps(detail), ":t": time.strftime("%FT%TZ", time.gmtime(time.time()))}
    values = {name: {"S": word} for name, word in words.items()}
    _table(
        "update_item",
        key,
        UpdateExpression="SET outcome = :o, detail = :d, fired_at = :t",
        ExpressionAttributeValues=values,
    )


def _read(facts: Facts) -> Facts:
    seen = [{**fact, "observed": jmespath.search(fact["path"], _call(fact["call"]))} for fact in facts]
    return [{**fact, "holds": fact["observed"] == fact["equals"]} for fact in seen]


def _about(fact: dict[str, Any]) -> Any:
    return fact["call"], fact["path"]


def _call(call: dict[str, Any]) -> Any:
    client = boto3.client(call["service"], region_name=call["region"], config=CONFIG)
    return getattr(client, xform_name(call["operation"]))(**call["params"])


def _table(method: str, key: str, **more: Any) -> Any:
    client = boto3.client("dynamodb", config=CONFIG)
    return getattr(client, method)(TableName=TABLE, Key={"PK": {"S": key}}, **more)
