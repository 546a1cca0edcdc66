"""What a machine that did not hold the lab's speed takes away from a verdict, and what it does not."""

from __future__ import annotations

import pytest

from checks.judge import judge
from drill.verdict import Finding, Verdict
from tests.checks.histories import Story, good_failover

OVERRUN = {"what": "canary work", "declared_s": 20.0, "took_s": 33.2}


def judged(story: Story, name: str) -> tuple[Finding, Verdict]:
    """The finding of that name, and the drill's verdict."""
    judgement = judge(story.history())
    (found,) = [f for f in judgement.findings if f.name == name]
    return found, judgement.verdict


def too_slow() -> Story:
    """A failover of 690 s where 600 are allowed, window [0, 740]."""
    return good_failover(recovery_s=700)


def at(story: Story, target_s: float) -> Story:
    """The lab admits at that time of the story, long after it, that a delay then ended late."""
    return story.mark(900, "lab.overrun", monotonic_s=story.at(target_s), **OVERRUN)


def test_a_miss_in_a_window_in_which_the_machine_was_too_slow_proves_nothing() -> None:
    """The number stays, the verdict is INVALID, and the sentence says what was late by how much."""
    found, verdict = judged(at(too_slow(), 300), "recovery time, failover")
    assert (found.verdict, verdict) == (Verdict.INVALID, Verdict.INVALID)
    assert "misses the limit of 600" in found.reason
    assert "canary work is declared as 20.0 lab s and took 33.2 lab s" in found.reason
    assert found.interval and found.interval.low_s > 600 and found.advice == "lower --lab-speed"


@pytest.mark.parametrize("when_s", [-10, 780])
def test_a_miss_while_the_machine_kept_up_stays_a_failure(when_s: float) -> None:
    """What was late before the window had begun, or began after its end, excuses nothing in it."""
    found, verdict = judged(at(too_slow(), when_s), "recovery time, failover")
    assert (found.verdict, verdict) == (Verdict.FAIL, Verdict.FAIL)


@pytest.mark.parametrize("when_s", [10, 745])
def test_a_delay_that_was_under_way_at_an_edge_of_the_window_counts(when_s: float) -> None:
    """It ended in the window, or began in it."""
    found, _ = judged(at(too_slow(), when_s), "recovery time, failover")
    assert found.verdict is Verdict.INVALID


def test_a_lost_write_is_lost_however_slow_the_machine_was() -> None:
    """Losses stand on their own."""
    found, verdict = judged(at(good_failover(fate="absent"), 100), "recovery point, failover")
    assert (found.verdict, verdict) == (Verdict.FAIL, Verdict.FAIL)


def test_a_machine_that_kept_up_excuses_nothing() -> None:
    """The twin: without an admission a miss is a miss."""
    found, verdict = judged(too_slow(), "recovery time, failover")
    assert (found.verdict, verdict) == (Verdict.FAIL, Verdict.FAIL)
