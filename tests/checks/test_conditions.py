"""What a scenario waits for, on a real run folder that grows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from checks.conditions import Served, Shows, SteadyState, served_from, shown
from checks.judge import judge
from checks.windows import Places
from drill.clock import FakeClock
from drill.target import Regions, load_target
from drill.timeline import ObservationFile, RequestFile, Timeline
from tests.checks.histories import FAIL, OSAKA, TARGET, TOKYO, UNKNOWN, Story

ROOT = Path(__file__).parents[2]
PLACES = Places(Regions.model_validate(TARGET["regions"]))
IN_OSAKA = Served(PLACES.region_of, OSAKA, sustained_s=30.0)


@pytest.fixture
def timeline(tmp_path: Path) -> Timeline:
    """An empty run folder at speed 10."""
    return Timeline.create(tmp_path / "run", FakeClock(speed=10.0), {"target": TARGET})


def told(timeline: Timeline, story: Story) -> Timeline:
    """The story's looks and requests, written by a witness and read by the drill."""
    looks, requests = ObservationFile(timeline.folder, "p"), RequestFile(timeline.folder, "l")
    for observation in sorted(story.observations, key=lambda o: o.done_s):
        looks.add(observation)
    for request in story.requests:
        requests.add(request)
    looks.close()
    requests.close()
    timeline.refresh()
    return timeline


def reached(timeline: Timeline, story: Story, condition: Served | SteadyState = IN_OSAKA) -> float | None:
    """When the condition was reached, in times of the story."""
    at_s = condition.reached(told(timeline, story), story.at(0))
    return None if at_s is None else round((at_s - story.zero_s) * story.speed, 3)


def test_an_outage_that_was_over_before_is_not_the_end_of_the_next(timeline: Timeline) -> None:
    """Served again at once, then moved by an outage of its own: only what comes after the move ends it."""
    story = Story().looks(-20, 10).looks(10, 14, FAIL).looks(14, 80, region=OSAKA)
    told_of = story.looks(80, 150, FAIL).looks(150, 190, region=OSAKA)
    moved = replace(IN_OSAKA, from_s=told_of.at(120))
    assert reached(timeline, told_of) == pytest.approx(14, abs=3)
    at_s = moved.reached(timeline, told_of.at(0))
    assert at_s is not None
    assert at_s >= told_of.at(150)


def outage(until_s: float) -> Story:
    """Out from 10 to 100, then served from Osaka."""
    return Story().looks(-20, 10).looks(10, 100, FAIL).looks(100, until_s, region=OSAKA)


def test_served_is_the_first_good_write_of_a_sustained_time(timeline: Timeline) -> None:
    """The instant is that of the first good result, known only once the time has passed."""
    assert reached(timeline, outage(134)) == 100.5


def test_served_waits_for_the_whole_sustained_time(timeline: Timeline) -> None:
    """29 good seconds are not 30."""
    assert reached(timeline, outage(129)) is None


def test_served_starts_again_after_a_flap(timeline: Timeline) -> None:
    """A failure within the time takes it back."""
    story = outage(120).look(120, 120.5, FAIL).looks(122, 150, region=OSAKA)
    assert reached(timeline, story) is None
    assert reached(timeline, Story().looks(150, 156, region=OSAKA)) == 122.5


def test_success_elsewhere_is_not_served(timeline: Timeline) -> None:
    """Tokyo answering does not end a failover to Osaka."""
    assert reached(timeline, Story().looks(0, 100, region=TOKYO)) is None


def test_a_probe_that_has_not_answered_yet_is_no_success(timeline: Timeline) -> None:
    """A look missing from the schedule starts the time again; so does one that could not be made."""
    story = Story().looks(0, 20, region=OSAKA).look(20, 20.5, UNKNOWN).looks(22, 50, region=OSAKA)
    assert reached(timeline, story) is None
    assert reached(timeline, Story().looks(50, 56, region=OSAKA)) == 22.5


def test_results_from_before_do_not_count(timeline: Timeline) -> None:
    """Only what is known after `since` does: a failback is not over because Osaka was served once."""
    story = Story().looks(-100, 0, region=OSAKA).looks(0, 20, region=OSAKA)
    assert reached(timeline, story) is None


def test_a_timeout_that_becomes_known_later_delays_the_recovery(timeline: Timeline) -> None:
    """The sustained time has to pass after the last failure is known, as the judge counts it."""
    story = Story().looks(-20, 10).looks(10, 100, FAIL, took_s=20).looks(100, 140, region=OSAKA)
    assert reached(timeline, story) is None
    assert reached(timeline, Story().looks(140, 156, region=OSAKA)) == 100.5


@pytest.mark.parametrize("until_s", range(100, 180, 4))
def test_what_ends_the_waiting_is_a_recovery_for_the_judge(timeline: Timeline, until_s: int) -> None:
    """Whenever `Served` is reached, the history up to then has a bounded recovery time."""
    story = Story().looks(-20, 10).looks(10, 100, FAIL, took_s=15).looks(100, min(until_s, 116), region=OSAKA)
    story.looks(120, until_s, region=OSAKA)
    if reached(timeline, story) is None:
        return
    found = judge(story.window(0, max(o.done_s - story.zero_s for o in story.observations) * 10).history())
    interval = found.findings[0].interval
    assert interval is not None and interval.high_s < 600


def test_progress_says_what_is_waited_for(timeline: Timeline) -> None:
    """One line for each situation."""
    assert "waiting for a probe" in IN_OSAKA.progress(timeline, 0)
    story = Story().look(0, 1, FAIL)
    assert "last write failed (503)" in IN_OSAKA.progress(told(timeline, story), story.at(0))
    told(timeline, Story().look(2, 3, UNKNOWN).look(4, 5, story.observations[0].outcome.OK, TOKYO))
    assert f"served from {TOKYO}, waiting for {OSAKA}" in IN_OSAKA.progress(timeline, story.at(0))
    told(timeline, Story().looks(6, 18, region=OSAKA))
    assert f"served from {OSAKA} for 10 s of 30 s" in IN_OSAKA.progress(timeline, story.at(0))


def test_served_from_takes_the_targets_own_timings() -> None:
    """Sustained time and probe interval are data of the target."""
    target = load_target(ROOT / "targets" / "core-banking.toml", ["timings.sustained_s=45"])
    made = served_from(target, OSAKA)
    assert (made.sustained_s, made.interval_s) == (45.0, target.timings.probe_interval_s)
    assert made.region_of("127.101.9.84") == OSAKA


@pytest.mark.parametrize(
    ("values", "otherwise", "seen"),
    [
        ([(1, "available"), (5, "switching-over")], True, True),
        ([(1, "switching-over"), (5, "available")], True, False),
        ([(1, "0:-"), (5, "2:RUNNING")], True, True),
        ([(1, "1:RUNNING"), (5, "1:available")], False, True),
        ([(-5, "switching-over")], True, False),
        ([(5, "")], True, False),
    ],
    ids=["it changed", "it changed back", "an execution's status", "as wished", "before", "no answer"],
)
def test_a_signal_shows_what_its_newest_answer_says(
    timeline: Timeline, values: list[tuple[float, str]], otherwise: bool, seen: bool
) -> None:
    """Answers to looks from before, and looks without an answer, show nothing."""
    story, condition = Story().signal("aws.global.status", values), Shows("aws.global.status", "available", otherwise)
    assert (condition.reached(told(timeline, story), story.at(0)) is not None) == seen
    newest = [value for _, value in values if value]
    assert shown(timeline, "aws.global.status") == (newest[-1] if newest else "")


def test_steady_needs_probes_and_requests_without_a_failure(timeline: Timeline) -> None:
    """Both have to be good for the time; a failed request starts it again."""
    steady = SteadyState(for_s=30.0)
    assert reached(timeline, Story().looks(0, 40), steady) is None
    assert reached(timeline, Story().load(0, 40), steady) == 0.5
    assert reached(timeline, Story().load(20, 21, FAIL), steady) is None
    assert reached(timeline, Story().looks(40, 60).load(40, 60), steady) == 22.5
    assert "1 errors" in steady.progress(timeline, Story().at(0))
