"""Route 53's health checks of kind CLOUDWATCH_METRIC: they follow an alarm's data, not the alarm.

As published (Route 53 developer guide, "How Amazon Route 53 determines the status of health checks that monitor
CloudWatch alarms" and "Updating health checks when CloudWatch alarm settings change"): Route 53 reads the metric's
data stream and evaluates it by the alarm's settings, so SetAlarmState does not reach it; it keeps the settings that
the alarm had when the check was created or last updated; too little data is what InsufficientDataHealthStatus says; a
new check is healthy until there is enough data. How long data and status take is published only as a sum with DNS,
"about a minute"; how it is split here is a choice of the lab.
"""

from __future__ import annotations

import copy
import logging
import threading
from typing import Any

from moto.backends import get_backend

from lab.aws.alarm_rules import State, evaluate
from lab.aws.cloudwatch import period_starts, rule_of, statistic
from lab.aws.minutely import Minutely
from lab.aws.route53 import Route53
from lab.aws.server import AwsServer
from lab.clock import LabClock
from lab.truth import Truth

HEALTHY = {"OK": True, "ALARM": False}
log = logging.getLogger(__name__)


class AlarmChecks:
    """Evaluates every CLOUDWATCH_METRIC check once per lab minute.

    stream_s: lab seconds from the end of a minute until Route 53 has its data; status_s: from there until names are
    answered by the new status. `start` and `stop` it.
    """

    def __init__(
        self,
        server: AwsServer,
        route53: Route53,
        clock: LabClock,
        truth: Truth,
        stream_s: float = 50.0,
        status_s: float = 5.0,
    ) -> None:
        self._server, self._route53, self._clock, self._truth = server, route53, clock, truth
        self._stream_s, self._status_s = stream_s, status_s
        self._kept: dict[str, Any] = {}
        self._since: dict[str, float] = {}
        self._states: dict[str, State] = {}
        self._healthy: dict[str, bool] = {}
        self._minutes = Minutely("health check data", clock, truth, stream_s, self._look)
        self.start, self.stop = self._minutes.start, self._minutes.stop
        route53.on_check(self._keep)

    def _keep(self, check_id: str) -> None:
        """Take the alarm's settings as they are now; without such an alarm, what was kept stays."""
        named = self._route53.kept.get(check_id, {}).get("AlarmIdentifier")
        if not named:
            return
        alarms = get_backend("cloudwatch")[self._server.account][named["Region"]].alarms
        if alarm := alarms.get(named["Name"]):
            self._kept[check_id] = copy.copy(alarm)
            self._since.setdefault(check_id, self._clock.now_s())

    def _look(self, end_s: float, stop: threading.Event) -> None:
        found = self.evaluated(end_s)
        due_s = end_s + self._stream_s + self._status_s
        if not self._clock.wait(stop, due_s - self._clock.now_s()):
            self._truth.took("health check status", self._status_s, self._status_s + self._clock.now_s() - due_s)
            self._show(found)

    def evaluated(self, end_s: float) -> dict[str, bool]:
        """Check id -> healthy, by the data of periods that end at or before `end_s` (lab seconds since the epoch)."""
        found = {}
        for check in self._route53.checks():
            if check.type_ == "CLOUDWATCH_METRIC" and check.id in self._kept:
                try:
                    found[check.id] = self._evaluate(check.id, end_s)
                except ValueError:
                    log.exception("health check %s cannot be evaluated", check.id)
        return found

    def _evaluate(self, check_id: str, end_s: float) -> bool:
        alarm = self._kept[check_id]
        backend = get_backend("cloudwatch")[self._server.account][alarm.region_name]
        rule = rule_of(alarm)
        starts = period_starts(end_s, float(alarm.period), rule.range_periods)
        values = [statistic(backend, alarm, start_s)[0] for start_s in starts]
        if end_s - self._since[check_id] < rule.evaluation_periods * float(alarm.period):
            return True  # a new check: there cannot be enough data yet
        state = evaluate(rule, values, self._states.get(check_id, "OK"))
        self._states[check_id] = state
        if state in HEALTHY:
            return HEALTHY[state]
        told = self._route53.kept.get(check_id, {}).get("InsufficientDataHealthStatus", "LastKnownStatus")
        return {"Healthy": True, "Unhealthy": False}.get(str(told), self._healthy.get(check_id, True))

    def _show(self, found: dict[str, bool]) -> None:
        for check_id, healthy in found.items():
            if self._healthy.get(check_id, True) != healthy:
                self._truth.record("health_check", id=check_id, healthy=healthy)
            self._healthy[check_id] = healthy
            self._route53.observe(check_id, healthy)
