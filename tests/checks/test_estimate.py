"""The point estimate and the brown-out's bounds, against outages that are planted in arithmetic."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.accuracy import HARD, Planted, by_kind, results, summary, thinned
from checks.degradation import degradation
from checks.estimate import brown_out, edges
from checks.recovery_time import Look, measure
from drill.verdict import Interval

DEADLINE_S = 0.25


def planted(
    kind: str, onset_s: float, recovery_s: float, every_s: float = 0.001, phase_s: float = 0.0, end_s: float = 2.0
) -> list[Look]:
    """A second's looks around an outage that behaves as its kind does."""
    looks = []
    for n in range(round(end_s / every_s)):
        sent_s = phase_s + n * every_s
        arrives_s, done_s = sent_s + 0.0001, sent_s + 0.0003
        down = onset_s <= arrives_s < recovery_s
        if not down:
            looks.append(Look(sent_s, done_s, True))
        elif kind in ("refuse", "503"):
            looks.append(Look(sent_s, done_s, False))
        elif kind == "hang" and recovery_s < sent_s + DEADLINE_S:
            looks.append(Look(sent_s, recovery_s + 0.0002 + 1e-8 * n, True))
        else:
            looks.append(Look(sent_s, sent_s + DEADLINE_S, False, silent=True))
    return looks


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["refuse", "hang", "blackhole"]),
    st.floats(0.3, 0.6),
    st.floats(0.3, 0.6),
    st.sampled_from([0.001, 0.01]),
    st.floats(0, 0.01),
)
def test_the_estimate_is_off_by_no_more_than_a_look_at_each_edge(
    kind: str, onset_s: float, lasted_s: float, every_s: float, phase_s: float
) -> None:
    """For hard edges, hangs and black holes; and it lies within the bounds, which contain the truth."""
    recovery_s = onset_s + lasted_s
    looks = planted(kind, onset_s, recovery_s, every_s, phase_s)
    found = measure(looks, looks[0].sent_s, 3.0, 0.12)
    assert found.onset is not None and found.recovery is not None
    assert found.onset.low_s <= onset_s <= found.onset.high_s
    assert found.recovery.low_s <= recovery_s <= found.recovery.high_s
    point = edges(looks, found)
    assert point is not None
    assert abs(point[0] - onset_s) <= every_s / 2 + 0.0005
    assert abs(point[1] - recovery_s) <= every_s / 2 + 0.0005


@pytest.mark.parametrize("share", [0.1, 0.4, 0.8])
def test_a_brown_out_is_bounded_by_more_luck_than_it_can_have(share: float) -> None:
    """In forty brown-outs the bounds hold every edge, and the estimate is off by a few looks on average."""
    rng, errors = random.Random(7), []
    for _ in range(40):
        onset_s, recovery_s = rng.uniform(0.3, 0.5), rng.uniform(0.9, 1.1)
        looks = [
            Look(n / 1000, n / 1000 + 0.0003, not (onset_s <= n / 1000 < recovery_s and rng.random() < share))
            for n in range(2000)
        ]
        found = brown_out(looks, 0.001)
        assert found is not None
        assert found.onset.low_s <= onset_s <= found.onset.high_s
        assert found.recovery.low_s <= recovery_s <= found.recovery.high_s
        assert found.failed == pytest.approx(share, abs=0.1)
        errors.append(found.point[1] - found.point[0] - (recovery_s - onset_s))
    assert abs(math.fsum(errors) / len(errors)) < 0.008


def test_a_brown_out_without_enough_looks_after_it_has_no_end() -> None:
    """It may still be going on, luckily: no recovery is claimed."""
    looks = [Look(n / 100, n / 100 + 0.001, not 30 <= n < 60 or n % 2 == 0) for n in range(64)]
    found = brown_out(looks, 0.01)
    assert found is not None and math.isinf(found.recovery.high_s)
    assert brown_out([look for look in looks if look.good], 0.01) is None


def every_other(count: int = 400, first: int = 200, last: int = 240, step: int = 2) -> list[Look]:
    """Looks each 10 ms, 1 ms long; from number `first` to `last` every `step`-th fails."""
    return [
        Look(n / 100, n / 100 + 0.001, not (first <= n <= last and (n - first) % step == 0)) for n in range(count)
    ]


def test_a_brown_out_is_told_to_the_look() -> None:
    """21 of 41 fail. By Wilson's bound at 4.75 deviations at least 0.21 do, so luck of 59 looks has odds of 1e-6."""
    share, z = 21 / 41, 4.75
    centre, spread = share + z * z / 82, z * math.sqrt(share * (1 - share) / 41 + z * z / (4 * 41 * 41))
    least = (centre - spread) / (1 + z * z / 41)
    lucky = math.ceil(math.log(1e-6) / math.log(1 - least))
    assert (round(least, 2), lucky) == (0.21, 59)
    found = brown_out(every_other(), 0.01)
    assert found is not None
    assert found.failed == share
    assert (found.onset.low_s, found.onset.high_s) == (pytest.approx(1.4), pytest.approx(2.001))
    assert (found.recovery.low_s, found.recovery.high_s) == (2.4, pytest.approx(3.001))
    hidden_s = (1 / share - 0.5) * 0.01
    assert found.point == (pytest.approx(2.001 - hidden_s), pytest.approx(2.401 + hidden_s))
    assert (found.duration.low_s, found.duration.high_s) == pytest.approx((2.4 - 2.001, 3.001 - 1.4))


def test_a_brown_out_near_the_ends_of_the_evidence_is_bounded_by_them_or_not_at_all() -> None:
    """Before the first look there is none; after the last one nobody knows: exactly enough looks bound it."""
    early = brown_out(every_other(first=20, last=60), 0.01)
    assert early is not None and early.onset.low_s == 0.0
    enough, short = brown_out(every_other(count=301), 0.01), brown_out(every_other(count=300), 0.01)
    assert enough is not None and short is not None
    assert enough.recovery.high_s == pytest.approx(3.001)
    assert math.isinf(short.recovery.high_s)


def test_a_spell_in_which_everything_fails_leaves_less_to_luck() -> None:
    """41 of 41 fail: at least 0.645 do, so 14 looks; a single failure says next to nothing, and is not divided by."""
    found = brown_out(every_other(step=1), 0.01)
    assert found is not None and found.failed == 1
    assert found.onset.low_s == pytest.approx(2.0 - 0.15)
    single = brown_out(every_other(count=600, first=200, last=200), 0.01)
    assert single is not None and math.isfinite(single.recovery.high_s)
    assert single.point == (pytest.approx(2.001 - 0.005), pytest.approx(2.001 + 0.005))


# -- the calibration's own judgement can fail


def record(kind: str, onset_s: float, recovery_s: float) -> Planted:
    """What a victim wrote down, with brackets of 20 us."""
    return Planted(kind, Interval(onset_s, onset_s + 2e-5), Interval(recovery_s, recovery_s + 2e-5))


def test_a_right_measurement_is_covered_and_its_error_small() -> None:
    """All kinds with a hard edge, at their own rate and thinned."""
    for kind in ("refuse", "hang", "blackhole"):
        looks = planted(kind, 0.5, 0.95)
        (found,) = results(looks, [record(kind, 0.5, 0.95)], 0.001)
        assert found.covered and found.error_s is not None and abs(found.error_s) < 0.001, found
        (thin,) = results(thinned(looks, 0.001, 0.01, 0.3), [record(kind, 0.5, 0.95)], 0.01)
        assert thin.covered and thin.error_s is not None and abs(thin.error_s) < 0.011, thin


@pytest.mark.parametrize(
    "lie",
    [
        lambda look: Look(look.sent_s + 0.05, look.done_s + 0.05, look.good, silent=look.silent),
        lambda look: (
            Look(look.sent_s, look.sent_s + (look.done_s - look.sent_s) / 1000, True)
            if 0.49 < look.sent_s < 0.7
            else look
        ),
    ],
    ids=["a clock that is wrong by 50 ms", "failures told as successes"],
)
def test_a_prober_that_lies_is_not_covered(lie: Callable[[Look], Look]) -> None:
    """Evidence that is shifted, or painted good, misses its truth, and calibration says so."""
    looks = [lie(look) for look in planted("refuse", 0.5, 0.95)]
    (found,) = results(looks, [record("refuse", 0.5, 0.95)], 0.001)
    assert not found.covered and "not within the bounds" in found.why


def test_a_blind_prober_claims_nothing() -> None:
    """No looks: an interval without an end, which covers and is counted as having none."""
    (found,) = results([], [record("503", 0.5, 0.9)], 0.001)
    assert found.covered and found.error_s is None and math.isinf(found.width_s) and found.why
    assert summary([found]) | {"error_s": None, "width_s": None} == {
        "outages": 1,
        "covered": 1,
        "unbounded": 1,
        "without_estimate": 1,
        "bias_s": None,
        "error_s": None,
        "width_s": None,
    }
    assert by_kind([found]).keys() == {"503"} and "503" in HARD


# -- badly served


def test_slow_and_failing_looks_are_badly_served() -> None:
    """A stretch in which a third fails, and one in which all are slow, are both found, and where they are."""

    def look(n: int) -> Look:
        slow = 600 <= n < 700
        return Look(n / 100, n / 100 + (0.9 if slow else 0.01), not (200 <= n < 300 and n % 3 == 0))

    found = degradation([look(n) for n in range(1000)], window_s=0.5, least_share=0.9, slow_s=0.5)
    assert len(found.stretches) == 2
    (first, second) = found.stretches
    assert 1.5 <= first[0] <= 2.1 and 2.9 <= first[1] <= 3.5
    assert 5.5 <= second[0] <= 6.1 and 6.9 <= second[1] <= 7.5
    assert found.lowest == 0.0
    assert found.served == pytest.approx(1 - 0.1 - 0.033, abs=0.001)
    assert degradation([], 1, 0.9, 1).lowest is None
