"""CloudWatch's published rules for the state of a metric alarm, as pure functions.

Source: the CloudWatch user guide, pages "Alarm evaluation" and "Configuring how CloudWatch alarms treat missing
data" (evaluation range, the two truth tables, "Avoiding premature transitions to alarm state").
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]
TreatMissingData = Literal["missing", "ignore", "breaching", "notBreaching"]

EXTRA_PERIODS = 2
"""Periods that are retrieved beyond EvaluationPeriods. The guide leaves the number open and tabulates every
example with three evaluation periods and an evaluation range of five, hence two."""

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}

_WORDS = {
    "GreaterThanOrEqualToThreshold": "greater than or equal to",
    "GreaterThanThreshold": "greater than",
    "LessThanThreshold": "less than",
    "LessThanOrEqualToThreshold": "less than or equal to",
}


@dataclass(frozen=True)
class AlarmRule:
    """What decides the state of one metric alarm; `datapoints_to_alarm` is M, `evaluation_periods` is N."""

    comparison: str
    threshold: float
    evaluation_periods: int
    datapoints_to_alarm: int
    treat_missing: TreatMissingData = "missing"

    def __post_init__(self) -> None:
        """Raise ValueError for a rule that CloudWatch would refuse."""
        if self.comparison not in _OPERATORS:
            raise ValueError(f"comparison operator {self.comparison!r} is not one of {sorted(_OPERATORS)}")
        if not 1 <= self.datapoints_to_alarm <= self.evaluation_periods:
            raise ValueError(f"datapoints to alarm {self.datapoints_to_alarm} not in 1..{self.evaluation_periods}")
        if self.treat_missing not in ("missing", "ignore", "breaching", "notBreaching"):
            raise ValueError(f"treat missing data {self.treat_missing!r} is unknown")

    @property
    def range_periods(self) -> int:
        """How many periods one evaluation looks at (the evaluation range)."""
        return self.evaluation_periods + EXTRA_PERIODS

    def breaches(self, value: float) -> bool:
        """Whether one datapoint violates the threshold."""
        return _OPERATORS[self.comparison](value, self.threshold)

    @property
    def words(self) -> str:
        """The comparison as a state reason spells it."""
        return _WORDS[self.comparison]


def evaluate(rule: AlarmRule, values: Sequence[float | None], current: State) -> State:
    """The state after one evaluation.

    values: one statistic per period of the evaluation range, oldest first, None where there is no data; periods
    further back than the range are ignored. current: the state that holds until now.
    """
    window = [None if v is None else rule.breaches(v) for v in values[-rule.range_periods :]]
    real = [breach for breach in window if breach is not None]
    if len(real) >= rule.evaluation_periods:
        # Enough real data in the range: how missing data is treated is not asked at all.
        return _enough(rule, sum(real[-rule.evaluation_periods :]))
    if rule.treat_missing == "breaching":
        return _enough(rule, sum(real) + rule.evaluation_periods - len(real))
    if rule.treat_missing == "notBreaching" or sum(real) >= rule.datapoints_to_alarm:
        return _enough(rule, sum(real))
    return _too_little(rule, window, current)


def evaluated(rule: AlarmRule, values: Sequence[float | None]) -> list[int]:
    """Indices into `values` of the real datapoints that one evaluation rests on, oldest first, at most N."""
    start = max(0, len(values) - rule.range_periods)
    real = [i for i in range(start, len(values)) if values[i] is not None]
    return real[-rule.evaluation_periods :]


def _enough(rule: AlarmRule, breaching: int) -> State:
    return "ALARM" if breaching >= rule.datapoints_to_alarm else "OK"


def _too_little(rule: AlarmRule, window: Sequence[bool | None], current: State) -> State:
    """`missing` and `ignore` with fewer than N datapoints, of which fewer than M breach."""
    if any(breach is False for breach in window):
        return "OK"
    ages = [len(window) - i for i, breach in enumerate(window) if breach]
    if rule.treat_missing == "ignore":
        return current
    if not ages:
        return "INSUFFICIENT_DATA"
    # All that is known breaches. It counts as ALARM only when the oldest of it is M periods old: until then the
    # next datapoint may still show that it was a blip (the premature-alarm rule).
    return "ALARM" if max(ages) >= rule.datapoints_to_alarm else current
