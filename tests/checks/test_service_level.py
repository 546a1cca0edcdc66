"""Badly served is judged where a target says what served well means: brown-outs, slowness, and what nobody saw."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.conditions import Served
from checks.judge import judge
from checks.recovery_time import Look
from checks.service_level import NAME, Level, blind_in, hiding_s, measure_level
from checks.windows import Places
from drill.clock import FakeClock
from drill.probes import NEW, PULSE
from drill.service_level import ServiceLevel
from drill.target import Regions, Timings
from drill.target_checks import contradictions
from drill.timeline import Observation, ObservationFile, Timeline, load_history
from drill.verdict import Finding, Verdict
from tests.checks.histories import FAIL, OK, OSAKA, PEERS, TARGET, TOKYO, UNKNOWN, Story, good_failover, write_folder

LEVEL = Level(0.9, 0.3, 2.0)
EVERY_S, SUSTAINED_S = 0.05, 5.0
DECLARED = {"success_ratio": 0.9, "latency_wall_s": 0.3, "window_s": 20.0}
LEVELLED = TARGET | {"service_level": DECLARED}
FOUND = f"{NAME}, failover"
When = Callable[[float], bool]
"""Whether it is so at that second."""


def looks(
    bad: Callable[[float], bool], to_s: float = 60.0, slow: Callable[[float], bool] = lambda s: False
) -> list[Look]:
    """A look each EVERY_S from -10 s on, of 10 ms, or of 400 ms where it is slow."""
    sends = (n * EVERY_S - 10.0 for n in range(round((to_s + 10) / EVERY_S)))
    return [Look(s, s + (0.4 if slow(s) else 0.01), not bad(s)) for s in sends]


def measured(found: list[Look], level: Level = LEVEL, end_s: float = 60.0):  # type: ignore[no-untyped-def]
    """What is said of the window from 0 on."""
    return measure_level(found, level, (0.0, end_s), SUSTAINED_S, hiding_s(0.5))


def test_at_the_level_all_the_time_is_nothing() -> None:
    """One failed look in twenty is within a ratio of 0.9, and so is one slow look."""
    found = measured(looks(lambda s: round(s / EVERY_S) % 20 == 0))
    assert (found.problem, found.stretches, found.held) == ("", 0, True)
    assert (found.duration.low_s, found.duration.high_s) == (0, 0)


@pytest.mark.parametrize("kind", ["failed", "slow", "every third failed"])
def test_a_stretch_below_the_level_lies_within_its_bounds(kind: str) -> None:
    """20 s out, 20 s slow, 20 s in which a third fails: no more than a window of doubt at each end."""
    out: When = lambda s: 10 <= s < 30  # noqa: E731
    third: When = lambda s: out(s) and round(s / EVERY_S) % 3 == 0  # noqa: E731
    made = {"failed": looks(out), "slow": looks(lambda s: False, slow=out), "every third failed": looks(third)}
    found = measured(made[kind])
    assert found.stretches == 1 and found.held
    assert found.duration.low_s <= 20 <= found.duration.high_s
    assert found.duration.low_s >= 19.4
    assert found.duration.high_s <= 20 + 2 * LEVEL.window_s + 0.2


def test_not_held_again_has_no_upper_bound() -> None:
    """A brown-out to the end, and one that ended less than the sustained time before it."""
    for end_s in (60.0, 57.0):
        found = measured(looks(lambda s, end_s=end_s: 10 <= s < end_s and round(s / EVERY_S) % 3 == 0))
        assert not found.held and math.isinf(found.duration.high_s)
        assert found.duration.low_s > 40


def test_stretches_that_no_sustained_time_parts_are_one() -> None:
    """Flapping between good and bad is one stretch; two that are far apart are judged by the longer one."""
    flapping = measured(looks(lambda s: 10 <= s < 12 or 14 <= s < 16))
    assert flapping.stretches == 1 and flapping.duration.low_s >= 5.8
    apart = measured(looks(lambda s: 10 <= s < 12 or 30 <= s < 36))
    assert apart.stretches == 2 and 5.8 <= apart.duration.low_s <= 6 <= apart.duration.high_s < 11


def test_what_nobody_saw_counts_for_the_upper_bound_only() -> None:
    """A pause in the looks, and looks that the witness says it did not make."""
    paused = [k for k in looks(lambda s: False) if not 20 <= k.sent_s < 28]
    found = measured(paused)
    assert found.duration.low_s == 0 and found.duration.high_s >= 8 and found.stretches == 0
    blind = measure_level(looks(lambda s: False), LEVEL, (0, 60), SUSTAINED_S, hiding_s(0.5), [(20.0, 26.0)])
    assert blind.duration is not None and blind.duration.high_s >= 6 and blind.duration.low_s == 0
    cut = measured([k for k in looks(lambda s: False) if k.sent_s < 40])
    assert not cut.held and math.isinf(cut.duration.high_s)


def test_without_looks_or_without_a_baseline_nothing_is_said() -> None:
    """No share of nothing, and nothing to fall from when it was bad before."""
    assert "0 quick looks" in measured([]).problem
    assert "4 quick looks" in measured(looks(lambda s: False, to_s=4 * EVERY_S)).problem
    assert "no quick looks before" in measured([k for k in looks(lambda s: False) if k.sent_s > -1]).problem
    assert "not held before" in measured(looks(lambda s: s < 10)).problem


def test_a_ratio_of_one_allows_no_failure_and_the_limits_of_a_look_are_met_by_equality() -> None:
    """Exactly at the ratio is at the level; exactly at the latency is quick enough."""
    one = looks(lambda s: round(s / EVERY_S) == 400)
    assert measured(one, Level(1.0, 0.3, 2.0)).stretches == 1
    assert measured(one).stretches == 0
    tenth = looks(lambda s: s >= 0 and round(s / EVERY_S) % 10 == 0)
    assert measured(tenth, Level(0.9, 0.3, 0.475)).stretches == 0
    assert measured(tenth, Level(0.91, 0.3, 0.475)).stretches == 1
    exactly = [Look(k.sent_s, k.sent_s + 0.25, True) for k in one]
    assert measured(exactly, Level(0.9, exactly[0].done_s - exactly[0].sent_s + 1e-9, 2.0)).stretches == 0
    assert measured(exactly, Level(0.9, 0.2, 2.0)).problem


SPELLS = st.lists(st.tuples(st.floats(1, 50), st.floats(0.05, 12), st.floats(0.15, 1)), max_size=3)


@settings(max_examples=60, deadline=None)
@given(SPELLS, st.randoms(use_true_random=False), st.floats(0, 55), st.floats(0, 3))
def test_another_failure_never_shortens_a_stretch(spells, random, sent_s: float, took_s: float) -> None:  # type: ignore[no-untyped-def]
    """Neither bound goes down, and what was not held is not held by it."""

    def bad(s: float) -> bool:
        return any(at <= s < at + for_s and random.random() < share for at, for_s, share in spells)

    before = looks(bad)
    after = sorted([*before, Look(sent_s, sent_s + took_s, False)], key=lambda k: (k.sent_s, k.done_s))
    one, two = measured(before), measured(after)
    assert two.duration.low_s >= one.duration.low_s - 1e-9
    assert two.duration.high_s >= one.duration.high_s - 1e-9
    assert one.held or not two.held


@settings(max_examples=60, deadline=None)
@given(st.floats(1, 25), st.floats(3, 20), st.sampled_from([2, 3, 5]))
def test_the_bounds_contain_a_planted_brown_out(at_s: float, for_s: float, every: int) -> None:
    """Every second, third or fifth look fails for longer than a window: the bounds hold the planted length."""
    found = measured(looks(lambda s: at_s <= s < at_s + for_s and round(s / EVERY_S) % every == 0))
    assert found.held and found.stretches == 1
    assert found.duration.low_s <= for_s + 1e-6
    assert found.duration.high_s >= for_s - every * EVERY_S


# -- judged


def pulses(story: Story, bad: Callable[[float], bool], to_s: float = 320, slow: When = lambda s: False) -> Story:
    """Quick looks each 2 target seconds from -60 on, in a story of speed 10."""
    for n in range(round((to_s + 60) / 2)):
        at_s = n * 2 - 60.0
        took_s = 5.0 if slow(at_s) else 0.5
        outcome, value = (FAIL, "") if bad(at_s) else (OK, PEERS[OSAKA if at_s > 200 else TOKYO])
        sent_s, done_s = story.at(at_s), story.at(at_s + took_s)
        story.observations.append(Observation(sent_s, done_s, PULSE, NEW, outcome, value, "" if value else "503"))
    return story


def finding(story: Story) -> Finding:
    """The finding of the service level."""
    (found,) = [f for f in judge(story.history()).findings if f.name == FOUND]
    return found


def levelled(**more: float) -> Story:
    """A good failover (out from 10 to 250) of a target with a service level."""
    story = good_failover()
    story.target = TARGET | {"service_level": DECLARED | more}
    return story


def test_without_a_declared_level_there_is_no_such_finding() -> None:
    """A threshold is a choice, and only a target makes it."""
    assert not [
        f for f in judge(pulses(good_failover(), lambda s: 10 <= s < 250).history()).findings if NAME in f.name
    ]


def test_recovery_by_level_is_judged_by_the_recovery_time_objective() -> None:
    """Out as long as writes were: PASS; slow for longer than the objective: FAIL though every write was served."""
    good = finding(pulses(levelled(), lambda s: 10 <= s < 250))
    assert (good.verdict, good.limit_s) == (Verdict.PASS, 600)
    assert good.interval is not None and good.interval.low_s <= 240 <= good.interval.high_s
    assert "at least 90.0% served within 0.3 s (wall), over 20 s" in good.reason
    slow = levelled()
    slow.objectives["rto_s"] = 200.0
    failed = finding(pulses(slow, lambda s: False, slow=lambda s: 10 <= s < 250))
    assert failed.verdict is Verdict.FAIL, failed.reason


def test_a_level_that_is_not_held_again_never_passes() -> None:
    """Writes recovered and one look in four still fails at the end: no upper bound, INCONCLUSIVE."""
    story = levelled()
    story.target = story.target | {"probing": {"needed_by_writes": False}}
    found = finding(pulses(story, lambda s: 10 <= s < 250 or (s >= 250 and round(s / 2) % 4 == 0)))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "not held again in the window" in found.reason


@pytest.mark.parametrize("change", ["no looks", "witness died", "no objective"])
def test_a_level_without_its_preconditions_is_invalid(change: str) -> None:
    """Nobody looked, or the window proves nothing: never PASS."""
    story = levelled() if change == "no looks" else pulses(levelled(), lambda s: False)
    if change == "witness died":
        story.mark(50, "witness.died", name="pulse")
    if change == "no objective":
        story.objectives.pop("rto_s")
    assert finding(story).verdict is Verdict.INVALID


def test_a_witness_that_was_blind_gives_no_pass() -> None:
    """A stretch of missed slots longer than the objective lies inside the bounds."""
    story = pulses(levelled(), lambda s: 10 <= s < 50)
    story.objectives["rto_s"] = 100.0
    at = story.at(60), story.at(200)
    story.observations.append(Observation(*at, PULSE, NEW, UNKNOWN, "", "missed its schedule"))
    assert finding(story).verdict is Verdict.INCONCLUSIVE


# -- waited for, and kept


@pytest.mark.parametrize(("slow_to_s", "reached"), [(250, True), (310, False)])
def test_a_drill_waits_until_the_declared_level_is_held_again(
    tmp_path: Path, slow_to_s: float, reached: bool
) -> None:
    """Writes are served from Osaka for a sustained time; while every look is slow the drill goes on waiting."""
    story = pulses(levelled(), lambda s: 10 <= s < 240, slow=lambda s: 240 <= s < slow_to_s)
    timeline = Timeline.create(tmp_path / "run", FakeClock(speed=10.0), {"target": TARGET})
    file = ObservationFile(timeline.folder, "p")
    for look in sorted(story.observations, key=lambda o: o.done_s):
        file.add(look)
    file.close()
    timeline.refresh()
    region_of = Places(Regions.model_validate(TARGET["regions"])).region_of
    served = Served(region_of, OSAKA, 30.0, level=ServiceLevel(**DECLARED))
    assert (served.reached(timeline, story.at(0)) is not None) is reached
    assert Served(region_of, OSAKA, 30.0).reached(timeline, story.at(0)) is not None


def test_a_drill_that_gave_up_on_the_level_is_believed() -> None:
    """Writes recovered long ago, and the level never came back: a FAIL by the level, not a broken measurement."""
    story = levelled()
    story.objectives["rto_s"] = 250.0
    gave_up = [
        dataclasses.replace(e, data=e.data | {"reason": "timeout"}) if e.name == "window.end" else e
        for e in story.events
    ]
    story.events[:] = gave_up
    found = judge(pulses(story, lambda s: 10 <= s < 240, slow=lambda s: s >= 240).history())
    assert {f.name: f.verdict.value for f in found.findings} == {
        "recovery time, failover": "PASS",
        "recovery point, failover": "PASS",
        FOUND: "FAIL",
        "evidence, failover": "PASS",
    }


def test_the_level_is_judged_again_from_the_run_folder_alone(tmp_path: Path) -> None:
    """What was declared is in the header, so whoever verifies the folder finds the same."""
    history = pulses(levelled(), lambda s: 10 <= s < 250, slow=lambda s: 250 <= s < 260).history()
    again = judge(load_history(write_folder(tmp_path / "run", history)))
    assert [f for f in again.findings if f.name == FOUND] == [f for f in judge(history).findings if f.name == FOUND]


def test_a_level_that_cannot_be_seen_is_refused() -> None:
    """A window longer than the sustained time, and a target without quick looks."""
    levels, timings = ServiceLevel(success_ratio=0.9, latency_wall_s=1, window_s=40), Timings(sustained_s=30)
    (told,) = contradictions({"kind": "aws", "service_level": levels, "timings": timings})
    assert "service_level.window_s is 40" in told
    level = levels.model_copy(update={"window_s": 30.0})
    assert not list(contradictions({"kind": "aws", "service_level": level, "timings": timings}))


def test_a_stretch_is_told_to_the_look() -> None:
    """Looks each second, six to a window of 5 s; three failures from 10 on are below a ratio of 0.8 from 11 to 16."""
    each = [Look(float(s), s + 0.1, s not in (10, 11, 12)) for s in range(-10, 40)]
    found = measure_level(each, Level(0.8, 0.3, 5.0), (0.0, 39.5), 8.0, 5.5)
    assert found.duration is not None
    # at least from the result at 10.1 to the send at 12; at most from the look at 5 to the result at 17.1
    assert (found.duration.low_s, found.duration.high_s) == pytest.approx((1.9, 12.1))
    assert found.duration.basis == ("40 quick looks, 1 stretches below the level",)
    assert Level(0.8, 0.25, 5.0).well(Look(0.0, 0.25, True))
    assert not Level(0.8, 0.25, 5.0).well(Look(0.0, 0.26, True))


def test_only_a_blindness_that_a_gentle_schedule_has_not_counts() -> None:
    """Half a second between gentle looks: two seconds without a look are blind, a millisecond late is not."""
    seen = [Observation(at_s, to_s, PULSE, NEW, UNKNOWN) for at_s, to_s in ((5.0, 7.0), (9.0, 9.5), (9.5, 9.6))]
    seen.append(Observation(20.0, 30.0, PULSE, NEW, FAIL))
    assert blind_in(seen, 0.5) == [(5.0, 7.0)]
    assert hiding_s(0.5) == 2.75
