"""What a machine that did not hold the lab's speed takes away from a verdict, and what it does not."""

from __future__ import annotations

from typing import Any

import pytest

from checks.judge import judge
from checks.lab_speed import blamed_fairly
from checks.windows import settings_of, windows_of
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


def excused(**said: Any) -> bool:
    """Whether what the lab said takes a failure of the window [0, 740] back; 10 lab s are one of the machine's."""
    history = too_slow().mark(900, "lab.overrun", **said).history()
    fixed = settings_of(history)
    window = windows_of(history, fixed.places)[0]
    missed = Finding("recovery time, failover", Verdict.FAIL, "690 s")
    return blamed_fairly(missed, history, window, fixed).verdict is Verdict.INVALID


def test_a_delay_that_only_meets_an_edge_of_the_window_was_under_way_in_it() -> None:
    """Ended as the window began, or begun as it ended: both count, one that is a hair outside does not."""
    begin_s, end_s = too_slow().at(0), too_slow().at(740)
    assert excused(monotonic_s=begin_s, took_s=30.0)
    assert not excused(monotonic_s=begin_s - 1e-6, took_s=30.0)
    assert excused(monotonic_s=end_s + 3.0, took_s=30.0)
    assert not excused(monotonic_s=end_s + 3.001, took_s=30.0)


@pytest.mark.parametrize("unknown", [{}, {"took_s": None}, {"took_s": "long"}])
def test_a_delay_of_unknown_length_counts_at_the_instant_when_it_ended(unknown: dict[str, Any]) -> None:
    """Nobody knows how long before its end it was under way, so it excuses nothing that was over by then."""
    end_s = too_slow().at(740)
    assert excused(monotonic_s=end_s, **unknown)
    assert not excused(monotonic_s=end_s + 0.01, **unknown)


@pytest.mark.parametrize("unknown", [{}, {"monotonic_s": None}, {"monotonic_s": "then"}])
def test_a_delay_of_unknown_time_may_have_been_in_any_window(unknown: dict[str, Any]) -> None:
    """A machine that was too slow, nobody knows when, proves nothing about a failure."""
    assert excused(took_s=33.2, **unknown)
