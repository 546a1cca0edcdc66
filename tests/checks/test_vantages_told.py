"""A vantage's row and the quorum's bounds: which looks they rest on, and how exact they are."""

from __future__ import annotations

import math

import pytest

from checks.degradation import Degradation
from checks.recovery_time import RecoveryTime
from checks.vantages import Vantage, quorum, rows_of, vantages_of
from checks.windows import settings_of, windows_of
from drill.probes import NEW, PINNED, PULSE
from drill.timeline import Observation, Outcome
from drill.verdict import Interval
from tests.checks.histories import FAIL, OK, OSAKA, PEERS, TOKYO, UNKNOWN, Story


def quick(story: Story, vantage: str, *stretches: tuple[float, float, Outcome, str]) -> Story:
    """Quick looks every 2 target seconds, each 1 long: (from, before, outcome, Region or address)."""
    for from_s, before_s, outcome, place in stretches:
        for n in range(math.ceil((before_s - from_s) / 2)):
            at = story.at(from_s + 2 * n), story.at(from_s + 2 * n + 1)
            value = PEERS.get(place, place) if outcome is OK else ""
            story.observations.append(Observation(*at, PULSE, vantage, outcome, value, "" if value else "503"))
    return story


def seen(story: Story, vantage: str = NEW) -> Vantage:
    """What that vantage saw in the first window."""
    history = story.history()
    fixed = settings_of(history)
    found = vantages_of(history, windows_of(history, fixed.places)[0], fixed)
    (mine,) = [v for v in found if v.name == f"reads, {vantage}"]
    return mine


BACK_HOME = ((-20.0, 10.0, OK, TOKYO), (10.0, 100.0, FAIL, ""), (100.0, 160.0, OK, TOKYO))


def test_new_clients_are_back_at_the_survivor_and_pinned_ones_wherever_they_are_served() -> None:
    """The same looks, served again at home."""
    new, pinned = (seen(quick(Story().window(0, 160), v, *BACK_HOME), v) for v in (NEW, PINNED))
    assert new.time.recovery is not None and math.isinf(new.time.recovery.high_s)
    assert pinned.time.recovery is not None and math.isfinite(pinned.time.recovery.high_s)
    assert (new.regions, pinned.regions) == ((TOKYO,), (TOKYO,))
    assert new.estimate_s is None and pinned.estimate_s == pytest.approx(9.0)


@pytest.mark.parametrize(("good_s", "recovered"), [(28.0, False), (32.0, True)])
def test_a_vantage_has_recovered_after_the_targets_sustained_time(good_s: float, recovered: bool) -> None:
    """30 target seconds without a failure, three of wall time."""
    story = Story().window(0, 100 + good_s)
    found = seen(quick(story, NEW, *BACK_HOME[:2], (100.0, 100 + good_s, OK, OSAKA)))
    assert found.time.recovered is recovered


@pytest.mark.parametrize(("pause_s", "recovered"), [(9.0, True), (10.0, False)])
def test_a_pause_of_the_quick_looks_is_measured_by_their_own_gentle_pace(pause_s: float, recovered: bool) -> None:
    """Two a wall second: beyond 9.5 target seconds without a look an outage may hide, and a recovery is none yet."""
    after = (100.0, 112.0, OK, OSAKA), (110.0 + pause_s, 140.0, OK, OSAKA)
    assert seen(quick(Story().window(0, 140), NEW, *BACK_HOME[:2], *after)).time.recovered is recovered


def test_looks_at_the_windows_very_ends_are_counted() -> None:
    """Sent at its begin and at its end; not before, not after, and not what nobody knows the outcome of."""
    story = quick(Story().window(0, 100), NEW, (-4.0, 104.0, OK, OSAKA), (50.0, 60.0, UNKNOWN, ""))
    assert seen(story).looks == 51
    assert rows_of([seen(story)], 10.0)[0]["looks"] == 51


def test_who_served_last_is_told_by_the_last_sustained_stretch() -> None:
    """Results in the last 30 target seconds, both ends included; an address of no Region is elsewhere."""
    story = Story().window(0, 101)
    other = "192.0.2.1"
    quick(story, NEW, (60.0, 70.0, OK, other), (72.0, 100.0, OK, OSAKA), (102.0, 110.0, OK, other))
    assert seen(story).regions == (OSAKA,)
    at_its_begin = quick(story, NEW, (70.0, 71.0, OK, TOKYO))  # answered at 71
    assert seen(at_its_begin).regions == (TOKYO, OSAKA)
    at_its_end = quick(at_its_begin, NEW, (100.0, 101.0, OK, other))  # answered at 101
    assert seen(at_its_end).regions == (TOKYO, OSAKA, "elsewhere")


def out(onset: tuple[float, float] | None, recovery: tuple[float, float] = (0.0, 0.0), problem: str = "") -> Vantage:
    """A vantage that was out so, or not at all."""
    time = RecoveryTime(problem) if onset is None else RecoveryTime(problem, Interval(*onset), Interval(*recovery))
    return Vantage("x", time, None, Degradation(), (), 0)


@pytest.mark.parametrize(
    ("vantages", "bounds"),
    [
        ([out((10.0, 10.1), (10.4, 10.5))], (0.3, 0.5)),
        ([out((10.0, 10.1), (10.4, 10.5)), out(None)], (0.3, 0.5)),
        ([out((10.0, 11.0), (20.0, 21.0)), out((15.0, 16.0), (30.0, 31.0))], (19.0, 21.0)),
        ([out((10.0, 11.0), (20.0, 21.0)), out(None), out(None)], (0.0, 0.0)),
        ([out((10.0, 11.0), (20.0, 21.0)), out((15.0, 16.0), (30.0, 31.0)), out(None)], (4.0, 6.0)),
        ([out((10.0, 12.0), (11.0, 13.0))], (0.0, 3.0)),
        ([out((0.0, 1.0), (5.0, 6.0)), out((2.0, 3.0), (8.0, 9.0)), *[out(None)] * 2], (2.0, 4.0)),
        ([out((0.0, 1.0), (5.0, 6.0)), *[out(None)] * 3], (0.0, 0.0)),
    ],
)
def test_the_quorum_is_without_service_while_fewer_than_a_majority_are_served(
    vantages: list[Vantage], bounds: tuple[float, float]
) -> None:
    """Half of them are no majority: of two both are needed, of four three."""
    together = quorum(vantages)
    assert together is not None
    assert (together.low_s, together.high_s) == pytest.approx(bounds)


def test_a_quorum_of_which_one_says_nothing_says_nothing() -> None:
    """And none of nobody."""
    assert quorum([]) is None
    assert quorum([out((10.0, 11.0), (20.0, 21.0)), out(None, problem="no baseline")]) is None


def test_rows_are_exact_to_a_millionth_of_a_target_second() -> None:
    """No more, no less, and a quorum stands beside two vantages already."""
    time = RecoveryTime(
        "",
        Interval(1.0, 1.0),
        Interval(2.0, 2.0),
        Interval(1.23456789, 2.3456789),
        unavailable=Interval(0.1234567, 1),
    )
    vantage = Vantage("reads", time, 1.23456789, Degradation(((0.0, 0.12345678),), 1.0, 1.0), (), 1)
    row, _, together = rows_of([vantage, vantage], 1.0)
    assert row["recovery_s"] == [1.234568, 2.345679] and row["unavailable_s"] == [0.123457, 1.0]
    assert (row["estimate_s"], row["degraded_s"]) == (1.234568, 0.123457)
    assert together == {"vantage": "quorum of 2", "recovery_s": [1.0, 1.0]}
