"""What is told of a window to the last word: every field of its findings, against what was worked out by hand.

test_judge.py says which verdict a run gets; here is what stands beside it, which people and programs act on.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from checks.integrity import integrity_finding
from checks.judge import Measured, judge, measure_window, time_finding, unserved_demand
from checks.quiet import QUIET, quiet_findings
from checks.recovery_point import RecoveryPoint
from checks.recovery_time import RecoveryTime
from checks.service_level import level_finding
from checks.signals import TARGETS
from checks.switch import blind_wall_s, switch_findings
from checks.unprocessed import unprocessed_finding
from checks.windows import Window, settings_of, windows_of
from drill.probes import NEW, PULSE, READ
from drill.timeline import History, Observation, Request
from drill.verdict import Finding, Interval, Judgement, Verdict
from tests.checks.histories import (
    FAIL,
    OBJECTIVES,
    OK,
    OSAKA,
    OSAKA_PEER,
    TOKYO,
    TOKYO_PEER,
    UNKNOWN,
    Story,
    good_failover,
    sealed,
)

TIME, POINT, EVIDENCE = "recovery time, failover", "recovery point, failover", "evidence, failover"
OUT = Interval(
    237.5,
    242.5,
    (
        "last good probe sent at 5000.800",
        "first failure known at 5001.050",
        "last failure sent at 5024.800",
        "first sustained good result at 5025.050",
    ),
)
"""The outage of `good_failover`."""
PROVEN = "baseline healthy, load flowed, effect proven, traffic moved, observer saw it all"
DIED = "the witness prober died during the drill"


def found(judgement: Judgement, name: str) -> Finding:
    """The one finding of that name."""
    (one,) = [f for f in judgement.findings if f.name == name]
    return one


def judged(story: Story, **header: Any) -> Judgement:
    """The judgement of a story whose header says this too."""
    history = story.history()
    return judge(sealed(replace(history, header=history.header | header)))


def never_recovered(rto_s: float) -> Story:
    """Out from 10 s to the window's end at 900 s."""
    story = Story(objectives={"rto_s": rto_s, "rpo_s": 0.0}).window(0, 900, reason="timeout")
    story.looks(-60, 10).looks(10, 905, FAIL).write("u1-1", -20, -19)
    return story.load(-60, 10).load(10, 905, FAIL, "")


# -- recovery time


def test_a_recovery_time_is_told_whole() -> None:
    """Bounds with what they rest on, and everything that stands beside them."""
    whole = found(judged(good_failover()), TIME)
    assert whole == Finding(
        TIME, Verdict.PASS, "[237.5, 242.5 s] meets the limit of 600 s", 600.0, OUT, data=whole.data
    )
    (vantage,) = whole.data.pop("vantages")
    assert (vantage["vantage"], vantage["recovery_s"], vantage["looks"]) == ("write.settle", [237.5, 242.5], 146)
    assert whole.data == {
        "failures": 120,
        "successes": 25,
        "outages": 1,
        "unavailable_s": [237.5, 242.5],
        "onset_monotonic_s": [5000.8, 5001.05],
        "recovery_monotonic_s": [5024.8, 5025.05],
        "widest_gap_s": 242.5,
        "names": [],
        "errors": [{"error": "503", "count": 120, "first_s": -0.5, "last_s": 238.0}],
        "unserved": [240, 243],
    }


@pytest.mark.parametrize(
    ("rto_s", "verdict", "advice"),
    [
        (600.0, "FAIL", ""),
        (889.0, "FAIL", ""),
        (1000.0, "INCONCLUSIVE", "the window ended too early: raise timings.window_s"),
    ],
)
def test_what_never_recovered_is_told_whole(rto_s: float, verdict: str, advice: str) -> None:
    """The limit, how long at least, what to do when the window was too short to tell; open ends are null."""
    for unit, header in (("s", {}), ("lab s", {"target_kind": "lab"})):
        whole = judged(never_recovered(rto_s), **header)
        time = found(whole, TIME)
        said = f"never recovered in the window: [889.5 {unit}, infinity), the limit is {rto_s:g} {unit}"
        assert (time.verdict.value, time.reason, time.limit_s, time.advice) == (verdict, said, rto_s, advice)
        assert time.interval is not None and time.interval.low_s == pytest.approx(889.5)
        assert time.data["recovery_monotonic_s"] == [5090.0, None] and time.data["unavailable_s"] == [889.5, None]
        assert time.data["unserved"] == [891, 893]
        assert found(whole, EVIDENCE) == Finding(
            EVIDENCE,
            Verdict.PASS,
            "baseline healthy, load flowed, effect proven, observer saw it all; clients never served again",
        )


def test_without_an_objective_the_numbers_stand_and_nothing_is_judged() -> None:
    """Both recovery time and recovery point keep what was measured, beside the reason."""
    whole, none = judged(good_failover(objectives={})), "the target has no objective for it"
    for name, interval in ((TIME, OUT), (POINT, Interval(0.0, 0.0, ("no acknowledged write is lost",)))):
        told = found(whole, name)
        assert told == Finding(name, Verdict.INVALID, none, None, interval, data=told.data)
    assert found(whole, TIME).data["unserved"] == [240, 243]
    assert found(whole, POINT).data["counts"]["acknowledged"] == 2


def test_a_measurement_that_proves_nothing_is_told_whole() -> None:
    """Its number stays beside the reason; of the recovery point there is none."""
    story = good_failover().mark(50, "witness.died", name="prober").mark(60, "witness.died", name="pulse")
    whole, why = judged(story), f"{DIED}; the witness pulse died during the drill"
    time, point = found(whole, TIME), found(whole, POINT)
    assert time == Finding(TIME, Verdict.INVALID, f"proves nothing: {why}", 600.0, OUT, data=time.data)
    assert point == Finding(POINT, Verdict.INVALID, f"proves nothing: {why}", 0.0, data=point.data)
    assert (time.data["failures"], point.data["counts"]["late"], point.data["lost"]) == (120, 1, [])
    problems = {"problems": [DIED, "the witness pulse died during the drill"]}
    assert found(whole, EVIDENCE) == Finding(EVIDENCE, Verdict.INVALID, why, data=problems)


def test_what_holds_of_a_recovered_window_is_told() -> None:
    """All of its preconditions."""
    assert found(judged(good_failover()), EVIDENCE) == Finding(EVIDENCE, Verdict.PASS, PROVEN)


def timed(time: RecoveryTime, *problems: str) -> Finding:
    """Its finding against 600 lab s."""
    nothing = RecoveryPoint(Interval(0.0, 0.0), 0, 0, 0, 0, 0, 0)
    window = Window("failover", OSAKA, 0.0, 100.0, "recovered", 50.0)
    return time_finding(Measured(window, time, nothing, problems), 600.0, "lab s")


def test_why_there_is_no_number_is_said_by_the_window_or_by_the_looks() -> None:
    """What does not hold goes before what the looks lack; a number that is missing for no reason is said to be."""
    assert timed(RecoveryTime("no looks"), "one", "two").reason == "proves nothing: one; two"
    assert timed(RecoveryTime("no looks")).reason == "proves nothing: no looks"
    assert timed(RecoveryTime("")).reason == "proves nothing: nothing was measured"


def test_a_recovery_time_is_told_in_the_units_of_the_run_and_its_details_to_a_millionth() -> None:
    """Of a second; what has no end is null."""
    duration = Interval(1.23456789, 2.3456789)
    whole = timed(RecoveryTime("", duration, duration, duration, math.inf, 1, Interval(0.0, math.inf), 2, 3))
    assert whole.reason == "[1.2, 2.3 lab s] meets the limit of 600 lab s"
    assert whole.data["onset_monotonic_s"] == whole.data["recovery_monotonic_s"] == [1.234568, 2.345679]
    assert (whole.data["widest_gap_s"], whole.data["unavailable_s"]) == (None, [0.0, None])


def requested(*sent_s: float) -> list[tuple[int, int]]:
    """(not served, of how many) of requests sent then; one of each three was served, one failed, one is unknown."""
    requests = [Request(s, s + 1.0, "deposit", o, 0, "") for s in sent_s for o in (OK, FAIL, UNKNOWN)]
    history = History({}, requests=tuple(requests))
    onset, recovery = Interval(10.0, 12.0), Interval(20.0, 25.0)
    window = Window("failover", OSAKA, 0.0, 23.0, "", 0.0)
    times = (RecoveryTime("", onset, recovery), RecoveryTime("", onset, replace(recovery, high_s=22.0)))
    return [unserved_demand(history, window, time) for time in times]


def test_demand_is_counted_from_the_earliest_onset_to_the_latest_recovery() -> None:
    """Both instants belong to it, the window ends it, and a request that nobody knows of was not served."""
    assert requested(9.9, 22.1) == [(2, 3), (0, 0)]
    assert requested(10.0, 22.0, 22.5, 23.0, 23.1) == [(8, 12), (4, 6)]


@pytest.mark.parametrize("missing", ["onset", "recovery"])
def test_without_an_onset_or_a_recovery_no_demand_is_counted(missing: str) -> None:
    """Nothing lies between two instants of which one is not known."""
    history = History({}, requests=(Request(11.0, 12.0, "deposit", FAIL, 0, ""),))
    time = replace(RecoveryTime("", Interval(10.0, 12.0), Interval(20.0, 25.0)), **{missing: None})
    assert unserved_demand(history, Window("failover", OSAKA, 0.0, 23.0, "", 0.0), time) == (0, 0)


# -- recovery point


def test_a_recovery_point_without_a_loss_is_told_whole() -> None:
    """How many were looked for, how many of them came late, and the stores."""
    whole = found(judged(good_failover()), POINT)
    assert whole == Finding(
        POINT,
        Verdict.PASS,
        "none of 2 acknowledged writes is lost (1 late)",
        0.0,
        Interval(0.0, 0.0, ("no acknowledged write is lost",)),
        data=whole.data,
    )
    assert [store["acknowledged"] for store in whole.data["stores"]] == [2]


@pytest.mark.parametrize(
    ("fate", "prefix", "writes", "why"),
    [
        ("unknown", "", True, "1 of 2 acknowledged writes could not be read back at the survivor"),
        ("settled", None, False, "nothing was written: the target declares no load.synthetic_prefix"),
        ("settled", "drill-", False, "no acknowledged write to read back"),
    ],
    ids=["unread", "read only", "nothing acknowledged"],
)
def test_what_keeps_a_recovery_point_from_passing_is_said(
    fate: str, prefix: str | None, writes: bool, why: str
) -> None:
    """What was not read back, what was never written, and what nobody acknowledged."""
    load = {"timeout_s": 3.0} | ({} if prefix is None else {"synthetic_prefix": prefix})
    story = good_failover(fate=fate, target={**Story().target, "load": load})
    history = story.history()
    if not writes:
        empty: dict[str, Any] = {"writes": (), "readbacks": ()}
        read_only = {} if prefix else {"read_only": True}
        history = replace(history, header=history.header | read_only, **empty)
    told = found(judge(sealed(history)), POINT)
    assert told.verdict is Verdict.INVALID
    assert why in told.reason.removeprefix("proves nothing: ").split("; ")


def test_a_settled_pass_before_its_time_keeps_a_recovery_point_from_passing() -> None:
    """The settle time is the target's own, in wall seconds of this run."""
    story = good_failover(timings={"settle_s": 91.0})
    said = "the settled pass began 9.0 s (wall) after recovery, 9.1 s are due (timings.settle_s)"
    assert said in found(judged(story), POINT).reason
    assert found(judged(good_failover(timings={"settle_s": 90.0})), POINT).verdict is Verdict.PASS


# -- which questions are asked


def asked_everything(died: bool) -> History:
    """A failover of a target that declares whatever can be judged, and evidence of all of it."""
    target = {
        **Story().target,
        "service_level": {"success_ratio": 0.9, "latency_wall_s": 0.3, "window_s": 20.0},
        "resources": {"source_target_group": {"region": TOKYO, "name": "source-targets"}},
    }
    story = good_failover(target=target, objectives=OBJECTIVES | {"unprocessed_s": 300.0})
    story.mark(0, QUIET, window="failover", region=TOKYO).mark(5, "action", kind="machine", window="failover")
    story.balance(300, "drill-1", 1000.0).write("u1-4", 260, 261).read(381, {"u1-4": "settled"})
    story.writes[-1] = replace(story.writes[-1], peer=OSAKA_PEER)
    story.readbacks[-1] = replace(story.readbacks[-1], copies=1)
    story.signal(TARGETS, [(float(at_s), OSAKA_PEER) for at_s in range(250, 290, 5)])
    for second in range(-20, 290):
        place = TOKYO_PEER if second < 100 else OSAKA_PEER
        at, quick = (story.at(second), story.at(second + 0.1)), (story.at(second), story.at(second + 0.5))
        story.observations.append(Observation(*at, "dns", "authoritative", OK, place, "ttl=60 rcode=NOERROR"))
        story.observations.append(Observation(*quick, PULSE, NEW, OK if not 10 <= second < 250 else FAIL, place))
    return (story.mark(50, "witness.died", name="prober") if died else story).history()


@pytest.mark.parametrize("died", [False, True], ids=["everything holds", "a witness died"])
def test_every_question_of_a_window_is_asked_with_what_was_measured_in_it(died: bool) -> None:
    """Each module's own finding stands among the others, in one order."""
    history = asked_everything(died)
    fixed = settings_of(history)
    (window,) = windows_of(history, fixed.places)
    measured = measure_window(history, window, fixed)
    assert bool(measured.problems) is died
    own = [
        unprocessed_finding(history, window, measured.time, measured.problems, fixed),
        *level_finding(history, window, measured.problems, fixed),
        *integrity_finding(history, window, measured.point, measured.problems),
        *switch_findings(history, window, blind_wall_s(fixed)),
        *quiet_findings(history, window, fixed),
    ]
    told = judge(history).findings
    assert [f.name for f in told] == [
        TIME,
        POINT,
        "unprocessed at recovery, failover",
        "service level, failover",
        "written data, failover",
        "balances, failover",
        "end state, failover",
        "switch, failover",
        f"quiet, {TOKYO}",
        EVIDENCE,
    ]
    assert [f for f in told if f in own] == own


def test_a_run_that_only_reads_is_measured_by_its_reads() -> None:
    """Its own probe says who was served; that of writes is not asked."""
    story = good_failover()
    story.observations = [replace(o, probe=READ) for o in story.observations]
    time = found(judged(story, read_only=True), TIME)
    assert (time.interval, time.data["failures"]) == (OUT, 120)
    assert found(judged(good_failover(), read_only=True), TIME).interval is None


def test_a_lost_write_is_told_with_the_region_that_took_it() -> None:
    """By the address that acknowledged it."""
    (row,) = found(judged(good_failover(fate="absent")), POINT).data["lost"]
    assert (row["key"], row["region"], row["state"]) == ("u1-2", TOKYO, "absent")
