"""Whether the balancer points at the true writer: told histories, and what each is judged to be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from checks.signals import TARGETS
from checks.switch import EMPTY, SEVERAL, STALE, blind_wall_s, switch_findings
from checks.windows import PROBE, Window, settings_of
from drill.ledger import Write
from drill.timeline import History, Observation, Outcome
from drill.verdict import Finding, Verdict
from tests.checks.histories import Story

WRITER, READER = "127.105.1.10", "127.105.2.20"
HEADER: dict[str, Any] = {
    "speed": 10.0,
    "target": {"resources": {"source_target_group": {"region": "ap-northeast-1", "name": "source-targets"}}},
}
BLIND_S = 20.0
WINDOW = Window("failover", "ap-northeast-1", 100.0, 140.0, "timeout", 0.0)


def seen(at_s: float, value: str, outcome: Outcome = Outcome.OK) -> Observation:
    """A look at what is registered."""
    return Observation(at_s - 0.1, at_s, TARGETS, "ap-northeast-1", outcome, value)


def acked(at_s: float, peer: str) -> Write:
    """A write acknowledged at that address."""
    key = f"p-{at_s:g}"
    return Write(key, "marker", "a", 1.0, at_s, at_s + 0.1, "acked", key, 200, peer)


WRITES = (acked(90.0, READER), acked(101.0, READER), acked(108.0, WRITER), acked(130.0, WRITER))
CASES = {
    "the writer": (WRITER, Verdict.PASS, "the one registered target is the writer"),
    "the old writer": (READER, Verdict.FAIL, "stuck: the one registered target is not the writer"),
    "nothing": ("-", Verdict.FAIL, "stuck: the target group is empty"),
    "both": (f"{WRITER},{READER}", Verdict.FAIL, "stuck: several targets are registered"),
}


@pytest.mark.parametrize(("value", "verdict", "words"), CASES.values(), ids=CASES.keys())
def test_each_end_is_named(value: str, verdict: Verdict, words: str) -> None:
    """What was registered last in the window, against where the last write was acknowledged."""
    history = History(
        HEADER, observations=(seen(99.0, READER), seen(105.0, READER), seen(139.0, value)), writes=WRITES
    )
    (found,) = switch_findings(history, WINDOW, BLIND_S)
    assert (found.verdict, found.name) == (verdict, "switch, failover")
    assert words in found.reason
    assert ("reconciliation" in found.advice) == (verdict is Verdict.FAIL)
    course = [("registered", row["registered"]) for row in found.data["course"]]
    assert course == [("registered", v) for v in dict.fromkeys((READER, value))]


@pytest.mark.parametrize(
    ("looks", "writes", "words"),
    [
        ((seen(99.0, WRITER), seen(150.0, WRITER)), WRITES, "what is registered was not seen"),
        ((seen(120.0, "", Outcome.UNKNOWN),), WRITES, "what is registered was not seen"),
        ((seen(120.0, WRITER),), WRITES[:1], "no write was acknowledged"),
    ],
    ids=["looked outside of the window only", "could not look", "nobody could write"],
)
def test_what_nobody_has_seen_is_not_in_order(
    looks: tuple[Observation, ...], writes: tuple[Write, ...], words: str
) -> None:
    """INVALID, never PASS."""
    (found,) = switch_findings(History(HEADER, observations=looks, writes=writes), WINDOW, BLIND_S)
    assert found.verdict is Verdict.INVALID
    assert words in found.reason


@pytest.mark.parametrize("value", [WRITER, READER, "-"])
def test_what_was_seen_long_before_the_end_says_nothing_of_it(value: str) -> None:
    """The witness went blind: neither in order nor stuck, whatever it saw last."""
    for seen_s, verdicts in ((119.9, {Verdict.INVALID}), (120.0, {Verdict.PASS, Verdict.FAIL})):
        history = History(HEADER, observations=(seen(105.0, READER), seen(seen_s, value)), writes=WRITES)
        found = next(switch_findings(history, WINDOW, BLIND_S))
        assert found.verdict in verdicts
        assert ("last seen 20.1 s (wall) before the end" in found.reason) == (found.verdict is Verdict.INVALID)


def test_a_system_without_such_a_balancer_is_not_asked() -> None:
    """No finding."""
    header = {**HEADER, "target": {"resources": {"transaction": {}}}}
    assert (
        list(switch_findings(History(header, observations=(seen(120.0, WRITER),), writes=WRITES), WINDOW, BLIND_S))
        == []
    )


def read_back(at_s: float, outcome: Outcome) -> Observation:
    """A marker, written and looked for at the replica."""
    return Observation(at_s - 0.5, at_s, PROBE, "ap-northeast-1", outcome, "")


FAILED = tuple(read_back(at_s, Outcome.FAIL) for at_s in (110.0, 120.0, 130.0, 138.0))


@pytest.mark.parametrize(
    ("turned_s", "read_backs", "found"),
    [
        (105.0, FAILED, ["switch, failover", "replica, failover"]),
        (105.0, (*FAILED[:3], read_back(138.0, Outcome.OK)), ["switch, failover"]),
        (105.0, (*FAILED, read_back(138.5, Outcome.UNKNOWN)), ["switch, failover", "replica, failover"]),
        (105.0, (*FAILED[:1], read_back(138.0, Outcome.UNKNOWN)), ["switch, failover"]),
        (125.0, FAILED, ["switch, failover"]),
        (105.0, (read_back(107.0, Outcome.OK), *FAILED), ["switch, failover", "replica, failover"]),
        (105.0, (), ["switch, failover"]),
    ],
    ids=[
        "nothing arrives",
        "it arrives",
        "a look was missed",
        "nobody looked for long",
        "turned lately",
        "the old writer's rows still came",
        "nobody looked",
    ],
)
def test_a_replica_that_does_not_follow_the_right_target_is_named(
    turned_s: float, read_backs: tuple[Observation, ...], found: list[str]
) -> None:
    """Only when the writer has been registered for long, rows were acknowledged there, and not one was read back."""
    looks = (seen(turned_s, READER), *(seen(at_s, WRITER) for at_s in (turned_s + 1, 139.0)))
    history = History(HEADER, observations=(*looks, *read_backs), writes=WRITES)
    findings = list(switch_findings(history, WINDOW, BLIND_S))
    assert [f.name for f in findings] == found
    assert all("stuck" in f.reason and "GTID" in f.advice for f in findings[1:])


def judged(looks: tuple[Observation, ...], writes: tuple[Write, ...] = WRITES, kind: str = "lab") -> list[Finding]:
    """The findings of a run of that kind of target."""
    return list(
        switch_findings(History({**HEADER, "target_kind": kind}, observations=looks, writes=writes), WINDOW, BLIND_S)
    )


def test_the_course_is_told_in_target_seconds_from_the_windows_begin() -> None:
    """Each change of what is registered, when it was seen first."""
    looks = (seen(100.0, READER), seen(101.0, READER), seen(110.25, "-"), seen(111.0, WRITER), seen(140.0, WRITER))
    (found,) = judged(looks)
    assert found.data["course"] == [
        {"after_s": 0.0, "registered": READER},
        {"after_s": 102.5, "registered": "-"},
        {"after_s": 110.0, "registered": WRITER},
    ]
    assert (found.data["writer"], found.data["registered"]) == (WRITER, WRITER)


def test_the_writer_is_where_the_last_write_of_the_window_was_acknowledged() -> None:
    """By its send; at the window's ends too; refused ones and those of other times say nothing."""
    looks = (seen(139.0, WRITER),)
    for writes, verdict in (
        ((acked(99.9, WRITER),), Verdict.PASS),
        ((acked(99.8, WRITER),), Verdict.INVALID),
        ((acked(139.9, WRITER),), Verdict.PASS),
        ((acked(130.0, WRITER), acked(140.0, READER)), Verdict.PASS),
        ((acked(130.0, WRITER), replace(acked(135.0, READER), result="refused")), Verdict.PASS),
        ((acked(130.0, WRITER), replace(acked(135.0, READER), result_s=None)), Verdict.PASS),
    ):
        (found,) = judged(looks, writes)
        assert found.verdict is verdict
    (nobody,) = judged(looks, ())
    assert nobody == Finding(
        "switch, failover",
        Verdict.INVALID,
        "nobody knows whether the writer is registered: no write was acknowledged in the window",
    )
    (unseen,) = judged(())
    assert (
        unseen.reason
        == "nobody knows whether the writer is registered: what is registered was not seen in the window"
    )


@pytest.mark.parametrize(("kind", "unit"), [("lab", "lab s"), ("aws", "s")])
def test_a_deaf_replica_is_told_whole(kind: str, unit: str) -> None:
    """18 wall seconds at speed 10 are long enough, exactly; rows acknowledged since are counted, at both ends."""
    looks = (seen(110.0, READER), seen(110.1, WRITER), seen(139.0, WRITER))
    failed = tuple(read_back(at_s, Outcome.FAIL) for at_s in (110.5, 128.0))
    writes = (acked(105.0, READER), *(acked(at_s, WRITER) for at_s in (109.9, 110.0, 120.0, 139.8)))
    history = History({**HEADER, "target_kind": kind}, observations=(*looks, *failed), writes=writes)
    *_, found = switch_findings(history, WINDOW, BLIND_S)
    assert (found.name, found.verdict, found.data) == ("replica, failover", Verdict.FAIL, {"after_s": 180.0})
    assert found.reason == (
        "stuck: the one registered target is the writer, and still no row that is acknowledged there reaches the "
        f"replica (3 in 180 {unit})"
    )
    sooner = replace(history, observations=(*looks, failed[0], read_back(127.9, Outcome.FAIL)))
    assert [f.name for f in switch_findings(sooner, WINDOW, BLIND_S)] == ["switch, failover"]
    unwritten = replace(history, writes=(*writes[:2], replace(writes[2], result="refused")))
    assert [f.name for f in switch_findings(unwritten, WINDOW, BLIND_S)] == ["switch, failover"]


def test_how_old_a_look_may_be_follows_the_signals_pace() -> None:
    """Ten intervals of theirs, and five wall seconds at least."""
    fixed = settings_of(Story().history())
    assert blind_wall_s(fixed) == 5.0
    assert blind_wall_s(replace(fixed, timings=fixed.timings.model_copy(update={"signals_interval_s": 20.0}))) == 20.0


@pytest.mark.parametrize(
    ("value", "registered", "stuck"),
    [("-", "", EMPTY), (f"{WRITER},{READER}", f"{WRITER},{READER}", SEVERAL), (READER, READER, STALE)],
    ids=["empty", "several", "stale"],
)
def test_a_stuck_balancer_is_told_whole(value: str, registered: str, stuck: tuple[str, str]) -> None:
    """What is stuck, who writes, what is registered (nothing is said in words), and what would have prevented it."""
    (found,) = judged((seen(105.0, WRITER), seen(139.0, value)))
    course = [{"after_s": 50.0, "registered": WRITER}, {"after_s": 390.0, "registered": value}]
    assert found == Finding(
        "switch, failover",
        Verdict.FAIL,
        f"stuck: {stuck[0]} (writer {WRITER}, registered {registered or 'nothing'})",
        advice=stuck[1],
        data={"writer": WRITER, "registered": registered, "course": course},
    )


def deaf(
    *read_backs: Observation, writes: tuple[Write, ...] = WRITES, turned_s: float = 105.0
) -> dict[str, Any] | None:
    """What is told of a replica behind a balancer that was turned then; None where nothing is."""
    looks = (seen(turned_s, READER), seen(turned_s + 1, WRITER), seen(139.0, WRITER))
    history = History(HEADER, observations=(*looks, *read_backs), writes=writes)
    return next((f.data for f in switch_findings(history, WINDOW, BLIND_S) if f.name == "replica, failover"), None)


def test_a_row_that_arrives_counts_from_the_turn_to_the_windows_end() -> None:
    """Sent at the very turn, or at the very end, it shows that the replica follows; others do not."""
    written = (acked(101.0, WRITER), acked(130.0, WRITER))
    assert deaf(*FAILED, writes=written) == {"after_s": 330.0}
    at_the_turn, before_it = (Observation(s, s + 0.5, PROBE, "x", Outcome.OK) for s in (105.0, 104.9))
    at_the_end, after_it = (Observation(s - 0.5, s, PROBE, "x", Outcome.OK) for s in (140.0, 140.1))
    assert deaf(*FAILED, at_the_turn, writes=written) is deaf(*FAILED, at_the_end, writes=written) is None
    assert deaf(before_it, *FAILED, after_it, writes=written) == {"after_s": 330.0}


def test_a_replica_is_deaf_since_the_writer_took_its_first_write() -> None:
    """The window's very ends included; told to a tenth of a target second."""
    always = (seen(100.0, WRITER), seen(139.0, WRITER))
    late = read_back(138.0126, Outcome.FAIL)
    for first_s, after_s in ((100.0, 380.1), (104.0, 340.1), (124.0, None)):
        writes = (acked(first_s, WRITER), acked(130.0, WRITER))
        history = History(HEADER, observations=(*always, *FAILED[:3], late), writes=writes)
        told = [f.data for f in switch_findings(history, WINDOW, BLIND_S) if f.name == "replica, failover"]
        assert told == ([{"after_s": after_s}] if after_s else [])
    last = replace(acked(140.0, WRITER), result_s=140.0)
    at_its_end = History(HEADER, observations=(*always, *FAILED), writes=(last,))
    assert [f.name for f in switch_findings(at_its_end, WINDOW, BLIND_S)] == ["switch, failover"]


def test_rows_that_were_acknowledged_since_are_counted_to_the_windows_end() -> None:
    """One that was sent at its very end is one; and the course is told to a tenth."""
    looks = (seen(100.0126, READER), seen(106.0126, WRITER), seen(139.0, WRITER))
    writes = (acked(101.0, WRITER), acked(130.0, WRITER), replace(acked(140.0, WRITER), result_s=141.0))
    history = History(HEADER, observations=(*looks, *FAILED), writes=writes)
    switched, replica = switch_findings(history, WINDOW, BLIND_S)
    assert "(3 in 370 s)" in replica.reason
    assert [row["after_s"] for row in switched.data["course"]] == [0.1, 60.1]
