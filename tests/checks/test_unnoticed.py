"""An outage that no alarm of the system noticed is told beside the verdict, and only such a one."""

from __future__ import annotations

import pytest

from checks.judge import judge
from drill.drill import DECIDED
from drill.verdict import Verdict
from tests.checks.histories import OBJECTIVES, Story, good_failover

STANDBY, OBSERVER = "aws.alarm.standby", "aws.alarm.observer"
MISSED_S, MET_S = 100.0, 600.0
"""Objectives for an outage of 240 s."""


def noted(story: Story) -> list[str]:
    """The notes about it."""
    return [note for note in judge(story.history()).notes if "no alarm of the system rang" in note]


def out(rto_s: float = MISSED_S) -> Story:
    """Out from 10 to 250."""
    return good_failover(objectives=OBJECTIVES | {"rto_s": rto_s})


def test_an_outage_under_quiet_alarms_is_told_with_both_readings() -> None:
    """How long, which alarms were looked at, and that this host's own way may have been the bad one; still a FAIL."""
    story = out().signal(STANDBY, [(20, "OK"), (200, "OK")]).signal(OBSERVER, [(30, "INSUFFICIENT_DATA")])
    (note,) = noted(story)
    assert "aws.alarm.observer, aws.alarm.standby" in note
    assert "or only the way from this host to the system was bad" in note
    assert judge(story.history()).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("looks", "rto_s"),
    [
        ([(20, "OK"), (200, "ALARM")], MISSED_S),
        ([(-50, "OK")], MISSED_S),
        ([(20, "")], MISSED_S),
        ([(20, "OK"), (200, "OK")], MET_S),
    ],
    ids=["an alarm rang", "nobody looked in it", "the looks failed", "the objective is met"],
)
def test_whatever_was_noticed_or_looked_at_by_nobody_is_not(looks: list[tuple[float, str]], rto_s: float) -> None:
    """Nothing is said of alarms without an answer from them, nor where clients got what they were promised."""
    assert noted(out(rto_s).signal(STANDBY, looks)) == []


def test_what_rings_after_the_operators_have_acted_noticed_nothing() -> None:
    """Moving the system is an outage of its own; until then is what counts."""
    story = out().signal(STANDBY, [(20, "OK"), (200, "ALARM")])
    assert noted(story) == []
    assert noted(story.mark(150, DECIDED, window="failover", after_s=140.0)) != []
