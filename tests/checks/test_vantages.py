"""What several kinds of client saw, and how the quick looks narrow the number that is judged."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.judge import judge
from checks.names import servers_of
from checks.recovery_time import Look, measure, recovery_time, service_looks
from checks.vantages import quorum, vantages_of
from checks.windows import settings_of, windows_of
from drill.probes import NEW, PINNED, PULSE
from drill.timeline import Observation, Outcome
from drill.verdict import Verdict
from tests.checks.histories import (
    FAIL,
    OK,
    OSAKA,
    OSAKA_PEER,
    PEERS,
    TOKYO,
    TOKYO_PEER,
    UNKNOWN,
    Story,
    good_failover,
)


def quick(
    story: Story, vantage: str, from_s: float, to_s: float, outcome: Outcome = OK, region: str = TOKYO
) -> Story:
    """Quick looks, ten a target second, each a tenth of one long."""
    for n in range(round((to_s - from_s) * 5)):
        sent_s = from_s + n / 5
        value = PEERS[region] if outcome is OK else ""
        at = story.at(sent_s), story.at(sent_s + 0.1)
        story.observations.append(Observation(*at, PULSE, vantage, outcome, value, "" if value else "status 503"))
    return story


def seen(story: Story) -> tuple[Any, Any, Any]:
    """(history, its first window, its settings)."""
    history = story.history()
    fixed = settings_of(history)
    return history, windows_of(history, fixed.places)[0], fixed


def outage(story: Story) -> Story:
    """Writes each 2 s, down from 9.3 to 100.3, and quick looks that see it closely."""
    story.window(0, 140).looks(-20, 10).looks(10, 100, FAIL).looks(102, 140, region=OSAKA)
    quick(story, NEW, -5, 9.3).looks(0, 0)
    quick(story, NEW, 9.3, 100.3, FAIL)
    return quick(story, NEW, 100.3, 140, region=OSAKA)


def test_failed_quick_looks_narrow_the_bounds_and_good_ones_do_not() -> None:
    """The onset's upper and the recovery's lower bound are theirs; the other two stay the write probe's."""
    history, window, fixed = seen(outage(Story()))
    found = recovery_time(history, window, fixed)
    alone = recovery_time(outage_without_quick(), window, fixed)
    assert found.duration is not None and alone.duration is not None
    assert found.duration.low_s == pytest.approx(100.1 - 9.4, abs=0.01)
    assert alone.duration.low_s == pytest.approx(98 - 10.5, abs=0.01)
    assert found.duration.high_s == pytest.approx(alone.duration.high_s, abs=0.01)


def outage_without_quick() -> Any:
    """The same history, as the write probe alone saw it."""
    story = outage(Story())
    story.observations = [o for o in story.observations if o.probe != PULSE]
    return story.history()


def test_a_target_whose_quick_path_writes_do_not_need_keeps_them_apart() -> None:
    """needed_by_writes = false: its failures say nothing about writes."""
    story = outage(Story())
    story.target = story.target | {"probing": {"needed_by_writes": False}}
    history, window, fixed = seen(story)
    found = recovery_time(history, window, fixed)
    assert found.duration is not None and found.duration.low_s == pytest.approx(98 - 10.5, abs=0.01)


def test_each_kind_of_client_has_its_own_recovery() -> None:
    """New clients are back with the name, pinned ones later; the quorum is the second of the three."""
    story = outage(Story())
    quick(story, PINNED, -5, 9.3)
    quick(story, PINNED, 9.3, 108.3, FAIL)
    quick(story, PINNED, 108.3, 140, region=TOKYO)
    history, window, fixed = seen(story)
    found = {v.name: v for v in vantages_of(history, window, fixed)}
    new, pinned = found[f"reads, {NEW}"], found[f"reads, {PINNED}"]
    assert new.time.duration is not None and pinned.time.duration is not None
    assert new.time.duration.high_s * 10 == pytest.approx(91.2, abs=0.15)
    assert pinned.time.duration.high_s * 10 == pytest.approx(99.2, abs=0.15)
    assert (new.regions, pinned.regions) == ((OSAKA,), (TOKYO,))
    assert new.estimate_s is not None and new.estimate_s * 10 == pytest.approx(91.0, abs=0.2)
    together = quorum(list(found.values()))
    assert together is not None
    assert together.high_s * 10 == pytest.approx(93.2, abs=0.5)
    rows = next(f for f in judge(history).findings if f.name == "recovery time, failover").data["vantages"]
    assert [row["vantage"] for row in rows][-1] == "quorum of 3"


def test_demand_that_was_not_served_stands_beside_the_recovery_time() -> None:
    """Of the load between onset and recovery: how many got nothing."""
    judged = judge(good_failover(windows=("failover",)).history())
    data = next(f for f in judged.findings if f.name == "recovery time, failover").data
    failed, sent = data["unserved"]
    assert 235 <= failed <= 240 and failed <= sent <= failed + 5
    assert any("requests between onset and recovery were not served" in note for note in judged.notes)


# -- planted truth: a front that reads and writes need, and a worker that only writes need


@st.composite
def two_parts(draw: st.DrawFn) -> tuple[list[Look], float, float]:
    """Looks at a service whose front and whose worker are each down for a while, overlapping; writes need both.

    Arbitrary sends, latencies, and gaps (looks that are missing); the service is down while either part is.
    """
    front = draw(st.floats(20, 40)), draw(st.floats(50, 90))
    worker = draw(st.floats(20, 49)), draw(st.floats(50, 90))
    writes, pulses = [], []
    for sent_s in draw(st.lists(st.floats(0, 150), min_size=3, max_size=40)):
        took_s = draw(st.floats(0.05, 8))
        at_s = sent_s + took_s * draw(st.floats(0, 1))
        down = front[0] <= at_s < front[1] or worker[0] <= at_s < worker[1]
        writes.append(Observation(sent_s, sent_s + took_s, "write.settle", "client", FAIL if down else OK))
    for sent_s in draw(st.lists(st.floats(0, 150), max_size=60)):
        took_s = draw(st.floats(0.01, 1))
        down = front[0] <= sent_s + took_s * draw(st.floats(0, 1)) < front[1]
        pulses.append(Observation(sent_s, sent_s + took_s, PULSE, NEW, FAIL if down else OK))
    looks = service_looks(writes, pulses, lambda peer: True)
    return looks, min(front[0], worker[0]), max(front[1], worker[1])


@settings(max_examples=150, deadline=None)
@given(two_parts(), st.floats(0.5, 30), st.floats(0.5, 20))
def test_the_bounds_contain_the_outage_of_the_whole_service(
    plant: tuple[list[Look], float, float], sustained_s: float, silence_s: float
) -> None:
    """Whichever part fails first and heals last, and however few looks there are."""
    looks, onset_s, recovery_s = plant
    found = measure(looks, 0.0, 1000.0, sustained_s, silence_s)
    if found.duration is None:
        return
    assert found.duration.low_s <= recovery_s - onset_s + 1e-9
    assert found.duration.high_s >= recovery_s - onset_s - 1e-9
    if found.onset is not None and found.recovery is not None:
        assert found.onset.low_s <= onset_s <= found.onset.high_s
        assert found.recovery.low_s <= recovery_s <= found.recovery.high_s


@settings(max_examples=60, deadline=None)
@given(
    st.floats(-60, 300),
    st.floats(0.01, 30),
    st.sampled_from([(PULSE, NEW), (PULSE, PINNED), ("write.settle", "client"), ("write.accept", "client")]),
    st.sampled_from([600.0, 240.0, 200.0]),
)
def test_another_failure_never_makes_a_verdict_better(
    sent_s: float, took_s: float, where: tuple[str, str], limit_s: float
) -> None:
    """Whoever saw it, and whatever the objective: what was no PASS does not become one, and PASS at most goes."""
    story = good_failover(windows=("failover",))
    story.objectives["rto_s"] = limit_s
    before = judge(story.history()).verdict
    story.observations.append(
        Observation(story.at(sent_s), story.at(sent_s + took_s), *where, FAIL, "", "status 503")
    )
    after = judge(story.history()).verdict
    assert after is not Verdict.PASS or before is Verdict.PASS
    if before is Verdict.FAIL:
        assert after in (Verdict.FAIL, Verdict.INVALID)


# -- names


def answers(story: Story, vantage: str, from_s: float, to_s: float, peer: str, ttl: int = 60) -> Story:
    """One answer a target second."""
    for second in range(round(to_s - from_s)):
        at = story.at(from_s + second), story.at(from_s + second + 0.1)
        story.observations.append(Observation(*at, "dns", vantage, OK, peer, f"ttl={ttl} rcode=NOERROR"))
    return story


def test_flaps_shares_and_answers_held_past_their_ttl_are_told() -> None:
    """One resolver keeps an old answer 40 s too long, one goes back and forth; the switch was made at 50."""
    story = Story().window(0, 300)
    answers(answers(story, "authoritative", -10, 50, TOKYO_PEER), "authoritative", 50, 300, OSAKA_PEER)
    answers(answers(story, "resolver:slow", -10, 150, TOKYO_PEER), "resolver:slow", 150, 300, OSAKA_PEER)
    for n, peer in enumerate((TOKYO_PEER, OSAKA_PEER, TOKYO_PEER, OSAKA_PEER)):
        answers(story, "resolver:flaps", n * 20, n * 20 + 20, peer, ttl=20)
    history, window, fixed = seen(story)
    found = {server.name: server for server in servers_of(history, window, fixed, 60.0)}
    assert found["resolver:slow"].held_s == pytest.approx(149 - 50.1 - 60, abs=0.2)
    assert found["authoritative"].held_s == 0
    assert (found["resolver:flaps"].flaps, found["resolver:slow"].flaps) == (2, 0)
    assert found["resolver:slow"].shares == {TOKYO: 0.5, OSAKA: 0.5}
    moved = found["authoritative"].moved_s
    assert moved is not None and moved[0] <= 50 <= moved[1]
    assert found["resolver:flaps"].ttl_s == (20, 20)
    notes = judge(history).notes
    assert any("resolver:slow held an old answer" in note for note in notes)
    assert any("resolver:flaps went back and forth" in note for note in notes)


def test_what_the_witness_did_not_ask_is_no_silence_of_the_server() -> None:
    """Its own missed slots take no share; a question that nobody answered does."""
    story = answers(Story().window(0, 300), "authoritative", -10, 30, TOKYO_PEER)
    at = story.at(30), story.at(60)
    for detail in ("missed its schedule", "in the air at the end"):
        story.observations.append(Observation(*at, "dns", "authoritative", UNKNOWN, "", detail))
    history, window, fixed = seen(story)
    assert servers_of(history, window, fixed, 60.0)[0].shares == {TOKYO: 1.0}
    story.observations.append(Observation(*at, "dns", "authoritative", UNKNOWN, "", "timeout"))
    history, window, fixed = seen(story)
    assert servers_of(history, window, fixed, 60.0)[0].shares == {TOKYO: 30 / 31, "no answer": 1 / 31}


def test_a_private_zone_has_no_authoritative_answer_and_is_measured_all_the_same() -> None:
    """The first server that answered the new Region dates the switch."""
    story = Story().window(0, 300)
    answers(answers(story, "resolver:a", -10, 50, TOKYO_PEER), "resolver:a", 50, 300, OSAKA_PEER)
    answers(answers(story, "resolver:b", -10, 200, TOKYO_PEER), "resolver:b", 200, 300, OSAKA_PEER)
    history, window, fixed = seen(story)
    found = {server.name: server for server in servers_of(history, window, fixed, 60.0)}
    assert found["resolver:b"].held_s == pytest.approx(199 - 50.1 - 60, abs=0.2)
    assert found["resolver:a"].held_s == 0


def test_where_each_asker_has_an_answer_of_its_own_nothing_is_held() -> None:
    """Latency records: what the authoritative server tells one asker says nothing of what another must be told."""
    story = Story().window(0, 300)
    answers(answers(story, "authoritative", -10, 50, TOKYO_PEER), "authoritative", 50, 300, OSAKA_PEER)
    answers(answers(story, "resolver:near", -10, 0, OSAKA_PEER), "resolver:near", 0, 200, TOKYO_PEER)
    history, window, fixed = seen(story)
    assert {server.held_s for server in servers_of(history, window, fixed, 60.0)} == {0}
