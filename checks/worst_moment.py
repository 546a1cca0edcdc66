"""When a return has to be started for its own outage to ring an alarm after it is over.

A machine that closes the service while it moves it home fails the canaries. Their alarm is evaluated at the end of a
minute, over two failed runs; what it sets off looks whether the machine still runs. Whether it does is a matter of
seconds: a return at any moment would expose that weak point by luck. So the moment is worked out from what AWS shows,
the canary's second of the minute and how long the machine took on its way there; drill time is AWS's own seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from drill.errors import Invalid
from drill.find import Clients, find
from drill.target import Target

MINUTE_S = 60.0
CLOSED_AFTER_S = 8.0
"""The service is closed within this of the machine's start: its stop flag is believed for up to 10 s."""


@dataclass(frozen=True)
class Moment:
    """Start in wait_s seconds; margin_s is how far every instant then lies on its right side, below 0 it does not."""

    wait_s: float
    margin_s: float

    def __str__(self) -> str:
        said = "no moment lets the alarm ring after the machine's end; the best misses it by"
        return f"in {self.wait_s:.0f} s, " + (
            f"with {self.margin_s:.0f} s to spare" if self.margin_s > 0 else f"{said} {-self.margin_s:.0f} s"
        )


def moment_of(now_s: float, canary_s: float, machine_s: float) -> Moment:
    """The best of the next minute's seconds. All in seconds since the epoch, of one clock.

    canary_s: when any run of the canary began; machine_s: how long the machine runs.
    """
    waits = [float(wait) for wait in range(2, 2 + int(MINUTE_S))]
    return max((Moment(w, margin_s(now_s + w, canary_s, machine_s)) for w in waits), key=lambda m: m.margin_s)


def margin_s(start_s: float, canary_s: float, machine_s: float) -> float:
    """How far a return that starts then is from not ringing after its end; at most 0: it does not, for sure.

    Two runs must fall into the time that it is closed, the one before them before it, and the second one's minute
    must end when the machine has.
    """
    closed_s, end_s = start_s + CLOSED_AFTER_S, start_s + machine_s
    first_s = canary_s - (canary_s - closed_s) // MINUTE_S * MINUTE_S
    second_s = first_s + MINUTE_S
    evaluated_s = second_s // MINUTE_S * MINUTE_S + MINUTE_S
    return min(first_s - closed_s, start_s + MINUTE_S - first_s, end_s - second_s, evaluated_s - end_s)


def worst_moment(aws: Clients, target: Target) -> Moment:
    """That moment for the target's failback machine and standby alarm. Invalid when AWS does not show enough."""
    reply = aws.client("synthetics", target.regions.standby).describe_canaries_last_run()
    now = parsedate_to_datetime(reply["ResponseMetadata"]["HTTPHeaders"]["date"])
    name = _canary_of(aws, target)
    began = [r["LastRun"]["Timeline"]["Started"] for r in reply["CanariesLastRun"] if r["CanaryName"] == name]
    if not began:
        raise Invalid(
            f"canary {name!r} of {target.regions.standby} has not run: nobody knows its second of the minute"
        )
    canary: datetime = began[0]
    return moment_of(now.timestamp(), canary.timestamp(), _machine_took_s(aws, target))


def _canary_of(aws: Clients, target: Target) -> str:
    """The canary that the standby Region's alarm watches, "" for none."""
    alarm = find(aws, target, "standby_alarm")
    shown: Any = aws.client("cloudwatch", alarm.region).describe_alarms(AlarmNames=[alarm.name])["MetricAlarms"]
    named = [d["Value"] for d in shown[0].get("Dimensions", []) if d["Name"] == "CanaryName"] if shown else []
    return str(named[0]) if named else ""


def _machine_took_s(aws: Clients, target: Target) -> float:
    """How long the newest finished run of the failover machine took: the failback machine is the same, turned."""
    machine = find(aws, target, "failover_machine")
    states = aws.client("stepfunctions", machine.region)
    ended = states.list_executions(stateMachineArn=machine.arn, statusFilter="SUCCEEDED")["executions"]
    if not ended:
        raise Invalid(f"machine {machine.name} has no run that succeeded: nobody knows how long a return takes")
    newest = max(ended, key=lambda execution: execution["startDate"])
    return float((newest["stopDate"] - newest["startDate"]).total_seconds())
