"""Puts a stored Change back when its drill no longer can: read, compare, write, read back. See drill/restore.py.

Runs in Lambda. What became of a Change is written beside it. What fails is tried again until the time is nearly over.
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
SETTLE_S, LOOK_S = float(os.environ.get("SETTLE_S", "10")), 2
CONFIG = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 3})
Json = dict[str, Any]


def handler(event: Json, context: Any) -> Json:
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
            return {"outcome": outcome}
        if context.get_remaining_time_in_millis() < SPARE_MS:
            raise RuntimeError(str(detail))
        time.sleep(PAUSE_S)


def _put_back(change: Json) -> tuple[str, Json]:
    seen, settled = _look(change), time.monotonic() + SETTLE_S
    while not _ours(seen) and time.monotonic() < settled:
        time.sleep(LOOK_S)  # a reply may be old, so only what every look says is believed
        seen = _look(change)
    if not _ours(seen):
        as_before = "restored" if "sent" in change else "as before"
        return as_before if all(fact["holds"] for fact in seen["before"]) else "left alone", seen
    change["sent"] = True
    for call in change["restore"]:
        _call(call)
    seen = _look(change)
    return "restored" if all(fact["holds"] for fact in seen["before"]) else "failed", seen


def _ours(seen: Json) -> bool:
    """Whether it is as the drill broke it, wholly or half."""
    as_before = [(f["call"], f["path"]) for f in seen["before"] if f["holds"]]
    half = all(f["holds"] or (f["call"], f["path"]) in as_before for f in seen["faulted"])
    return half and not all(f["holds"] for f in seen["before"])


def _look(change: Json) -> Json:
    replies: Json = {}
    return {kind: [_read(fact, replies) for fact in change[kind]] for kind in ("before", "faulted")}


def _read(fact: Json, replies: Json) -> Json:
    key = json.dumps(fact["call"])
    try:
        replies[key] = replies.get(key) or _call(fact["call"])
    except ClientError as error:
        if error.response["Error"]["Code"] not in fact.get("absent", ()):
            raise
    observed = jmespath.search(fact["path"], replies.get(key, {}))
    return {**fact, "observed": observed, "holds": observed == fact["equals"]}


def _fence(change: Json) -> None:
    """A drill of this run that wakes later finds a higher epoch in its lock, and changes nothing more."""
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


def _note(key: str, outcome: str, detail: Json) -> None:
    words = {
        ":o": outcome,
        ":d": json.dumps(detail, default=str),
        ":t": time.strftime("%FT%TZ", time.gmtime(time.time())),
    }
    values = {name: {"S": word} for name, word in words.items()}
    update = "SET outcome = :o, detail = :d, fired_at = :t"
    _table("update_item", key, UpdateExpression=update, ExpressionAttributeValues=values)


def _call(call: Json) -> Any:
    """The reply; where there are endpoints, of the first that answers. The last one's error when none does."""
    places = call.get("endpoints") or {call["region"]: None}
    for number, (region, url) in enumerate(places.items(), start=1):
        client = boto3.client(call["service"], region_name=region, endpoint_url=url, config=CONFIG)
        try:
            return getattr(client, xform_name(call["operation"]))(**call["params"])
        except (BotoCoreError, ClientError):
            if number == len(places):
                raise


def _table(method: str, key: str, **more: Any) -> Any:
    client = boto3.client("dynamodb", config=CONFIG)
    return getattr(client, method)(TableName=TABLE, Key={"PK": {"S": key}}, **more)
