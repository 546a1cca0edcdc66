"""Each precondition by itself: what it says, to the letter, and on which side of its bounds it says it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from checks import preconditions
from checks.preconditions import Check
from checks.recovery_time import RecoveryTime
from checks.windows import settings_of, windows_of
from drill.probes import NEW, PINNED, PULSE, READ
from drill.timeline import Observation, Request
from drill.verdict import Interval
from tests.checks.histories import FAIL, OK, OSAKA, PEERS, TOKYO, TOKYO_PEER, Story, good_failover

MEASURED = RecoveryTime(failures=1)


def said(check: Check, story: Story, measured: RecoveryTime = MEASURED, **header: Any) -> list[str]:
    """What a check says of the story's first window."""
    history = story.history()
    history = replace(history, header=history.header | header)
    fixed = settings_of(history)
    return list(check(history, windows_of(history, fixed.places)[0], fixed, measured))


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("recovered", []),
        ("timeout", []),
        ("aborted", ["the failover window ended early: aborted"]),
        ("no bite", ["the failover window ended early: no bite"]),
        ("", ["the failover window has no end: the drill was cut short"]),
    ],
)
def test_a_window_ends_on_its_own_terms(reason: str, words: list[str]) -> None:
    """Recovered or timed out; and what the looks cannot say is said too."""
    story = Story().window(0, 100, reason=reason)
    assert said(preconditions.window_whole, story) == words
    assert said(preconditions.window_whole, story, RecoveryTime("no probes")) == [*words, "no probes"]


# -- the baseline


def based(probes: int, requests: int, at_s: float = -5.0) -> Story:
    """So many good probes and requests that ended at that time before the window; 30 s of it count."""
    story = Story().window(0, 100)
    for n in range(probes):
        story.look(at_s - 1 - n / 100, at_s, OK)
    story.requests += [Request(story.at(at_s - 1), story.at(at_s), "deposit", OK, 200, TOKYO_PEER)] * requests
    return story


def few(what: str, good: int) -> str:
    """The sentence of too few."""
    return (
        f"baseline not shown: {good} good {what} just before the failover window, 5 needed (raise timings.baseline_s)"
    )


def test_a_baseline_needs_five_of_each_in_its_last_part() -> None:
    """Five are enough, four are not; what ended exactly as the part begins counts, as the window begins does not."""
    healthy = preconditions.baseline_healthy
    assert said(healthy, based(5, 5)) == []
    assert said(healthy, based(4, 5)) == [few("probes", 4)]
    assert said(healthy, based(5, 4)) == [few("requests of the load", 4)]
    assert said(healthy, based(5, 5, at_s=-30.0)) == []
    assert said(healthy, based(5, 5, at_s=-30.1)) == [few("probes", 0), few("requests of the load", 0)]
    assert said(healthy, based(5, 5, at_s=0.0)) == [few("probes", 0), few("requests of the load", 0)]


def test_a_steady_state_that_did_not_hold_counts_before_the_window_only() -> None:
    """At its very begin too; a mark that does not say is no failure, and one of later is another's."""
    words = ["the steady-state hypothesis did not hold before the window"]
    for at_s, data, expected in (
        (0, {"ok": False}, words),
        (1, {"ok": False}, []),
        (-1, {"ok": True}, []),
        (-1, {}, []),
    ):
        assert said(preconditions.baseline_healthy, based(5, 5).mark(at_s, "steady", **data)) == expected


# -- the load


def loaded(*writes: tuple[str, float, float, str], until_s: float = 100) -> Story:
    """One request a second in the window, and writes: key, sent, known, result."""
    story = Story().window(0, 100).load(0, round(until_s))
    for key, sent_s, known_s, result in writes:
        story.write(key, sent_s, known_s, result)  # type: ignore[arg-type]
    return story


NO_WRITE = ["the load had no write acknowledged before the failover's onset"]


def test_the_load_needs_a_write_of_its_own_acknowledged_before_the_onset() -> None:
    """Exactly at the onset's earliest instant is before it; the prober's writes and refused ones are none."""
    flowed = preconditions.load_flowed
    fell = replace(MEASURED, onset=Interval(Story().at(20), Story().at(21)))
    assert said(flowed, loaded(("u-1", 1, 20, "acked")), fell) == []
    assert said(flowed, loaded(("u-1", 1, 20.1, "acked")), fell) == NO_WRITE
    assert said(flowed, loaded(("u-1", 1, 20, "refused")), fell) == NO_WRITE
    assert said(flowed, loaded(("p-1", 1, 20, "acked")), fell) == NO_WRITE
    assert said(flowed, loaded(("u-1", 1, 20, "acked"))) == NO_WRITE  # no onset: the window's begin
    assert said(flowed, loaded(("u-1", -2, 0, "acked"))) == []


def test_a_load_that_may_only_read_needs_a_read_answered_before_the_onset() -> None:
    """A failed one is none; and writes are asked of nobody."""
    flowed, words = preconditions.load_flowed, ["the load had no read answered before the failover's onset"]
    read = Request(Story().at(-1), Story().at(0), "read", OK, 200, TOKYO_PEER)
    failed, late = replace(read, outcome=FAIL), replace(read, done_s=Story().at(0.1))
    for before, expected in ((read, []), (failed, words), (late, words)):
        story = loaded()
        story.requests = [before, *(r for r in story.requests if r.sent_s > story.at(1))]
        assert said(flowed, story, read_only=True) == expected


@pytest.mark.parametrize(("pause_s", "timeout_s", "stopped"), [(30, 3, False), (31, 3, True), (50, 20, False)])
def test_a_load_that_pauses_for_longer_than_its_timeouts_has_stopped(
    pause_s: float, timeout_s: float, stopped: bool
) -> None:
    """3 s of wall time, or three timeouts; what is under way counts from its send to its end."""
    story = Story().window(0, 100).write("u-1", -2, -1)
    story.target = story.target | {"load": {"timeout_s": timeout_s}}
    ends = ((-5.0, 10.0), (10.0 + pause_s, 110.0))
    story.requests = [Request(story.at(a), story.at(b), "deposit", OK, 200, TOKYO_PEER) for a, b in ends]
    words = [f"the load made no request for {pause_s / 10:.1f} s (wall) of the failover window"]
    assert said(preconditions.load_flowed, story) == (words if stopped else [])


def test_requests_outside_of_the_window_fill_no_pause_in_it() -> None:
    """Ended before its begin, or sent after its end."""
    story = Story().window(0, 100).write("u-1", -2, -1)
    ends = ((-50.0, -0.1), (100.1, 110.0))
    story.requests = [Request(story.at(a), story.at(b), "deposit", OK, 200, TOKYO_PEER) for a, b in ends]
    assert said(preconditions.load_flowed, story) == [
        "the load made no request for 10.0 s (wall) of the failover window"
    ]
    story.requests = [
        Request(story.at(-50), story.at(0), "deposit", OK),
        Request(story.at(100), story.at(110), "d", OK),
    ]
    assert said(preconditions.load_flowed, story) == [
        "the load made no request for 10.0 s (wall) of the failover window"
    ]


# -- the fault and its bite


def faulted(**data: Any) -> Story:
    """A window from 0 to 100 whose one fault says that of itself."""
    story = (
        Story()
        .mark(0, "window.begin", window="failover")
        .mark(100, "window.end", window="failover", reason="recovered")
    )
    return story.mark(1, "fault.injected", **({"kind": "k", "in_force": True, "window": "failover"} | data))


def test_a_fault_is_in_force_from_its_injection_until_the_window_has_ended() -> None:
    """Held exactly at the end is held; restored exactly at it is not too early; without a kind it is named so."""
    force = preconditions.fault_in_force
    assert said(force, faulted().mark(100, "fault.held", kind="k").mark(100, "fault.restored", kind="k")) == []
    unheld = ["nobody saw that k was still in force when the window had ended"]
    assert said(force, faulted().mark(99.9, "fault.held", kind="k")) == unheld
    early = faulted().mark(100, "fault.held", kind="k").mark(60, "fault.restored", kind="k")
    assert said(force, early) == ["k was restored 4.0 s (wall) before the window ended"]
    story = Story().mark(0, "window.begin", window="failover").mark(100, "window.end", window="failover")
    nameless = story.mark(1, "fault.injected", window="failover").mark(100, "fault.held")
    assert said(force, nameless) == ["the control plane never showed the fault in force"]


def test_what_only_arms_and_what_belongs_to_another_window_is_no_cause() -> None:
    """Effect "none" breaks nothing; a mark that does not say is of the failover, and breaks."""
    words = ["nothing was injected and no action taken in the failover window"]
    assert said(preconditions.fault_in_force, faulted(effect="none")) == words
    assert said(preconditions.fault_in_force, faulted(window="failback")) == words
    story = Story().mark(0, "window.begin", window="failover").mark(100, "window.end", window="failover")
    bare = story.mark(1, "fault.injected", kind="k", in_force=True).mark(100, "fault.held", kind="k")
    assert said(preconditions.fault_in_force, bare) == []
    assert said(preconditions.effect_proven, bare) == NO_BITE


NO_BITE = ["the fault did not bite: no client saw a failure after it"]


def felt(story: Story, sent_s: float, done_s: float, probe: str = "write.settle", vantage: str = "client") -> Story:
    """A failed look."""
    story.observations.append(Observation(story.at(sent_s), story.at(done_s), probe, vantage, FAIL))
    return story


def test_a_bite_is_a_failure_known_after_the_fault_began_and_sent_within_the_window() -> None:
    """By the writes or by new clients' quick looks where writes need these; at the very instants too."""
    proven = preconditions.effect_proven
    assert said(proven, faulted()) == NO_BITE
    assert said(proven, felt(faulted(), 0, 1)) == []
    assert said(proven, felt(faulted(), 0.5, 0.9))[0] == NO_BITE[0]
    assert said(proven, felt(faulted(began_s=Story().at(0.8)), 0.5, 0.9)) == []
    assert said(proven, felt(faulted(), 100, 101)) == []
    assert said(proven, felt(faulted(), 100.1, 101)) == NO_BITE
    assert said(proven, felt(faulted(), 5, 6, PULSE, NEW)) == []
    assert said(proven, felt(faulted(), 5, 6, PULSE, PINNED)) == NO_BITE
    apart = felt(faulted(), 5, 6, PULSE, NEW)
    apart.target = apart.target | {"probing": {"needed_by_writes": False}}
    assert said(proven, apart) == NO_BITE
    assert said(proven, faulted(effect="region_moved")) == []


def test_failures_before_anything_was_done_are_counted() -> None:
    """Known from the window's begin on, and before the cause began."""
    words = ["1 probes failed in the failover window before anything was done to the system"]
    story = felt(faulted(effect="region_moved"), -1, 0)
    assert said(preconditions.effect_proven, story) == words
    assert said(preconditions.effect_proven, felt(faulted(effect="region_moved"), 0, 1)) == []
    assert said(preconditions.effect_proven, felt(faulted(effect="region_moved"), -1, -0.1)) == []


# -- where clients were served


def went(*looks: tuple[float, float, str]) -> list[str]:
    """What is said of good probes: sent, known, address; one failed at 50."""
    story = faulted()
    for sent_s, done_s, value in looks:
        story.observations.append(
            Observation(story.at(sent_s), story.at(done_s), "write.settle", "client", OK, value)
        )
    return said(preconditions.moved, story.look(50, 51, FAIL), MEASURED)


def test_clients_were_served_from_the_source_before_and_from_the_survivor_after() -> None:
    """By the last good probe before the window, and the last one sent after the last failure, within it."""
    osaka = PEERS[OSAKA]
    before, after = (-2.0, -1.0, TOKYO_PEER), (60.0, 100.0, osaka)
    assert went(before, after) == []
    missing = f"no address shows that clients were served from {OSAKA} after the failover"
    assert went(before, (60.0, 100.1, osaka)) == [missing]
    assert went(before, (50.0, 60.0, osaka)) == [missing]
    source = f"clients were not served from {TOKYO} before the failover: "
    assert went(after) == [f"{source}no good probe"]
    assert went((-1.0, 0.0, TOKYO_PEER), after) == [f"{source}no good probe"]
    assert went((-2, -1, osaka), after) == [f"{source}the last good probe went to {osaka} in {OSAKA}"]
    assert went((-2, -1, "192.0.2.1"), after) == [f"{source}the last good probe went to 192.0.2.1 in no Region"]
    assert went((-2, -1, ""), after) == [f"{source}the last good probe went to no address in no Region"]
    assert went(before, (60.0, 100.0, TOKYO_PEER)) == [
        f"clients were served again, not from {OSAKA} (the last good probe went to {TOKYO_PEER} in {TOKYO}): the "
        "fault did not stay in force, or nothing was switched"
    ]


# -- the witnesses


def seen(*sends_s: float, end_s: float = 100.0, interval_s: float = 2.0) -> list[str]:
    """What is said of probes sent then, each half a target second long."""
    story = Story(timings={"probe_interval_s": interval_s}).window(0, end_s)
    for sent_s in sends_s:
        story.look(sent_s, sent_s + 0.5, OK)
    return said(preconditions.observer_sees, story)


def test_a_pause_of_five_intervals_is_bearable_and_a_longer_one_is_blind() -> None:
    """5 x 2 s at speed 10 is one wall second, which is also the floor; before, within and after the window."""
    whole = [float(s) for s in range(-10, 120, 10)]
    assert seen(*whole) == []
    words = [
        "the observer was blind for 2.0 s (wall) of the failover window, 1.0 s allowed "
        "(lower the load or --lab-speed)"
    ]
    assert seen(*(s for s in whole if s != 50)) == words
    assert seen(*whole, interval_s=0.1) == []
    assert seen(*(s for s in whole if s != 50), interval_s=4.0) == []


def test_the_last_timeout_of_a_window_may_have_no_result_yet() -> None:
    """Probes under way when all ends: a timeout's worth of them may be missing, and no more."""
    assert seen(*(float(s) for s in range(-10, 91, 10)), end_s=110.0) == []
    (words,) = seen(*(float(s) for s in range(-10, 91, 10)), end_s=180.0)
    assert "blind for 9.0 s (wall)" in words


def test_a_witness_that_died_is_named_even_without_a_name() -> None:
    """Its name where the mark tells it."""
    story = Story().window(0, 100).looks(-10, 110).mark(5, "witness.died").mark(6, "witness.died", name="pulse")
    assert said(preconditions.observer_sees, story) == [
        "the witness ? died during the drill",
        "the witness pulse died during the drill",
    ]


# -- the service that was scaled to nothing


def watched(*values: tuple[float, str]) -> list[str]:
    """What is said when the witness of signals saw these counts."""
    story = good_failover()
    resources = {"transaction": {"region": TOKYO, "within": "bank", "name": "Transaction-*"}}
    story.target = story.target | {"resources": resources}
    return said(preconditions.fault_in_force, story.signal("aws.ecs.transaction", values, TOKYO))


def test_a_service_that_came_back_while_it_had_to_be_gone_is_named() -> None:
    """After it was seen at nothing, and within the window; nobody looking is said too."""
    back = ["the fault did not stay in force: aws.ecs.transaction showed 1/1 (running/desired) in the window"]
    assert watched((1, "1/0"), (5, "0/0"), (100, "0/0")) == []
    assert watched((5, "0/0"), (100, "1/1"), (110, "2/2")) == back
    assert watched((5, "0/0"), (289.8, "1/1")) == back
    assert watched((5, "0/0"), (289.9, "1/1")) == []
    unseen = ["no witness looked whether the fault stayed in force: aws.ecs.transaction was not seen in the window"]
    assert watched((0.4, "0/0")) == unseen
    assert watched((0.5, "0/0")) == []
    assert watched((5, "")) == unseen


def test_a_drill_of_reads_alone_is_held_to_its_reads() -> None:
    """The probe is the read, and the same rules hold for it."""
    story = faulted()
    story.observations = [Observation(story.at(5), story.at(6), READ, "client", FAIL)]
    assert said(preconditions.effect_proven, story, read_only=True) == []
    assert said(preconditions.effect_proven, story) == NO_BITE


# -- the drill's own marks, and other times


def agreed(reason: str, onset_s: float | None = 10, back_s: float = 50, first_s: float | None = None) -> list[str]:
    """What is said of a window that ended so, whose evidence shows an outage until then (infinity: to the end)."""
    story = Story().window(0, 100, reason=reason)
    if first_s is not None:
        story.mark(90, "window.recovered", window="failover", first_good_s=story.at(first_s))
    at = story.at
    outage = RecoveryTime(
        onset=None if onset_s is None else Interval(at(onset_s), at(onset_s)),
        recovery=None if onset_s is None else Interval(at(back_s - 1), at(back_s)),
    )
    return said(preconditions.marks_agree, story, outage)


def test_what_the_drill_took_for_the_recovery_is_what_the_evidence_shows() -> None:
    """Recovered or given up as the looks say, and not before they say it; exactly then is not before."""
    gave_up = ["the drill gave up waiting, and the evidence shows a sustained recovery"]
    assert agreed("recovered") == agreed("recovered", first_s=50.0) == []
    assert agreed("timeout") == agreed("timeout", onset_s=None) == gave_up
    assert agreed("timeout", back_s=float("inf")) == []
    assert agreed("recovered", back_s=float("inf")) == [
        "the drill took its clients for recovered, and the evidence shows no sustained recovery"
    ]
    assert agreed("recovered", first_s=49.0) == [
        "clients recovered 0.100 s (wall) after the instant that the drill took for the recovery"
    ]


@pytest.mark.parametrize(("held", "words"), [(True, 1), (False, 0)])
def test_a_drill_that_waited_for_its_service_level_was_right_to_give_up(held: bool, words: int) -> None:
    """Only where that level was not held again."""
    story = Story().window(0, 300, reason="timeout")
    story.target = story.target | {"service_level": {"success_ratio": 0.9, "latency_wall_s": 0.3, "window_s": 20.0}}
    for at_s in range(-60, 300, 2):
        outcome = OK if at_s < 10 or (held and at_s >= 50) else FAIL
        story.observations.append(
            Observation(
                story.at(at_s), story.at(at_s + 0.5), PULSE, NEW, outcome, TOKYO_PEER if outcome is OK else ""
            )
        )
    found = said(preconditions.marks_agree, story, RecoveryTime())
    assert found == ["the drill gave up waiting, and the evidence shows a sustained recovery"] * words


def test_a_survivor_that_is_not_the_due_one_is_named() -> None:
    """A failover goes to the standby, a failback to the primary."""
    story = Story().mark(0, "window.begin", window="failover", survivor=TOKYO)
    story.mark(100, "window.end", window="failover", reason="recovered")
    assert said(preconditions.marks_agree, story, RecoveryTime()) == [
        f"the survivor of a failover is {OSAKA}, the drill went by {TOKYO}"
    ]


def timed(*sends_s: float) -> list[str]:
    """What is said of looks sent then, in a run whose first mark is at 0 and whose seal is at 110."""
    story = Story(run_id="r1").window(0, 99)
    for sent_s in sends_s:
        story.look(sent_s, 200, OK)
    return said(preconditions.one_run, story)


def test_looks_of_before_the_run_or_after_its_end_are_counted() -> None:
    """The instants of the first and of the last mark belong to it; a run without a mark or an end has neither."""
    assert timed(0.0, 50.0, 110.0) == []
    assert timed(-0.1, -5.0) == ["2 looks and requests on record were made before the run began"]
    assert timed(110.1) == ["1 looks and requests on record were made after the run had ended"]
    story = Story(run_id="r1").window(0, 99).look(500, 501, OK)
    history = story.unsealed()
    fixed = settings_of(history)
    window = windows_of(history, fixed.places)[0]
    assert list(preconditions.one_run(history, window, fixed, MEASURED)) == []
    assert list(preconditions.one_run(replace(history, events=()), window, fixed, MEASURED)) == []


def test_two_changes_of_one_kind_are_told_apart_by_their_numbers() -> None:
    """What was held or restored of the other says nothing; without numbers the kind decides, and what is later."""
    force, unheld = preconditions.fault_in_force, ["nobody saw that k was still in force when the window had ended"]
    mine = faulted(number=1)
    assert said(force, mine.mark(100, "fault.held", kind="k", number=2)) == unheld
    mine.mark(60, "fault.restored", kind="k", number=2).mark(100, "fault.held", kind="other", number=1)
    assert said(force, mine) == []
    by_kind = faulted().mark(100, "fault.held", kind="k").mark(0.5, "fault.restored", kind="k")
    assert said(force, by_kind.mark(60, "fault.restored", kind="other")) == []
    assert said(force, faulted().mark(100, "fault.held", kind="other")) == unheld
