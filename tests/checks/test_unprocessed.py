"""What the survivor had to do without at recovery: its age, its bounds, and when nothing can be said."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from checks.judge import judge
from drill.verdict import Finding, Verdict
from tests.checks.histories import OBJECTIVES, OSAKA, TOKYO, Story, good_failover

NAME = "unprocessed at recovery, failover"


def story(limit_s: float | None = 300.0, **states: str) -> Story:
    """Down from 10 to 250; u1-4 was acknowledged at 12, its state at recovery is as told; it arrives at last."""
    found = good_failover(objectives=OBJECTIVES | ({} if limit_s is None else {"unprocessed_s": limit_s}))
    found.write("u1-4", 11.5, 12.0, account="drill-4")
    found.read(291, {"u1-4": states.get("late", "absent")}, "recovery")
    return found.read(340, {"u1-4": "settled"})


def finding(told: Story) -> Finding | None:
    """The finding, if there is one."""
    return next((f for f in judge(told.history()).findings if f.name == NAME), None)


def test_its_age_is_from_the_oldest_missing_event_to_the_recovery() -> None:
    """u1-2, pending at recovery and sent at 7, is the oldest: its age is what is judged, with its bounds."""
    found = finding(story())
    assert found is not None
    assert found.interval is not None
    assert (found.verdict, found.data["events"]) == (Verdict.PASS, 2)
    assert found.interval.low_s == pytest.approx(248.0 - 7.5, abs=1.0)
    assert found.interval.high_s == pytest.approx(250.5 - 7.0, abs=0.1)


def test_too_old_fails() -> None:
    """Beyond the objective by its favourable bound."""
    found = finding(story(limit_s=200.0))
    assert found is not None
    assert found.verdict is Verdict.FAIL


def test_nothing_missing_is_zero() -> None:
    """The survivor had everything when it took over."""
    told = story(late="settled")
    told.readbacks = [replace(r, state="settled") if r.pass_ == "recovery" else r for r in told.readbacks]
    found = finding(told)
    assert found is not None
    assert found.interval is not None
    assert (found.interval.low_s, found.interval.high_s, found.verdict) == (0.0, 0.0, Verdict.PASS)


@pytest.mark.parametrize("look", ["unknown", None])
def test_what_could_not_be_read_is_not_there_for_all_we_know(look: str | None) -> None:
    """A survivor that does not answer at recovery, or an event that was not asked for: unknown, never zero."""
    told = story(late="settled")
    early = [r for r in told.readbacks if r.pass_ == "recovery"]
    later = [r for r in told.readbacks if r.pass_ != "recovery"]
    told.readbacks = [
        r if r.key != "u1-2" else replace(r, state=look) for r in early if look or r.key != "u1-2"
    ] + later
    found = finding(told)
    assert found is not None
    assert (found.verdict, found.interval) == (Verdict.INVALID, None)
    assert "1 of 3 acknowledged events could not be read back at recovery" in found.reason


def test_read_from_another_region_proves_nothing() -> None:
    """What the old Region has says nothing of what the survivor had."""
    told = story(late="settled")
    told.events = [replace(e, data=e.data | {"region": TOKYO}) if e.name == "readback" else e for e in told.events]
    found = finding(told)
    assert found is not None
    assert found.verdict is Verdict.INVALID
    assert f"read back from {TOKYO}, not only from {OSAKA}" in found.reason


def test_nobody_looked_proves_nothing() -> None:
    """Without the pass at recovery there is no zero: missing data is unknown."""
    told = story()
    told.readbacks = [r for r in told.readbacks if r.pass_ == "settled"]
    found = finding(told)
    assert found is not None
    assert (found.verdict, found.interval) == (Verdict.INVALID, None)
    assert "nobody looked at recovery" in found.reason


def test_never_recovered_proves_nothing_of_it() -> None:
    """An outage without an end has no instant at which the survivor took over."""
    told = Story(objectives=OBJECTIVES | {"unprocessed_s": 300.0}).window(0, 290, reason="timeout")
    told.looks(-60, 10).looks(10, 300, outcome=told.observations[0].outcome.__class__.FAIL, region="")
    told.load(-60, 10).read(291, {}, "recovery")
    found = finding(told)
    assert found is not None
    assert found.verdict is Verdict.INVALID


def test_a_move_without_a_failure_counts_from_the_first_good_write_there() -> None:
    """Nobody was without service; what was missing at that instant is counted all the same."""
    told = Story(objectives=OBJECTIVES | {"unprocessed_s": 300.0}).window(0, 60)
    told.looks(-60, 10).looks(10, 100, region=OSAKA).load(-60, 10).load(10, 100, region=OSAKA)
    told.mark(11, "window.recovered", window="failover", first_good_s=told.at(11))
    told.write("u1-1", -20, -19.5).read(61, {"u1-1": "absent"}, "recovery").read(130, {"u1-1": "settled"})
    for event in told.events:
        event.data.pop("effect", None)
    told.events = [e for e in told.events if e.name != "fault.injected"]
    told.mark(0.5, "fault.injected", kind="ecs.scale", effect="region_moved", window="failover", in_force=True)
    found = finding(told)
    assert found is not None
    assert found.interval is not None
    assert math.isclose(found.interval.high_s, 31.0, abs_tol=1.0)


def test_without_an_objective_it_is_not_judged() -> None:
    """It is a question of systems that deliver late."""
    assert finding(story(limit_s=None)) is None


def test_an_event_under_way_at_the_recovery_is_as_young_as_it_may_be() -> None:
    """Its age is bounded by nought below, and what it rests on is told."""
    told = good_failover(objectives=OBJECTIVES | {"unprocessed_s": 300.0}).write("u1-4", 249.0, 249.9)
    told.readbacks = [replace(r, state="settled") if r.pass_ == "recovery" else r for r in told.readbacks]
    told.read(291, {"u1-4": "absent"}, "recovery").read(340, {"u1-4": "settled"})
    found = finding(told)
    assert found is not None and found.interval is not None
    assert (found.interval.low_s, found.interval.high_s) == pytest.approx((0.0, 1.5))
    assert found.interval.basis == (f"oldest missing event sent at {told.at(249.0):.3f}",)
