"""The split of a recovery by the system's own steps."""

from __future__ import annotations

import math
from typing import Any

import pytest

from checks.phases import phases_of
from checks.windows import settings_of, windows_of
from drill.verdict import Interval
from tests.checks.histories import OK, OSAKA, OSAKA_PEER, TOKYO, TOKYO_PEER, Observation, Story


def rows(story: Story, window: int = 0, onset: tuple[float, float] | None = (8, 10)) -> dict[str, Interval | None]:
    """Phase -> interval, without the window's name."""
    return {name.partition(": ")[2]: interval for name, interval, _ in _rows(story, window, onset)}


def _rows(
    story: Story, window: int, onset: tuple[float, float] | None
) -> tuple[tuple[str, Interval | None, str], ...]:
    history = story.history()
    fixed = settings_of(history)
    instant = onset and Interval(story.at(onset[0]), story.at(onset[1]))
    recovery = Interval(story.at(240), math.inf)
    return phases_of(history, windows_of(history, fixed.places)[window], fixed, instant, recovery)


def dns(story: Story, vantage: str, answers: list[tuple[float, str]]) -> Story:
    """DNS looks, each answered 0.2 target seconds after it was asked."""
    for sent_s, value in answers:
        story.observations.append(
            Observation(story.at(sent_s), story.at(sent_s + 0.2), "dns", vantage, OK, value, "ttl=60")
        )
    return story


def bounds(interval: Interval | None) -> Any:
    """The bounds, to be compared to a millisecond."""
    return interval and pytest.approx((interval.low_s, interval.high_s), abs=1e-3)


def failover() -> Story:
    """A failover of 300 s whose steps are polled each 5 s."""
    story = Story().window(0, 300)
    story.signal("aws.alarm.standby", [(s, "ALARM" if s > 98 else "OK") for s in range(-4, 296, 5)])
    story.signal("aws.execution.failover", [(s, "3:RUNNING" if s > 119 else "2:FAILED") for s in range(-4, 296, 5)])
    return story.signal("aws.writer", [(s, OSAKA if s > 219 else TOKYO) for s in range(-4, 296, 5)])


def test_a_step_lies_between_the_last_look_without_it_and_the_first_look_with_it() -> None:
    """Each bound is the poll's own: sent without, answered with; counted from the onset's two ends."""
    found = rows(dns(failover(), "authoritative", [(s, TOKYO_PEER if s < 130 else OSAKA_PEER) for s in range(200)]))
    assert list(found) == ["detected", "decided", "data promoted", "traffic switched", "clients recovered"]
    assert bounds(found["detected"]) == (96 - 10, 101.2 - 8)
    assert bounds(found["decided"]) == (116 - 10, 121.2 - 8)
    assert bounds(found["data promoted"]) == (216 - 10, 221.2 - 8)
    assert bounds(found["traffic switched"]) == (129 - 10, 130.2 - 8)
    assert bounds(found["clients recovered"]) == (230, math.inf)


def test_a_look_without_an_answer_shows_nothing() -> None:
    """UNKNOWN looks between the two widen the interval."""
    story = Story().window(0, 300)
    story.signal("aws.writer", [(-5, TOKYO), (100, TOKYO), (105, ""), (110, ""), (115, OSAKA)])
    assert bounds(rows(story)["data promoted"]) == (100 - 10, 115.2 - 8)


def test_a_state_from_before_the_window_is_no_step_of_it() -> None:
    """An alarm that was in ALARM already did not detect this outage; an old execution did not decide it."""
    story = Story().window(0, 300).signal("aws.alarm.standby", [(-5, "ALARM"), (5, "ALARM")])
    story.signal("aws.execution.failover", [(-5, "2:SUCCEEDED"), (5, "2:SUCCEEDED")])
    found = rows(story)
    assert found["detected"] is None
    assert found["decided"] is None


def test_without_a_count_from_before_nobody_knows_whether_an_execution_is_new() -> None:
    """Missing data is unknown."""
    story = Story().window(0, 300).signal("aws.execution.failover", [(5, "2:RUNNING")])
    assert rows(story)["decided"] is None


def test_traffic_has_switched_when_every_address_of_the_answer_is_the_survivors() -> None:
    """A mixed answer is still on its way; addresses are placed by the target's CIDRs."""
    both = f"{TOKYO_PEER},{OSAKA_PEER}"
    story = dns(
        Story().window(0, 300), "authoritative", [(1, TOKYO_PEER), (50, both), (60, f"{OSAKA_PEER},127.101.9.84")]
    )
    assert bounds(rows(story)["traffic switched"]) == (50 - 10, 60.2 - 8)


def test_a_private_zone_is_seen_through_the_primary_regions_resolver() -> None:
    """Without an authoritative server that can be asked, the row says whose answer it is."""
    story = dns(Story().window(0, 300), f"resolver:{OSAKA}", [(1, TOKYO_PEER), (20, OSAKA_PEER)])
    dns(story, f"resolver:{TOKYO}", [(1, TOKYO_PEER), (80, OSAKA_PEER)])
    row = next(r for r in _rows(story, 0, (8, 10)) if r[0].endswith("traffic switched"))
    assert bounds(row[1]) == (1 - 10, 80.2 - 8)
    assert f"resolver:{TOKYO}" in row[2]


def test_a_failback_is_decided_by_its_own_machine_and_ends_in_the_primary() -> None:
    """A step before the onset is negative, not zero; there is no detection."""
    story = Story().window(0, 300).window(400, 600, "failback")
    story.signal("aws.execution.failback", [(395, "0:-"), (401, "1:RUNNING")])
    story.signal("aws.writer", [(395, OSAKA), (500, OSAKA), (505, TOKYO)])
    found = rows(story, 1, (420, 422))
    assert "detected" not in found
    assert bounds(found["decided"]) == (395 - 422, 401.2 - 420)
    assert bounds(found["data promoted"]) == (500 - 422, 505.2 - 420)


def test_without_an_onset_rows_count_from_the_windows_begin_and_say_so() -> None:
    """No failure was seen, yet the steps happened."""
    found = _rows(failover(), 0, None)
    assert bounds(found[0][1]) == (96, 101.2)
    assert "no failure was seen" in found[0][2]
    assert "cloudwatch DescribeAlarms every 5 s" in found[0][2]


def test_a_secret_that_names_the_writer_is_rewritten_after_the_promotion() -> None:
    """The step of a system that has one: another version than before the window; in between it is stale."""
    story = failover().signal("aws.secret", [(s, "v2" if s > 259 else "v1") for s in range(-4, 296, 5)])
    found = rows(story)
    assert list(found)[2:4] == ["data promoted", "secret rewritten"]
    assert bounds(found["secret rewritten"]) == (256 - 10, 261.2 - 8)
    unseen = Story().window(0, 300).signal("aws.secret", [(5, "v1"), (10, "v2")])
    assert rows(unseen)["secret rewritten"] is None
