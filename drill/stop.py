"""Stop conditions: what ends a drill in order before its scenario does, and is looked at all the time.

Each says why the drill has to stop, or "". A condition that cannot be looked at stops the drill: what nobody sees may
have come true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from drill.aws import Aws, AwsFailed
from drill.call import Call
from drill.clock import Clock
from drill.errors import DrillError, Refused
from drill.find import find
from drill.probes import SERVED
from drill.target import Target
from drill.timeline import Observation, Outcome, Timeline

POLL_S, POLL_FLOOR_WALL_S = 5.0, 1.0
"""How often AWS is asked: target seconds, and the wall floor."""
BLIND_INTERVALS, BLIND_FLOOR_WALL_S = 10, 5.0
"""A probe that says nothing for so long (intervals; wall seconds), its timeout aside, keeps no budget."""
RUNS = "run"
"""What the SSM parameter must say."""
STOP_FILE = "stop"
"""The operator's file in a run folder (`drill stop` makes it)."""
Look = Callable[[], str]


@dataclass
class Condition:
    """One stop condition. look: why to stop, or ""; every_wall_s: wall seconds between two looks."""

    name: str
    look: Look
    every_wall_s: float = 0.0
    _due_s: float = field(default=0.0, init=False)

    def reason(self, now_s: float) -> str:
        """Why to stop, if it is time to look; a look that fails is a reason."""
        if now_s < self._due_s:
            return ""
        self._due_s = now_s + self.every_wall_s
        return self.now()

    def now(self) -> str:
        """The same, whatever the time."""
        try:
            return self.look()
        except (DrillError, OSError, ValueError) as error:
            return f"{self.name} cannot be looked at: {error}"


@dataclass
class StopConditions:
    """All conditions of one drill."""

    clock: Clock
    conditions: tuple[Condition, ...]

    def due(self) -> str:
        """The first reason to stop among the conditions whose time it is, or ""."""
        now_s = self.clock.monotonic_s()
        return next((why for c in self.conditions if (why := c.reason(now_s))), "")

    def now(self) -> str:
        """The first reason among all, looked at now."""
        return next((why for c in self.conditions if (why := c.now())), "")


def in_aws(target: Target, aws: Aws, clock: Clock) -> tuple[Condition, ...]:
    """The conditions that somebody else sets: alarms, the parameter, the target's stop file.

    Refused when an alarm is not exactly one.
    """
    safety, every_s = target.safety, max(POLL_FLOOR_WALL_S, POLL_S / clock.speed)
    found = [Condition(f"alarm {key}", _alarm(aws, target, key), every_s) for key in safety.stop_alarms]
    if safety.stop_parameter is not None:
        look = _parameter(
            aws, target.regions.observer, safety.stop_parameter, parameter_arn(target, safety.stop_parameter)
        )
        found.append(Condition(f"parameter {safety.stop_parameter}", look, every_s))
    if safety.stop_file is not None:
        found.append(Condition("stop file", _file(Path(safety.stop_file))))
    return tuple(found)


def in_run(
    target: Target, timeline: Timeline, began_s: float, dead: Callable[[], Iterable[str]]
) -> tuple[Condition, ...]:
    """The conditions of the run itself: its duration, its error budget, its operator's stop file.

    began_s: monotonic wall seconds; dead: names of the witnesses that have ended by themselves.
    """
    clock, safety = timeline.clock, target.safety

    def lasted() -> str:
        lasted_s = (clock.monotonic_s() - began_s) * clock.speed
        limit_s = safety.max_duration_s
        said = f"it has lasted {lasted_s:.0f} {target.unit}, safety.max_duration_s is {limit_s:g} {target.unit}"
        return said if lasted_s > limit_s else ""

    found = [Condition("duration", lasted), Condition("stop file", _file(timeline.folder / STOP_FILE))]
    if safety.error_budget_s is not None:
        found.append(Condition("error budget", Budget(target, timeline, safety.error_budget_s, dead)))
    return tuple(found)


def refuse_if_any(conditions: Iterable[Condition]) -> str:
    """That no condition is true at the start. Refused names all that are, or cannot be looked at."""
    found = tuple(conditions)
    reasons = [why for condition in found if (why := condition.now())]
    if reasons:
        raise Refused(f"a drill would be stopped at once: {'; '.join(reasons)}")
    return ", ".join(condition.name for condition in found) or "none declared"


def parameter_arn(target: Target, name: str) -> str:
    """The parameter's ARN, by which it is asked for: so that the policy for it can name it."""
    return f"arn:aws:ssm:{target.regions.observer}:{target.account}:parameter/{name.lstrip('/')}"


@dataclass
class Budget:
    """How long clients may go without service, over the whole drill: each failed probe costs one probe interval.

    limit_s: target seconds. A probe that nobody makes any more costs the whole budget.
    """

    target: Target
    timeline: Timeline
    limit_s: float
    dead: Callable[[], Iterable[str]]
    _read: int = 0
    _failed: int = 0
    _last_s: float | None = None

    def __call__(self) -> str:
        """See Condition."""
        for look in self.timeline.observations[self._read :]:
            self._count(look)
        self._read = len(self.timeline.observations)
        spent_s = self._failed * self.target.timings.probe_interval_s
        if spent_s > self.limit_s:
            spent = f"{self._failed} failed probes are {spent_s:g} of {self.limit_s:g} {self.target.unit}"
            return f"the error budget is spent: {spent}"
        if "prober" in self.dead():
            return "the error budget is unknown: the prober has ended"
        return self._blind()

    def _count(self, look: Observation) -> None:
        if look.probe not in SERVED:
            return
        self._failed += look.outcome is Outcome.FAIL
        if look.outcome is not Outcome.UNKNOWN:
            self._last_s = max(self._last_s or 0.0, look.done_s)

    def _blind(self) -> str:
        if self._last_s is None:  # nobody probes yet: nothing is broken before the baseline was seen
            return ""
        clock, timings = self.timeline.clock, self.target.timings
        silent_s = clock.monotonic_s() - self._last_s
        blind_s = max(BLIND_FLOOR_WALL_S, BLIND_INTERVALS * timings.probe_interval_s / clock.speed)
        limit_s = blind_s + max(1.0, timings.probe_timeout_s / clock.speed)
        return f"the error budget is unknown: no probe for {silent_s:.0f} s (wall)" if silent_s > limit_s else ""


def _alarm(aws: Aws, target: Target, key: str) -> Look:
    found = find(aws, target, key)
    call = Call("cloudwatch", "DescribeAlarms", {"AlarmNames": [found.name]}, found.region)

    def look() -> str:
        shown = aws.run(call)["MetricAlarms"]
        state = str(shown[0]["StateValue"]) if shown else "gone"
        return "" if state == "OK" else f"alarm {found.name} in {found.region} is {state}"

    return look


def _parameter(aws: Aws, region: str, name: str, arn: str) -> Look:
    call = Call("ssm", "GetParameter", {"Name": arn}, region)

    def look() -> str:
        try:
            value = str(aws.run(call)["Parameter"]["Value"]).strip()
        except AwsFailed as error:
            raise AwsFailed(f"{error}; create it with the value {RUNS!r}") from error
        return "" if value == RUNS else f"parameter {name} in {region} says {value!r}, not {RUNS!r}"

    return look


def _file(path: Path) -> Look:
    def look() -> str:
        try:
            said = path.read_text(errors="replace").strip()
        except FileNotFoundError:
            path.parent.stat()  # a folder that is gone is no absence of the file
            return ""
        return f"{path} exists" + (f": {said[:200]}" if said else "")

    return look
