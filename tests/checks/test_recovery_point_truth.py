"""Recovery point against planted truth, and the verdict against more and more losses."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.judge import judge
from checks.recovery_point import RecoveryPoint, recovery_point
from checks.windows import settings_of, windows_of
from drill.timeline import History, Readback
from drill.verdict import Finding, Interval, Judgement
from reports.summary import missing_texts, write_summary
from tests.checks.histories import COMPLETE, OBJECTIVES, TOKYO, Story, complete, good_failover, sealed

SECONDS = st.floats(0, 50, allow_nan=False)


@st.composite
def planted(draw: st.DrawFn) -> tuple[Story, Interval, float]:
    """A story with lost writes, the measured onset, and the true recovery point (target seconds)."""
    told = Story(speed=draw(st.sampled_from([1.0, 10.0]))).window(0, 400)
    onset_s = draw(st.floats(100, 150))
    onset = Interval(told.at(onset_s - draw(SECONDS)), told.at(onset_s + draw(SECONDS)))
    accepted, states = [], {}
    for n in range(1, draw(st.integers(1, 6)) + 1):
        at_s, lost = draw(st.floats(10, 250)), draw(st.booleans())
        told.write(f"u-{n}", at_s - draw(SECONDS), at_s + draw(SECONDS))
        states[f"u-{n}"] = draw(st.sampled_from(["absent", "pending"])) if lost else "settled"
        accepted += [at_s] if lost else []
    told.read(401, states)
    return told, onset, max(0.0, onset_s - min(accepted)) if accepted else 0.0


@settings(max_examples=150, deadline=None)
@given(planted())
def test_the_interval_holds_the_planted_recovery_point(case: tuple[Story, Interval, float]) -> None:
    """From the instant at which the system really accepted the first lost write to the true onset."""
    told, onset, truth_s = case
    history = told.history()
    window = windows_of(history, settings_of(history).places)[0]
    found = recovery_point(history, window, onset, told.speed)
    assert found.interval.low_s - 1e-6 <= truth_s <= found.interval.high_s + 1e-6


@functools.cache
def whole() -> History:
    """A drill that passes."""
    return complete()


def losing(keys: frozenset[tuple[str, str]], rpo_s: float) -> Judgement:
    """Its judgement, had the survivor of a window missed those (window, key)."""
    history = whole()
    told = [r for r in history.readbacks if (r.window, r.key) not in keys]
    late_s = max(r.at_s for r in history.readbacks) + 100
    marks = {e.data["window"]: e.at_s for e in history.named("readback") if e.data["pass_"] == "settled"}
    gone = [Readback(marks.get(w, late_s) + 0.1, w, "settled", key, "absent") for w, key in sorted(keys)]
    header = history.header | {"objectives": OBJECTIVES | {"rpo_s": rpo_s, "failback_rpo_s": rpo_s}}
    return judge(sealed(dataclasses.replace(history, header=header, readbacks=(*told, *gone))))


LOSSES = [
    ("failover", "u1-1"),
    ("failover", "u1-2"),
    ("failback", "u1-1"),
    ("failback", "u1-2"),
    ("failback", "u2-1"),
]


@settings(max_examples=25, deadline=None)
@given(st.frozensets(st.sampled_from(LOSSES), max_size=4), st.sampled_from(LOSSES), st.sampled_from([0.0, 5.0, 60.0]))
def test_no_added_loss_improves_a_verdict(
    lost: frozenset[tuple[str, str]], added: tuple[str, str], rpo_s: float
) -> None:
    """Not of the drill, and not of the window that lost it."""
    fewer, more = losing(lost, rpo_s), losing(lost | {added}, rpo_s)
    assert more.verdict.rank >= fewer.verdict.rank
    if rpo_s == 0:
        assert more.verdict.value == "FAIL"


# -- stores, marks and what was never acknowledged


def judged(told: Story) -> dict[str, Finding]:
    """Finding by name."""
    return {f.name: f for f in judge(told.history()).findings}


def point(told: Story, window: int = 0) -> RecoveryPoint:
    """The recovery point of a window, onset as told."""
    history = told.history()
    places = settings_of(history).places
    found = windows_of(history, places)[window]
    onset = Interval(told.at(8.0), told.at(10.5))
    return recovery_point(history, found, onset, told.speed, region_of=places.region_of)


def looked(told: Story, key: str, state: str = "settled", **more: Any) -> Story:
    """One look at the settled pass that says more than a state."""
    told.readbacks.append(Readback(told.at(381), "failover", "settled", key, state, **more))
    return told


def test_each_store_has_a_recovery_point_of_its_own() -> None:
    """A write that one of its stores misses is lost, and counted once."""
    told = Story().window(0, 200).write("u-1", 1, 2).write("u-2", 5, 6)
    told.writes = [dataclasses.replace(w, store="orders,stock") for w in told.writes]
    told.mark(201, "readback", window="failover", pass_="settled", region="ap-northeast-3")
    for key in ("u-1", "u-2"):
        for store in ("orders", "stock"):
            state = "absent" if (store, key) != ("orders", "u-2") else "settled"
            told.readbacks.append(Readback(told.at(202), "failover", "settled", key, state, store))
    found = point(told)
    rows = {row["store"]: (row["lost"], row["low_s"], row["high_s"]) for row in (s.row() for s in found.stores)}
    assert rows == {"orders": (1, 6.0, 9.5), "stock": (2, 6.0, 9.5)}
    assert (found.lost_writes, [(w.key, w.store) for w in found.lost]) == (
        2,
        [("u-1", "orders"), ("u-1", "stock"), ("u-2", "stock")],
    )


MARKED = {
    "shown several times": {"copies": 2},
    "changed": {"digest": "f" * 64},
    "accepted by both Regions": {"region": TOKYO},
}


@pytest.mark.parametrize("what", sorted(MARKED))
def test_a_write_that_survived_wrongly_fails_and_is_named(what: str) -> None:
    """Twice, changed, or accepted by two Regions: not lost, and not right."""
    told = good_failover()
    told.writes = [dataclasses.replace(w, digest="a" * 64, peer="127.101.5.165") for w in told.writes]
    healthy = judged(looked(good_failover(), "u1-1", copies=1))["written data, failover"]
    wrong = judged(looked(told, "u1-1", **MARKED[what]))["written data, failover"]
    assert (healthy.verdict.value, wrong.verdict.value) == ("PASS", "FAIL")
    assert wrong.data[what] == ["u1-1"] and "u1-1" in wrong.reason


def test_what_nobody_acknowledged_is_told_when_the_store_is_asked_by_the_clients_key() -> None:
    """Indeterminate writes that turned up and did not; a refused one that turned up makes it FAIL."""
    target = COMPLETE | {"writes": {"read_path": "/by-key/{key}"}}
    told = good_failover(target=target).write("u1-4", 5, None, "indeterminate").write("u1-5", 5, 6, "indeterminate")
    looked(looked(told, "u1-4", "settled"), "u1-5", "absent")
    counts = judge(looked(told, "u1-3", "absent").history()).writes["failover"]
    assert (counts["indeterminate, turned up"], counts["indeterminate, did not"]) == (1, 1)
    assert counts["refused, turned up"] == 0
    told.readbacks = [r for r in told.readbacks if r.key != "u1-3"]
    assert judged(looked(told, "u1-3", "settled"))["written data, failover"].verdict.value == "FAIL"


def test_what_nobody_looked_for_is_not_counted_as_none() -> None:
    """Without a look and without balances there is no figure of what turned up."""
    counts = judge(good_failover().write("u1-4", 5, None, "indeterminate").history()).writes["failover"]
    assert counts["indeterminate"] == 1
    assert not [name for name in counts if "turned up" in name]


@pytest.mark.parametrize(("balance", "figures"), [(1000.0, (0, 1)), (950.0, (1, 0))])
def test_a_balance_with_one_explanation_tells_what_turned_up(balance: float, figures: tuple[int, int]) -> None:
    """A withdrawal that was never answered took effect, or did not."""
    told = Story().window(0, 200).write("u-1", 1, 2).write("u-2", 3, None, "indeterminate", amount=-50.0)
    found = point(told.read(201, {"u-1": "settled"}).balance(205, "drill-1", balance))
    assert (found.turned_up, found.stayed_out) == figures


def test_what_the_failback_lost_again_is_counted_apart() -> None:
    """The failover had brought it over; the way back lost it."""
    told = Story().window(0, 200).window(300, 400, "failback").write("u-1", 1, 2).write("u-2", 1, 2)
    told.read(201, {"u-1": "settled", "u-2": "settled"})
    told.read(401, {"u-1": "absent", "u-2": "settled"}, window="failback")
    found = point(told, window=1)
    assert (found.lost_again, found.lost[0].lost_again, found.counts()["lost again"]) == (1, True, 1)


def test_two_regions_that_take_writes_at_once_are_noted() -> None:
    """An old Region that still acknowledges while the new one already does."""
    told = good_failover().write("u1-4", 240, 241).write("u1-5", 245, 246, account="drill-9")
    told.writes = [dataclasses.replace(w, peer="127.101.5.165") if w.key == "u1-4" else w for w in told.writes]
    notes = judge(looked(looked(told, "u1-4"), "u1-5").history()).notes
    assert [n for n in notes if "both took writes at the same time" in n and "1 writes" in n]


# -- the missing-transactions file


def test_each_lost_write_is_named_with_its_times_region_and_digest(tmp_path: Path) -> None:
    """The report that the retail store promises; the same evidence gives the same bytes."""
    told = good_failover(fate="absent")
    told.writes = [dataclasses.replace(w, digest="ab" * 32, wall_offset_s=1_790_000_000.0) for w in told.writes]
    judgement = judge(told.history())
    write_summary(tmp_path, judgement)
    (row,) = json.loads((tmp_path / "missing-transactions.json").read_text())
    assert (row["key"], row["id"], row["account"], row["store"]) == ("u1-2", "id-u1-2", "drill-2", "main")
    assert (row["payload_sha256"], row["region"], row["write"]) == ("ab" * 32, TOKYO, "deposit")
    assert (row["sent_monotonic_s"], row["acked_monotonic_s"]) == (5000.7, 5000.75)
    assert row["sent_at"] < row["acked_at"] and row["sent_at"].startswith("2026-09-21T")
    assert missing_texts(judge(told.history())) == {p.name: p.read_text() for p in tmp_path.glob("missing-*")}
