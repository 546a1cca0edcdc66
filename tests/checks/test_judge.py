"""From hand-written run folders to verdicts: nothing passes on missing data, and losses stand on their own."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.judge import judge
from drill.probes import NEW, PULSE
from drill.timeline import History, Observation
from drill.verdict import Finding, Judgement, Verdict
from tests.checks.histories import (
    FAIL,
    OK,
    OSAKA,
    TOKYO,
    TOKYO_PEER,
    UNKNOWN,
    WATCHED,
    Story,
    good_failover,
    sealed,
    verdicts,
)

TIME, POINT, EVIDENCE = "recovery time, failover", "recovery point, failover", "evidence, failover"


def finding(judgement: Judgement, name: str) -> Finding:
    """The one finding of that name."""
    (found,) = [f for f in judgement.findings if f.name == name]
    return found


def judged(story: Story) -> Judgement:
    """The judgement of a story."""
    return judge(story.history())


def with_failback(story: Story) -> Story:
    """`good_failover` and a failback that passes too: out from 420 to 500."""
    story.window(400, 560, "failback").looks(320, 420, region=OSAKA).looks(420, 500, FAIL).looks(500, 590)
    story.load(320, 420, region=OSAKA).load(420, 500, FAIL, "").load(500, 590).write("u2-1", 350, 351)
    return story.read(620, dict.fromkeys(("u1-1", "u1-2", "u2-1"), "settled"), window="failback")


def test_a_good_failover_passes_with_its_numbers() -> None:
    """Recovery time, recovery point and evidence, each with what it rests on."""
    found = judged(good_failover())
    assert verdicts(found.findings) == {TIME: "PASS", POINT: "PASS", EVIDENCE: "PASS"}
    assert found.verdict is Verdict.PASS
    time = finding(found, TIME)
    assert time.limit_s == 600
    assert time.interval is not None
    assert (time.interval.low_s, time.interval.high_s) == pytest.approx((237.5, 242.5))
    assert found.writes["failover"]["acknowledged"] == 2
    json.dumps([f.data for f in found.findings], allow_nan=False)


def test_failover_and_failback_are_judged_by_their_own_objectives() -> None:
    """Two windows, two pairs of findings."""
    found = judged(with_failback(good_failover(windows=("failover", "failback"))))
    assert found.verdict is Verdict.PASS, [f.reason for f in found.findings]
    assert finding(found, "recovery time, failback").limit_s == 420
    assert set(found.writes) == {"failover", "failback"}


@pytest.mark.parametrize(
    ("rto_s", "verdict"), [(242.5, "PASS"), (240.0, "INCONCLUSIVE"), (237.0, "FAIL"), (5.0, "FAIL")]
)
def test_the_unfavourable_bound_has_to_meet_the_objective(rto_s: float, verdict: str) -> None:
    """PASS by the upper bound, FAIL by the lower one, INCONCLUSIVE between."""
    story = good_failover()
    story.objectives["rto_s"] = rto_s
    assert finding(judged(story), TIME).verdict.value == verdict


def test_never_recovered_fails_and_has_no_upper_bound() -> None:
    """Out to the end of the window: FAIL by time; the survivor could not be read, so the point is INVALID."""
    story = Story().window(0, 900, reason="timeout").looks(-60, 10).looks(10, 905, FAIL).write("u1-1", -20, -19)
    found = judged(story.load(-60, 10).load(10, 905, FAIL, ""))
    assert verdicts(found.findings) == {TIME: "FAIL", POINT: "INVALID", EVIDENCE: "PASS"}
    interval = finding(found, TIME).interval
    assert interval is not None and math.isinf(interval.high_s)
    assert "never recovered" in finding(found, TIME).reason
    json.dumps([f.data for f in found.findings], allow_nan=False)


def test_a_lost_write_fails_and_is_named() -> None:
    """An objective of 0 allows none."""
    found = finding(judged(good_failover(fate="absent")), POINT)
    assert found.verdict is Verdict.FAIL
    assert [row["key"] for row in found.data["lost"]] == ["u1-2"]
    assert found.interval is not None and found.interval.high_s > 0


def test_a_lost_write_fails_even_when_the_measurement_is_invalid() -> None:
    """Nothing flowed and nobody looked, but the loss is a loss."""
    story = good_failover(fate="absent").mark(50, "witness.died", name="prober")
    found = judged(story)
    assert finding(found, POINT).verdict is Verdict.FAIL
    assert finding(found, TIME).verdict is Verdict.INVALID
    assert found.verdict is Verdict.FAIL


def test_a_loss_within_the_objective_passes_and_one_that_may_be_beyond_does_not() -> None:
    """With an objective above 0 the interval decides."""
    for rpo_s, verdict in ((30.0, "PASS"), (3.0, "INCONCLUSIVE"), (0.1, "FAIL")):
        story = good_failover(fate="absent")
        story.objectives["rpo_s"] = rpo_s
        assert finding(judged(story), POINT).verdict.value == verdict


def test_no_objective_covers_a_write_that_was_accepted_after_the_onset_and_lost() -> None:
    """It is beyond any recovery point."""
    story = good_failover().write("u1-9", 200, 201).read(400, {"u1-9": "absent"})
    story.objectives["rpo_s"] = 1000.0
    found = finding(judged(story), POINT)
    assert found.verdict is Verdict.FAIL
    assert "1 of them sent after the onset, 0 under way at it" in found.reason


def test_a_lost_write_that_was_under_way_at_the_onset_is_judged_by_the_objective() -> None:
    """It may have been accepted before the onset: FAIL only where the bounds say so, and it is told apart."""
    for rpo_s, verdict in ((30.0, "PASS"), (1.0, "INCONCLUSIVE"), (0.0, "FAIL")):
        story = good_failover().write("u1-9", 9, 14).read(400, {"u1-9": "absent"})
        story.objectives["rpo_s"] = rpo_s
        found = finding(judged(story), POINT)
        assert found.verdict.value == verdict
        assert "0 of them sent after the onset, 1 under way at it" in found.reason


def test_a_write_that_could_not_be_read_back_keeps_the_recovery_point_from_passing() -> None:
    """Unknown is never good."""
    story = good_failover(fate="unknown")
    assert verdicts(judged(story).findings) == {TIME: "PASS", POINT: "INVALID", EVIDENCE: "PASS"}


@pytest.mark.parametrize(
    ("balance", "verdict", "words"),
    [
        (1000.0, "PASS", "add up"),
        (2000.0, "FAIL", "1 duplicate"),
        (0.0, "FAIL", "1000 missing"),
        (None, "INVALID", "read"),
    ],
)
def test_balances_show_what_happened_twice_or_not_at_all(balance: float | None, verdict: str, words: str) -> None:
    """A settled write takes effect exactly once."""
    found = judged(good_failover().balance(300, "drill-1", balance))
    assert finding(found, "balances, failover").verdict.value == verdict
    assert words in finding(found, "balances, failover").reason


def test_no_failure_at_all_may_pass_when_the_effect_is_a_move() -> None:
    """A planned switch that nobody felt: [0, widest gap], proven by the addresses."""
    story = (
        Story()
        .mark(0, "window.begin", window="failover")
        .mark(100, "window.end", window="failover", reason="recovered")
    )
    story.mark(1, "action", window="failover", kind="switch", effect="region_moved")
    story.mark(9, "action.ended", window="failover", kind="switch", reached=True, observed=["status: 'DONE'"])
    story.looks(-60, 30).looks(30, 120, region=OSAKA).load(-60, 120).write("u1-1", -20, -19)
    found = judged(story.read(160, {"u1-1": "settled"}))
    assert found.verdict is Verdict.PASS, [f.reason for f in found.findings]
    interval = finding(found, TIME).interval
    assert interval is not None and (interval.low_s, interval.high_s) == pytest.approx((0.0, 2.5))


Spoil = Callable[[Story], object]


def _without(story: Story, name: str) -> None:
    story.events = [e for e in story.events if e.name != name]


def _failed_baseline(story: Story) -> None:
    story.look(-5, -4.5, FAIL)


def _no_load(story: Story) -> None:
    story.requests.clear()


def _load_died(story: Story) -> None:
    story.requests = [r for r in story.requests if r.sent_s < story.at(20)]


def _no_bite(story: Story) -> None:
    story.observations.clear()
    story.looks(-60, 40).looks(40, 320, region=OSAKA)


def _bitten_before_it_began(story: Story) -> None:
    """A quick look failed just before anything was done, and then nothing did."""
    _no_bite(story)
    at = story.at(0.1), story.at(0.3)
    story.observations.append(Observation(*at, PULSE, NEW, FAIL, "", "status 503"))


def _healed_at_home(story: Story) -> None:
    story.observations.clear()
    story.looks(-60, 10).looks(10, 250, FAIL).looks(250, 320, region=TOKYO)


def _not_from_home(story: Story) -> None:
    story.observations = [
        dataclasses.replace(o, value="127.101.5.165" if o.value else "") for o in story.observations
    ]


def _not_in_force(story: Story) -> None:
    story.events = [
        dataclasses.replace(e, data=e.data | {"in_force": False}) if e.name == "fault.injected" else e
        for e in story.events
    ]


def _came_back(story: Story) -> None:
    story.target = WATCHED
    story.signal("aws.ecs.transaction", [(5, "1/0"), (10, "0/0"), (100, "0/0"), (200, "1/1")], TOKYO)


def _nobody_looked(story: Story) -> None:
    story.target = WATCHED
    story.signal("aws.ecs.transaction", [(-5, "1/1"), (10, ""), (100, "")], TOKYO)


def _two_keys(story: Story) -> None:
    story.write("u1-1", -30, -29)


def _two_ids(story: Story) -> None:
    story.writes.append(dataclasses.replace(story.writes[0], key="u1-9"))
    story.read(400, {"u1-9": "settled"})


def _not_ours(story: Story) -> None:
    story.run_id = "r1"
    story.target = WATCHED | {"load": {"timeout_s": 3.0, "synthetic_prefix": "drill-"}}
    story.signal("aws.ecs.transaction", [(5, "0/0"), (100, "0/0")], TOKYO)


def _blind(story: Story) -> None:
    story.observations = [o for o in story.observations if not story.at(100) < o.sent_s < story.at(150)]


def _unknown(story: Story) -> None:
    story.observations = [
        dataclasses.replace(o, outcome=UNKNOWN) if story.at(100) < o.sent_s < story.at(150) else o
        for o in story.observations
    ]


SPOILS: list[tuple[Spoil, str]] = [
    (_failed_baseline, "probes failed just before"),
    (lambda s: s.load(-5, -4, FAIL), "requests of the load failed just before"),
    (lambda s: s.mark(-1, "steady", ok=False), "steady-state"),
    (_no_load, "good requests of the load"),
    (lambda s: s.writes.clear(), "no write acknowledged"),
    (_load_died, "the load made no request for"),
    (lambda s: _without(s, "fault.injected"), "nothing was injected"),
    (lambda s: s.mark(100, "fault.restored", kind="ecs.scale"), "was restored"),
    (_not_in_force, "never showed ecs.scale in force"),
    (_nobody_looked, "no witness looked whether the fault stayed in force"),
    (lambda s: _without(s, "fault.held"), "nobody saw that ecs.scale was still in force"),
    (lambda s: s.look(0.1, 0.3, FAIL), "failed in the failover window before anything was done"),
    (lambda s: s.mark(250, "window.recovered", window="failover", first_good_s=s.at(249.0)), "after the instant"),
    (_two_keys, "share the ledger key u1-1"),
    (_two_ids, "share the id of the system id-u1-1"),
    (_not_ours, "were not made by run r1"),
    (_came_back, "did not stay in force: aws.ecs.transaction showed 1/1"),
    (_no_bite, "did not bite"),
    (_bitten_before_it_began, "no client saw a failure after it"),
    (_healed_at_home, "served again, not from"),
    (_not_from_home, f"not served from {TOKYO} before"),
    (_blind, "observer was blind"),
    (_unknown, "observer was blind"),
    (lambda s: s.mark(10, "witness.died", name="prober"), "witness prober died"),
    (lambda s: _without(s, "window.end"), "cut short"),
    (lambda s: s.observations.clear(), "no probe"),
]


@pytest.mark.parametrize(("spoil", "words"), SPOILS, ids=[words.replace(" ", "-") for _, words in SPOILS])
def test_a_measurement_whose_preconditions_do_not_hold_is_invalid(spoil: Spoil, words: str) -> None:
    """Each precondition alone takes the credit away from recovery time and recovery point, and says why."""
    story = good_failover()
    spoil(story)
    found = judged(story)
    assert finding(found, EVIDENCE).verdict is Verdict.INVALID
    assert words in finding(found, EVIDENCE).reason
    assert finding(found, TIME).verdict is Verdict.INVALID
    assert finding(found, POINT).verdict is Verdict.INVALID
    assert finding(found, TIME).limit_s == 600


@pytest.mark.parametrize(
    ("mark", "data", "verdict", "name"),
    [
        ("invalid", {"reason": "aborted: SIGINT"}, Verdict.INVALID, "run"),
        ("lab.overrun", {"what": "switchover", "declared_s": 120, "took_s": 200}, Verdict.INVALID, "lab speed"),
        ("dirty", {"reason": "count is 0", "lines": ["aws ecs update-service"]}, Verdict.DIRTY, "clean-up"),
    ],
)
def test_what_the_drill_says_about_itself_counts(
    mark: str, data: dict[str, object], verdict: Verdict, name: str
) -> None:
    """Aborted, too fast, or not put back: the good measurement stays beside it, the verdict does not pass."""
    found = judged(good_failover().mark(300, mark, **data))
    assert found.verdict is verdict
    assert finding(found, name).verdict is verdict
    assert finding(found, TIME).verdict is Verdict.PASS
    assert finding(found, name).advice or mark == "invalid"


def test_a_window_that_was_announced_and_never_begun_is_invalid() -> None:
    """The scenario promised a failback."""
    found = judged(good_failover(windows=("failover", "failback")))
    assert finding(found, "evidence, failback").verdict is Verdict.INVALID
    assert found.verdict is Verdict.INVALID


@pytest.mark.parametrize(
    "header", [{}, {"speed": 10}, {"speed": 0, "target": {}}, {"speed": 10, "target": {"regions": 3}}]
)
def test_a_header_that_says_too_little_is_invalid_not_an_error(header: dict[str, object]) -> None:
    """No path from missing data to PASS, nor to a traceback."""
    found = judge(dataclasses.replace(good_failover().history(), header=header))
    assert found.verdict is Verdict.INVALID


def test_an_empty_history_is_invalid() -> None:
    """Nothing measured is nothing proven."""
    assert judged(Story()).verdict is Verdict.INVALID


def test_a_target_without_an_objective_is_invalid() -> None:
    """There is nothing to judge by."""
    assert judged(good_failover(objectives={})).verdict is Verdict.INVALID


def test_pinned_connections_and_further_outages_are_noted() -> None:
    """Not judged, and told."""
    story = good_failover()
    story.requests = [dataclasses.replace(r, pinned=r.sent_s > story.at(270)) for r in story.requests]
    assert any("pinned" in note for note in judged(story).notes)


def test_judging_is_a_pure_function_of_the_evidence() -> None:
    """The order of the files' lines changes nothing."""
    history = good_failover().history()
    mixed = list(history.observations)
    random.Random(7).shuffle(mixed)
    assert judge(dataclasses.replace(history, observations=tuple(mixed))) == judge(history)


RANKS = (Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL)


@settings(max_examples=60, deadline=None)
@given(st.floats(-20, 320), st.floats(0.1, 20), st.sampled_from([200.0, 240.0, 600.0]))
def test_another_failure_never_improves_a_verdict(sent_s: float, took_s: float, rto_s: float) -> None:
    """PASS stays or gets worse; nothing else becomes PASS; a FAIL never becomes INCONCLUSIVE."""
    story = good_failover()
    story.objectives["rto_s"] = rto_s
    before = finding(judged(story), TIME).verdict
    after = finding(judged(story.look(sent_s, sent_s + took_s, FAIL)), TIME).verdict
    assert after is Verdict.INVALID or RANKS.index(after) >= RANKS.index(before)


def _thinned(history: History, kind: str, keep: set[int]) -> History:
    evidence = getattr(history, kind)
    size = max(1, len(evidence) // 20)
    kept = tuple(e for n, e in enumerate(evidence) if n // size in keep)
    return sealed(dataclasses.replace(history, **{kind: kept}))


def _flapping() -> Story:
    """One scheduled probe of the sustained time failed; without it the objective would be met."""
    story = good_failover()
    story.objectives["rto_s"] = 250.0
    flap_s = story.at(274)
    story.observations = [
        dataclasses.replace(o, outcome=FAIL, value="") if abs(o.sent_s - flap_s) < 1e-6 else o
        for o in story.observations
    ]
    return story


BAD = {
    "late": good_failover(recovery_s=610.0).history(),
    "flapping": _flapping().history(),
    "lost": good_failover(fate="absent").history(),
    "unread": good_failover(fate="unknown").history(),
    "empty": Story().history(),
}


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(sorted(BAD)),
    st.sampled_from(["observations", "requests", "events", "readbacks"]),
    st.sets(st.integers(0, 20)),
)
def test_evidence_that_is_taken_away_never_makes_a_drill_pass(name: str, kind: str, keep: set[int]) -> None:
    """Whole stretches of any kind of evidence removed: what did not pass still does not."""
    assert judge(BAD[name]).verdict is not Verdict.PASS
    assert judge(_thinned(BAD[name], kind, keep)).verdict is not Verdict.PASS


@pytest.mark.parametrize("name", ["late", "flapping"])
def test_no_single_look_that_is_taken_away_makes_a_drill_pass(name: str) -> None:
    """Not even one failed probe can go missing unnoticed."""
    looks: list[Observation] = sorted(BAD[name].observations, key=lambda o: o.sent_s)
    for number in range(len(looks)):
        fewer = tuple(looks[:number] + looks[number + 1 :])
        assert judge(sealed(dataclasses.replace(BAD[name], observations=fewer))).verdict is not Verdict.PASS


def test_addresses_outside_all_cidrs_prove_no_move() -> None:
    """Where the client landed is known from addresses only."""
    story = good_failover()
    story.observations = [
        dataclasses.replace(o, value=o.value if o.value in ("", TOKYO_PEER) else "192.0.2.1")
        if o.outcome is OK
        else o
        for o in story.observations
    ]
    assert finding(judged(story), TIME).verdict is Verdict.INVALID


def watched(*records: dict[str, object], state: str = "restored") -> Judgement:
    """A good failover whose watchdog recorded this, and whose one Change ended so by the journal."""
    story = good_failover()
    at_s = max(e.at_s for e in story.history().events)
    journal = ({"number": 1, "state": "prepared", "change": {"kind": "ecs.scale"}}, {"number": 1, "state": state})
    stamped = tuple({"at_s": at_s + n, **record} for n, record in enumerate(records))
    return judge(dataclasses.replace(story.history(), watchdog=stamped, journal=journal))


def test_a_run_that_the_watchdog_had_to_end_is_invalid_and_says_how_long_the_restore_took() -> None:
    """Whatever was measured: killed or hung, in which phase, and the wall seconds until all was back."""
    noticed = {"event": "noticed", "why": "dead", "silent_s": 0.1}
    killed = finding(watched(noticed, {"event": "claimed"}, {"event": "restored", "number": 1}), "watchdog")
    assert killed.verdict is Verdict.INVALID
    assert "the drill was killed before its first phase" in killed.reason
    assert "restored by the watchdog 2.0 s (wall) after it had noticed" in killed.reason
    hung = finding(watched({**noticed, "why": "hung", "silent_s": 61.2}), "watchdog")
    assert "the drill hung before its first phase" in hung.reason
    assert "no sign of life for 61.2 s" in hung.reason
    assert "nothing had to be put back" in hung.reason


def test_what_the_watchdog_could_not_put_back_is_dirty_with_the_lines() -> None:
    """Until somebody else has: the journal tells."""
    noticed = {"event": "noticed", "why": "dead", "silent_s": 0.1}
    tried = {"event": "dirty", "number": 1, "reason": "AWS said no", "lines": ["aws ecs update-service"]}
    left = finding(watched(noticed, tried, state="dirty"), "watchdog")
    assert (left.verdict, left.advice) == (Verdict.DIRTY, "aws ecs update-service")
    assert "ecs.scale is not back; type: drill restore RUN" in left.reason
    assert finding(watched(noticed, tried, state="restored"), "watchdog").verdict is Verdict.INVALID


@pytest.mark.parametrize(
    ("last", "verdict"),
    [("reached", "DIRTY"), ("dirty", "DIRTY"), ("restored", "PASS"), ("not_started", "PASS"), ("", "DIRTY")],
)
def test_an_experiment_that_nobody_ended_is_dirty(last: str, verdict: str) -> None:
    """Whatever its end state: by the drill's own mark, and by the journal when the drill could not set one."""
    story = good_failover().mark(-50, "action", window="", kind="fis.run", effect="none", number=7, undo=True)
    states = [{"number": 7, "state": state} for state in (last,) if state]
    journal = ({"number": 7, "state": "intended", "action": {"kind": "fis.run", "undo": {}}}, *states)
    found = judge(dataclasses.replace(story.history(), journal=journal))
    assert found.verdict.value == verdict
    if verdict == "DIRTY":
        assert "no record shows that fis.run was put back" in finding(found, "clean-up").reason
        story.mark(300, "fault.restored", number=7, kind="fis.run")
        assert judge(dataclasses.replace(story.history(), journal=journal)).verdict is Verdict.PASS


def test_an_action_that_nobody_can_end_is_not_to_be_put_back() -> None:
    """Its mark says nothing of an undo."""
    story = good_failover().mark(-50, "action", window="", kind="states.start", effect="none")
    assert judge(story.history()).verdict is Verdict.PASS


def test_a_watchdog_that_had_nothing_to_do_is_no_finding() -> None:
    """It watched, and the drill was done."""
    found = watched({"event": "watching"}, {"event": "done"})
    assert "watchdog" not in {f.name for f in found.findings}


@pytest.mark.parametrize("record", [{"event": "noticed", "why": []}, {"event": "noticed", "silent_s": "long"}])
def test_a_watchdogs_record_of_a_wrong_shape_is_invalid(record: dict[str, object]) -> None:
    """Never a traceback, never PASS."""
    assert watched({"why": "hung", **record}).verdict is Verdict.INVALID


def test_an_inverted_check_says_nothing_of_detection() -> None:
    """Whoever reads how quick it was reads beside it that no alarm had to see anything."""
    story = good_failover()
    told = next(e for e in story.events if e.name == "fault.injected")
    told.data["kind"] = "route53.health_check_inverted"
    assert any("nothing had to be detected" in note for note in judge(story.history()).notes)
    assert not any("nothing had to be detected" in note for note in judge(good_failover().history()).notes)
