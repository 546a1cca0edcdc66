"""The alarm evaluator gives the answers that CloudWatch's user guide tabulates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.aws.alarm_rules import AlarmRule, State, TreatMissingData, evaluate, evaluated

TREATMENTS: tuple[TreatMissingData, ...] = ("missing", "ignore", "breaching", "notBreaching")
RETAIN = "retain"

# data, then the state for missing, ignore, breaching, notBreaching
THREE_OF_THREE = [
    ("0 - X - X", "OK", "OK", "OK", "OK"),
    ("0 - - - -", "OK", "OK", "OK", "OK"),
    ("- - - - -", "INSUFFICIENT_DATA", RETAIN, "ALARM", "OK"),
    ("0 X X - X", "ALARM", "ALARM", "ALARM", "ALARM"),
    ("- - X - -", "ALARM", RETAIN, "ALARM", "OK"),
]
TWO_OF_THREE = [
    ("0 - X - X", "ALARM", "ALARM", "ALARM", "ALARM"),
    ("0 0 X 0 X", "ALARM", "ALARM", "ALARM", "ALARM"),
    ("0 - X - -", "OK", "OK", "ALARM", "OK"),
    ("- - - - 0", "OK", "OK", "ALARM", "OK"),
    ("- - - X -", "ALARM", RETAIN, "ALARM", "OK"),
]
CASES = [
    (m, data, treatment, expected)
    for m, table in ((3, THREE_OF_THREE), (2, TWO_OF_THREE))
    for data, *row in table
    for treatment, expected in zip(TREATMENTS, row, strict=True)
]


def values(data: str) -> list[float | None]:
    """The guide's notation as SuccessPercent values: X breaches `< 100`, 0 does not, - is missing."""
    return [{"X": 0.0, "0": 100.0, "-": None}[mark] for mark in data.split()]


def rule(m: int, n: int = 3, treatment: TreatMissingData = "missing") -> AlarmRule:
    return AlarmRule("LessThanThreshold", 100.0, n, m, treatment)


@pytest.mark.parametrize("current", ["OK", "ALARM", "INSUFFICIENT_DATA"])
@pytest.mark.parametrize(("m", "data", "treatment", "expected"), CASES)
def test_published_tables(m: int, data: str, treatment: TreatMissingData, expected: str, current: State) -> None:
    """Every cell of both published tables holds, whatever the state was before."""
    want = current if expected == RETAIN else expected
    assert evaluate(rule(m, treatment=treatment), values(data), current) == want


@pytest.mark.parametrize("data", ["- - - - X", "- - - X -"])
def test_no_premature_alarm(data: str) -> None:
    """A lone breaching datapoint younger than M periods does not raise a 3 of 3 alarm."""
    assert evaluate(rule(3), values(data), "OK") == "OK"


def test_an_old_datapoint_outside_the_range_is_forgotten() -> None:
    """Data further back than the evaluation range does not keep an alarm from running out of data."""
    assert evaluate(rule(3), values("0 - - - - -"), "OK") == "INSUFFICIENT_DATA"


def test_ok_needs_no_full_window() -> None:
    """An alarm leaves INSUFFICIENT_DATA for OK with the first good datapoint."""
    assert evaluate(rule(2, 2), values("- - - 0"), "INSUFFICIENT_DATA") == "OK"


@pytest.mark.parametrize(
    ("comparison", "breaching"),
    [
        ("LessThanThreshold", [99.0]),
        ("LessThanOrEqualToThreshold", [99.0, 100.0]),
        ("GreaterThanThreshold", [101.0]),
        ("GreaterThanOrEqualToThreshold", [100.0, 101.0]),
    ],
)
def test_comparison_operators(comparison: str, breaching: list[float]) -> None:
    """Each comparison operator breaches exactly on its own side of the threshold."""
    one = AlarmRule(comparison, 100.0, 1, 1)
    assert [v for v in (99.0, 100.0, 101.0) if evaluate(one, [v], "OK") == "ALARM"] == breaching


@pytest.mark.parametrize(
    "bad",
    [("Sideways", 1, 1, "missing"), ("LessThanThreshold", 1, 2, "missing"), ("LessThanThreshold", 1, 1, "x")],
)
def test_impossible_rules_are_refused(bad: tuple[str, int, int, TreatMissingData]) -> None:
    """A rule that CloudWatch would refuse cannot be built."""
    comparison, n, m, treatment = bad
    with pytest.raises(ValueError, match=r"is|not in"):
        AlarmRule(comparison, 1.0, n, m, treatment)


def test_evaluated_names_the_datapoints_behind_the_state() -> None:
    """The datapoints that an evaluation rests on are the newest N real ones of the range."""
    assert evaluated(rule(2, 2), values("0 X - X")) == [1, 3]


@given(
    data=st.lists(st.sampled_from([0.0, 100.0, None]), max_size=9),
    n=st.integers(1, 4),
    m_back=st.integers(0, 3),
    treatment=st.sampled_from(TREATMENTS),
    current=st.sampled_from(["OK", "ALARM", "INSUFFICIENT_DATA"]),
)
def test_only_breaching_data_raises_an_alarm(
    data: list[float | None], n: int, m_back: int, treatment: TreatMissingData, current: State
) -> None:
    """Without a breaching datapoint no alarm is raised, unless missing data counts as breaching."""
    state = evaluate(rule(max(1, n - m_back), n, treatment), data, current)
    if 0.0 not in data and treatment != "breaching" and current != "ALARM":
        assert state != "ALARM"
