"""The split of a recovery by the system's own steps."""

from __future__ import annotations

import math
from typing import Any

import pytest

from checks.phases import phases_of
from checks.windows import settings_of, windows_of
from drill.drill import DECIDED
from drill.probes import NEW, PULSE
from drill.verdict import Interval
from tests.checks.histories import FAIL, OK, OSAKA, OSAKA_PEER, TARGET, TOKYO, TOKYO_PEER, Observation, Story


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


# -- whose word a row is


def sources(story: Story, onset: tuple[float, float] | None = (8, 10)) -> dict[str, str]:
    """Phase -> source, without the window's name."""
    return {name.partition(": ")[2]: source for name, _, source in _rows(story, 0, onset)}


POLLS = {
    "detected": "harness clock, cloudwatch DescribeAlarms every 5 s",
    "decided": "harness clock, states ListExecutions every 5 s",
    "data promoted": "harness clock, rds DescribeGlobalClusters every 5 s",
    "traffic switched": "harness clock, DNS answer of the authoritative server",
    "clients recovered": "harness clock, probe write.settle every 2 s",
}


def test_every_row_says_what_was_asked_and_how_often() -> None:
    """The call that an SRE would make to see the step; the same with the words for a missing onset behind each."""
    assert sources(failover()) == POLLS
    unseen = ", counted from the window's begin (no failure was seen)"
    assert sources(failover(), None) == {name: said + unseen for name, said in POLLS.items()}
    rewritten = sources(failover().signal("aws.secret", [(5, "v1")]))["secret rewritten"]
    assert rewritten == "harness clock, secretsmanager DescribeSecret every 5 s"


def test_a_runbook_is_said_to_be_one() -> None:
    """People who run SSM documents decide by them; a target without any has a state machine."""
    with_runbook = TARGET | {"resources": {"initiator_machine": {}, "failover_document": {}}}
    told = sources(Story(target=with_runbook).window(0, 300))["decided"]
    assert told == "harness clock, ssm DescribeAutomationExecutions every 5 s"
    with_machine = TARGET | {"resources": {"failover_machine": {}}}
    assert sources(Story(target=with_machine).window(0, 300))["decided"] == POLLS["decided"]


def test_the_quick_looks_are_named_where_their_failures_count() -> None:
    """Only a run that has them, and a target whose writes need what they look at."""
    story = failover()
    story.observations.append(Observation(story.at(5), story.at(5.1), PULSE, NEW, FAIL, "", "503"))
    named = "harness clock, probe write.settle every 2 s, failed quick looks"
    assert sources(story)["clients recovered"] == named
    assert sources(story, None)["clients recovered"].startswith(named + ", counted from")
    story.target = TARGET | {"probing": {"needed_by_writes": False}}
    assert sources(story)["clients recovered"] == POLLS["clients recovered"]


def test_the_authoritative_server_is_believed_before_any_resolver() -> None:
    """It answers without a cache; where it was asked, its answer is the step."""
    story = dns(Story().window(0, 300), f"resolver:{TOKYO}", [(-1, TOKYO_PEER), (80, OSAKA_PEER)])
    dns(story, "authoritative", [(-1, TOKYO_PEER), (20, OSAKA_PEER)])
    assert bounds(rows(story)["traffic switched"]) == (-1 - 10, 20.2 - 8)
    assert sources(story)["traffic switched"] == POLLS["traffic switched"]


def test_a_row_names_the_looks_that_both_its_ends_rest_on() -> None:
    """The onset's grounds, then the look that showed the step."""
    story = failover()
    history = story.history()
    fixed = settings_of(history)
    onset = Interval(story.at(8), story.at(10), ("last good", "first bad"))
    row = phases_of(history, windows_of(history, fixed.places)[0], fixed, onset, None)[0]
    shown = f"aws.alarm.standby shows 'ALARM' at {story.at(101.2):.3f}"
    assert row[1] is not None and row[1].basis == ("last good", "first bad", shown)


# -- the instants of a step


def test_looks_at_the_very_edges_of_the_window_are_of_it() -> None:
    """A step answered exactly at its begin or at its end happened in it."""
    story = Story()
    story.window(0, 300).signal("aws.alarm.standby", [(-5, "OK")])
    for sent_s, done_s in ((-1, 0), (299, 300)):
        at_edge = Observation(story.at(sent_s), story.at(done_s), "aws.alarm.standby", OSAKA, OK, "ALARM")
        told = Story(observations=[*story.observations, at_edge]).window(0, 300)
        assert bounds(rows(told)["detected"]) == (-5 - 10, done_s - 8)


def test_two_looks_answered_at_one_instant_bound_a_step_by_the_later_send() -> None:
    """One sent at 50 showed it, one sent at 55 did not yet: it happened after 55."""
    story = Story().window(0, 300).signal("aws.alarm.standby", [(-5, "OK")])
    for sent_s, value in ((50, "ALARM"), (55, "OK")):
        story.observations.append(Observation(story.at(sent_s), story.at(60), "aws.alarm.standby", OSAKA, OK, value))
    assert bounds(rows(story)["detected"]) == (55 - 10, 60 - 8)


def test_a_state_that_the_first_look_ever_shows_was_not_seen_to_come() -> None:
    """Nobody looked before the window: the alarm may have been on for a week."""
    assert rows(Story().window(0, 300).signal("aws.alarm.standby", [(5, "ALARM")]))["detected"] is None
    assert rows(dns(Story().window(0, 300), "authoritative", [(5, OSAKA_PEER)]))["traffic switched"] is None


def test_what_was_there_before_is_what_the_look_answered_last_said() -> None:
    """Looks overtake each other: an execution counted by the later answer is not new, whoever asked first."""
    story = Story().window(0, 300).signal("aws.secret", [(-30, "v1")])
    for probe, early, late in (("aws.execution.failover", "2:FAILED", "3:FAILED"), ("aws.secret", "v1", "v2")):
        story.observations.append(Observation(story.at(-20), story.at(-10), probe, OSAKA, OK, late))
        story.observations.append(Observation(story.at(-18), story.at(-17), probe, OSAKA, OK, early))
        story.signal(probe, [(5, late)])
    assert (rows(story)["decided"], rows(story)["secret rewritten"]) == (None, None)
    story.signal("aws.execution.failover", [(10, "4:RUNNING")]).signal("aws.secret", [(10, "v3")])
    found = rows(story)
    assert bounds(found["decided"]) == (5 - 10, 10.2 - 8)
    assert bounds(found["secret rewritten"]) == (5 - 10, 10.2 - 8)


@pytest.mark.parametrize("probe", ["aws.execution.failover", "aws.secret"])
def test_a_look_answered_as_the_window_begins_is_not_from_before_it(probe: str) -> None:
    """What it shows may be the fault's doing already."""
    story = Story().window(0, 300).signal(probe, [(10, "2:RUNNING")])
    story.observations.append(Observation(story.at(-1), story.at(0), probe, OSAKA, OK, "1:FAILED"))
    assert rows(story).get("decided") is None and rows(story).get("secret rewritten") is None


def test_a_count_that_is_none_shows_no_execution() -> None:
    """Not a number before the window, or in it: unknown, and no error."""
    story = Story().window(0, 300).signal("aws.execution.failover", [(-5, "2:FAILED"), (5, "?:RUNNING")])
    assert rows(story)["decided"] is None
    unknown = Story().window(0, 300).signal("aws.execution.failover", [(-5, "-"), (5, "2:RUNNING")])
    assert rows(unknown)["decided"] is None


def test_recovery_is_counted_from_the_operators_decision_too() -> None:
    """A second row, from the mark of this window; published figures often begin there."""
    story = failover().mark(100, DECIDED, window="failback", after_s=5.0)
    assert "clients recovered after the decision" not in rows(story)
    story.mark(120, DECIDED, window="failover", after_s=95.0).mark(130, DECIDED, window="failover", after_s=7.0)
    last = _rows(story, 0, (8, 10))[-1]
    assert (last[0], bounds(last[1])) == ("failover: clients recovered after the decision", (120, math.inf))
    assert last[2] == "harness clock, counted from the operators' decision, which was given 95 s"


# -- the steps of other systems


def test_each_of_several_global_clusters_has_its_own_promotion() -> None:
    """One that stays behind is told apart from one that moved."""
    story = Story().window(0, 300).signal("aws.writer.orders", [(-5, TOKYO), (50, TOKYO), (55, OSAKA)])
    found = rows(story.signal("aws.writer.catalog", [(-5, TOKYO), (50, TOKYO)]))
    promoted = ["data promoted, catalog", "data promoted, orders"]
    assert list(found)[2:4] == promoted
    assert [bounds(found[name]) for name in promoted] == [None, (50 - 10, 55.2 - 8)]


def test_where_a_health_check_decides_no_machine_is_asked() -> None:
    """The latency alarm detects, the health check decides, DNS follows it."""
    story = Story().window(0, 300).signal("aws.alarm.latency", [(-5, "OK"), (20, "OK"), (25, "ALARM")])
    story.signal("aws.health_check", [(-5, "HEALTHY"), (30, "HEALTHY"), (35, "UNHEALTHY")])
    found = rows(dns(story, "authoritative", [(-5, TOKYO_PEER), (40, TOKYO_PEER), (45, OSAKA_PEER)]))
    assert list(found) == ["detected", "decided", "traffic switched", "clients recovered"]
    assert bounds(found["detected"]) == (20 - 10, 25.2 - 8)
    assert bounds(found["decided"]) == (30 - 10, 35.2 - 8)
    assert bounds(found["traffic switched"]) == (40 - 10, 45.2 - 8)
    polled = "harness clock, route53 GetHealthCheckStatus every 5 s"
    assert sources(story) == {name: said for name, said in (POLLS | {"decided": polled}).items() if name in found}


def inside_one_region(targets: str = "i-2", writer: str = "db-2", name: str = "10.0.2.1") -> Story:
    """A writer that moves between instances: what is registered, who writes and the name, before and after.

    A resolver learns of the name early.
    """
    story = Story().window(0, 300).signal("aws.targets", [(-9, "i-0"), (-5, "i-1"), (20, "i-1"), (25, targets)])
    story.signal("aws.instance.writer", [(-9, "db-0"), (-5, "db-1"), (30, "db-1"), (35, writer)])
    dns(story, f"resolver:{TOKYO}", [(-5, "10.0.1.1"), (22, name)])
    return dns(story, "authoritative", [(-9, "10.0.0.1"), (-5, "10.0.1.1"), (40, "10.0.1.1"), (45, name)])


def test_inside_one_region_each_step_is_another_value_than_before_the_window() -> None:
    """The load balancer is turned, the cluster promotes, the name follows; each by its own witness."""
    found = rows(inside_one_region())
    assert list(found) == ["traffic switched", "data promoted", "writer's name moved", "clients recovered"]
    assert bounds(found["traffic switched"]) == (20 - 10, 25.2 - 8)
    assert bounds(found["data promoted"]) == (30 - 10, 35.2 - 8)
    assert bounds(found["writer's name moved"]) == (40 - 10, 45.2 - 8)
    told = sources(inside_one_region())
    assert told["traffic switched"] == "harness clock, elbv2 DescribeTargetHealth every 5 s"
    assert told["data promoted"] == "harness clock, rds DescribeDBClusters every 5 s"
    assert told["writer's name moved"] == POLLS["traffic switched"]


def test_a_group_that_was_emptied_or_a_cluster_without_a_writer_has_not_moved() -> None:
    """Who deregisters, and fails before he registers, has switched nothing; what comes after the nothing is the step.

    The same for a secret that has no current version.
    """
    emptied = inside_one_region(targets="-", writer="-")
    found = rows(emptied)
    assert (found["traffic switched"], found["data promoted"]) == (None, None)
    emptied.signal("aws.targets", [(50, "-"), (55, "i-2")]).signal("aws.instance.writer", [(60, "db-2")])
    found = rows(emptied)
    assert bounds(found["traffic switched"]) == (50 - 10, 55.2 - 8)
    assert bounds(found["data promoted"]) == (35 - 10, 60.2 - 8)
    versionless = Story().window(0, 300).signal("aws.secret", [(-5, "v1"), (5, "-"), (10, "v2")])
    assert bounds(rows(versionless)["secret rewritten"]) == (5 - 10, 10.2 - 8)


def test_inside_one_region_nothing_is_said_of_what_was_not_seen_before_the_window() -> None:
    """Without a look from before nobody knows which value is the new one; a failed look and one by another server
    are none."""
    story = Story().window(0, 300).signal("aws.targets", [(5, "i-1"), (10, "i-2")])
    at_begin = Observation(story.at(-1), story.at(0), "aws.targets", OSAKA, OK, "i-0")
    failed = Observation(story.at(-2), story.at(-1), "aws.targets", OSAKA, FAIL, "i-0")
    story.observations += [failed, at_begin]
    dns(story, "authoritative", [(5, "10.0.1.1"), (10, "10.0.2.1")])
    dns(story, f"resolver:{TOKYO}", [(-5, "10.0.1.1")])
    found = rows(story)
    assert (found["traffic switched"], found["writer's name moved"]) == (None, None)
