"""Reads the configuration of AWS by calls that only read, within a time, and leaves out what changes by itself."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from drill.aws import Aws, AwsFailed
from drill.call import Call
from drill.clock import Clock
from drill.errors import DrillError

LIMIT_S = 90.0
"""Wall seconds for one snapshot; what has not been read by then is unknown."""
READING = ("Describe", "Get", "List")
COULD_NOT_READ = (DrillError, ClientError, BotoCoreError, LookupError, TypeError, ValueError)
"""What reading may meet: AWS says no or nothing, none or several matches, a reply of another shape."""

VOLATILE: Mapping[str, frozenset[str]] = {
    "DescribeServices": frozenset(
        # What runs, as opposed to what is wished for; `runningCount` is kept where it is settled (see `_settled`).
        {"events", "deployments", "taskSets", "pendingCount", "currentServiceDeployment", "currentServiceRevisions"}
    ),
    "DescribeScalableTargets": frozenset({"PredictedCapacity"}),
    "DescribeArchive": frozenset({"EventCount", "SizeBytes", "CreationTime"}),
    "DescribeAlarms": frozenset({"StateValue", "StateReason", "StateReasonData", "EvaluationState"}),
    "DescribeStateMachine": frozenset({"revisionId"}),
    "DescribeGlobalClusters": frozenset({"SynchronizationStatus"}),
    "DescribeDBClusters": frozenset(
        {"AllocatedStorage", "Capacity", "PercentProgress", "BacktrackConsumedChangeRecords"}
    ),
    "DescribeTable": frozenset(
        {"ItemCount", "TableSizeBytes", "IndexSizeBytes", "NumberOfDecreasesToday", "WarmThroughput"}
    ),
    "GetHealthCheck": frozenset({"HealthCheckVersion"}),
    "GetParameter": frozenset({"Version"}),
    "GetFunctionConfiguration": frozenset({"RevisionId", "LastModified", "LastUpdateStatus"}),
    # How a target stands goes up and down by itself; who is registered does not.
    "DescribeTargetHealth": frozenset({"TargetHealth"}),
    "GetHostedZone": frozenset({"ResourceRecordSetCount"}),
}
"""Fields that change without anybody changing the configuration: states, measured sizes, counters. By operation, at
any depth. Of every reply the timestamps, the paging and the metadata of the request go too."""
PAGING = frozenset({"ResponseMetadata", "NextToken", "nextToken", "Marker", "NextMarker", "MaxItems", "IsTruncated"})
HASHED: Mapping[str, frozenset[str]] = {
    "DescribeStateMachine": frozenset({"definition"}),
    "ListTargetsByRule": frozenset({"Input", "InputTemplate"}),
    "GetDocument": frozenset({"Content"}),
    "GetFunctionConfiguration": frozenset({"Environment"}),
}
"""Long texts that may hold what is nobody's business: only whether they changed is of interest."""


class Reader:
    """Makes the calls of one snapshot. A Region that does not answer once is not asked again: its rest is unknown.

    clock: for the limit of LIMIT_S wall seconds.
    """

    def __init__(self, aws: Aws, clock: Clock) -> None:
        self._aws, self._clock = aws, clock
        self._end_s = clock.monotonic_s() + LIMIT_S
        self._silent: dict[str, str] = {}

    def require_time(self, region: str) -> None:
        """ValueError when time is over, or when that Region has not answered before."""
        if self._clock.monotonic_s() > self._end_s:
            raise ValueError(f"not read: the snapshot took more than {LIMIT_S:g} s")
        if region in self._silent:
            raise ValueError(f"not read: {region} did not answer before ({self._silent[region]})")

    def note(self, region: str, error: BaseException) -> None:
        """Remember a Region that did not answer: no reply at all, as opposed to one that says no."""
        for cause in (error, error.__cause__):
            if isinstance(cause, BotoCoreError) and region:
                self._silent[region] = type(cause).__name__

    def read(self, call: Call, endpoint: str | None = None) -> dict[str, Any]:
        """The cleaned reply. AwsFailed or ValueError when there is none, or not all of it."""
        if not call.operation.startswith(READING):
            raise ValueError(f"{call.service}:{call.operation} is not a reading call")
        self.require_time(call.region)
        reply = self._reply(call, endpoint)
        if reply.get("NextToken") or reply.get("nextToken"):
            raise ValueError(f"{call.service}:{call.operation} has more than one page: part of it was not read")
        return clean(call.operation, reply)

    def _reply(self, call: Call, endpoint: str | None) -> dict[str, Any]:
        if endpoint is None:
            return self._aws.run(call)
        client = self._aws.client(call.service, call.region, endpoint_url=endpoint)
        try:
            reply: dict[str, Any] = client.get_routing_control_state(**call.params)
        except (ClientError, BotoCoreError) as error:
            raise AwsFailed(f"{call.service}:{call.operation} at {endpoint} failed: {error}") from error
        return reply


def clean(operation: str, reply: Mapping[str, Any]) -> dict[str, Any]:
    """A reply of that operation as JSON, without what changes by itself."""
    dropped = VOLATILE.get(operation, frozenset()) | PAGING
    settled = _settled(reply) if operation == "DescribeServices" else reply
    plain = _plain(settled, dropped, HASHED.get(operation, frozenset()))
    assert isinstance(plain, dict)
    return plain


def _settled(reply: Mapping[str, Any]) -> dict[str, Any]:
    """Running counts only where they stand still: None while tasks come or go, whatever the number is just then."""
    services = [
        {**s, "runningCount": s["runningCount"] if s["runningCount"] == s["desiredCount"] else None}
        for s in reply.get("services", ())
    ]
    return {**reply, "services": services}


def _plain(value: Any, dropped: frozenset[str], hashed: frozenset[str]) -> Any:
    if isinstance(value, Mapping):
        return {
            str(k): _digest(v) if k in hashed else _plain(v, dropped, hashed)
            for k, v in sorted(value.items())
            if k not in dropped and not isinstance(v, datetime)
        }
    if isinstance(value, list | tuple):
        return [_plain(item, dropped, hashed) for item in value if not isinstance(item, datetime)]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _digest(value: Any) -> str:
    return "sha256:" + hashlib.sha256(str(value).encode()).hexdigest()
