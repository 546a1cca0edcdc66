"""What the survivor had to do without at recovery: its age, its bounds, and when nothing can be said."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from checks.judge import judge
from checks.recovery_time import RecoveryTime
from checks.unprocessed import unprocessed_finding
from checks.windows import settings_of, windows_of
from drill.verdict import Finding, Interval, Verdict
from tests.checks.histories import FAIL, OBJECTIVES, OSAKA, TOKYO, Story, good_failover

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


@pytest.mark.parametrize(
    ("state", "limit_s", "verdict"),
    [("settled", 300.0, "INVALID"), ("absent", 300.0, "FAIL"), ("absent", 2000.0, "INCONCLUSIVE")],
)
def test_a_survivor_that_never_took_over_had_not_everything_when_it_did(
    state: str, limit_s: float, verdict: str
) -> None:
    """Out to the end, there is no instant to count at: what was missing is too old or may be, never young enough."""
    told = Story(objectives=OBJECTIVES | {"unprocessed_s": limit_s}).window(0, 900, reason="timeout")
    told.looks(-60, 10).looks(10, 905, FAIL).load(-60, 10).load(10, 905, FAIL, "").write("u1-1", -20, -19)
    found = finding(told.read(901, {"u1-1": state}, "recovery").read(1000, {"u1-1": "settled"}))
    assert found is not None and found.verdict.value == verdict
    if verdict == "INVALID":
        assert found == Finding(NAME, Verdict.INVALID, "proves nothing: clients did not recover", limit_s)


def asked(told: Story, time: RecoveryTime, *problems: str) -> Finding:
    """The finding of the first window for a recovery time that is given."""
    history = told.history()
    fixed = settings_of(history)
    found = unprocessed_finding(history, windows_of(history, fixed.places)[0], time, problems, fixed)
    assert found is not None
    return found


def test_a_failure_without_a_recovery_proves_nothing_whatever_the_marks_say() -> None:
    """The first good write there ends no outage; without a failure it is the instant of the move."""
    told = story()
    assert asked(told, RecoveryTime("", failures=3)).reason == "proves nothing: clients did not recover"
    moved = asked(told, RecoveryTime(""))
    assert moved.interval is not None
    assert moved.interval.basis == (f"oldest missing event sent at {told.at(7):.3f}",)
    endless = story()
    endless.mark(251, "window.recovered", window="failover", first_good_s=math.inf)
    assert asked(endless, RecoveryTime("")).verdict is Verdict.INVALID


def test_it_is_told_whole() -> None:
    """How many events, where, the bounds in the run's own seconds, the limit, what they rest on, and what to do."""
    whole = finding(story())
    assert whole is not None and whole.interval is not None
    said = f"2 acknowledged events were not at {OSAKA} when it took over: [240.5, 243.5 s] meets the limit of 300 s"
    assert whole == Finding(NAME, Verdict.PASS, said, 300.0, whole.interval, "", {"events": 2})
    inside = asked(story(limit_s=242.0), RecoveryTime("", recovery=Interval(5024.8, 5025.05)))
    assert inside.advice == "raise the probe rate (timings.probe_interval_s) or repeat the drill"
    none = story(late="settled")
    none.readbacks = [replace(r, state="settled") if r.pass_ == "recovery" else r for r in none.readbacks]
    history = none.history()
    in_lab = replace(history, header=history.header | {"target_kind": "lab"})
    (of_lab,) = [f for f in judge(in_lab).findings if f.name == NAME]
    assert of_lab.reason.endswith("when it took over: [0.0, 0.0 lab s] meets the limit of 300 lab s")
    assert of_lab.interval == Interval(0.0, 0.0, ("every acknowledged event was there",))


def test_why_nothing_is_proven_is_told_whole() -> None:
    """Each reason is a part of the sentence; the limit stays beside it."""
    told = story()
    told.readbacks = [r for r in told.readbacks if r.pass_ == "settled"]
    given = asked(told, RecoveryTime("", recovery=Interval(5024.8, 5025.05)), "one", "two")
    assert given == Finding(NAME, Verdict.INVALID, "proves nothing: one; two; nobody looked at recovery", 300.0)


@pytest.mark.parametrize(("acked_s", "verdict"), [(249.9, "INVALID"), (250.0, "PASS")])
def test_an_event_acknowledged_at_the_recovery_is_not_looked_for(acked_s: float, verdict: str) -> None:
    """The first pass asks for what was known before that instant."""
    told = story(late="settled").write("u1-5", 240.0, acked_s)
    told.mark(250, "window.recovered", window="failover", first_good_s=told.at(250.0))
    given = asked(told, RecoveryTime("", recovery=Interval(5024.8, 5025.05)))
    assert given.verdict.value == verdict, given.reason
