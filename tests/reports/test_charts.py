"""The charts' data hides no failure, counts everything once, and stays small however much was seen."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drill.observations import ObservationLog
from drill.probes import NEW, PULSE
from drill.timeline import Event, History, Observation, Outcome, Request
from drill.verdict import Interval, conclude
from reports.charts import Buckets, charts, island
from reports.page import page
from reports.run import Run, load_run
from reports.summary import write_summary
from tests.reports.runs import PRIMARY, STANDBY, TOKYO, header, history, judgement, look, run, wall, write_folder


def drawn(found: Run) -> dict[str, Any]:
    """What the page's script gets."""
    data: dict[str, Any] = json.loads(island(found))
    return data


def lines(found: Run, chart: str) -> dict[str, list[float | None]]:
    """The series of one chart by their labels."""
    made = {c.name: c.lines for c in charts(found, Buckets(found))}
    return {line.label: line.values for line in made.get(chart, ())}


def bands(found: Run, group: str) -> dict[str, list[list[Any]]]:
    """The bands of one group by their labels."""
    return {b["label"]: b["pieces"] for b in drawn(found)["bands"] if b["group"] == group}


def loaded(requests: list[Request]) -> Run:
    """A run with these requests alone."""
    return run(history=History(header(), history().events, (), tuple(requests)))


def asked(at_s: float, outcome: Outcome = Outcome.OK, took_s: float = 0.01, **more: Any) -> Request:
    """A request that was sent at a target second of the run."""
    return Request(wall(at_s), wall(at_s) + took_s, "deposit", outcome, peer=TOKYO, **more)


def test_one_failure_among_many_is_a_share_above_zero() -> None:
    """Rounding to what a screen can show makes no failure none, and no failing service good."""
    seen = lines(loaded([asked(100, Outcome.FAIL), *[asked(100)] * 30_000]), "served")["requests of the load failed"]
    assert [v for v in seen if v] == [0.0001]
    worst = lines(loaded([asked(100), *[asked(100, Outcome.FAIL)] * 30_000]), "served")["requests of the load failed"]
    assert [v for v in worst if v] == [0.9999]


def test_slowest_request_is_kept() -> None:
    """The one slow answer among thousands is in the chart, and so are median and quickest."""
    seen = lines(loaded([asked(100, took_s=8.0), asked(100, took_s=0.001), *[asked(100)] * 5000]), "latency")
    known = {label: [v for v in values if v is not None] for label, values in seen.items()}
    assert known == {"slowest served": [8000.0], "median": [10.0], "quickest": [1.0]}


def test_nothing_seen_is_unknown() -> None:
    """A bucket without requests has no share and no latency: neither zero nor good."""
    found = loaded([asked(100), asked(500)])
    assert set(lines(found, "served")["requests of the load failed"]) == {None, 0.0}
    assert None in lines(found, "latency")["median"]


OUTCOMES = st.sampled_from([Outcome.OK, Outcome.FAIL])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 650), OUTCOMES, st.booleans()), max_size=99))
def test_every_arrival_is_counted_once(made: list[tuple[float, Outcome, bool]]) -> None:
    """Served, failed and unserved together are all that were due."""
    requests = [asked(at, o, detail="unserved" if o is Outcome.FAIL and un else "") for at, o, un in made]
    found = loaded(requests)
    counts = [sum(v for v in values if v) for values in lines(found, "arrivals").values()]
    assert round(sum(counts) * Buckets(found).wall_s) == len(made)


def test_demand_that_nobody_served_is_told_apart() -> None:
    """What no user was free for is a series of its own."""
    found = loaded([asked(9), asked(9, Outcome.FAIL), asked(9, Outcome.FAIL, detail="unserved", planned_s=wall(9))])
    assert list(lines(found, "arrivals")) == ["served", "failed", "unserved: no user was free"]


def test_size_does_not_depend_on_the_samples() -> None:
    """Twenty times as many requests and looks, failing at random, make no larger island worth the name."""
    sizes = []
    for count in (2_000, 40_000):
        chance = np.random.default_rng(7)
        bad = chance.random(count) < 0.3
        at = np.sort(chance.random(count)) * 650
        requests = tuple(
            asked(t, Outcome.FAIL if b else Outcome.OK, b / 9 + 0.001) for t, b in zip(at, bad, strict=True)
        )
        looks = tuple(
            look(t, "dns", "authoritative", TOKYO if b else "127.101.6.12") for t, b in zip(at, bad, strict=True)
        )
        sizes.append(len(island(run(history=replace(history(), requests=requests, observations=looks)))))
    assert sizes[1] < sizes[0] * 1.3
    assert sizes[1] < 60_000


def test_one_failed_look_stays_a_failure_in_a_busy_band() -> None:
    """Where a band has more changes than columns, a column in which one look failed has failed."""
    states = (Outcome.OK, Outcome.UNKNOWN)
    looks = [look(n / 20, "write.settle", "client", "", states[n % 2]) for n in range(12_000)]
    looks[7000] = look(350, "write.settle", "client", "", Outcome.FAIL)
    found = run(history=replace(history(), observations=tuple(looks), requests=()))
    pieces = bands(found, "clients")["write.settle, client"]
    failed = [piece for piece in pieces if piece[2] == "bad"]
    assert len(failed) == 1
    assert failed[0][0] <= found.at(wall(350)) <= failed[0][1]
    assert len(pieces) <= 1000


def test_steps_stand_where_they_happened() -> None:
    """The judged split lies on the common axis, as wide as it is known: from the onset's bounds."""
    decided = ("failover: decided", Interval(98.0, 105.0), "harness clock")
    found = run(judgement=replace(judgement(), phases=(("failover: detected", None, ""), decided)))
    low, high, *_ = bands(found, "steps")["failover: decided"][0]
    onset = found.windows[0].onset
    assert onset is not None
    assert (low, high) == pytest.approx((98 + onset[1], 105 + onset[0]), abs=0.02)


def test_stamps_are_as_wide_as_they_are_known() -> None:
    """A stamp of the system lies on our axis with its resolution and the doubt between the clocks on both sides."""
    clock = {"at": "2026-01-01T00:00:00+00:00", "low_s": wall(10), "high_s": wall(12), "doubt_s": 3.0}
    told = {"at": "2026-01-01T00:01:00.500+00:00", "source": "rds events", "name": "db", "region": STANDBY}
    minute = told | {"at": "2026-01-01T00:02:00+00:00", "detail": "Alarm updated from OK to ALARM"}
    never = told | {"at": "whenever"}
    marks = (*history().events, *(Event(wall(600), "signal", data) for data in (told, minute, never)))
    found = run(history=replace(history(), events=(*marks, Event(wall(12), "clock", clock))))
    second, first = bands(found, "stamps")["rds events: db, Osaka"]
    assert first[:2] == pytest.approx([10 + 60.5 - 3.0, 12 + 60.5 + 3.0], abs=0.02)
    assert second[:3] == [10 + 120 - 63, 12 + 120 + 63, "bad"]


def test_quick_looks_are_the_same_from_disk_and_memory(tmp_path: Path) -> None:
    """Quick looks read in columns give the band, the axis and the count that objects give."""
    looks = [look(n / 5, PULSE, NEW, TOKYO, Outcome.FAIL if 400 < n < 900 else Outcome.OK) for n in range(1, 3400)]
    other = Observation(wall(9), wall(9), "aws.rule", STANDBY, Outcome.OK, "ENABLED")
    folder = write_folder(tmp_path / "run", history())
    log = ObservationLog(folder, "pulse")
    for one in (*looks, other):
        log.add(one)
    log.close()
    write_summary(folder, judgement())
    read = load_run(folder)
    held = run(folder=folder, history=replace(history(), observations=(*history().observations, *looks, other)))
    assert bands(read, "clients") == bands(held, "clients")
    assert f"{PULSE}, {NEW}" in bands(read, "clients")
    assert (read.length_s, read.looks) == (held.length_s, held.looks)
    assert bands(read, "signals") == bands(held, "signals")


def test_unknown_ends_lie_beyond_the_axis() -> None:
    """A step without an end and a clock in endless doubt are drawn to the edge, and the data stays JSON."""
    endless = ("failover: clients recovered", Interval(5.0, math.inf), "harness clock")
    clock = {"at": "2026-01-01T00:00:00+00:00", "low_s": wall(10), "high_s": wall(12), "doubt_s": math.inf}
    signal = {"at": "2026-01-01T00:01:00+00:00", "source": "s", "name": "n"}
    marks = (*history().events, Event(wall(12), "clock", clock), Event(wall(600), "signal", signal))
    judged = replace(judgement(reach_s=math.inf), phases=(endless,))
    found = run(history=replace(history(), events=marks), judgement=judged)
    assert bands(found, "steps")["failover: clients recovered"][0][1] > found.length_s
    low, high, *_ = bands(found, "stamps")["s: n"][0]
    assert low < 0 < found.length_s < high
    assert bands(found, "drill")["users without it, failover"][-1][3] == "not recovered in the window"


def test_bands_that_tell_least_give_way() -> None:
    """Signals in which nothing ever happened go before stamps, and these before signals that changed."""
    looks = [look(n, f"aws.canary.c{number:02}", "us-west-2", "PASSED") for number in range(60) for n in (1, 5)]
    looks += [look(n, "aws.writer.orders", "us-west-2", region) for n, region in ((2, PRIMARY), (9, STANDBY))]
    found = run(history=replace(history(), observations=(*history().observations, *looks)))
    shown = bands(found, "signals")
    assert [piece[3] for piece in shown["writer orders, Oregon"]] == ["Tokyo", "Osaka"]
    assert drawn(found)["leftOut"] > 0 and len(drawn(found)["bands"]) == 50


def test_bands_without_room_are_counted() -> None:
    """A system with more signals than a page has room for is shown in part, and the page says so."""
    looks = tuple(look(5, f"aws.signal-{n}", STANDBY, "OK") for n in range(40))
    looks += tuple(look(5, "dns", f"resolver:{n}", TOKYO) for n in range(30))
    data = drawn(run(history=History(header(), history().events, looks)))
    assert len(data["bands"]) == 50
    drill = len(bands(run(history=History(header(), history().events)), "drill"))
    assert data["leftOut"] == drill + 40 + 30 - 50


@pytest.mark.parametrize("part", ["cut", "nameless"])
def test_broken_quick_looks_are_named(tmp_path: Path, part: str) -> None:
    """A file of looks that is cut off or has lost its words is said by its name."""
    folder = write_folder(tmp_path / "run", history())
    log = ObservationLog(folder, "pulse")
    log.add(look(5, PULSE, NEW, TOKYO))
    log.close()
    write_summary(folder, judgement())
    if part == "cut":
        (folder / "obs-pulse.bin").write_bytes((folder / "obs-pulse.bin").read_bytes()[:-3])
    else:
        (folder / "obs-pulse.names").write_text("")
    with pytest.raises(ValueError, match=r"obs-pulse\.bin: "):
        load_run(folder)


def test_run_that_saw_nothing_has_a_page() -> None:
    """A drill that ended before anything was seen has charts of nothing and a page."""
    nothing = run(history=History(header()), judgement=conclude([]))
    assert drawn(nothing)["charts"] == []
    assert "Nothing was judged" in page(nothing)


def test_bands_of_faults_and_actions_say_what_was_touched() -> None:
    """A fault by its mark, an action by the journal's record of it, in order; three runbooks are told apart."""
    marks = (
        Event(wall(1), "fault.injected", {"kind": "ecs.scale", "resources": ["arn:aws:ecs:r:1:service/c/orders"]}),
        *(Event(wall(n), "action", {"kind": "ssm.run"}) for n in (2, 3)),
    )
    journal = tuple({"action": {"resources": [f"arn:aws:ssm:r:1:document/move-{n}"]}} for n in (1, 2))
    labels = [*bands(run(history=replace(history(), events=marks), journal=journal), "drill")]
    assert labels == ["fault: ecs.scale, orders", "action: ssm.run, move-1", "action: ssm.run, move-2"]
