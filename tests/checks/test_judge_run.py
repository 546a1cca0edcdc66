"""End states, what a run says of itself, phases and notes: to the last word, against what was worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from checks.data_residue import cleaning_of
from checks.judge import judge, run_findings
from checks.residue import left_behind
from drill.drill import STAY_BEGIN, STAY_END
from drill.end_state import DECLARED
from drill.timeline import Event, Observation
from drill.verdict import Finding, Verdict
from tests.checks.histories import (
    COMPLETE,
    FAIL,
    OK,
    OSAKA,
    OSAKA_PEER,
    TOKYO,
    TOKYO_PEER,
    Story,
    good_failover,
    sealed,
)
from tests.checks.test_data_residue import KEYS, cleaned, read
from tests.checks.test_judge_told import OUT, TIME, found, judged
from tests.checks.test_residue import journal, moved, snapshot

# -- end states


def ended(kind: str | None = "machine", **end: Any) -> list[Finding]:
    """The end state of a failback's action whose end is told so."""
    story = good_failover().window(400, 560, "failback")
    story.events = [e for e in story.events if e.name not in ("action", "action.ended")]
    story.mark(400.5, "action", **({"kind": kind} if kind else {}), effect="region_moved", window="failback")
    if end:
        story.mark(560, "action.ended", window="failback", **end)
    story.mark(401, "action", kind="other", window="elsewhere").mark(402, "action.ended", window="elsewhere")
    return [f for f in judge(story.history()).findings if f.name == "end state, failback"]


def test_each_end_of_an_action_is_told_whole() -> None:
    """Reached; seen elsewhere when its time was over; seen by nobody, with the reason where there is one."""
    name, look = "end state, failback", "look at its own history before drilling again"
    seen = ["status: 'FAILED'", "step: 3"]
    cases: list[tuple[dict[str, Any], Finding]] = [
        (
            {"reached": True, "observed": ["status: 'DONE'"]},
            Finding(name, Verdict.PASS, "machine reached its declared end state (status: 'DONE')"),
        ),
        (
            {"reached": True},
            Finding(name, Verdict.PASS, "machine reached its declared end state (not recorded)"),
        ),
        (
            {"reached": False, "observed": seen},
            Finding(
                name,
                Verdict.FAIL,
                "machine did not reach its declared end state in its time: status: 'FAILED', step: 3",
                advice=look,
            ),
        ),
        (
            {"reached": "yes", "observed": ["x"]},
            Finding(name, Verdict.FAIL, "machine did not reach its declared end state in its time: x", advice=look),
        ),
        (
            {"reached": False, "observed": [], "why": "AWS said no"},
            Finding(name, Verdict.INVALID, "nobody saw whether machine reached its declared end state: AWS said no"),
        ),
        (
            {},
            Finding(
                name, Verdict.INVALID, "nobody saw whether machine reached its declared end state: no record of it"
            ),
        ),
    ]
    for end, finding in cases:
        assert ended(**end) == [finding]
    assert ended(None)[0].reason.startswith("nobody saw whether the action reached")


def test_each_action_of_a_window_has_an_end_of_its_own() -> None:
    """The first end is the first action's, and an action without one is told so."""
    story = (
        good_failover()
        .mark(5, "action", kind="one", window="failover")
        .mark(6, "action", kind="two", window="failover")
    )
    story.mark(90, "action.ended", window="failover", reached=True, observed=["a"])
    told = [f.reason for f in judge(story.history()).findings if f.name == "end state, failover"]
    assert told == [
        "one reached its declared end state (a)",
        "nobody saw whether two reached its declared end state: no record of it",
    ]


# -- the run itself


def test_a_header_that_says_too_little_is_told_beside_what_the_run_says_of_itself() -> None:
    """Why there is no measurement, and everything else that is known."""
    story = good_failover(speed=10.0).mark(50, "invalid", reason="aborted: SIGINT")
    history = sealed(replace(story.history(), header=story.history().header | {"speed": 0.0}))
    assert judge(history).findings == (
        Finding("run", Verdict.INVALID, "aborted: SIGINT"),
        Finding("evidence", Verdict.INVALID, "run.json: speed is 0.0, expected a number above 0"),
    )
    strange = sealed(replace(story.history(), header=story.history().header | {"windows": 5}))
    assert [f.name for f in judge(strange).findings] == ["run", "evidence"]


def test_windows_that_were_not_begun_are_told() -> None:
    """Each by its name; nothing at all is said once."""
    whole = judged(good_failover(windows=("failover", "failback", "again")))
    assert [f for f in whole.findings if f.verdict is Verdict.INVALID] == [
        Finding("evidence, failback", Verdict.INVALID, "the failback was announced and never begun"),
        Finding("evidence, again", Verdict.INVALID, "the again was announced and never begun"),
    ]
    assert judged(Story()).findings == (
        Finding("evidence", Verdict.INVALID, "no window was begun: nothing was measured"),
    )


def test_what_a_run_says_of_itself_is_told_whole() -> None:
    """Each reason to discard it, a broken seal, and each thing that is not as it was, with the lines to type."""
    story = good_failover().mark(300, "invalid", reason="aborted").mark(301, "invalid")
    story.mark(302, "dirty", reason="count is 0", lines=["aws a", 5]).mark(303, "dirty")
    history = story.history()
    cut = replace(history, torn={"ledger-u1.bin": 12}, requests=history.requests[1:])
    whole = [f for f in judge(cut).findings if not f.name.endswith("failover")]
    seal = [f for f in whole if f.name == "run folder" and "ledger-u1.bin" not in f.reason]
    assert len(seal) == 1 and seal[0].verdict is Verdict.INVALID and "requests" in seal[0].reason
    assert [f for f in whole if f.name != "run folder"] == [
        Finding("run", Verdict.INVALID, "aborted"),
        Finding("run", Verdict.INVALID, "no reason recorded"),
        Finding("clean-up", Verdict.DIRTY, "count is 0", advice="aws a\n5", data={"lines": ["aws a", "5"]}),
        Finding("clean-up", Verdict.DIRTY, "something is not back as it was", data={"lines": []}),
    ]


def test_a_fault_that_no_record_puts_back_is_dirty_once() -> None:
    """By its kind; not where a mark of dirt says more, and not where the journal knows better."""
    story = good_failover()
    story.events = [e for e in story.events if e.name != "fault.restored"]
    told = [f for f in judge(story.history()).findings if f.name == "clean-up"]
    assert told == [
        Finding(
            "clean-up",
            Verdict.DIRTY,
            "no record shows that ecs.scale was put back; type: drill restore RUN",
            data={"lines": []},
        )
    ]
    nameless = [Event(e.at_s, e.name, {k: v for k, v in e.data.items() if k != "kind"}) for e in story.events]
    (bare,) = [
        f for f in judge(sealed(replace(story.history(), events=tuple(nameless)))).findings if f.name == "clean-up"
    ]
    assert bare.reason == "no record shows that the fault was put back; type: drill restore RUN"
    dirty = [f.reason for f in judged(story.mark(320, "dirty", reason="count is 0")).findings if f.name == "clean-up"]
    assert dirty == ["count is 0"]


def test_what_was_left_behind_is_judged_by_all_that_the_run_holds_of_it() -> None:
    """Snapshots, journal, what was declared, the writes and what was cleaned: without one of them it is another."""
    history = cleaned(*map(read, KEYS))
    after = moved(desiredCount=0, taskDefinition="app:2")
    states = journal("injecting", "injected", "restored")
    expected = {"key": "transaction", "path": "*/taskDefinition", "value": "app:2"}
    held = replace(
        history,
        header=history.header | {"residue_audit": True},
        snapshots=(snapshot(), after),
        journal=tuple(states),
        events=(*history.events[:1], Event(0.5, DECLARED, {"expected": [expected]}), *history.events[1:]),
    )
    parts = (held.snapshots, held.journal, [{"expected": [expected]}], held.writes, cleaning_of(held))
    told = [f for f in run_findings(held) if f.name in ("residue", "data residue")]
    assert told == list(left_behind(held.header, *parts))
    assert [f.verdict for f in told] == [Verdict.DIRTY, Verdict.PASS]
    for missing, nothing in enumerate(((), (), [], (), None)):
        fewer = [nothing if n == missing else part for n, part in enumerate(parts)]
        assert told != list(left_behind(held.header, *fewer))  # type: ignore[arg-type]


# -- phases and notes


def test_phases_count_from_the_onset_to_the_recovery() -> None:
    """Of each window, with the harness's own clock named."""
    rows = {name: (interval, source) for name, interval, source in judged(good_failover()).phases}
    assert rows["failover: clients recovered"] == (OUT, "harness clock, probe write.settle every 2 s")
    assert rows["failover: detected"] == (None, "harness clock, cloudwatch DescribeAlarms every 5 s")


def test_a_region_that_was_looked_at_is_judged_with_the_drill() -> None:
    """Its finding stands among the others."""
    story = good_failover().mark(295, STAY_BEGIN, region=OSAKA, for_s=20.0).mark(315, STAY_END, region=OSAKA)
    assert found(judged(story), f"stays, {OSAKA}").verdict is Verdict.PASS


def noted(story: Story, **header: Any) -> list[str]:
    """The notes of a story that do not stand beside every good failover, in their order."""
    usual = (" requests between onset and recovery ", "failed writes said")
    return [note for note in judged(story, **header).notes if not any(words in note for words in usual)]


def test_a_good_failover_is_noted_by_its_demand_and_its_errors_only() -> None:
    """And nothing else."""
    assert judged(good_failover()).notes == (
        "failover: 240 of the load's 243 requests between onset and recovery were not served",
        "failover: failed writes said, in s from the onset: 503 0 to 238 (120)",
    )
    story = good_failover()
    story.requests = [r for r in story.requests if not story.at(5) < r.sent_s < story.at(255)]
    assert noted(story) == [] and len(judged(story).notes) == 1


def test_what_was_put_back_late_or_left_to_the_dead_man_is_noted() -> None:
    """With its reason, and with a mark of its own where nobody recorded one."""
    story = good_failover().mark(300, "restore.failed", reason="AWS said no").mark(301, "restore.failed")
    story.mark(302, "dead_man.left", number=1, reason="the schedule is still there").mark(303, "dead_man.left")
    assert noted(story) == [
        "put back only later: AWS said no",
        "put back only later: ?",
        "the schedule is still there",
        "?",
    ]


def test_what_a_number_does_not_say_is_noted_beside_it() -> None:
    """Reads only; an inverted check; pinned connections; each in a sentence of the window's."""
    inverted = good_failover()
    next(e for e in inverted.events if e.name == "fault.injected").data["kind"] = "route53.health_check_inverted"
    assert noted(inverted) == [
        "failover: the health check was inverted, so nothing had to be detected: the recovery time is that of status "
        "and DNS, and nothing is known of how long an alarm would have taken"
    ]
    assert noted(good_failover(), read_only=True)[:1] == [
        "failover: the recovery time is that of reads; nothing is known of writes"
    ]


def test_outages_are_noted_with_all_that_was_unavailable() -> None:
    """The longest is judged; all of them together are said, in the run's own seconds."""
    story = Story().window(0, 290).looks(-60, 10).looks(10, 100, FAIL).looks(100, 200, region=OSAKA)
    story.looks(200, 220, FAIL).looks(220, 320, region=OSAKA).load(-60, 320).write("u1-1", -20, -19)
    story.read(400, {"u1-1": "settled"})
    for unit, kind in (("s", "aws"), ("lab s", "lab")):
        (note,) = [n for n in noted(story, target_kind=kind) if "outages" in n]
        assert note == f"failover: 2 outages; the longest is judged, [105.0, 115.0 {unit}] unavailable in all"


def test_servers_that_flap_or_hold_on_are_noted_whole() -> None:
    """How often back, and how long past the TTL that clients are promised: 60 s where the target says nothing."""
    story = good_failover()
    for at_s in range(-20, 320, 5):
        flapping = TOKYO_PEER if at_s < 50 or 60 <= at_s < 70 else OSAKA_PEER
        places = {
            "authoritative": OSAKA_PEER if at_s >= 50 else TOKYO_PEER,
            "resolver:flaps": flapping,
            "resolver:slow": TOKYO_PEER if at_s < 150 else OSAKA_PEER,
        }
        for vantage, peer in places.items():
            at = story.at(at_s), story.at(at_s + 0.1)
            story.observations.append(Observation(*at, "dns", vantage, OK, peer, "ttl=10 rcode=NOERROR"))
    flapped = "failover: the answers of resolver:flaps went back and forth, 2 times back"
    held = "failover: resolver:slow held an old answer {} past its TTL"
    assert noted(story) == [flapped, held.format("34.9 s")]
    story.target = {**story.target, "dns": {"ttl_s": 20.0}}
    assert noted(story) == [flapped, held.format("74.9 s")]
    assert noted(story, target_kind="lab") == [flapped, held.format("74.9 lab s")]
    (slow,) = [row for row in found(judged(story), TIME).data["names"] if row["server"] == "resolver:slow"]
    assert slow["held_past_ttl_s"] == pytest.approx(74.9)


def test_balances_that_were_not_read_are_noted() -> None:
    """How many; nothing where all were."""
    story = good_failover().balance(300, "drill-1", None).balance(300, "drill-2", 1000.0)
    assert noted(story) == ["failover: 1 balances could not be read"]
    assert noted(good_failover().balance(300, "drill-1", 1000.0)) == []


def test_both_regions_writing_at_once_is_noted() -> None:
    """By the addresses that acknowledged, in the Regions of the target."""
    story = good_failover(target=COMPLETE, run_id="r1").write("u1-5", 252, 253).write("u1-6", 255, 256)
    story.writes = [replace(w, peer=OSAKA_PEER) if w.key == "u1-5" else w for w in story.writes]
    (note,) = [n for n in noted(story) if "both took writes" in n]
    assert note.startswith(f"failover: 1 writes were acknowledged by {TOKYO} after {OSAKA} had begun")
