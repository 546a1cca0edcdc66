"""What AWS itself stamped: gathered once, at the end of a drill, for the report.

These instants come from AWS's clocks (in a lab: from lab time) and are shown beside ours with the clock's name;
nothing is judged by them, because subtracting one clock from another proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from checks.server_lag import SOURCE, lag_stamps
from checks.signals import COULD_NOT_LOOK, list_executions, pages, reason
from drill.find import Clients, Found, find
from drill.target import Target

MAX_ITEMS = 500
"""At most this many stamps per source (one alarm, one execution, one Region's events, one canary)."""
MAX_EXECUTIONS_READ = 20
MAX_CAUSE = 300
"""Characters of an execution's error and of its cause; a function's traceback is no evidence."""
MACHINES = ("initiator_machine", "failover_machine", "failback_machine")

Stamp = dict[str, Any]
"""{"source": whose clock, "region", "name": of the thing, "at": ISO 8601 with offset, "detail"}."""


def harvest(aws: Clients, target: Target, since: datetime) -> list[Stamp]:
    """Every server-side timestamp from `since` on, in the order of the instants.

    since: an aware instant of AWS's own clock (lab time in a lab). A source that could not be read becomes one
    stamp with at None and the reason in detail; it never fails the drill, whose evidence is complete without it.
    """
    if since.tzinfo is None:
        raise ValueError("since must carry a time zone: AWS's stamps do")
    stamps = [stamp for source in _sources(aws, target, since) for stamp in source]
    return sorted(stamps, key=lambda s: (s["at"] is None, s["at"] or "", s["source"], s["name"]))


def _sources(aws: Clients, target: Target, since: datetime) -> Iterator[list[Stamp]]:
    for key in sorted(target.resources):
        if key.endswith("_alarm"):
            yield _guarded("cloudwatch alarm history", key, lambda key=key: _alarm(aws, target, key, since))
        if key in MACHINES:
            yield _guarded("states execution history", key, lambda key=key: _machine(aws, target, key, since))
    regions = target.regions
    for region in dict.fromkeys((regions.primary, regions.standby)):
        yield _guarded("rds events", region, lambda region=region: _rds_events(aws, region, since))
    for region in dict.fromkeys((regions.primary, regions.standby, regions.observer)):
        yield _guarded("synthetics canary runs", region, lambda region=region: _canaries(aws, region, since))
    for name, metric in sorted(target.lag_metrics.items()):
        yield _guarded(SOURCE, name, lambda name=name, metric=metric: lag_stamps(aws, name, metric, since))


def _guarded(source: str, name: str, read: Any) -> list[Stamp]:
    try:
        return list(read())
    except COULD_NOT_LOOK as error:
        return [{"source": source, "region": "", "name": name, "at": None, "detail": reason(error)}]


def _stamp(source: str, region: str, name: str, at: datetime, detail: str) -> Stamp:
    return {"source": source, "region": region, "name": name, "at": at.isoformat(), "detail": detail}


def _alarm(aws: Clients, target: Target, key: str, since: datetime) -> Iterator[Stamp]:
    found = find(aws, target, key)
    paginator = aws.client("cloudwatch", found.region).get_paginator("describe_alarm_history")
    limit = {"MaxItems": MAX_ITEMS}
    shown = paginator.paginate(
        AlarmName=found.name, HistoryItemType="StateUpdate", StartDate=since, PaginationConfig=limit
    )
    for item in (item for page in shown for item in page["AlarmHistoryItems"]):
        if item["Timestamp"] >= since:
            source = "cloudwatch alarm history"
            yield _stamp(source, found.region, found.name, item["Timestamp"], item.get("HistorySummary", ""))


def _machine(aws: Clients, target: Target, key: str, since: datetime) -> Iterator[Stamp]:
    found = find(aws, target, key)
    recent = [e for e in list_executions(aws, found) if e["startDate"] >= since]
    newest = sorted(recent, key=lambda e: e["startDate"])[-MAX_EXECUTIONS_READ:]
    for execution in newest:
        yield from _execution(aws, found, execution)


def _execution(aws: Clients, machine: Found, execution: dict[str, Any]) -> Iterator[Stamp]:
    paginator = aws.client("stepfunctions", machine.region).get_paginator("get_execution_history")
    shown = paginator.paginate(executionArn=execution["executionArn"], PaginationConfig={"MaxItems": MAX_ITEMS})
    for event in (event for page in shown for event in page["events"]):
        if event["type"].startswith("Execution") or event["type"].endswith(("StateEntered", "StateExited")):
            detail = f"{event['type']} {_state_name(event) or _why(event)}".rstrip()
            yield _stamp("states execution history", machine.region, machine.name, event["timestamp"], detail)


def _state_name(event: dict[str, Any]) -> str:
    details = event.get("stateEnteredEventDetails") or event.get("stateExitedEventDetails") or {}
    return str(details.get("name", ""))


def _why(event: dict[str, Any]) -> str:
    """Error and cause of an execution that ended badly."""
    key = f"{event['type'][0].lower()}{event['type'][1:]}EventDetails"
    details = event.get(key) or {}
    return ": ".join(str(details[name])[:MAX_CAUSE] for name in ("error", "cause") if details.get(name))


def _rds_events(aws: Clients, region: str, since: datetime) -> Iterator[Stamp]:
    paginator = aws.client("rds", region).get_paginator("describe_events")
    limit = {"MaxItems": MAX_ITEMS}
    for page in paginator.paginate(SourceType="db-cluster", StartTime=since, PaginationConfig=limit):
        for event in page["Events"]:
            if event["Date"] >= since:
                yield _stamp("rds events", region, event["SourceIdentifier"], event["Date"], event["Message"])


def _canaries(aws: Clients, region: str, since: datetime) -> Iterator[Stamp]:
    synthetics = aws.client("synthetics", region)
    for last in pages(synthetics.describe_canaries_last_run, "CanariesLastRun"):
        for run in pages(synthetics.get_canary_runs, "CanaryRuns", Name=last["CanaryName"])[:MAX_ITEMS]:
            yield from _canary_run(region, last["CanaryName"], run, since)


def _canary_run(region: str, name: str, run: dict[str, Any], since: datetime) -> Iterator[Stamp]:
    timeline, status = run.get("Timeline", {}), run.get("Status", {})
    said = {"Started": "started", "Completed": status.get("State", "?")}
    for key, detail in said.items():
        at = timeline.get(key)
        if at is not None and at >= since:
            yield _stamp("synthetics canary runs", region, name, at, detail)
